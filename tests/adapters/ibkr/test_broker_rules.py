"""What a broker may do with brackets, groups, refusals and expiry, at the broker and without any wire."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.adversary import foreign
from adapters.ibkr.simulator.adversary.corrections import correct
from adapters.ibkr.simulator.broker.broker import Broker
from adapters.ibkr.simulator.broker.matching import Quote
from adapters.ibkr.simulator.broker.rules import BrokerRules, OrderRule
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import Market

MES_ID = 730283085
Place = Callable[..., None]


@pytest.fixture
def broker(gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> Broker:
    """Broker whose market stands at 6001.50 (24006 ticks)."""
    return gateway_of(ib.minute_bars(*ib.RISING)).broker


@pytest.fixture
def place(broker: Broker, ib: SimpleNamespace) -> Place:
    """``place(1, "BUY", 2, "LMT", 6000.0, parentId=…)`` for client 1."""

    def send(order_id: int, action: str, units: int, kind: str = "MKT", price: float = 0.0, **more: Any) -> None:
        order = Order(action=action, totalQuantity=str(units), orderType=kind, transmit=True, tif="GTC")
        order.lmtPrice, order.auxPrice = price, price
        for name, value in more.items():
            setattr(order, name, value)
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=ib.MES.to_contract(), order=order))

    return send


@pytest.fixture
def bracket(place: Place) -> Callable[..., None]:
    """Four units bought at 6000.00 or better, target at 6005.00, stop at 5995.00: orders 1, 2 and 3."""

    def send(kind: str = "LMT") -> None:
        place(1, "BUY", 4, kind, 6000.0, transmit=False)
        place(2, "SELL", 4, "LMT", 6005.0, parentId=1, transmit=False)
        place(3, "SELL", 4, "STP", 5995.0, parentId=1)

    return send


def statuses(broker: Broker, *numbers: int) -> list[str]:
    return [broker.orders[1, number].status for number in numbers]


def trade_at(broker: Broker, *ticks: int, units: int = 100) -> None:
    for price in ticks:
        broker.quote(MES_ID, Quote(price, units, opens=False))


def units(broker: Broker) -> int:
    return broker.account.units(MES_ID)


def told(broker: Broker, kind: str) -> list[Any]:
    return [event.message for event in broker.events if event.message.DESCRIPTOR.name == kind]


def errors(broker: Broker) -> list[tuple[int, int]]:
    return [(message.id, message.errorCode) for message in told(broker, "ErrorMessage")]


def fill_one(broker: Broker) -> None:
    """One unit of the entry at 6000.00, which touches neither child."""
    broker.largest_fill = 1
    trade_at(broker, 24000)
    broker.largest_fill = None


# Brackets


def test_nothing_of_a_bracket_works_before_its_last_order_transmits(broker: Broker, place: Place) -> None:
    place(1, "BUY", 4, transmit=False)
    place(2, "SELL", 4, "LMT", 6005.0, parentId=1, transmit=False)
    trade_at(broker, 24100, 23900)
    assert (statuses(broker, 1, 2), broker.working(), units(broker)) == (["Untransmitted"] * 2, [], 0)
    place(3, "SELL", 4, "STP", 5950.0, parentId=1)
    assert (statuses(broker, 1, 2, 3), units(broker)) == (["Filled", "Submitted", "PreSubmitted"], 4)


@pytest.mark.parametrize(
    ("children", "stopped", "position"),
    [("filled", 1, 0), ("first_fill", 4, -3), ("complete", 0, 1)],
)
def test_children_of_a_partly_filled_parent_work_as_the_rules_say(
    broker: Broker, bracket: Callable[..., None], children: Any, stopped: int, position: int
) -> None:
    broker.rules = BrokerRules(children=children)
    bracket()
    fill_one(broker)
    assert (broker.orders[1, 1].filled, units(broker)) == (1, 1)
    # Through the stop, with nothing on offer for the entry that rests at 6000.00.
    broker.orders[1, 1].limit_ticks = 23_000
    trade_at(broker, 23970)
    assert (broker.orders[1, 3].filled, units(broker)) == (stopped, position)


def test_children_that_wait_for_the_whole_parent_work_once_it_is_over(
    broker: Broker, bracket: Callable[..., None]
) -> None:
    broker.rules = BrokerRules(children="complete")
    bracket()
    fill_one(broker)
    assert statuses(broker, 2, 3) == ["PreSubmitted", "PreSubmitted"]
    broker.cancel(1, 1)
    assert statuses(broker, 1, 2) == ["Cancelled", "Submitted"]
    trade_at(broker, 23980)
    assert (units(broker), statuses(broker, 2)) == (0, ["Submitted"])


@pytest.mark.parametrize(("rule", "left"), [("keep", ["Submitted", "PreSubmitted"]), ("cancel", ["Cancelled"] * 2)])
def test_a_parent_cancelled_half_filled_keeps_or_takes_its_children(
    broker: Broker, bracket: Callable[..., None], rule: Any, left: list[str]
) -> None:
    broker.rules = BrokerRules(partly_filled_parent=rule)
    bracket()
    fill_one(broker)
    broker.cancel(1, 1)
    assert (statuses(broker, 2, 3), units(broker)) == (left, 1)


def test_a_target_is_told_as_submitted_when_its_parent_fills(broker: Broker, bracket: Callable[..., None]) -> None:
    bracket()
    broker.events.clear()
    trade_at(broker, 24000)
    shown = [(message.orderId, message.status) for message in told(broker, "OrderStatus")]
    assert shown == [(1, "Filled"), (2, "Submitted")]


def test_children_are_amended_before_and_after_they_work(
    broker: Broker, place: Place, bracket: Callable[..., None]
) -> None:
    bracket()
    place(3, "SELL", 4, "STP", 5990.0, parentId=1)
    trade_at(broker, 24000)
    place(3, "SELL", 4, "STP", 5999.0, parentId=1)
    place(2, "SELL", 2, "LMT", 6004.0, parentId=1)
    assert (broker.orders[1, 3].stop_ticks, broker.orders[1, 2].remaining) == (23996, 2)
    trade_at(broker, 23996)
    assert (units(broker), statuses(broker, 2, 3)) == (0, ["Cancelled", "Filled"])


def test_a_bracket_whose_last_order_is_refused_is_never_sent(broker: Broker, place: Place) -> None:
    place(1, "BUY", 1, transmit=False)
    place(2, "SELL", 1, "STP", 5995.1, parentId=1)
    assert (errors(broker), statuses(broker, 1), units(broker)) == ([(2, 110)], ["Untransmitted"], 0)
    broker.cancel(1, 1)
    assert statuses(broker, 1) == ["Cancelled"]


@pytest.mark.parametrize("refused", [True, False])
def test_a_child_without_a_parent_is_refused(broker: Broker, place: Place, refused: bool) -> None:
    if refused:
        broker.answers.add(OrderRule(201))
        place(1, "BUY", 1, transmit=False)
    else:
        place(1, "BUY", 1, "LMT", 5990.0)
        broker.cancel(1, 1)
    place(2, "SELL", 1, "MKT", parentId=1)
    assert (errors(broker)[-1], units(broker)) == ((2, 10006), 0)


def test_a_parent_refused_for_margin_takes_its_children_along(
    gateway_of: Callable[..., Gateway], ib: SimpleNamespace
) -> None:
    broker = gateway_of(ib.minute_bars(*ib.RISING), cash_cents=500_000).broker
    for order_id, action, kind in ((1, "BUY", "MKT"), (2, "SELL", "STP")):
        order = Order(action=action, totalQuantity="9", orderType=kind, transmit=order_id == 2, auxPrice=5990.0)
        order.parentId = order_id - 1
        broker.place(1, PlaceOrderRequest(orderId=order_id, contract=ib.MES.to_contract(), order=order))
    assert (statuses(broker, 1, 2), units(broker)) == (["Inactive", "Cancelled"], 0)


def test_a_child_may_be_refused_when_it_begins_to_work(broker: Broker, bracket: Callable[..., None]) -> None:
    broker.answers.add(OrderRule(201, "activate", kinds=("STP",)))
    bracket("MKT")
    assert (statuses(broker, 1, 2, 3), errors(broker)) == (["Filled", "Submitted", "Inactive"], [(3, 201)])


# One cancels all


def exits(place: Place, kind: int) -> None:
    place(1, "BUY", 4)
    place(2, "SELL", 4, "LMT", 6005.0, ocaGroup="exit", ocaType=kind)
    place(3, "SELL", 4, "STP", 5995.0, ocaGroup="exit", ocaType=kind)


@pytest.mark.parametrize(
    ("groups", "kind", "left"),
    [("as_asked", 1, None), ("as_asked", 2, 3), ("reduce", 1, 3), ("cancel", 2, None), ("cancel", 3, None)],
)
def test_a_fill_in_a_group_cancels_or_reduces_as_the_rules_say(
    broker: Broker, place: Place, groups: Any, kind: int, left: int | None
) -> None:
    broker.rules = BrokerRules(groups=groups)
    exits(place, kind)
    trade_at(broker, 24020, units=1)
    stop = broker.orders[1, 3]
    assert (stop.status, stop.remaining) == (("Cancelled", 0) if left is None else ("PreSubmitted", left))


@pytest.mark.parametrize(("kind", "held"), [(2, 4), (3, 0)])
def test_a_blocked_exit_waits_until_the_resting_target_is_gone(
    broker: Broker, place: Place, kind: int, held: int
) -> None:
    broker.rules = BrokerRules(groups="block")
    exits(place, kind)
    place(4, "SELL", 4, "MKT", ocaGroup="exit", ocaType=kind)
    trade_at(broker, 24007)
    assert units(broker) == held
    if held:
        assert statuses(broker, 4) == ["PreSubmitted"]
        broker.cancel(1, 2)
        assert (units(broker), statuses(broker, 3, 4)) == (0, ["Cancelled", "Filled"])


def test_a_change_of_the_group_may_be_refused(broker: Broker, place: Place) -> None:
    broker.rules = BrokerRules(group_change_refused=True)
    place(1, "SELL", 1, "STP", 5995.0, ocaGroup="a", ocaType=2)
    place(1, "SELL", 1, "STP", 5996.0, ocaGroup="b", ocaType=2)
    place(1, "SELL", 1, "STP", 5997.0, ocaGroup="a", ocaType=2)
    assert (errors(broker), broker.orders[1, 1].stop_ticks) == ([(1, 10326)], 23988)


# Answers on demand


@pytest.mark.parametrize("code", [103, 110, 200, 201, 203, 321, 460, 10289, 10293])
@pytest.mark.parametrize("kind", ["MKT", "LMT", "STP"])
def test_any_order_can_be_refused_with_any_code(broker: Broker, place: Place, code: int, kind: str) -> None:
    broker.answers.add(OrderRule(code, kinds=(kind,), times=2))
    other = "STP" if kind != "STP" else "LMT"
    place(1, "SELL", 1, other, 5000.0 if other == "STP" else 7000.0)
    place(2, "BUY", 1, kind, 6000.0 if kind == "LMT" else 7000.0)
    place(3, "BUY", 1, kind, 6000.0 if kind == "LMT" else 7000.0)
    place(4, "BUY", 1, kind, 6000.0 if kind == "LMT" else 7000.0)
    assert errors(broker) == [(2, code), (3, code)]
    assert sorted(number for _, number in broker.orders) == [1, 4]


def test_a_notice_changes_the_time_in_force_and_nothing_else(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule(10349))
    broker.answers.add(OrderRule(399))
    place(1, "BUY", 1)
    place(2, "BUY", 1)
    assert (errors(broker), units(broker)) == ([(1, 10349), (2, 399)], 2)
    assert [broker.orders[1, number].request.tif for number in (1, 2)] == ["DAY", "GTC"]


def test_202_cancels_what_was_accepted(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule(202))
    place(1, "BUY", 1)
    assert (errors(broker), statuses(broker, 1), units(broker)) == ([(1, 202)], ["Cancelled"], 0)


def test_404_holds_an_order_that_works_on_paper_alone(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule(404))
    place(1, "SELL", 1)
    trade_at(broker, 24000)
    assert (errors(broker), statuses(broker, 1), units(broker)) == ([(1, 404)], ["PreSubmitted"], 0)
    assert {message.whyHeld for message in told(broker, "OrderStatus")} == {"locate"}
    broker.cancel(1, 1)
    assert statuses(broker, 1) == ["Cancelled"]


def test_an_inactive_order_is_listed_fills_never_and_cannot_be_cancelled(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule("inactive", kinds=("STP",)))
    place(1, "BUY", 1)
    place(2, "SELL", 1, "STP", 5995.0)
    assert [(order.order_id, order.status) for order in broker.listed(1)] == [(2, "Inactive")]
    assert (broker.working(), errors(broker)) == ([], [])
    trade_at(broker, 23900)
    broker.cancel(1, 2)
    assert (units(broker), errors(broker)) == (1, [(2, 161)])


def test_a_cancel_that_never_ends_leaves_an_order_that_fills(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule("pending_cancel", "cancel"))
    place(1, "BUY", 2, "LMT", 6000.0)
    broker.cancel(1, 1)
    broker.cancel(1, 1)
    assert (statuses(broker, 1), errors(broker)) == (["PendingCancel"], [(1, 161)])
    trade_at(broker, 24000, units=1)
    assert (statuses(broker, 1), units(broker)) == (["PendingCancel"], 1)
    trade_at(broker, 23999)
    assert (statuses(broker, 1), units(broker)) == (["Filled"], 2)


@pytest.mark.parametrize("code", [161, 10147, 10148])
def test_a_cancel_can_be_refused(broker: Broker, place: Place, code: int) -> None:
    broker.answers.add(OrderRule(code, "cancel"))
    place(1, "BUY", 1, "LMT", 5990.0)
    broker.cancel(1, 1)
    assert (errors(broker), statuses(broker, 1)) == ([(1, code)], ["Submitted"])
    broker.cancel(1, 1)
    assert statuses(broker, 1) == ["Cancelled"]


def test_what_is_dropped_is_never_answered(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule("dropped"))
    place(1, "BUY", 1)
    assert (broker.events, broker.orders) == ([], {})
    place(1, "BUY", 1, "LMT", 5990.0)
    broker.events.clear()
    for request in ("modify", "cancel"):
        broker.answers.add(OrderRule("dropped", request))
    place(1, "BUY", 1, "LMT", 5991.0)
    broker.cancel(1, 1)
    assert (broker.events, broker.orders[1, 1].limit_ticks, statuses(broker, 1)) == ([], 23960, ["Submitted"])


def test_a_modification_can_be_refused(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule(201, "modify"))
    place(1, "SELL", 1, "STP", 5990.0)
    place(1, "SELL", 1, "STP", 5995.0)
    assert (errors(broker), broker.orders[1, 1].stop_ticks, statuses(broker, 1)) == (
        [(1, 201)], 23960, ["PreSubmitted"],
    )  # fmt: skip


def test_answers_can_be_for_closing_orders_alone(broker: Broker, place: Place) -> None:
    broker.answers.add(OrderRule(201, effect="closing", times=None))
    place(1, "BUY", 1)
    for number in range(2, 12):
        place(number, "SELL", 1)
    assert (units(broker), errors(broker)) == (1, [(number, 201) for number in range(2, 12)])
    broker.answers.clear()
    place(12, "SELL", 1)
    assert units(broker) == 0


# Numbers


def test_an_order_number_that_another_client_uses_is_another_order(
    broker: Broker, place: Place, ib: SimpleNamespace
) -> None:
    place(5, "SELL", 1, "STP", 5990.0)
    theirs = foreign.by_client(broker, ib.MES, 1, "LMT", 23900)
    assert theirs is not None
    assert (theirs.client_id, theirs.order_id) == (77, 5)
    broker.cancel(1, 5)
    assert (statuses(broker, 5), theirs.status) == (["Cancelled"], "Submitted")
    broker.cancel(1, 6)
    assert errors(broker)[-1] == (6, 10147)


def test_orders_made_by_hand_have_no_number_and_no_reference(broker: Broker, ib: SimpleNamespace) -> None:
    orders = [foreign.by_hand(broker, ib.MES, 1, "LMT", 23900), foreign.by_hand(broker, ib.MES, 10)]
    shown = [order.to_open_order() for order in orders if order is not None]
    assert [(each.orderId, each.order.clientId, each.order.orderRef) for each in shown] == [(0, 0, "")] * 2
    assert len({each.order.permId for each in shown}) == 2
    execution = broker.trades[-1].details.execution
    assert (execution.orderId, execution.clientId, execution.orderRef, units(broker)) == (0, 0, "", 10)
    broker.cancel(1, 0)
    assert errors(broker)[-1] == (0, 10147)


def test_numbers_must_be_above_all_that_were_shown(broker: Broker, place: Place, ib: SimpleNamespace) -> None:
    broker.rules = BrokerRules(ids_above_all_shown=True, next_id="above_all")
    foreign.by_client(broker, ib.MES, 1, "LMT", 23900, order_id=40)
    place(7, "BUY", 1)
    broker.shown_ids[1] = 40
    place(8, "BUY", 1)
    assert (errors(broker), broker.next_order_id(1)) == ([(8, 103)], 41)
    place(41, "BUY", 1)
    assert units(broker) == 2


def test_a_next_number_may_have_been_used(broker: Broker, place: Place) -> None:
    broker.rules = BrokerRules(next_id="stuck")
    place(1, "BUY", 1)
    assert broker.next_order_id(1) == 1
    place(1, "BUY", 1)
    assert (errors(broker), units(broker)) == ([(1, 104)], 1)


@pytest.mark.parametrize(
    ("rule", "left"),
    [("all", []), ("api", [0]), ("own", [77, 0]), ("ignored", [1, 77, 0])],
)
def test_a_global_cancel_reaches_what_the_rules_say(
    broker: Broker, place: Place, ib: SimpleNamespace, rule: Any, left: list[int]
) -> None:
    broker.rules = BrokerRules(global_cancel=rule)
    place(1, "BUY", 1, "LMT", 5990.0)
    foreign.by_client(broker, ib.MES, 1, "LMT", 23900)
    foreign.by_hand(broker, ib.MES, 1, "LMT", 23900)
    broker.cancel_all(1)
    assert [order.client_id for order in broker.working()] == left


# Fills and corrections


def test_a_fill_may_come_in_pieces(broker: Broker, place: Place) -> None:
    broker.rules = BrokerRules(pieces=3)
    place(1, "BUY", 10)
    assert [int(message.execution.shares) for message in told(broker, "ExecutionDetails")] == [4, 3, 3]
    assert [message.filled for message in told(broker, "OrderStatus")] == ["0", "4", "7", "10"]
    assert sum(round(message.commissionAndFees * 100) for message in told(broker, "CommissionAndFeesReport")) == 620


@pytest.mark.parametrize(("units_now", "ticks"), [(3, 24006), (2, 24004), (1, 24006)])
def test_a_correction_replaces_its_predecessor_in_the_books(
    broker: Broker, place: Place, units_now: int, ticks: int
) -> None:
    place(1, "BUY", 2)
    name = broker.trades[0].details.execution.execId
    broker.events.clear()
    corrected = correct(broker, name, units_now, ticks)
    assert (corrected[:-2], name[-2:], corrected[-2:]) == (name[:-2], "01", "02")
    assert (units(broker), len(broker.trades), len(broker.superseded)) == (units_now, 1, 1)
    (details,) = told(broker, "ExecutionDetails")
    assert (details.execution.execId, details.execution.shares) == (corrected, str(units_now))
    trade_at(broker, 24010)
    place(2, "SELL", units_now)
    gain = (24010 - ticks) * units_now * 125 - 2 * units_now * 62
    assert broker.account.cash_cents == 10_000_000 + gain


# Accounts


def test_fractions_are_held_and_whole_units_can_be_sold(broker: Broker, ib: SimpleNamespace) -> None:
    share = foreign.list_share(broker)
    broker.account.hold(share, Decimal("10.5"), 20_000)
    for text in ("10.5", "10"):
        order = Order(action="SELL", totalQuantity=text, orderType="MKT", transmit=True)
        broker.place(1, PlaceOrderRequest(orderId=len(broker.orders) + 1, contract=share.to_contract(), order=order))
    (row,) = broker.account.positions()
    assert (row.position, errors(broker), broker.trades[0].units) == ("0.5", [(1, 434)], -10)


def test_values_are_told_in_the_base_currency(broker: Broker) -> None:
    broker.account.base_currency = "EUR"
    broker.account.usd_per["EUR"] = Decimal("1.25")
    foreign.list_share(broker, foreign.EURO_SHARE)
    broker.account.hold(foreign.EURO_SHARE, Decimal(10), 19_000)  # worth 10 EUR a share more: 100 EUR
    rows = broker.account.summary_rows(broker.marks, 1, ("NetLiquidation", "TotalCashValue"))
    assert [(row.tag, row.value, row.currency) for row in rows] == [
        ("NetLiquidation", "80100.00", "EUR"),
        ("TotalCashValue", "80000.00", "EUR"),
    ]


def test_every_account_of_a_login_has_its_own_books(broker: Broker, place: Place) -> None:
    foreign.add_account(broker, "DU2", 5_000_000, 3)
    place(1, "BUY", 1, account="DU1234567")
    place(2, "SELL", 1, account="DU2")
    place(3, "SELL", 1)
    place(4, "SELL", 1, account="DU3")
    assert errors(broker) == [(3, 435), (4, 321)]
    assert (units(broker), broker.accounts["DU2"].units(MES_ID)) == (1, 2)
    assert [trade.details.execution.acctNumber for trade in broker.trades] == ["DU1234567", "DU2"]


# Expiry


def test_a_contract_ends_at_its_last_trade(ib: SimpleNamespace) -> None:
    bars = ib.minute_bars(*ib.RISING)
    terms = replace(ib.MES, last_trade_ns=bars[4].open_ns)
    gateway = Gateway([terms], Market([terms], {MES_ID: bars}, start_ns=bars[3].open_ns), "DU1", 10_000_000)
    broker = gateway.broker
    for number, kind in ((1, "MKT"), (2, "STP"), (3, "MKT")):
        if number == 3:
            while gateway.now_ns() < terms.last_trade_ns:
                gateway.step()
        order = Order(action="BUY" if number != 2 else "SELL", totalQuantity="2", orderType=kind, auxPrice=5900.0)
        order.transmit = True
        broker.place(1, PlaceOrderRequest(orderId=number, contract=terms.to_contract(), order=order))
    assert (statuses(broker, 1, 2), units(broker), len(broker.trades)) == (["Filled", "Cancelled"], 0, 1)
    assert errors(broker) == [(3, 201)]
    # Bought at 24006, settled at the close of 24008.
    assert broker.account.cash_cents == 10_000_000 + 2 * 2 * 125 - 124


def test_details_name_the_time_of_the_last_trade(ib: SimpleNamespace) -> None:
    terms = replace(ib.MES, last_trade_ns=1_774_013_400 * 10**9)
    shown = terms.to_listed_contract().lastTradeDateOrContractMonth
    assert (shown, terms.to_contract().lastTradeDateOrContractMonth) == ("20260320 08:30:00 US/Central", "20260320")
    assert terms.to_details().realExpirationDate == "20260320"
