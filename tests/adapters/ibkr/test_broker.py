"""The broker's truth: orders, groups, refusals, margin and halts, without any wire."""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.broker import Broker
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Quote
from adapters.ibkr.simulator.gateway import Gateway


@pytest.fixture
def broker(gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> Broker:
    """Broker whose market stands at 6001.50 (24006 ticks)."""
    return gateway_of(ib.minute_bars(*ib.RISING)).broker


@pytest.fixture
def place(broker: Broker, ib: SimpleNamespace) -> Callable[..., None]:
    """``place(1, "BUY", 2, "LMT", 6000.0, parentId=…)`` for client 1."""

    def send(order_id: int, action: str, units: int, kind: str = "MKT", price: float = 0.0, **more: Any) -> None:
        order = Order(action=action, totalQuantity=str(units), orderType=kind, transmit=True, tif="GTC")
        if "LMT" in kind:
            order.lmtPrice = price
        elif kind == "STP":
            order.auxPrice = price
        for name, value in more.items():
            setattr(order, name, value)
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=ib.MES.to_contract(), order=order))

    return send


def status(broker: Broker, order_id: int) -> str:
    return broker.orders[1, order_id].status


def trade_at(broker: Broker, *ticks: int, units: int = 100) -> None:
    for price in ticks:
        broker.quote(730283085, Quote(price, units, opens=False))


def errors(broker: Broker) -> list[tuple[int, int]]:
    told = [event.message for event in broker.events]
    return [(message.id, message.errorCode) for message in told if message.DESCRIPTOR.name == "ErrorMessage"]


def units(broker: Broker) -> int:
    return broker.account.units(730283085)


def test_children_wait_for_their_parent_and_one_ends_the_other(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 2, "LMT", 6000.0, transmit=False)
    place(2, "SELL", 2, "LMT", 6005.0, parentId=1, transmit=False)
    place(3, "SELL", 2, "STP", 5995.0, parentId=1)
    assert [status(broker, number) for number in (1, 2, 3)] == ["Submitted", "PreSubmitted", "PreSubmitted"]
    trade_at(broker, 24020)  # 6005.00: the target's price, but nothing is held yet
    assert units(broker) == 0
    trade_at(broker, 24000)
    assert (units(broker), status(broker, 1)) == (2, "Filled")
    trade_at(broker, 24020)
    assert (units(broker), status(broker, 2), status(broker, 3)) == (0, "Filled", "Cancelled")


def test_nothing_is_sent_before_the_last_order_of_a_bracket_transmits(
    broker: Broker, place: Callable[..., None]
) -> None:
    place(1, "BUY", 2, transmit=False)
    assert (status(broker, 1), broker.working(), units(broker)) == ("Untransmitted", [], 0)
    place(2, "SELL", 2, "STP", 5995.0, parentId=1)
    assert (status(broker, 1), units(broker)) == ("Filled", 2)


def test_cancelling_a_parent_cancels_its_children(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 2, "LMT", 5990.0, transmit=False)
    place(2, "SELL", 2, "STP", 5980.0, parentId=1)
    broker.cancel(1, 1)
    assert (status(broker, 1), status(broker, 2)) == ("Cancelled", "Cancelled")


@pytest.mark.parametrize(("kind", "left"), [(1, None), (2, 3), (3, 3)])
def test_a_partial_fill_cancels_or_reduces_its_group(
    broker: Broker, place: Callable[..., None], kind: int, left: int | None
) -> None:
    place(1, "BUY", 4)
    place(2, "SELL", 4, "LMT", 6005.0, ocaGroup="exit", ocaType=kind)
    place(3, "SELL", 4, "STP", 5995.0, ocaGroup="exit", ocaType=kind)
    trade_at(broker, 24020, units=1)
    assert (units(broker), broker.orders[1, 2].filled) == (3, 1)
    stop = broker.orders[1, 3]
    assert (stop.status, stop.remaining) == (("Cancelled", 0) if left is None else ("PreSubmitted", left))


def test_nothing_joins_a_group_that_has_filled(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 2)
    place(2, "SELL", 2, "STP", 5995.0, ocaGroup="exit", ocaType=2)
    trade_at(broker, 23980)
    assert units(broker) == 0
    broker.events.clear()
    place(3, "SELL", 2, ocaGroup="exit", ocaType=2)
    (told,) = broker.events
    assert (told.message.errorCode, told.message.errorMsg) == (
        201,
        "Order rejected - reason:OCA group is already filled.",
    )
    assert (units(broker), len(broker.working())) == (0, 0)
    place(4, "SELL", 2, ocaGroup="another", ocaType=2)
    assert units(broker) == -2


@given(st.lists(st.tuples(st.integers(23980, 24040), st.integers(1, 3)), max_size=30))
def test_a_bracket_never_turns_a_position_over(prices: list[tuple[int, int]]) -> None:
    broker = _fresh_broker()
    for order_id, (action, kind, price, parent) in enumerate(
        (("BUY", "LMT", 6001.0, 0), ("SELL", "LMT", 6003.0, 1), ("SELL", "STP", 5999.0, 1)), start=1
    ):
        order = Order(action=action, totalQuantity="5", orderType=kind, transmit=order_id == 3, parentId=parent)
        order.lmtPrice, order.auxPrice = price, price
        contract = broker.contracts[730283085].to_contract()
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=contract, order=order))
    for ticks, offered in prices:
        trade_at(broker, ticks, units=offered)
        assert 0 <= units(broker) <= 5
        bought = broker.orders[1, 1].filled
        assert units(broker) == bought - broker.orders[1, 2].filled - broker.orders[1, 3].filled


