"""Context beside the traded instrument: what is declared of a stream, and which of its rows is known when.

A row of a stream may be used from its close plus the declared lag on, and only until the declared age; the same rule in
batch and live.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.rows import ALL_COLUMNS, PRICE_COLUMNS
from rl_strategies.features.spec import FeatureSpec

NS_PER_SECOND = 10**9
AGE_OUTPUT = "age_minutes"


class StreamSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A context stream as a configuration asks for it.

    Attributes
    ----------
    name : str
        Instrument or index, such as ``SPY`` or ``VIX``; joined features read its outputs as ``SPY.momentum``, and the
        age of what they read as ``SPY.age_minutes``.
    features : tuple of FeatureSpec
        Computed on the stream's own rows, every one of them, whatever the traded instrument does.
    lag_s : int
        Seconds after its close before a row may be used. 0 takes the row that closes together with the traded bar, so
        that live must wait for it; one bar length never waits.
    max_age_s : int
        Seconds after its close until which a row may stand for now.
    fill : bool
        True: where there is no such row, features that read the stream are 0 and ``NAME_fresh``, an output of its own,
        says so. False: they are NaN.
    required : bool
        True: to be without the stream is an error; False: what reads it is then left out, and said so.
    """

    name: str
    features: tuple[FeatureSpec, ...]
    lag_s: int = 0
    max_age_s: int = 300
    fill: bool = False
    required: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"a stream's name must be letters, digits and underscores; was {self.name!r}")
        if self.lag_s < 0:
            raise InputError(f"stream {self.name}: lag_s must not be negative; was {self.lag_s}")
        if self.max_age_s < self.lag_s or self.max_age_s <= 0:
            raise InputError(f"stream {self.name}: max_age_s must be positive and reach the lag; was {self.max_age_s}")

    def plan(self) -> FeaturePlan:
        """Its features as a plan, over prices and whatever other columns they read."""
        read = frozenset().union(*FeaturePlan(self.features, ALL_COLUMNS).needs.values())
        return FeaturePlan(self.features, [c for c in ALL_COLUMNS if c in PRICE_COLUMNS or c in read])

    def as_of(self, ts_ns: NDArray[np.int64], stream_ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of the stream that stands for each time, -1 where none does.

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
        When each row was known: a bar's close; for a daily value the close of its day. Strictly ascending.
    rows : float64[m, k]
        Columns of the stream's plan.

    Raises
    ------
    InputError
        When the lengths differ or the times do not ascend.
    """

    ts_ns: NDArray[np.int64]
    rows: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.ts_ns) != len(self.rows):
            raise InputError(f"a stream must have a time for each row; had {len(self.ts_ns)} and {len(self.rows)}")
        if (np.diff(self.ts_ns) <= 0).any():
            row = int(np.argmax(np.diff(self.ts_ns) <= 0)) + 1
            raise InputError(f"a stream's times must ascend; row {row} was {self.ts_ns[row]} ns")


class ContextSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the rows of a context stream come from.

    Attributes
    ----------
    name : str
        Of the stream.
    instrument : InstrumentSpec or None
        Whose bars they are; None for daily values from the catalog's context file.
    bar_type : str or None
        NautilusTrader bar type of these bars.
    """

    name: str
    instrument: InstrumentSpec | None = None
    bar_type: str | None = None
