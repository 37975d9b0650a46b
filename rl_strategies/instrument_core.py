"""One instrument inside the decision core: its bars and fills in, its features, quote and position out."""

from math import isnan, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from catalogs.instruments import InstrumentSpec
from catalogs.sessions import SessionCalendar
from rl_strategies.decision_kernels import clear, lay_stop, lay_target, quote_bar
from rl_strategies.features import FeaturePlan, LiveRows

NS_PER_MINUTE = 60_000_000_000
ATR_FEATURE = "atr_14"


class InstrumentCore:
    """State of one instrument between two decisions.

    Parameters
    ----------
    instrument : InstrumentSpec
    calendar : SessionCalendar
        The instrument's own.
    plan : FeaturePlan
        Must compute ``atr_14``.
    legs, rules : `rl_strategies.position.LEG`[K], `rl_strategies.rules.RULES`[K]
    k : int
        Place of the instrument in both.
    flatten_minutes : int

    Attributes
    ----------
    volume_known : bool
        False where the volume of bars is a stand-in; features then see NaN.
    last_ns : int
        Close of the last bar, 0 before the first.
    values : float64[m]
        Features of the last bar.
    """

    def __init__(
        self,
        instrument: InstrumentSpec,
        calendar: SessionCalendar,
        plan: FeaturePlan,
        legs: Any,
        rules: Any,
        k: int,
        flatten_minutes: int,
    ) -> None:
        self.instrument = instrument
        self.calendar = calendar
        self.plan = plan
        self.volume_known = True
        self._legs, self._rules, self._k = legs, rules, k
        self._units = legs["units"]
        self._tick_raw = float(rules["tick_raw"][k])
        self._flatten_ns = flatten_minutes * NS_PER_MINUTE
        self._atr_index = plan.index(ATR_FEATURE)
        self._features = plan.live()
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first bar."""
        self._features.reset()
        self._rows = LiveRows(self.calendar, self.plan.columns, tick_raw=self._tick_raw)
        clear(self._legs, self._k)
        self.bars_seen = 0
        self.last_ns = 0
        self.values: NDArray[np.float64] = np.full(len(self.plan.outputs), np.nan)

    def resume(self, feature_state: NDArray[np.float64], bars_seen: int) -> None:
        """Start over as if ``bars_seen`` bars had passed, flat, with the features in ``feature_state``."""
        self.reset()
        self._features.restore(feature_state)
        self.bars_seen = bars_seen

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Copies of everything but the leg, which belongs to the decision core: arrays that `numpy.savez` takes."""
        return {
            "features": self._features.snapshot(),
            "bars_seen": np.array(self.bars_seen),
            "last_ns": np.array(self.last_ns),
            "values": self.values.copy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot` of the same plan."""
        self._features.restore(state["features"])
        self.bars_seen = int(state["bars_seen"])
        self.last_ns = int(state["last_ns"])
        self.values = state["values"].copy()

    @property
    def leg(self) -> Any:
        """The instrument's record of `rl_strategies.position.LEG`; slow to read field by field."""
        return self._legs[self._k]

    @property
    def units(self) -> int:
        """Signed units held."""
        return int(self._units[self._k])

    @property
    def side(self) -> int:
        """Held side, -1, 0 or 1."""
        units = self.units
        return (units > 0) - (units < 0)

    @property
    def close_ticks(self) -> int:
        """Last close, in ticks."""
        return int(self._legs["close_ticks"][self._k])

    def on_bar(self, ts_ns: int, open_: int, high: int, low: int, close: int, volume: int) -> np.datetime64:
        """Take in a closed bar: prices in ticks, time its close. Returns the trading day that it belongs to.

        Raises
        ------
        ValueError
            If the bar lies outside every session of the calendar.
        """
        row = self._rows.push(ts_ns, open_, high, low, close, volume if self.volume_known else nan)
        session = self._rows.session
        if isnan(session[0]):
            raise ValueError(f"{self.instrument.instrument_id}: a bar must lie in a session, was {ts_ns} ns")
        self.values = self._features.push(row)
        quote_bar(self._legs, self._k, self._rules, close, volume, self.values, self._atr_index, session)
        self.bars_seen += 1
        self.last_ns = ts_ns
        return self.calendar.session_date[int(session[0])]

    def session_hours(self, day: np.datetime64) -> tuple[int, int]:
        """Open of the day's session and when it must be flat, UTC nanoseconds; (0, 0) where there is none."""
        index = int(np.searchsorted(self.calendar.session_date, day))
        if index == len(self.calendar.session_date) or self.calendar.session_date[index] != day:
            return 0, 0
        return int(self.calendar.open_ns[index]), int(self.calendar.close_ns[index]) - self._flatten_ns

    def lay_barrier(self, barrier: Literal["stop", "target"], entry_ticks: int, market_ticks: int) -> int:
        """Price in ticks of a barrier around an entry filled at ``entry_ticks`` while the market stood at
        ``market_ticks``; 0 where none is configured.
        """
        lay = lay_stop if barrier == "stop" else lay_target
        return int(lay(self._legs, self._k, self._rules, entry_ticks, market_ticks))
