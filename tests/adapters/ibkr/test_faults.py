"""Every fault, seen from a client, with the state that the broker ends in."""

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ibapi.execution import ExecutionFilter

from adapters.ibkr.simulator.faults import FAULTS, Fault, FaultError, FaultScript
from adapters.ibkr.simulator.server import ThreadedServer

MES_ID = 730283085
BOTH_WIRES = pytest.mark.parametrize("version", [176, 222])


def truth(gateway: ThreadedServer) -> tuple[int, list[str]]:
    """Position and the kinds of working orders, as the broker has them."""
    return gateway.call(
        lambda server: (
            server.gateway.broker.account.units(MES_ID),
            [order.request.orderType for order in server.gateway.broker.working()],
        )
    )


def play(gateway: ThreadedServer, name: str, value: int = 1) -> None:
    gateway.call(lambda server: FAULTS[name](server, value))


def subscribe(client: Any, ib: SimpleNamespace) -> None:
    client.reqHistoricalData(7, ib.mes(), "", "60 S", "1 min", "TRADES", 0, 2, True, [])
    client.wait("historicalDataEnd")


def catch_up(client: Any) -> None:
    """Return when the client has heard everything that was sent before: one connection keeps the order."""
    client.reqCurrentTime()
    client.wait("currentTime")


def protect(client: Any, ib: SimpleNamespace) -> None:
    """One contract long at 6001.50 with a stop at 5995.00."""
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("SELL", 1, "STP", 5995.0))
    client.wait("orderStatus", lambda order_id, *rest: order_id == 2)


