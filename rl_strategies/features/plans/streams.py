"""Context streams beside the traded instrument, and which of their rows may be used when.

A row may be used from its close plus the stream's lag, until the stream's maximum age; the same rule in batch and live.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.features.compiler.allocation import SESSION_ROWS
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.rows import ALL_COLUMNS, PRICE_COLUMNS
from rl_strategies.features.spec import FeatureSpec

NS_PER_SECOND = 10**9
AGE_OUTPUT = "age_minutes"


class StreamSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A context stream of a configuration.

    Attributes
    ----------
    name : str
        Instrument or index, such as ``SPY`` or ``VIX``. Cross features read its outputs as ``SPY.momentum``, and their
        age as ``SPY.age_minutes``.
    features : tuple of FeatureSpec
        Features computed on every row of the stream, independent of the traded instrument.
    lag_s : int
        Seconds after its close before a row may be used. With 0 the row that closes together with the traded bar is
        used, so live waits for it; with one bar length it never waits.
    max_age_s : int
        Seconds after its close until which a row may be used.
    fill : bool
        True: without a usable row, features that read the stream are 0, and the extra output ``NAME_fresh`` is 0.
        False: they are NaN.
    required : bool
        True: a missing stream is an error. False: features that read it are then left out, with a reason.
    session_rows : int
        Most bars of a session; set from the length of the bars when the plan is made.
    """

    name: str
    features: tuple[FeatureSpec, ...]
    lag_s: int = 0
    max_age_s: int = 300
    fill: bool = False
    required: bool = False
    session_rows: int = SESSION_ROWS

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"name of a stream must be letters, digits and underscores, was {self.name!r}")
        if self.lag_s < 0:
            raise InputError(f"lag_s of stream {self.name} must not be negative, was {self.lag_s}")
        if self.max_age_s < self.lag_s or self.max_age_s <= 0:
            raise InputError(
                f"max_age_s of stream {self.name} must be positive and at least lag_s, was {self.max_age_s}"
            )

    def plan(self) -> FeaturePlan:
        """Plan of its features, over prices and the other columns that they read."""
        read = frozenset().union(*FeaturePlan(self.features, ALL_COLUMNS).needs.values())
        columns = [c for c in ALL_COLUMNS if c in PRICE_COLUMNS or c in read]
        return FeaturePlan(self.features, columns, session_rows=self.session_rows)

    def as_of(self, ts_ns: NDArray[np.int64], stream_ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """As-of join: the row of the stream to use at each time, -1 for none.

        Parameters
        ----------
        ts_ns : int64[n]
            Close times of the traded instrument's bars.
        stream_ts_ns : int64[m]
            Close times of the stream's rows, ascending.

        Returns
        -------
        int64[n]

        Examples
        --------
        >>> spec = StreamSpec("SPY", (FeatureSpec("log_return", "change"),), lag_s=60, max_age_s=120)
        >>> minutes = np.array([1, 2, 3, 4, 5]) * 60 * NS_PER_SECOND
        >>> spec.as_of(minutes, minutes[:2]).tolist()  # row 1 closed at minute 2: used at 3 and 4, then too old
        [-1, 0, 1, 1, -1]
        """
        row = np.searchsorted(stream_ts_ns + self.lag_s * NS_PER_SECOND, ts_ns, side="right") - 1
        if len(stream_ts_ns) == 0:
            return row
        age = ts_ns - stream_ts_ns[np.maximum(row, 0)]
        return np.where((row >= 0) & (age <= self.max_age_s * NS_PER_SECOND), row, -1)


@dataclass(frozen=True)
class StreamRows:
    """Rows of a stream for `JoinedPlan.batch`.

    Attributes
    ----------
    ts_ns : int64[m]
        Time at which each row was known: a bar's close, or the close of a daily value's day. Strictly ascending.
    rows : float64[m, k]
        Values in the columns of the stream's plan.

    Raises
    ------
    InputError
        If the lengths differ or the times do not ascend.
    """

    ts_ns: NDArray[np.int64]
    rows: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.ts_ns) != len(self.rows):
            raise InputError(
                f"a stream must have one time per row, had {len(self.ts_ns)} times for {len(self.rows)} rows"
            )
        if (np.diff(self.ts_ns) <= 0).any():
            row = int(np.argmax(np.diff(self.ts_ns) <= 0)) + 1
            raise InputError(f"times of a stream must ascend, was {self.ts_ns[row]} ns in row {row}")


class ContextSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the rows of a context stream come from.

    Attributes
    ----------
    name : str
        Name of the stream.
    instrument : InstrumentSpec or None
        Instrument of the bars; None for daily values from the catalog's context file.
    bar_type : str or None
        NautilusTrader bar type of the bars.
    """

    name: str
    instrument: InstrumentSpec | None = None
    bar_type: str | None = None
