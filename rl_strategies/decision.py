"""The decision core: bars and fills of one or many instruments in, observations and reviewed targets out.

No I/O, no clock. The strategy feeds it the engine's or the broker's events; the training simulator repeats the same
cycle over many lanes with the same kernels, and the parity tests hold the two together, byte for byte.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.instruments import InstrumentSpec
from catalogs.sessions import session_calendar
from rl_strategies.actions import side_of_action
from rl_strategies.features import FeaturePlan
from rl_strategies.instrument_core import InstrumentCore
from rl_strategies.observation import MASK_OUTPUTS, account_outputs, position_outputs, write_account, write_position
from rl_strategies.position import ACCOUNT, LEG, begin_session, book_fill
from rl_strategies.risk.config import pack_limits
from rl_strategies.risk.overlay import APPROVED, REASONS, review_all, update_halt, write_mask
from rl_strategies.rules import ExecutionConfig, TradingConfig, pack_rules


class Review(NamedTuple):
    """Answer of the risk overlay: the side to hold, the units of an entry, and why it may differ from the target."""

    side: int
    units: int
    reason: str

    @property
    def is_refusal(self) -> bool:
        """Whether the policy's target was not granted."""
        return self.reason != REASONS[APPROVED]


class DecisionCore:
    """State of an account and its instruments between two decisions.

    Parameters
    ----------
    instruments : sequence of InstrumentSpec
        In the order of the observation and the actions.
    plan : FeaturePlan
        The same for every instrument.
    trading : TradingConfig
    execution : ExecutionConfig

    Attributes
    ----------
    instruments : tuple of InstrumentCore
    accounts : `rl_strategies.position.ACCOUNT`[1]
    account : its record
    legs : `rl_strategies.position.LEG`[K]
    session_date : datetime64[D]
        Current trading day.
    """

    def __init__(
        self,
        instruments: Sequence[InstrumentSpec],
        plan: FeaturePlan,
        trading: TradingConfig,
        execution: ExecutionConfig,
    ) -> None:
        count, risk = len(instruments), trading.risk
        self.plan = plan
        self.trading = trading
        self.execution = execution
        self.accounts: Any = np.zeros(1, ACCOUNT)
        self.account = self.accounts[0]
        self._rules = pack_rules(instruments, trading, execution)
        self._limits = pack_limits(risk)[0]
        self.legs: Any = np.zeros(count, LEG)
        self._targets = np.zeros(count, np.int64)
        self.instruments = tuple(
            InstrumentCore(
                spec,
                session_calendar(spec.calendar),
                plan,
                self._rules[k],
                self.legs[k],
                risk.flatten_before_close_minutes,
            )
            for k, spec in enumerate(instruments)
        )
        self.observation_names = observation_names(instruments, plan, trading)
        self._observation = np.zeros(len(self.observation_names), np.float32)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first bar."""
        for core in self.instruments:
            core.reset()
        self.account.balance_cents = self.execution.starting_cents
        self.account.ruined = 0
        begin_session(self.account, self.execution.starting_cents / 100.0)
        self.session_date = np.datetime64("NaT", "D")
        self._hours = [(0, 0)] * len(self.instruments)

    def begin_session(self, day: np.datetime64) -> None:
        """Count entries, losses and hours from here: called with the first bar of a trading day."""
        self.session_date = day
        self._hours = [core.session_hours(day) for core in self.instruments]
        for core in self.instruments:
            core.leg.entries = 0
        begin_session(self.account, self.mark())

    def is_warm_at(self, ts_ns: int) -> bool:
        """Whether the features of every instrument were warm before the bars that closed at ``ts_ns``."""
        warmup = self.plan.warmup
        return all(core.bars_seen - (core.last_ns == ts_ns) >= warmup for core in self.instruments)

    def flat_ns(self, k: int) -> int:
        """When instrument ``k`` must be flat in this session, UTC nanoseconds; 0 where it has none."""
        return self._hours[k][1]

    def is_open_at(self, k: int, ts_ns: int) -> bool:
        """Whether instrument ``k`` may be decided upon at ``ts_ns``."""
        open_ns, flat_ns = self._hours[k]
        return open_ns < ts_ns < flat_ns

    def mark(self) -> float:
        """Cash and open positions at their last closes, USD."""
        equity = self.account.balance_cents / 100.0
        for core in self.instruments:
            equity += core.unrealized_usd
        return float(equity)

    def look(self, ts_ns: int) -> None:
        """Bring quotes, equity and halts to the decision at ``ts_ns``."""
        for k, core in enumerate(self.instruments):
            core.leg.is_missing = core.last_ns != ts_ns
            core.leg.is_open = self.is_open_at(k, ts_ns)
        account = self.account
        account.equity = self.mark()
        update_halt(account, self._limits)
        ruined = account.equity <= self._limits.ruin * (self.execution.starting_cents / 100.0)
        account.ruined = int(account.ruined or ruined)

    def observe(self) -> NDArray[np.float32]:
        """Observation of the last `look`; float32[n], a view that the next call overwrites."""
        out, observed, at = self._observation, self.plan.observed, 0
        is_portfolio = len(self.instruments) > 1
        for k, core in enumerate(self.instruments):
            out[at : at + observed] = core.values[:observed]
            at = write_position(out, at + observed, core.leg, self._rules[k], self._limits, is_portfolio)
        at = write_account(out, at, self.legs, self._rules, self._limits, self.account)
        if at < len(out):
            write_mask(out, at, self.legs, self._rules, self._limits, self.account.halted)
        return out

    def review(self, actions: Sequence[int]) -> list[Review]:
        """What the risk overlay makes of the actions, one per instrument."""
        for k, action in enumerate(actions):
            self._targets[k] = side_of_action(action)
        review_all(self.legs, self._targets, self._rules, self._limits, self.account)
        return [Review(int(leg.side), int(leg.order_units), REASONS[leg.reason]) for leg in self.legs]

    def on_fill(self, k: int, units: int, price_ticks: int, commission_cents: int) -> None:
        """Take in an execution of signed ``units`` of instrument ``k``."""
        book_fill(self.account, self.legs[k], self._rules[k], units, price_ticks, commission_cents)
        self.instruments[k].after_fill()


def observation_names(
    instruments: Sequence[InstrumentSpec], plan: FeaturePlan, trading: TradingConfig
) -> tuple[str, ...]:
    """Names of the observation's entries, in order; of several instruments each with its symbol in front."""
    count = len(instruments)
    block = (*plan.outputs[: plan.observed], *position_outputs(trading.barriers, trading.risk, count))
    account = account_outputs(trading.risk, count)
    mask = MASK_OUTPUTS if trading.mask_actions else ()
    if count == 1:
        return (*block, *account, *mask)
    symbols = [spec.instrument_id.split(".")[0] for spec in instruments]
    return (
        *(f"{symbol}.{name}" for symbol in symbols for name in block),
        *account,
        *(f"{symbol}.{name}" for symbol in symbols for name in mask),
    )