@BOTH_WIRES
@pytest.mark.parametrize("fault", ["drop", "reset"])
def test_a_broken_connection_leaves_orders_and_position_at_the_broker(
    fault: str, client: Any, connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    protect(client, ib)
    play(gateway, fault)
    client.wait("connectionClosed")
    assert truth(gateway) == (1, ["STP"])
    again = connected(1)
    again.reqOpenOrders()
    again.wait("openOrderEnd")
    assert [order.auxPrice for _, _, order, _ in again.all("openOrder")] == [5995.0]
    assert again.wait("nextValidId") == (3,)


def test_a_stop_fills_while_its_owner_is_away(
    client: Any, connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    protect(client, ib)
    client.placeOrder(2, ib.mes(), ib.order("SELL", 1, "STP", 6001.0))  # the next low is 6000.75
    client.wait("openOrder", lambda _id, _contract, order, _state: order.auxPrice == 6001.0)
    play(gateway, "drop")
    client.wait("connectionClosed")
    gateway.step(3)
    assert truth(gateway) == (0, [])
    again = connected(1)
    again.reqPositions()
    again.wait("positionEnd")
    assert [int(units) for _, _, units, _ in again.all("position")] == [0]
    again.reqExecutions(9, ExecutionFilter())
    again.wait("execDetailsEnd")
    assert [execution.price for _, _, execution in again.all("execDetails")] == [6001.5, 6001.0]


@BOTH_WIRES
def test_silence_delays_everything_and_loses_nothing(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "silence", 1)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    time.sleep(0.2)
    assert truth(gateway) == (0, [])
    assert client.isConnected()
    play(gateway, "silence", 0)
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    assert truth(gateway) == (1, [])


def test_a_half_open_connection_takes_no_orders_and_frees_the_client_id(
    client: Any, connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    protect(client, ib)
    play(gateway, "half_open")
    client.placeOrder(3, ib.mes(), ib.order("SELL", 1))
    again = connected(1)  # the old connection is dead, so its id is free
    again.reqIds(1)
    again.wait("nextValidId")
    assert client.isConnected()
    assert truth(gateway) == (1, ["STP"])


@BOTH_WIRES
def test_1100_keeps_orders_back_and_1102_sends_them(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    subscribe(client, ib)
    play(gateway, "servers_lost")
    client.wait("error", lambda _id, _time, code, *_: code == 1100)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    gateway.step(6)
    catch_up(client)
    assert truth(gateway) == (0, [])
    assert client.all("historicalDataUpdate") == []
    play(gateway, "servers_back")
    client.wait("error", lambda _id, _time, code, *_: code == 1102)
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    gateway.step()
    client.wait("historicalDataUpdate")  # 1102: the subscription survived
    assert truth(gateway) == (1, [])


def test_a_stop_that_fills_during_1100_is_told_with_1102(
    client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    protect(client, ib)
    client.placeOrder(2, ib.mes(), ib.order("SELL", 1, "STP", 6001.0))
    client.wait("openOrder", lambda _id, _contract, order, _state: order.auxPrice == 6001.0)
    play(gateway, "servers_lost")
    gateway.step(3)
    assert truth(gateway) == (0, [])
    assert [order_id for order_id, state, *_ in client.all("orderStatus") if state == "Filled"] == [1]
    play(gateway, "servers_back")
    client.wait("orderStatus", lambda order_id, state, *rest: (order_id, state) == (2, "Filled"))


def test_1101_loses_subscriptions(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    subscribe(client, ib)
    play(gateway, "servers_lost")
    play(gateway, "servers_back", 0)
    client.wait("error", lambda _id, _time, code, *_: code == 1101)
    gateway.step(5)
    catch_up(client)
    assert client.all("historicalDataUpdate") == []


@BOTH_WIRES
def test_a_broken_data_farm_stops_only_data(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    subscribe(client, ib)
    play(gateway, "data_farm", 0)
    client.wait("error", lambda _id, _time, code, *_: code == 2103)
    gateway.step(2)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    assert client.all("historicalDataUpdate") == []
    assert truth(gateway) == (1, [])
    told = client.codes().count(2104)
    play(gateway, "data_farm", 1)
    ib.wait_for(lambda: client.codes().count(2104) == told + 1 or None, "2104")
    gateway.step()
    client.wait("historicalDataUpdate")


def test_a_broken_history_farm_answers_162(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "history_farm", 0)
    client.wait("error", lambda _id, _time, code, *_: code == 2105)
    client.reqHistoricalData(7, ib.mes(), "", "60 S", "1 min", "TRADES", 0, 2, True, [])
    client.wait("error", lambda req_id, _time, code, *_: (req_id, code) == (7, 162))
    told = client.codes().count(2106)
    play(gateway, "history_farm", 1)
    ib.wait_for(lambda: client.codes().count(2106) == told + 1 or None, "2106")
    subscribe(client, ib)


@BOTH_WIRES
def test_a_client_id_in_use_is_refused_with_326(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    second = ib.RecordingClient()
    second.start(gateway.port, 1)
    second.wait("error", lambda _id, _time, code, *_: code == 326)
    second.wait("connectionClosed")
    second.stop()
    assert gateway.call(lambda server: [session.client_id for session in server.gateway.sessions]) == [1]


def test_a_dead_owner_can_keep_its_id_for_a_while(
    connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, "id_in_use", 4)
    refused = ib.RecordingClient()
    refused.start(gateway.port, 4)
    refused.wait("error", lambda _id, _time, code, *_: code == 326)
    refused.stop()
    play(gateway, "id_free", 4)
    assert connected(4).isConnected()


@BOTH_WIRES
def test_162_and_10197_answer_requests_for_data(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "no_history")
    play(gateway, "no_quotes")
    client.reqHistoricalData(7, ib.mes(), "", "60 S", "1 min", "TRADES", 0, 2, True, [])
    client.reqMktData(9, ib.mes(), "", False, False, [])
    client.wait("error", lambda req_id, _time, code, *_: (req_id, code) == (7, 162))
    client.wait("error", lambda req_id, _time, code, *_: (req_id, code) == (9, 10197))
    gateway.step(5)
    assert client.all("historicalDataUpdate") == []
    assert client.all("tickPrice") == []


@BOTH_WIRES
def test_201_rejects_one_order(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "reject_order")
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.wait("error", lambda order_id, _time, code, *_: (order_id, code) == (1, 201))
    client.placeOrder(2, ib.mes(), ib.order("BUY", 1))
    client.wait("orderStatus", lambda order_id, state, *rest: (order_id, state) == (2, "Filled"))
    assert truth(gateway) == (1, [])


def test_partial_fills_take_several_prices(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    play(gateway, "partial_fills", 2)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 5))
    client.wait("orderStatus", lambda _, state, filled, *rest: (state, int(filled)) == ("Submitted", 2))
    assert truth(gateway) == (2, ["MKT"])
    gateway.step(4)
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    sizes = [int(execution.shares) for _, _, execution in client.all("execDetails")]
    assert (sizes, truth(gateway)) == ([2, 2, 1], (5, []))


def test_late_fills_are_reported_when_they_are_released(
    client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, "late_fills", 1)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    ib.wait_for(lambda: truth(gateway) == (1, []) or None, "the fill at the broker")
    client.reqExecutions(9, ExecutionFilter())
    client.wait("execDetailsEnd")
    assert client.all("execDetails") == []
    play(gateway, "late_fills", 0)
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    client.wait("execDetails")
    client.wait("commissionAndFeesReport")


def test_a_halt_holds_orders_and_data(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    subscribe(client, ib)
    play(gateway, "halt", 1)
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.wait("orderStatus", lambda _, state, *rest: state == "PreSubmitted")
    gateway.step(5)
    assert truth(gateway) == (0, ["MKT"])
    assert client.all("historicalDataUpdate") == []
    play(gateway, "halt", 0)
    client.wait("orderStatus", lambda _, state, *rest: state == "Filled")
    assert truth(gateway) == (1, [])


@BOTH_WIRES
def test_duplicate_and_stale_bars_reach_the_client(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    subscribe(client, ib)
    gateway.step(6)
    client.wait("historicalDataUpdate", lambda _, bar: bar.date == "1767623640")
    before = len(client.all("historicalDataUpdate"))
    play(gateway, "duplicate_bar", 3)
    play(gateway, "stale_bar", 2)
    ib.wait_for(lambda: len(client.all("historicalDataUpdate")) == before + 4 or None, "four more bars")
    dates = [bar.date for _, bar in client.all("historicalDataUpdate")[-4:]]
    assert dates == ["1767623640"] * 3 + ["1767623520"]


def answers(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def test_a_nightly_restart_keeps_orders_and_reopens_the_port(
    client: Any, connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    protect(client, ib)
    port = gateway.port
    play(gateway, "restart", 3_000)
    client.wait("connectionClosed")
    assert not answers(port)
    ib.wait_for(lambda: answers(port), "the port to open again")
    again = connected(1)
    assert (gateway.port, truth(gateway)) == (port, (1, ["STP"]))
    again.reqOpenOrders()
    again.wait("openOrderEnd")
    assert len(again.all("openOrder")) == 1


def test_a_burst_that_ends_on_4096_bytes_is_lost_by_ibapi(
    client: Any, gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    play(gateway, "end_on_buffer")
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    time.sleep(1.3)  # ibapi gives up after one second without more bytes
    assert client.all("orderStatus") == []
    assert truth(gateway) == (1, [])
    client.reqPositions()
    client.wait("positionEnd")
    assert [int(units) for _, _, units, _ in client.all("position")] == [1]


@BOTH_WIRES
def test_a_corrupt_message_is_followed_by_good_ones_at_the_broker(
    client: Any, gateway: ThreadedServer, ib: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[Any] = []
    monkeypatch.setattr("threading.excepthook", lambda failure: died.append(failure.exc_type.__name__))
    protect(client, ib)
    play(gateway, "corrupt")
    ib.wait_for(lambda: died or not client.isConnected() or None, "the client's reading thread to fail")
    assert truth(gateway) == (1, ["STP"])


def test_a_script_plays_its_faults_at_their_steps(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    script = FaultScript([Fault(2, "data_farm", 0), Fault(4, "data_farm", 1), Fault(5, "reject_order")])
    gateway.call(lambda server: server.after_step.append(script))
    subscribe(client, ib)
    gateway.step(5)
    ib.wait_for(lambda: len(client.all("historicalDataUpdate")) >= 3 or None, "bars outside the fault")
    assert len(client.all("historicalDataUpdate")) == 3  # steps 1, 2 and 5
    assert gateway.call(lambda server: server.gateway.broker.refuse_next is not None)


def test_unknown_faults_are_named() -> None:
    with pytest.raises(FaultError, match=r"fault must be one of drop, reset, .*, was 'earthquake'"):
        FaultScript([Fault(1, "earthquake")])


def test_every_fault_has_a_test_here() -> None:
    pages = (page.read_text(encoding="utf-8") for page in Path(__file__).parent.glob("test_*.py"))
    named = {name for page in pages for name in re.findall(r'"(\w+)"', page)}
    assert set(FAULTS) <= named
