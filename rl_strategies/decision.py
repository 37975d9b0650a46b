"""The decision core: one instrument's bars and fills in, observations and reviewed targets out. No I/O, no clock.

The strategy feeds it the engine's or the broker's events. The training simulator repeats the same cycle over many
lanes with the same kernels; the parity tests hold the two together, byte for byte.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import price_from_ticks
from catalogs.instruments import InstrumentSpec
from catalogs.sessions import SessionCalendar, SessionClock
from rl_strategies.actions import side_of
from rl_strategies.barriers import barrier_ticks
from rl_strategies.features import FeaturePlan
from rl_strategies.observation import position_outputs, write_position
from rl_strategies.position import POSITION, apply_fill, session_time_left, side_of_units
from rl_strategies.risk.overlay import APPROVED, REASONS, TIME_LIMIT, review
from rl_strategies.rules import ExecutionConfig, TradingConfig, pack_rules

NS_PER_MINUTE = 60_000_000_000
ATR_FEATURE = "atr_14"


class Review(NamedTuple):
    """Answer of the risk overlay: the side to hold and why it may differ from the target."""

    side: int
    reason: str

    @property
    def is_refusal(self) -> bool:
        """Whether the policy's target was not granted."""
        return self.reason != REASONS[APPROVED]

    @property
    def is_time_limit(self) -> bool:
        """Whether the position is closed for its age."""
        return self.reason == REASONS[TIME_LIMIT]


class DecisionCore:
    """State of one instrument between two decisions.

    Parameters
    ----------
    instrument : InstrumentSpec
    calendar : SessionCalendar
        The instrument's own.
    plan : FeaturePlan
        Must compute ``atr_14``.
    trading : TradingConfig
    execution : ExecutionConfig
    """

    def __init__(
        self,
        instrument: InstrumentSpec,
        calendar: SessionCalendar,
        plan: FeaturePlan,
        trading: TradingConfig,
        execution: ExecutionConfig,
    ) -> None:
        self.instrument = instrument
        self.plan = plan
        self.trading = trading
        self.execution = execution
        self.observation_names = (
            *plan.outputs[: plan.observed],
            *position_outputs(trading.barriers, trading.risk),
        )
        self.volume_known = True
        self._calendar = calendar
        self._rules = pack_rules(instrument, trading, execution)[0]
        self._flatten_minutes = trading.risk.flatten_before_close_minutes
        self._atr_index = plan.index(ATR_FEATURE)
        self._row = np.empty(11)
        self._observation = np.zeros(len(self.observation_names), np.float32)
        self._features = plan.live()
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first bar."""
        self._features.reset()
        self._clock = SessionClock(self._calendar)
        self.position = np.zeros(1, POSITION)[0]
        self.bars_seen = 0
        self.session = -1
        self.session_is_new = False
        self.close_ticks = 0
        self.volume = 0
        self._values: NDArray[np.float64] = np.full(len(self.plan.outputs), np.nan)
        self._time_left = 0.0

    def resume(self, feature_state: NDArray[np.float64], bars_seen: int) -> None:
        """Start over as if ``bars_seen`` bars had passed, flat, with the features in ``feature_state``."""
        self.reset()
        self._features.restore(feature_state)
        self.bars_seen = bars_seen

    @property
    def is_warm(self) -> bool:
        """Whether the features were warm before the bar just closed."""
        return self.bars_seen > self.plan.warmup

    @property
    def side(self) -> int:
        """Held side, -1, 0 or 1."""
        return int(side_of_units(self.position.units))

    @property
    def unrealized_usd(self) -> float:
        """Open position marked at the last close."""
        position = self.position
        if position.units == 0:
            return 0.0
        price = price_from_ticks(self.close_ticks, self._rules.tick_raw)
        return float(position.units * (price - position.average_price) * self._rules.multiplier)

    @property
    def flat_ns(self) -> int:
        """When the current session's positions must be flat, UTC nanoseconds."""
        return int(self._calendar.close_ns[self.session]) - self._flatten_minutes * NS_PER_MINUTE

    def on_bar(self, ts_ns: int, open_: int, high: int, low: int, close: int, volume: int) -> None:
        """Take in a closed bar: prices in ticks, time its close.

        Raises
        ------
        ValueError
            If the bar lies outside every session of the calendar.
        """
        columns = self._clock.push(ts_ns)
        if np.isnan(columns[0]):
            raise ValueError(f"{self.instrument.instrument_id}: a bar must lie in a session, was {ts_ns} ns")
        row, tick_raw = self._row, self._rules.tick_raw
        row[0] = price_from_ticks(open_, tick_raw)
        row[1] = price_from_ticks(high, tick_raw)
        row[2] = price_from_ticks(low, tick_raw)
        row[3] = price_from_ticks(close, tick_raw)
        row[4] = volume if self.volume_known else np.nan
        row[5:] = columns
        self._values = self._features.push(row)
        self._time_left = session_time_left(columns[1], columns[2], self._flatten_minutes)
        self.bars_seen += 1
        self.session_is_new = int(columns[0]) != self.session
        if self.session_is_new:
            self.session = int(columns[0])
            self.position.entries = 0
        if self.position.units != 0:
            self.position.age_bars += 1
        self.close_ticks = close
        self.volume = volume

    def observe(self) -> NDArray[np.float32]:
        """Observation after the last bar and all fills since; float32[n], a view that the next call overwrites."""
        observed = self.plan.observed
        out = self._observation
        out[:observed] = self._values[:observed]
        price = price_from_ticks(self.close_ticks, self._rules.tick_raw)
        atr = self._values[self._atr_index]
        write_position(out, observed, self.position, self._rules, self.close_ticks, price, atr, self._time_left)
        return out

    def review(self, action: int) -> Review:
        """What the risk overlay makes of an action."""
        rules, position = self._rules, self.position
        side, reason = review(
            side_of(action),
            self.side,
            position.age_bars,
            rules.time_limit_bars,
            position.entries,
            rules.max_entries,
            rules.units,
            self.volume,
        )
        return Review(int(side), REASONS[reason])

    def on_fill(self, units: int, price_ticks: int) -> None:
        """Take in an execution of signed ``units``."""
        apply_fill(self.position, units, price_from_ticks(price_ticks, self._rules.tick_raw))
        if self.position.units == 0:
            self.position.stop_ticks = 0
            self.position.target_ticks = 0

    def lay_barrier(self, barrier: Literal["stop", "target"], entry_ticks: int) -> int:
        """Price in ticks of a barrier around an entry filled at ``entry_ticks``; 0 where none is configured."""
        rules, side = self._rules, self.side
        atr = self._values[self._atr_index]
        if barrier == "stop":
            price = barrier_ticks(rules.stop_unit, rules.stop_value, -side, entry_ticks, rules.tick_size, atr)
            self.position.stop_ticks = price
        else:
            price = barrier_ticks(rules.target_unit, rules.target_value, side, entry_ticks, rules.tick_size, atr)
            self.position.target_ticks = price
        return int(price)
