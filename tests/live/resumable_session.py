"""A live strategy without a node: its real journal and checkpoint, random bars, a broker that fills at once."""

import weakref
from datetime import date
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.execution.messages import SubmitOrderList
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.model.orders import Order
from nautilus_trader.portfolio.portfolio import Portfolio

from catalogs.instruments.specification import resolve, to_nautilus
from catalogs.sessions import session_calendar
from configs import instruments_path
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, FeatureSpec, JoinedPlan, StreamSpec
from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import Journal
from rl_strategies.live.journal.rebuild import BEGUN, ReplayedJournal, session_state
from rl_strategies.live.journal.resume import replay_journal
from rl_strategies.live.journal.session_journal import SessionJournal
from rl_strategies.live.services import LiveServices
from rl_strategies.live.strategy import LiveStrategy
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.risk.config import RiskConfig
from rl_strategies.risk.monitor import RiskMonitor
from rl_strategies.risk.monitor_config import MonitorConfig
from rl_strategies.risk.state_file import RiskLevel, RiskState
from rl_strategies.strategy import RLStrategyConfig
from tests.live.bars import BAR_TYPE, MINUTE_NS, ListLink, bar_at
from tests.summing_network import summing_network

NYSE = session_calendar("NYSE")
DAYS = tuple(int(ns) for ns in NYSE.open_ns[np.searchsorted(NYSE.session_date, np.datetime64("2024-12-02")) :][:3])
PLAN = FeaturePlan([FeatureSpec("log_return", "return_1", {"n": 1}), FeatureSpec("sma", "atr_14", {"n": 2})])
# Known at 16:15 in New York, which lasts for 45 minutes of the next session.
VIX = StreamSpec("VIX", (FeatureSpec("value", "level", inputs={"x": "close"}),), max_age_s=18 * 3600)
PLAN_WITH_VIX = JoinedPlan(PLAN, [VIX], [FeatureSpec("value", "vix", inputs={"x": "VIX.level"})])
TRADING = TradingConfig(
    3, BarrierConfig(Distance(40, "ticks"), Distance(60, "ticks"), 15), RiskConfig(0), mask_actions=True
)


def new_core(plan: FeaturePlan | JoinedPlan = PLAN) -> DecisionCore:
    """A core before its first bar."""
    return DecisionCore([resolve("SPY", instruments_path())], plan, TRADING, ExecutionConfig())


@cache
def network(n_observations: int) -> bytes:
    """Sums the first observed value over a session, in hundredths of a percent, and wants its side."""
    return summing_network(n_observations, scale=10_000.0)


def new_policy(plan: FeaturePlan | JoinedPlan = PLAN) -> OnnxPolicy:
    """The policy before its first decision."""
    return OnnxPolicy(network(len(new_core(plan).observation_names)))