def test_a_stop_fills_at_its_price_inside_a_bar_and_at_the_open_beyond_it(
    broker: Broker, place: Callable[..., None]
) -> None:
    place(1, "SELL", 1, "STP", 6000.0)
    trade_at(broker, 23990)
    assert broker.trades[-1].ticks == 24000
    place(2, "SELL", 1, "STP", 5990.0)
    broker.quote(730283085, Quote(23950, 100, opens=True))
    assert broker.trades[-1].ticks == 23950


def test_more_than_is_offered_costs_a_tick(broker: Broker, place: Callable[..., None]) -> None:
    trade_at(broker, 24000, units=3)
    place(1, "BUY", 5)
    assert [(trade.units, trade.ticks) for trade in broker.trades] == [(3, 24000), (2, 24001)]


def test_a_modified_order_keeps_its_fills_and_takes_the_new_price(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 4, "LMT", 6000.0)
    trade_at(broker, 24000, units=1)
    place(1, "BUY", 6, "LMT", 5999.0)
    order = broker.orders[1, 1]
    assert (order.filled, order.remaining, order.limit_ticks) == (1, 5, 23996)
    place(1, "BUY", 1, "LMT", 5999.0)
    assert (order.status, order.filled, units(broker)) == ("Cancelled", 1, 1)


def test_modifying_or_cancelling_what_is_over_is_refused(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 1)
    place(1, "BUY", 2)
    broker.cancel(1, 1)
    broker.cancel(1, 99)
    place(2, "BUY", 1, "LMT", 5990.0)
    broker.cancel(1, 2)
    place(2, "BUY", 1, "LMT", 5990.0)
    assert errors(broker) == [(1, 104), (1, 161), (99, 10147), (2, 202), (2, 103)]
    assert units(broker) == 1


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (("BUY", 1, "MOC"), 387),
        (("HOLD", 1), 321),
        (("BUY", 0), 434),
        (("BUY", 1, "LMT", 6000.10), 110),
    ],
)
def test_malformed_orders_are_refused_with_the_codes_of_tws(
    broker: Broker, place: Callable[..., None], wanted: tuple[Any, ...], code: int
) -> None:
    place(1, *wanted)
    assert errors(broker) == [(1, code)]
    assert broker.orders == {}


def test_a_time_in_force_that_is_not_simulated_is_refused(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 1, tif="IOC")
    assert (errors(broker), broker.orders) == ([(1, 321)], {})


def test_margin_beyond_the_equity_is_rejected_and_the_order_inactive(
    gateway_of: Callable[..., Gateway], ib: SimpleNamespace
) -> None:
    broker = gateway_of(ib.minute_bars(*ib.RISING), cash_cents=500_000).broker  # 2400 USD a contract
    for order_id, wanted in ((1, 2), (2, 1)):
        order = Order(action="BUY", totalQuantity=str(wanted), orderType="MKT", transmit=True)
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=ib.MES.to_contract(), order=order))
    assert (status(broker, 1), status(broker, 2), units(broker)) == ("Filled", "Inactive", 2)
    assert errors(broker) == [(2, 201)]


def test_closing_is_never_refused_for_margin(gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> None:
    broker = gateway_of(ib.minute_bars(*ib.RISING), cash_cents=250_000).broker
    for order_id, action in ((1, "BUY"), (2, "SELL")):
        order = Order(action=action, totalQuantity="1", orderType="MKT", transmit=True)
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=ib.MES.to_contract(), order=order))
        trade_at(broker, 23950)  # the loss leaves less than the margin
    assert (units(broker), errors(broker)) == (0, [])


def test_orders_wait_through_a_halt(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 1, "LMT", 6000.0)
    broker.halted = True
    place(2, "BUY", 1)
    trade_at(broker, 23990)
    assert (units(broker), status(broker, 2)) == (0, "PreSubmitted")
    broker.resume()
    assert [(trade.units, trade.ticks) for trade in broker.trades] == [(1, 23990), (1, 23990)]


def test_a_flip_is_booked_to_the_cent(broker: Broker, place: Callable[..., None]) -> None:
    place(1, "BUY", 2)  # at 24006
    trade_at(broker, 24010)
    place(2, "SELL", 5)
    trade_at(broker, 24004)
    place(3, "BUY", 3)
    # Two contracts gain 4 ticks, three gain 6 ticks, a tick is 1.25 USD; ten sides at 0.62 USD.
    assert broker.account.cash_cents == 10_000_000 + 8 * 125 + 18 * 125 - 620
    assert units(broker) == 0


def _fresh_broker() -> Broker:
    terms = ContractTerms(730283085, "MES", "FUT", "CME", "CME", "MESH6", Decimal("0.25"), 5)
    broker = Broker(Account("DU1", 10_000_000), [terms], lambda: 1_767_623_400_000_000_000)
    broker.quote(terms.con_id, Quote(24010, 100, opens=False))
    return broker
