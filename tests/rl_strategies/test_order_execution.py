"""When an execution has orders in flight, with NautilusTrader's own orders."""

from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.model.identifiers import InstrumentId, StrategyId, TradeId, TraderId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order
from nautilus_trader.test_kit.stubs.events import TestEventStubs

from catalogs.instruments.specification import resolve, to_nautilus
from configs import instruments_path
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.execution import OrderExecution
from rl_strategies.features import default_plan

ENTRY = Review(1, 3, "approved")


class Venue:
    """Host of an execution, and a venue that answers when a test wants it to."""

    def __init__(self) -> None:
        spec = resolve("SPY", instruments_path())
        trading = TradingConfig(3, barriers=BarrierConfig(Distance(40, "ticks"), Distance(60, "ticks"), 0))
        plan = default_plan(volume_known=True, extended_hours=False)
        self.core = DecisionCore([spec], plan, trading, ExecutionConfig())
        self.instrument, self.cache = to_nautilus(spec), Cache()
        self.cache.add_instrument(self.instrument)
        self.order_factory = OrderFactory(TraderId("T-1"), StrategyId("S-1"), TestClock())
        self.sent: list[Order] = []
        self.execution = OrderExecution(self, self.core, 0)  # type: ignore[arg-type]
        self.execution.open(self.instrument.id)

    def submit_order(self, order: Order) -> None:
        self.cache.add_order(order)
        self._apply(order, TestEventStubs.order_submitted(order))
        self.sent.append(order)

    def fill(self, order: Order, units: int) -> None:
        trade_id = TradeId(f"E-{len(self.execution.fills)}")
        event = TestEventStubs.order_filled(
            order, self.instrument, trade_id=trade_id, last_qty=Quantity.from_int(units)
        )
        self._apply(order, event)
        self.execution.on_filled(event)

    def cancel_all_orders(self, instrument_id: InstrumentId) -> None:
        """Do nothing: the test decides what happens to them."""

    def accept(self, order: Order) -> None:
        self._apply(order, TestEventStubs.order_accepted(order))

    def _apply(self, order: Order, event: object) -> None:
        order.apply(event)
        self.cache.update_order(order)


def test_without_orders_nothing_is_in_flight() -> None:
    assert not Venue().execution.is_in_flight()


def test_a_market_order_is_owed_until_its_last_unit() -> None:
    venue = Venue()
    venue.execution.execute(ENTRY)
    (entry,) = venue.sent
    assert venue.execution.is_in_flight(), "submitted"
    venue.accept(entry)
    assert venue.execution.is_in_flight(), "a market order that works is half a position"
    venue.fill(entry, 1)
    assert venue.execution.is_in_flight(), "two units are missing"
    venue.fill(entry, 2)
    assert venue.execution.is_in_flight(), "its barriers are not acknowledged"
    for barrier in venue.sent[1:]:
        venue.accept(barrier)
    assert not venue.execution.is_in_flight(), "resting barriers owe nothing"


def test_a_barrier_on_its_way_out_is_no_doubt_and_an_order_sent_later_is_one() -> None:
    venue = Venue()
    venue.execution.execute(ENTRY)
    entry = venue.sent[0]
    venue.accept(entry)
    venue.fill(entry, 3)
    stop, target = venue.sent[1:]
    venue.accept(stop)
    venue.accept(target)
    assert not venue.execution.is_in_flight()
    stop.apply(TestEventStubs.order_pending_cancel(stop))
    assert not venue.execution.is_in_flight()
    venue.execution.execute(Review(1, 0, "approved"))
    assert not venue.execution.is_in_flight(), "the side is held already"
    venue.execution.execute(Review(-1, 3, "approved"))
    assert venue.execution.is_in_flight()
    assert len(venue.sent) == 5, "out of the long, into the short"


def test_a_reset_forgets_what_was_owed() -> None:
    venue = Venue()
    venue.execution.execute(ENTRY)
    venue.execution.reset()
    assert not venue.execution.is_in_flight()
    assert venue.execution.fills == []
