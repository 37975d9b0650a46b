"""Host of a live execution with NautilusTrader's own orders, and a broker that a test controls."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId, StrategyId, TraderId
from nautilus_trader.model.orders import Order

from catalogs.instruments.specification import resolve, to_nautilus
from configs import instruments_path
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import default_plan
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.own_orders import OwnOrder
from rl_strategies.live.journal.session_journal import FillRow, OrderRow
from tests.live.bars import utc_ns

NS = 10**9
CLOSE_NS = utc_ns("2024-12-03T14:31")
CLOSE_TICKS = 50000  # 500.00 USD
BARRIERS = BarrierConfig(Distance(40, "ticks"), Distance(60, "ticks"), 0)
PLAN = default_plan(volume_known=True, extended_hours=False)
LONG, FLAT, SHORT = (Review(side, units, "approved") for side, units in ((1, 3), (0, 0), (-1, 3)))
KINDS = {"MarketOrder": "MKT", "StopMarketOrder": "STP", "LimitOrder": "LMT"}


def new_core(barriers: BarrierConfig = BARRIERS) -> DecisionCore:
    """Core of SPY, three shares an entry, after one bar that closed at 500.00."""
    trading = TradingConfig(3, barriers=barriers)
    core = DecisionCore([resolve("SPY", instruments_path())], PLAN, trading, ExecutionConfig())
    core.begin_session(core.instruments[0].on_bar(CLOSE_NS, CLOSE_TICKS, 50004, 49997, CLOSE_TICKS, 100))
    return core


def executed(trade_id: str, units: int, ticks: int = CLOSE_TICKS, order: str = "") -> SimpleNamespace:
    """An execution as the link tells it."""
    return SimpleNamespace(
        trade_id=trade_id, order_ref=order, ts_ns=CLOSE_NS + 99, units=units, price=ticks / 100, perm_id=0
    )


@dataclass
class StubHost:
    """Host of a live execution, its journal and link, and the broker behind it.

    Attributes
    ----------
    rows : list of OrderRow or FillRow
        The journal.
    sent : list of Order
    lists : list of int
        How many orders left together, one number a submission.
    moves : list of str
        Everything that happened, in order.
    cancelled : list of str
        Client order ids that a cancel was sent for.
    amended : dict of str to (int, float)
        Size and price asked for last, by client order id.
    allowed : bool
        Whether a reversal may enter.
    problem : str
        Why the journal cannot be written.
    questions : list of (int, list of str)
        Requests for executions: since when, and which must be in the answer.
    tells : bool
        Whether these are answered at once.
    """

    core: DecisionCore
    sent: list[Order] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    rows: list[OrderRow | FillRow] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    amended: dict[str, tuple[int, float]] = field(default_factory=dict)
    warned: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    foreign: list[tuple[int, int]] = field(default_factory=list)
    wire: dict[str, int] = field(default_factory=dict)
    allowed: bool = True
    problem: str = ""
    questions: list[tuple[int, list[str]]] = field(default_factory=list)
    tells: bool = True
    executions: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.clock, self.cache = TestClock(), Cache()
        self.clock.set_time(CLOSE_NS)
        self.order_factory = OrderFactory(TraderId("T-1"), StrategyId("S-1"), self.clock)
        self.instrument = to_nautilus(self.core.instruments[0].instrument)
        self.cache.add_instrument(self.instrument)
        self.filled: dict[str, int] = {}
        services: Any = SimpleNamespace(link=self, journal=self, order_tags=lambda group: [f"group {group}"])
        self.execution = LiveExecution(self, self.core, 0, services)
        self.execution.open(InstrumentId.from_str("SPY.EQUS"))

    # Host, journal and link -----------------------------------------------------------------------------------------

    def submit_order(self, order: Order) -> None:
        self._submit([order])

    def submit_order_list(self, order_list: Any) -> None:
        self._submit(order_list.orders)

    def _submit(self, orders: list[Order]) -> None:
        self.moves.append("submit")
        self.lists.append(len(orders))
        self.sent += orders
        self.wire |= {order.client_order_id.value: 1 for order in orders}

    def order(self, row: OrderRow) -> None:
        self.moves.append(f"order {row.role}")
        self.rows.append(row)

    def fill(self, instrument_id: str, row: FillRow) -> None:
        assert instrument_id == "SPY.EQUS"
        self.moves.append(f"fill {row.role}")
        self.rows.append(row)

    def flush(self) -> None:
        pass

    def on_order(self, row: OrderRow) -> None:
        assert row in self.rows

    def on_fill(self, is_new: bool) -> None:
        self.moves.append("on fill" if is_new else "on amendment")

    def on_end(self, order: OwnOrder, text: str) -> None:
        self.ended.append((order.row.role, order.over))

    def on_foreign(self, trade_id: str, units: int, held: int) -> None:
        self.foreign.append((units, held))

    def on_amended(self, row: OrderRow) -> None:
        pass

    def request_fills(self) -> None:
        self.asked += 1

    def warn(self, message: str) -> None:
        self.warned.append(message)

    def may_open(self) -> bool:
        self.moves.append("reversal")
        return self.allowed

    def count(self, reason: str) -> None:
        self.counted.append(reason)

    def cancel(self, client_order_id: str) -> None:
        self.cancelled.append(client_order_id)

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        self.amended[client_order_id] = units, round(price, 2)
        return True

    def request_executions(self, instrument_id: str, since_ns: int, known: Any) -> None:
        self.questions.append((since_ns, sorted(known)))
        if self.tells:
            self.execution.on_told(self.clock.timestamp_ns())

    def wire_ns(self, client_order_id: str) -> int | None:
        return self.wire.get(client_order_id)

    # What the broker says -------------------------------------------------------------------------------------------

    def accept(self, *orders: Order) -> None:
        """Acknowledge orders as they were sent or changed last."""
        for order in orders:
            self.show(order)
            self.status(order, "Submitted")

    def show(self, order: Order, status: str = "Submitted") -> None:
        """Tell an open order."""
        name = order.client_order_id.value
        kind, units, price, _ = _wire(order)
        size, price = self.amended.get(name, (abs(units), price))
        listed = SimpleNamespace(
            order_ref=name, kind=KINDS[kind], units=_sign(order) * size, price=price, status=status
        )
        self.execution.on_listed(listed)

    def status(
        self, order: Order, status: str, filled: int | None = None, price: float = 500.0, held: str = ""
    ) -> None:
        """Tell a status."""
        name = order.client_order_id.value
        told = self.filled.get(name, 0) if filled is None else filled
        self.execution.on_status(
            SimpleNamespace(order_ref=name, status=status, filled=told, average_price=price, why_held=held)
        )

    def answer(self, order: Order, code: int, meaning: str, text: str = "margin") -> None:
        """Tell an error about an order."""
        name = order.client_order_id.value
        self.execution.on_answer(SimpleNamespace(order_ref=name, meaning=meaning, code=code, text=text))

    def reject(self, *orders: Order) -> None:
        for order in orders:
            self.answer(order, 201, "refused")

    def cancel_all(self, *orders: Order) -> None:
        """Confirm cancels."""
        for order in orders:
            self.status(order, "Cancelled")

    def execute(self, order: Order, units: int, ticks: int, trade_id: str = "") -> None:
        """Tell an execution alone."""
        self.executions += 1
        name = order.client_order_id.value
        self.filled[name] = self.filled.get(name, 0) + units
        self.execution.on_execution(executed(trade_id or f"x{self.executions}", _sign(order) * units, ticks, name))

    def fill_order(self, order: Order, units: int, ticks: int, trade_id: str = "") -> None:
        """Tell an execution and the status that follows it."""
        self.execute(order, units, ticks, trade_id)
        done = self.filled[order.client_order_id.value] >= int(order.quantity)
        self.status(order, "Filled" if done else "Submitted")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.set_time(self.clock.timestamp_ns() + int(seconds * NS))
        self.execution.poll()

    # Inspection -----------------------------------------------------------------------------------------------------

    @property
    def units(self) -> int:
        return self.core.instruments[0].units

    def wires(self, first: int = 0) -> list[tuple[str, int, float, str]]:
        """Orders sent, from the ``first``: kind, signed units, price, group."""
        return [_wire(order) for order in self.sent[first:]]

    def entered(self, units: int = 3, ticks: int = CLOSE_TICKS) -> "StubHost":
        """Long, filled at the close, with accepted barriers: entry, take profit, stop."""
        self.execution.execute(LONG._replace(units=units))
        entry, target, stop = self.sent[-3:]
        self.accept(entry)
        self.fill_order(entry, units, ticks)
        self.accept(target, stop)
        return self


def _sign(order: Order) -> int:
    return 1 if order.side == OrderSide.BUY else -1


def _wire(order: Order) -> tuple[str, int, float, str]:
    price = order.trigger_price if order.has_trigger_price else order.price if order.has_price else 0
    (tag,) = order.tags
    return (
        type(order).__name__,
        _sign(order) * int(order.quantity),
        float(np.round(float(price), 2)),
        tag.removeprefix("group "),
    )
