"""Host of a live execution with NautilusTrader's own orders and cache, and a broker that a test controls."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId, StrategyId, TradeId, TraderId
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.test_kit.stubs.events import TestEventStubs

from catalogs.instruments.specification import resolve, to_nautilus
from configs import instruments_path
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import default_plan
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.journal.session_journal import FillRow, OrderRow
from tests.live.bars import utc_ns

CLOSE_NS = utc_ns("2024-12-03T14:31")
CLOSE_TICKS = 50000  # 500.00 USD
BARRIERS = BarrierConfig(Distance(40, "ticks"), Distance(60, "ticks"), 0)
PLAN = default_plan(volume_known=True, extended_hours=False)
LONG, FLAT, SHORT = (Review(side, units, "approved") for side, units in ((1, 3), (0, 0), (-1, 3)))


def new_core(barriers: BarrierConfig = BARRIERS) -> DecisionCore:
    """Core of SPY, three shares an entry, after one bar that closed at 500.00."""
    trading = TradingConfig(3, barriers=barriers)
    core = DecisionCore([resolve("SPY", instruments_path())], PLAN, trading, ExecutionConfig())
    core.begin_session(core.instruments[0].on_bar(CLOSE_NS, CLOSE_TICKS, 50004, 49997, CLOSE_TICKS, 100))
    return core


@dataclass
class StubHost:
    """Host of a live execution, its journal and the broker behind it.

    Attributes
    ----------
    rows : list of OrderRow or FillRow
        The journal.
    sent : list of Order
    moves : list of str
        Everything that happened, in order.
    withdrawn : list of str
        Client order ids that the execution cancelled.
    allowed : bool
        Whether a reversal may enter.
    """

    core: DecisionCore
    sent: list[Order] = field(default_factory=list)
    rows: list[OrderRow | FillRow] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    allowed: bool = True
    executions: int = 0
    flushed: bool = True

    def __post_init__(self) -> None:
        self.clock, self.cache = TestClock(), Cache()
        self.clock.set_time(CLOSE_NS)
        self.order_factory = OrderFactory(TraderId("T-1"), StrategyId("S-1"), self.clock)
        self.instrument = to_nautilus(self.core.instruments[0].instrument)
        self.cache.add_instrument(self.instrument)
        services: Any = SimpleNamespace(link=self, journal=self, order_tags=lambda group: [f"group {group}"])
        self.execution = LiveExecution(self, self.core, 0, services)
        self.execution.open(InstrumentId.from_str("SPY.EQUS"))

    # Host, journal and link -----------------------------------------------------------------------------------------

    def submit_order(self, order: Order) -> None:
        self.moves.append("submit")
        self.cache.add_order(order)
        self._apply(order, TestEventStubs.order_submitted(order))
        self.sent.append(order)

    def order(self, row: OrderRow) -> None:
        self.moves.append(f"order {row.role}")
        self.rows.append(row)
        self.flushed = False

    def fill(self, instrument_id: str, row: FillRow) -> None:
        assert instrument_id == "SPY.EQUS"
        self.moves.append(f"fill {row.role}")
        self.rows.append(row)
        self.flushed = False

    def flush(self) -> None:
        self.flushed = True

    def on_order(self, row: OrderRow) -> None:
        assert (self.rows[-1], self.flushed) == (row, True)

    def on_fill(self) -> None:
        self.moves.append("on fill")

    def may_open(self) -> bool:
        self.moves.append("reversal")
        return self.allowed

    def count(self, reason: str) -> None:
        self.counted.append(reason)

    def cancel_unanswered(self, client_order_id: str) -> None:
        self.withdrawn.append(client_order_id)

    def cancel_order(self, order: Order) -> None:
        self.withdrawn.append(order.client_order_id.value)

    # What the broker does -------------------------------------------------------------------------------------------

    def accept(self, *orders: Order) -> None:
        for order in orders:
            self._apply(order, TestEventStubs.order_accepted(order))

    def reject(self, order: Order) -> None:
        self._apply(order, TestEventStubs.order_rejected(order))
        self.execution.on_refused(order.client_order_id, "margin")

    def cancel(self, *orders: Order) -> None:
        for order in orders:
            self._apply(order, TestEventStubs.order_canceled(order))
            self.execution.on_canceled()

    def fill_order(self, order: Order, units: int, ticks: int, trade_id: str = "", cents: int = 100) -> None:
        """Fill an order and report it by event."""
        self.executions += 1
        event = TestEventStubs.order_filled(
            order,
            self.instrument,
            trade_id=TradeId(trade_id or f"x{self.executions}"),
            last_qty=Quantity.from_int(units),
            last_px=Price.from_str(f"{ticks / 100:.2f}"),
            commission=Money(cents / 100, Currency.from_str("USD")),
            ts_event=CLOSE_NS + self.executions,
        )
        self._apply(order, event)
        self.execution.on_filled(event)

    def _apply(self, order: Order, event: Any) -> None:
        order.apply(event)
        self.cache.update_order(order)

    # Inspection -----------------------------------------------------------------------------------------------------

    @property
    def units(self) -> int:
        return self.core.instruments[0].units

    def wires(self, first: int = 0) -> list[tuple[str, int, float, str]]:
        """Orders sent, from the ``first``: kind, signed units, price, group."""
        return [_wire(order) for order in self.sent[first:]]

    def entered(self, units: int = 3) -> "StubHost":
        """Long, filled at the close, with accepted barriers."""
        self.execution.execute(LONG._replace(units=units))
        self.accept(self.sent[0])
        self.fill_order(self.sent[0], units, CLOSE_TICKS)
        self.accept(*self.sent[1:])
        return self


def _wire(order: Order) -> tuple[str, int, float, str]:
    sign = 1 if order.side == OrderSide.BUY else -1
    price = order.trigger_price if order.has_trigger_price else order.price if order.has_price else 0
    (tag,) = order.tags
    return (
        type(order).__name__,
        sign * int(order.quantity),
        float(np.round(float(price), 2)),
        tag.removeprefix("group "),
    )
