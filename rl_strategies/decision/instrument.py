"""One instrument inside the decision core: its bars and fills in, its features, quote and position out."""

from collections.abc import Sequence
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import bound
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import SessionCalendar
from rl_strategies.decision.kernels import clear, lay_stop_loss, lay_take_profit, quote_bar
from rl_strategies.decision.rules import NS_PER_MINUTE
from rl_strategies.features import FeaturePlan, JoinedPlan, LiveJoined, LiveRows

ATR_FEATURE = "atr_14"
FEATURES_STATE = "features"


class InstrumentCore:
    """State of one instrument between two decisions.

    Parameters
    ----------
    instrument : InstrumentSpec
    calendar : SessionCalendar
        Sessions of the instrument.
    plan : FeaturePlan or JoinedPlan
        A plan that computes ``atr_14`` from the instrument's own bars.
    legs, rules : `rl_strategies.accounting.position.LEG`[K], `rl_strategies.decision.rules.RULES`[K]
    k : int
        Index of the instrument in both.
    flatten_minutes : int
    last_ns : int64[K]
        Receives the close time of the last bar.
    observed : float32[m]
        The instrument's part of the observation; receives the observed features of the last bar.

    Attributes
    ----------
    volume_known : bool
        False if the bars' volume is a placeholder; features then see NaN.
    values : float64[m]
        Features of the last bar; with context, as of the last `settle`.
    """

    def __init__(
        self,
        instrument: InstrumentSpec,
        calendar: SessionCalendar,
        plan: FeaturePlan | JoinedPlan,
        legs: Any,
        rules: Any,
        k: int,
        flatten_minutes: int,
        last_ns: NDArray[np.int64],
        observed: NDArray[np.float32],
    ) -> None:
        self.instrument = instrument
        self.calendar = calendar
        self.plan = plan
        self.volume_known = True
        self._legs, self._k = legs, k
        self._units, self._close_ticks = legs["units"], legs["close_ticks"]
        self._last_ns, self._observed = last_ns, observed
        self._flatten_ns = flatten_minutes * NS_PER_MINUTE
        self._features = plan.live()
        self._joined = self._features if isinstance(self._features, LiveJoined) else None
        self._rows = LiveRows(calendar, plan.columns, tick_raw=float(rules["tick_raw"][k]))
        self._bind_kernels(rules)
        self.reset()

    def _bind_kernels(self, rules: Any) -> None:
        own = self.plan.primary if isinstance(self.plan, JoinedPlan) else self.plan
        if isinstance(self._features, LiveJoined):
            values, observed = self._features.own, self._observed[:0]  # with context, `settle` writes the observation
        else:
            values, observed = self._features.outputs, self._observed
        leg, session = (self._legs, self._k, rules), self._rows.session_columns
        atr = own.index(ATR_FEATURE)
        self._quote = bound(quote_bar, *leg, self._last_ns, values, atr, session, observed, free=(int, int, int))
        self._lay = {
            "stop_loss": bound(lay_stop_loss, *leg, free=(int, int)),
            "take_profit": bound(lay_take_profit, *leg, free=(int, int)),
        }

    def reset(self) -> None:
        """Return to the state before the first bar."""
        self._features.reset()
        clear(self._legs, self._k)
        self._session, self._day = -1, np.datetime64("NaT", "D")
        self.bars_seen = 0
        self._last_ns[self._k] = 0
        self._show(np.full(len(self.plan.outputs), np.nan))

    def resume(self, features: dict[str, NDArray[Any]], bars_seen: int) -> None:
        """Reset, flat, but with the features' state after ``bars_seen`` bars.

        Parameters
        ----------
        features : dict of str to array
            Named as in `snapshot`: ``features`` for a plan of one stream, ``features.…`` for an as-of plan.
        bars_seen : int
        """
        self.reset()
        self._restore_features(features)
        self.bars_seen = bars_seen

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything but the leg, which belongs to the decision core; arrays for `numpy.savez`."""
        return {
            **named_state(self._features.snapshot()),
            "bars_seen": np.array(self.bars_seen),
            "last_ns": np.array(self.last_ns),
            "values": self.values.copy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Continue from a `snapshot` of the same plan."""
        self._restore_features(state)
        self.bars_seen = int(state["bars_seen"])
        self._last_ns[self._k] = state["last_ns"]
        self._show(state["values"].copy())

    def _restore_features(self, state: dict[str, NDArray[Any]]) -> None:
        if isinstance(self._features, LiveJoined):
            prefix = f"{FEATURES_STATE}."
            self._features.restore({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
        else:
            self._features.restore(state[FEATURES_STATE])

    def _show(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self._observed[:] = values[: len(self._observed)]

    @property
    def last_ns(self) -> int:
        """Close time of the last bar, 0 before the first."""
        return int(self._last_ns[self._k])

    @property
    def leg(self) -> Any:
        """The instrument's record of `rl_strategies.accounting.position.LEG`; slow to read field by field."""
        return self._legs[self._k]

    @property
    def units(self) -> int:
        """Signed units held."""
        return self._units.item(self._k)

    @property
    def side(self) -> int:
        """Held side, -1, 0 or 1."""
        units = self._units.item(self._k)
        return (units > 0) - (units < 0)

    @property
    def close_ticks(self) -> int:
        """Last close, in ticks."""
        return self._close_ticks.item(self._k)

    def on_bar(self, ts_ns: int, open_: int, high: int, low: int, close: int, volume: int) -> np.datetime64:
        """Take in a closed bar, prices in ticks, time its close; returns its trading day.

        Raises
        ------
        ValueError
            If the bar is outside every session of the calendar.
        """
        row = self._rows.push(ts_ns, open_, high, low, close, volume if self.volume_known else nan)
        session = self._rows.session
        if session < 0:
            raise ValueError(f"bars of {self.instrument.instrument_id} must be inside a session, was {ts_ns} ns")
        if isinstance(self._features, LiveJoined):
            self._features.take(ts_ns, row)
        else:
            self.values = self._features.push(row)
        self._quote(ts_ns, close, volume)
        self.bars_seen += 1
        if session != self._session:
            self._session, self._day = session, self.calendar.session_date[session]
        return self._day

    def push_context(self, name: str, ts_ns: int, row: NDArray[np.float64] | Sequence[float]) -> None:
        """Take in the next row of a context stream, known at ``ts_ns``, in the columns of the stream's plan.

        Raises
        ------
        InputError
            If the plan has no such stream, or the time is not after that of its last row.
        """
        self._require_context().push_context(name, ts_ns, row)

    def context_ns(self, name: str) -> int:
        """Time of the last row of a context stream, 0 before the first."""
        return self._require_context().last_ns(name)

    @property
    def missing_context(self) -> tuple[str, ...]:
        """Context streams without a usable row for the last bar; see `LiveJoined.missing`."""
        return self._joined.missing if self._joined is not None else ()

    def _require_context(self) -> LiveJoined:
        if self._joined is None:
            raise InputError(f"the features of {self.instrument.instrument_id} have no context streams")
        return self._joined

    def settle(self) -> None:
        """Compute `values` of the last bar with the context known by now."""
        if self._joined is not None:
            self._show(self._joined.settle())

    def is_warm_before(self, ts_ns: int) -> bool:
        """Whether the features were warm before the bar that closed at ``ts_ns``, which is the last or the next."""
        enough = self.bars_seen - (self.last_ns == ts_ns) >= self.plan.warmup
        return enough and (self._joined is None or self._joined.is_warm)

    def session_hours(self, day: np.datetime64) -> tuple[int, int]:
        """Open of the day's session and the time to be flat, UTC nanoseconds; (0, 0) without a session."""
        index = int(np.searchsorted(self.calendar.session_date, day))
        if index == len(self.calendar.session_date) or self.calendar.session_date[index] != day:
            return 0, 0
        return int(self.calendar.open_ns[index]), int(self.calendar.close_ns[index]) - self._flatten_ns

    def lay_barrier(self, barrier: Literal["stop_loss", "take_profit"], entry_ticks: int, market_ticks: int) -> int:
        """Price in ticks of a barrier for an entry filled at ``entry_ticks`` with the market at ``market_ticks``; 0 if
        none is configured.
        """
        return int(self._lay[barrier](entry_ticks, market_ticks))


def named_state(features: NDArray[np.float64] | dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """State of running features, named as in `InstrumentCore.snapshot`."""
    if isinstance(features, dict):
        return {f"{FEATURES_STATE}.{name}": value for name, value in features.items()}
    return {FEATURES_STATE: features}
