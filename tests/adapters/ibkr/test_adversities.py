"""Every adversity by its name, seen by an unmodified client, with what the broker holds in the end."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ibapi.execution import ExecutionFilter
from ibapi.order_cancel import OrderCancel

from adapters.ibkr.connection import gateway as connect
from adapters.ibkr.connection import ib_insync
from adapters.ibkr.simulator.adversary.draw import random_adversary
from adapters.ibkr.simulator.adversities import ADVERSITIES, behave
from adapters.ibkr.simulator.faults import FAULTS, Fault, FaultScript
from adapters.ibkr.simulator.server import ThreadedServer

MES_ID = 730283085
BOTH_WIRES = pytest.mark.parametrize("version", [176, 222])


def play(gateway: ThreadedServer, name: str, value: int = 1) -> None:
    gateway.call(lambda server: FAULTS[name](server, value))


def units(gateway: ThreadedServer) -> int:
    return gateway.call(lambda server: server.gateway.broker.account.units(MES_ID))


def status(gateway: ThreadedServer, order_id: int) -> str:
    return gateway.call(lambda server: server.gateway.broker.orders[1, order_id].status)


def held(gateway: ThreadedServer) -> dict[str, str]:
    return gateway.call(
        lambda server: {row.contract.symbol: row.position for row in server.gateway.broker.account.positions()}
    )


def error(client: Any, code: int, about: int | None = None) -> None:
    client.wait("error", lambda number, _time, heard, *_: heard == code and about in (None, number))


def filled(client: Any, order_id: int) -> None:
    client.wait("orderStatus", lambda number, state, *rest: (number, state) == (order_id, "Filled"))


def sync(client: Any) -> None:
    """Wait until the gateway has answered everything that was sent before."""
    client.heard.clear()
    client.reqCurrentTime()
    client.wait("currentTime")


@pytest.mark.parametrize(
    ("name", "callback"),
    [
        ("late_position", "position"), ("late_open_order", "openOrder"), ("late_order_status", "orderStatus"),
        ("late_execution", "execDetails"), ("late_commission", "commissionAndFeesReport"),
        ("late_next_id", "nextValidId"), ("late_accounts", "managedAccounts"), ("late_error", "error"),
        ("late_answers", "execDetails"),
    ],
)  # fmt: skip
def test_a_late_message_comes_by_itself(
    name: str, callback: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name, 300)
    sync(client)
    began = time.monotonic()
    ask_everything(client, ib)
    client.wait(callback)
    assert time.monotonic() - began >= 0.29
    play(gateway, name, 0)


def ask_everything(client: Any, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("BUY", 1, "MOC"))  # refused
    client.placeOrder(3, ib.mes(), ib.order("BUY", 1, "LMT", 5990.0))
    client.reqIds(1)
    client.reqManagedAccts()
    client.reqPositions()
    client.reqOpenOrders()


@pytest.mark.parametrize(
    ("name", "callback"),
    [
        ("lost_open_order", "openOrder"), ("lost_order_status", "orderStatus"), ("lost_execution", "execDetails"),
        ("lost_commission", "commissionAndFeesReport"), ("lost_error", "error"),
    ],
)  # fmt: skip
def test_a_lost_message_is_never_told(
    name: str, callback: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name, 100)
    sync(client)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("BUY", 1, "MOC"))
    client.reqCurrentTime()
    client.wait("currentTime", lambda *_: len(client.all("currentTime")) == 2)
    assert (client.all(callback), units(gateway)) == ([], 1)
    assert {"openOrder", "orderStatus", "execDetails", "commissionAndFeesReport", "error"} - {
        heard[0] for heard in client.heard
    } == {callback}


@pytest.mark.parametrize("name", ["lost_position", "lost_next_id", "lost_accounts"])
def test_what_is_asked_for_is_not_lost(name: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, name, 100)
    sync(client)
    client.reqPositions()
    client.wait("positionEnd")
    ask_everything(client, ib)
    for callback in ("nextValidId", "managedAccounts", "position"):
        client.wait(callback)


@pytest.mark.parametrize(
    ("name", "callback"),
    [
        ("unanswered_position", "positionEnd"), ("unanswered_open_order", "openOrderEnd"),
        ("unanswered_execution", "execDetailsEnd"), ("unanswered_next_id", "nextValidId"),
        ("unanswered_accounts", "managedAccounts"),
    ],
)  # fmt: skip
def test_a_request_may_get_no_answer(name: str, callback: str, client: Any, gateway: ThreadedServer) -> None:
    play(gateway, name, 100)
    sync(client)

    def ask() -> None:
        client.reqPositions()
        client.reqOpenOrders()
        client.reqExecutions(9, ExecutionFilter())
        client.reqIds(1)
        client.reqManagedAccts()

    ask()
    sync(client)
    assert client.all(callback) == []
    play(gateway, name, 0)
    ask()
    client.wait(callback)


@pytest.mark.parametrize("name", ["unanswered_order_status", "unanswered_commission", "unanswered_error"])
def test_what_closes_no_answer_leaves_requests_answered(name: str, client: Any, gateway: ThreadedServer) -> None:
    play(gateway, name, 100)
    client.reqPositions()
    client.wait("positionEnd")


@pytest.mark.parametrize(
    ("name", "callback"),
    [
        ("repeated_position", "position"), ("repeated_open_order", "openOrder"),
        ("repeated_order_status", "orderStatus"), ("repeated_execution", "execDetails"),
        ("repeated_commission", "commissionAndFeesReport"), ("repeated_next_id", "nextValidId"),
        ("repeated_accounts", "managedAccounts"), ("repeated_error", "error"),
    ],
)  # fmt: skip
def test_a_message_is_repeated(
    name: str, callback: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name, 2)
    sync(client)
    ask_everything(client, ib)
    ib.wait_for(lambda: len(client.all(callback)) >= 3 or None, "three times the same")
    assert (len(client.all(callback)) % 3, units(gateway)) == (0, 1)


@BOTH_WIRES
def test_positions_are_stale_after_a_fill(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "stale_positions", 700)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    filled(client, 1)
    client.reqPositions()
    client.wait("positionEnd")
    assert client.all("position") == []
    time.sleep(0.8)
    client.reqPositions()
    client.wait("position", lambda _account, _contract, size, _cost: int(size) == 2)


def test_the_status_may_come_before_the_execution(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "status_first")
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    client.wait("execDetails")
    names = [heard[0] for heard in client.heard]
    assert names.index("commissionAndFeesReport") < names.index("orderStatus") < names.index("execDetails")


@BOTH_WIRES
@pytest.mark.parametrize(("name", "told"), [("commission_pending", -1.0), ("commission_unset", 1.7976931348623157e308)])
def test_a_commission_is_told_and_corrected(
    name: str, told: float, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name, 100)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    client.wait("commissionAndFeesReport", lambda report: report.commissionAndFees == 1.24)
    amounts = [report.commissionAndFees for (report,) in client.all("commissionAndFeesReport")]
    assert amounts == [told, 1.24]


@BOTH_WIRES
@pytest.mark.parametrize(("name", "size", "price"), [("correct_units", 3, 6001.5), ("correct_price", 2, 6001.75)])
def test_a_correction_is_told(
    name: str, size: int, price: float, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    filled(client, 1)
    play(gateway, name)
    ib.wait_for(lambda: len(client.all("execDetails")) == 2 or None, "the correction")
    first, second = (execution for _, _, execution in client.all("execDetails"))
    assert (first.execId[:-2], first.execId[-2:], second.execId[-2:]) == (second.execId[:-2], "01", "02")
    assert (int(second.shares), second.price, units(gateway)) == (size, price, size)


def test_a_correction_may_show_in_a_request_alone(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    filled(client, 1)
    play(gateway, "correct_unseen", -1)
    sync(client)
    client.reqExecutions(9, ExecutionFilter())
    client.wait("execDetailsEnd")
    (told,) = client.all("execDetails")
    assert (told[2].execId[-2:], int(told[2].shares), units(gateway)) == ("02", 1, 1)


@BOTH_WIRES
@pytest.mark.parametrize("code", [103, 110, 200, 201, 203, 321, 460, 10289, 10293])
def test_an_order_is_refused_with_a_code(code: int, client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "order_error", code)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2))
    error(client, code, 1)
    assert units(gateway) == 0


@pytest.mark.parametrize(
    ("name", "kind", "price"),
    [("market_error", "MKT", None), ("limit_error", "LMT", 6000.0), ("stop_error", "STP", 6010.0)],
)
def test_the_next_order_of_a_type_is_refused(
    name: str, kind: str, price: float | None, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name, 201)
    other = ("LMT", 5990.0) if kind != "LMT" else ("STP", 6050.0)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1, *other))
    client.placeOrder(2, ib.mes(), ib.order("BUY", 1, kind, price))
    error(client, 201, 2)
    client.placeOrder(3, ib.mes(), ib.order("BUY", 1, kind, price))
    client.wait("orderStatus", lambda number, *_: number == 3)
    assert [number for number, *_ in client.all("error") if number > 0] == [2]


def test_held_and_noticed_orders_work_on(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    for number, code in enumerate((404, 10349, 399), start=1):
        play(gateway, "order_error", code)
        client.placeOrder(number, ib.mes(), ib.order("BUY", 1))
        error(client, code, number)
    held_status = client.wait("orderStatus", lambda number, *_: number == 1)
    assert (held_status[1], held_status[9]) == ("PreSubmitted", "locate")
    filled(client, 2)
    filled(client, 3)
    assert units(gateway) == 2


def test_modifications_and_cancels_are_refused(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("SELL", 1, "STP", 5990.0))
    client.wait("orderStatus")
    play(gateway, "modify_error", 201)
    client.placeOrder(1, ib.mes(), ib.order("SELL", 1, "STP", 5995.0))
    error(client, 201, 1)
    play(gateway, "cancel_error", 10148)
    client.cancelOrder(1, OrderCancel())
    error(client, 10148, 1)
    assert gateway.call(lambda server: server.gateway.broker.orders[1, 1].stop_ticks) == 23960
    assert status(gateway, 1) == "PreSubmitted"


@pytest.mark.parametrize(("name", "sent"), [("exit_errors", "closing"), ("all_errors", "any")])
def test_refusals_last_until_they_are_ended(
    name: str, sent: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    filled(client, 1)
    play(gateway, name, 201)
    for number in (2, 3, 4):
        client.placeOrder(number, ib.mes(), ib.order("SELL", 1))
        error(client, 201, number)
    client.placeOrder(5, ib.mes(), ib.order("BUY", 1))
    error(client, 201, 5) if sent == "any" else filled(client, 5)
    play(gateway, name, 0)
    client.placeOrder(6, ib.mes(), ib.order("SELL", 1))
    filled(client, 6)


@BOTH_WIRES
@pytest.mark.parametrize("name", ["inactive_order", "inactive_stop"])
def test_an_inactive_stop_is_listed_and_cannot_be_cancelled(
    name: str, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, name)
    client.placeOrder(1, ib.mes(), ib.order("SELL", 1, "STP", 5990.0))
    client.wait("orderStatus", lambda _, state, *rest: state == "Inactive")
    sync(client)
    client.reqOpenOrders()
    client.wait("openOrderEnd")
    assert [state.status for *_, state in client.all("openOrder")] == ["Inactive"]
    client.cancelOrder(1, OrderCancel())
    error(client, 161, 1)


def test_orders_and_cancels_vanish(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "dropped_order")
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("BUY", 1, "LMT", 5990.0))
    client.wait("orderStatus", lambda number, *_: number == 2)
    play(gateway, "dropped_cancel")
    client.cancelOrder(2, OrderCancel())
    sync(client)
    assert (client.all("orderStatus"), units(gateway), status(gateway, 2)) == ([], 0, "Submitted")


def test_a_cancel_that_is_pending_for_ever_lets_the_order_fill(
    client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, "pending_cancel")
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1, "LMT", 6001.0))
    client.cancelOrder(1, OrderCancel())
    client.wait("orderStatus", lambda _, state, *rest: state == "PendingCancel")
    gateway.step(4)
    filled(client, 1)
    assert units(gateway) == 1


def bracket(client: Any, ib: SimpleNamespace, size: int = 2) -> None:
    """Orders 1, 2 and 3: an entry at the market, a target at 6010.00 and a stop at 5990.00."""
    client.placeOrder(1, ib.mes(), ib.order("BUY", size, transmit=False))
    client.placeOrder(2, ib.mes(), ib.order("SELL", size, "LMT", 6010.0, parentId=1, transmit=False))
    client.placeOrder(3, ib.mes(), ib.order("SELL", size, "STP", 5990.0, parentId=1))


@BOTH_WIRES
def test_a_bracket_works_from_its_last_order_on(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2, transmit=False))
    client.placeOrder(2, ib.mes(), ib.order("SELL", 2, "LMT", 6010.0, parentId=1, transmit=False))
    sync(client)
    assert (client.all("orderStatus"), units(gateway)) == ([], 0)
    client.placeOrder(3, ib.mes(), ib.order("SELL", 2, "STP", 5990.0, parentId=1))
    filled(client, 1)
    client.wait("orderStatus", lambda number, state, *rest: (number, state) == (2, "Submitted"))
    parents = {number: told[5] for number, *told in client.all("orderStatus")}
    assert (parents, units(gateway)) == ({1: 0, 2: 1, 3: 1}, 2)
    client.cancelOrder(2, OrderCancel())
    error(client, 202, 2)
    assert status(gateway, 3) == "PreSubmitted"


def test_a_child_is_refused_when_it_begins_to_work(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "child_error", 201)
    bracket(client, ib)
    error(client, 201, 2)
    filled(client, 1)
    assert [status(gateway, number) for number in (1, 2, 3)] == ["Filled", "Inactive", "PreSubmitted"]


@pytest.mark.parametrize(
    ("name", "value", "rule", "wanted"),
    [
        ("children", 0, "children", "filled"), ("children", 1, "children", "first_fill"),
        ("children", 2, "children", "complete"), ("groups", 0, "groups", "as_asked"), ("groups", 1, "groups", "block"),
        ("groups", 2, "groups", "reduce"), ("groups", 3, "groups", "cancel"),
        ("group_change", 1, "group_change_refused", True), ("global_cancel", 1, "global_cancel", "api"),
        ("next_ids", 1, "next_id", "above_all"), ("next_ids", 2, "next_id", "stuck"),
        ("ids_above_shown", 1, "ids_above_all_shown", True), ("fill_pieces", 3, "pieces", 3),
    ],
)  # fmt: skip
def test_rules_have_names(name: str, value: int, rule: str, wanted: Any, gateway: ThreadedServer) -> None:
    play(gateway, name, value)
    assert gateway.call(lambda server: getattr(server.gateway.broker.rules, rule)) == wanted
    play(gateway, "friendly")
    assert gateway.call(lambda server: getattr(server.gateway.broker.rules, rule)) != wanted or value == 0


@pytest.mark.parametrize("told", [0, 1])
def test_a_burst_of_fills_ends_the_connection(
    told: int, client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, "fill_pieces", 3)
    play(gateway, "drop_on_fill", told)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 10))
    client.wait("connectionClosed")
    shares = [int(execution.shares) for _, _, execution in client.all("execDetails")]
    assert (shares, units(gateway)) == ([4, 3, 3] if told else [], 10)


@BOTH_WIRES
def test_the_owner_acts_by_hand(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    for name, value in (
        ("hand_order", 3), ("hand_trade", 10), ("hand_order_elsewhere", 5), ("hand_trade_elsewhere", 100),
        ("fraction", 105), ("euro_position", 25),
    ):  # fmt: skip
        play(gateway, name, value)
    sync(client)
    assert (client.all("execDetails"), held(gateway)) == ([], {"MES": "10", "AAPL": "110.5", "SAP": "2.5"})
    client.reqAllOpenOrders()
    client.wait("openOrderEnd")
    shown = [(number, contract.symbol, order.clientId, order.orderRef, order.permId > 0)
             for number, contract, order, _ in client.all("openOrder")]  # fmt: skip
    assert shown == [(0, "MES", 0, "", True), (0, "AAPL", 0, "", True)]
    client.reqPositions()
    client.wait("positionEnd")
    told = {contract.symbol: (float(size), contract.currency) for _, contract, size, _ in client.all("position")}
    assert told == {"MES": (10.0, "USD"), "AAPL": (110.5, "USD"), "SAP": (2.5, "EUR")}
    client.cancelOrder(0, OrderCancel())
    error(client, 10147, 0)


def test_another_client_uses_our_numbers(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("SELL", 1, "STP", 5990.0, orderRef="ours"))
    client.wait("orderStatus")
    play(gateway, "client_order", 1)
    play(gateway, "client_trade", 2)
    sync(client)
    client.reqAllOpenOrders()
    client.wait("openOrderEnd")
    shown = {(order.clientId, number): order.orderRef for number, _, order, _ in client.all("openOrder")}
    assert shown == {(1, 1): "ours", (77, 1): ""}
    client.cancelOrder(1, OrderCancel())
    error(client, 202, 1)
    left = gateway.call(lambda server: [order.client_id for order in server.gateway.broker.working()])
    assert (left, units(gateway)) == ([77], 2)


def test_orders_of_others_may_be_told_to_everybody(client: Any, gateway: ThreadedServer) -> None:
    play(gateway, "foreign_told")
    play(gateway, "hand_trade", 3)
    _, _, execution = client.wait("execDetails")
    assert (execution.orderId, execution.clientId, execution.orderRef) == (0, 0, "")


@BOTH_WIRES
def test_a_login_has_two_accounts_and_values_in_euro(connected: Callable[..., Any], gateway: ThreadedServer) -> None:
    play(gateway, "second_account", 4)
    play(gateway, "euro_base")
    client = connected(2)
    assert client.wait("managedAccounts") == ("DU1234567,DU1234568",)
    client.reqPositions()
    client.wait("positionEnd")
    assert [(account, int(size)) for account, _, size, _ in client.all("position")] == [("DU1234568", 4)]
    client.reqAccountSummary(6, "All", "NetLiquidation")
    client.wait("accountSummaryEnd")
    assert {(account, currency) for _, account, _, _, currency in client.all("accountSummary")} == {
        ("DU1234567", "EUR"), ("DU1234568", "EUR"),
    }  # fmt: skip


def test_the_clock_of_the_broker_is_off(client: Any, gateway: ThreadedServer) -> None:
    client.reqCurrentTime()
    (before,) = client.wait("currentTime")
    play(gateway, "clock_offset", -3_000)
    sync(client)
    assert client.all("currentTime") == [(before - 3,)]


@BOTH_WIRES
def test_the_contract_expires(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.reqPositions()
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("SELL", 1, "STP", 5990.0))
    client.wait("orderStatus", lambda number, *_: number == 2)
    fills = len(client.all("execDetails"))
    play(gateway, "expire")
    error(client, 202, 2)
    client.wait("position", lambda _account, _contract, size, _cost: int(size) == 0)
    client.placeOrder(3, ib.mes(), ib.order("BUY", 1))
    error(client, 201, 3)
    assert (len(client.all("execDetails")), units(gateway)) == (fills, 0)


def test_a_script_names_adversities(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    script = FaultScript([Fault(1, "adversary", 7), Fault(3, "friendly"), Fault(4, "hand_trade", 2)])
    gateway.call(lambda server: server.after_step.append(script))
    gateway.step(2)
    assert gateway.call(lambda server: server.gateway.adversary) == random_adversary(7)
    gateway.step(2)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1, account="DU1234567"))
    filled(client, 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_acts_of_an_adversary_happen_at_their_steps(seed: int, gateway: ThreadedServer) -> None:
    adversary = random_adversary(seed)
    gateway.call(lambda server: behave(server, adversary))
    gateway.step(135)
    assert {act.name for act in adversary.acts} <= set(ADVERSITIES)


@pytest.mark.parametrize("seed", range(4))
def test_ib_insync_stays_connected_to_a_random_adversary(seed: int, gateway: ThreadedServer) -> None:
    gateway.call(lambda server: server.gateway.behave(random_adversary(seed)))
    with connect("127.0.0.1", gateway.port, (5,), 8.0) as client:
        contract = ib_insync.Future("MES", "202603", "CME")
        contract.conId = MES_ID
        order = ib_insync.MarketOrder("BUY", 1, account="DU1234567")
        client.placeOrder(contract, order)
        client.sleep(0.2)
        assert client.isConnected()