class NotingLink(ListLink):
    """A link that keeps what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled: list[str] = []
        self.amended: list[tuple[str, int, float]] = []

    def cancel(self, client_order_id: str) -> None:
        self.cancelled.append(client_order_id)

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        self.amended.append((client_order_id, units, price))
        return True


class ResumableSession:
    """One process of a session; another one in the same folder resumes it.

    Parameters
    ----------
    folder : Path
    level : str
        Of the risk monitor.
    catalog : Path or None
        Daily values of VIX, which the policy then reads.

    Attributes
    ----------
    published : list of (str, dict)
        Telemetry.
    """

    def __init__(self, folder: Path, level: RiskLevel = "normal", catalog: Path | None = None) -> None:
        plan = PLAN if catalog is None else PLAN_WITH_VIX
        self.journal, self.checkpoint = folder / "journal", Checkpoint(folder / "checkpoint.npz")
        self.core, self.policy = new_core(plan), new_policy(plan)
        self.replayed = self._replay()
        self.published: list[tuple[str, dict[str, Any]]] = []
        self._written = Journal(self.journal, durable=False)
        weakref.finalize(self, self._written._file.close)
        self.link = NotingLink()
        state = RiskState(level, 0, "", date(2024, 12, 2), None, None, None)
        services = LiveServices(
            self.link, SessionJournal(self._written), self.checkpoint, RiskMonitor(MonitorConfig(), state),
            Timeouts(clock="bars", poll_s=0.001), lambda group: [group],
            lambda table, row: self.published.append((table, row)),
            "rl-intraday flatten live", () if catalog is None else (ContextSource(name="VIX"),), catalog,
        )  # fmt: skip
        config = RLStrategyConfig(bar_types=(BAR_TYPE,), order_id_tag="001")
        self.pending: list[Order] = []
        self.working: dict[str, Order] = {}
        self.filled: dict[str, int] = {}
        live_core, live_policy = new_core(plan), new_policy(plan)
        self.strategy = LiveStrategy(config, live_core, live_policy, services)
        self._connect()
        if self.replayed is not None:
            self.strategy.resume(self.replayed)
            # As after the broker's first list, which shows no order.
            self.strategy.execution.drop_unknown((), 10**19)
        else:
            self.strategy.events.report(BEGUN)
        self.strategy.reconciler.is_connected = self.strategy.reconciler.known = self.strategy.is_ready = True

    def _replay(self) -> ReplayedJournal | None:
        return replay_journal(self.journal, self.checkpoint, self.core, self.policy)

    def _connect(self) -> None:
        clock, trader, self.cache = TestClock(), TraderId("T-001"), Cache()
        self.clock = clock
        bus = MessageBus(trader, clock)
        self.instrument = to_nautilus(resolve("SPY", instruments_path()))
        self.cache.add_instrument(self.instrument)
        bus.register("RiskEngine.execute", self._submitted)
        self.strategy.register(trader, Portfolio(bus, self.cache, clock), bus, self.cache, clock)
        self.strategy.execution.open(InstrumentId.from_str("SPY.EQUS"))
        self.link.listen("SPY.EQUS", self.strategy.execution)

    def _submitted(self, command: Any) -> None:
        is_list = isinstance(command, SubmitOrderList)
        self.pending += command.order_list.orders if is_list else [command.order]

    def trade(self, random: np.random.Generator, first: int, bars: int) -> None:
        """So many bars of a random walk, beginning with the ``first`` of the three days."""
        for number in range(first, first + bars):
            day, minute = divmod(number, 390)
            open_ns = DAYS[day] + minute * MINUTE_NS
            close = 50000 + int(random.integers(-60, 61))
            self.clock.set_time(open_ns + MINUTE_NS)
            bar = bar_at(open_ns + MINUTE_NS, (close - 3, close + 5, close - 8, close), int(random.integers(1, 999)))
            self.strategy.push(bar, "live")
            self.strategy.feed.continue_after(bar.ts_event)
            self.strategy.consider(bar.ts_event)
            self.settle(random, close)

    def restrict(self, level: RiskLevel) -> None:
        """Set the risk monitor's level."""
        monitor = self.strategy.monitor
        monitor.state = msgspec.structs.replace(monitor.state, level=level)

    def settle(self, random: np.random.Generator, close: int) -> None:
        """Fill what is at the market, sometimes in two parts; sometimes a barrier; then end what is left alone."""
        self._carry_out(random, close)
        barriers = [name for name, order in self.working.items() if order.has_price or order.has_trigger_price]
        if barriers and self.units != 0 and random.random() < 0.1:
            self._fill(self.working[barriers[-1]], abs(self.units), close)
        self._carry_out(random, close)

    def _carry_out(self, random: np.random.Generator, close: int) -> None:
        while self.pending or self.link.cancelled or self.link.amended:
            for name in self._take(self.link.cancelled):
                self._end(name)
            for name, units, price in self._take(self.link.amended):
                self._show(self.working[name], units, price)
            for order in self._take(self.pending):
                self._arrive(order, random, close)

    def confirm_cancels(self) -> None:
        """End what a cancel was sent for."""
        for name in self._take(self.link.cancelled):
            self._end(name)

    def _arrive(self, order: Order, random: np.random.Generator, close: int) -> None:
        self.working[order.client_order_id.value] = order
        if order.has_price or order.has_trigger_price:
            price = order.trigger_price if order.has_trigger_price else order.price
            self._show(order, int(order.quantity), float(price))
            return
        units = int(order.quantity)
        for part in [units] if random.random() < 0.5 or units == 1 else [1, units - 1]:
            self._fill(order, part, close)

    @staticmethod
    def _take(queue: list[Any]) -> list[Any]:
        taken = list(queue)
        queue.clear()
        return taken

    def _show(self, order: Order, units: int, price: float) -> None:
        sign = 1 if order.side == OrderSide.BUY else -1
        listed = SimpleNamespace(
            order_ref=order.client_order_id.value, units=sign * units, price=price, status="Submitted", kind="STP"
        )
        self.strategy.execution.on_listed(listed)

    def _end(self, name: str) -> None:
        if self.working.pop(name, None) is not None:
            self._tell(name, "Cancelled")

    def _tell(self, name: str, status: str) -> None:
        told = SimpleNamespace(
            order_ref=name, status=status, filled=self.filled.get(name, 0), average_price=0.0, why_held=""
        )
        self.strategy.execution.on_status(told)

    def _fill(self, order: Order, units: int, ticks: int) -> None:
        name, sign = order.client_order_id.value, 1 if order.side == OrderSide.BUY else -1
        self.filled[name] = self.filled.get(name, 0) + units
        fill = SimpleNamespace(
            trade_id=f"{name}-{self.filled[name]}", order_ref=name, ts_ns=self.clock.timestamp_ns(),
            units=sign * units, price=ticks / 100,
        )  # fmt: skip
        self.strategy.execution.on_execution(fill)
        done = self.filled[name] >= int(order.quantity)
        self._tell(name, "Filled" if done else "Submitted")
        if done:
            self.working.pop(name, None)
        # The rest of a group goes by the broker's own hand.
        for other, kept in list(self.working.items()):
            if self.units == 0 and (kept.has_price or kept.has_trigger_price):
                self._end(other)

    def refuse(self) -> list[Order]:
        """Reject everything that was sent."""
        refused = self._take(self.pending)
        for order in refused:
            answer = SimpleNamespace(order_ref=order.client_order_id.value, meaning="refused", code=201, text="margin")
            self.strategy.execution.on_answer(answer)
        return refused

    def die(self) -> None:
        """As a killed process would leave it: what is on disk is on disk."""
        self._written._file.close()

    @property
    def units(self) -> int:
        """Held by the session."""
        return self.strategy.core.instruments[0].units

    def state(self) -> dict[str, bytes]:
        """Everything that it must carry over a restart, as bytes."""
        return as_bytes(self.strategy.core, self.strategy.policy)


def as_bytes(core: DecisionCore, policy: OnnxPolicy) -> dict[str, bytes]:
    """State of core and policy as bytes."""
    return {name: value.tobytes() for name, value in session_state(core, policy).items()}
