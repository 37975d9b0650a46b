"""Unmodified clients of every protocol generation ask for everything that a trading session needs."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ibapi.execution import ExecutionFilter
from ibapi.order_cancel import OrderCancel

from adapters.ibkr.simulator.server import ThreadedServer

VERSIONS = pytest.mark.parametrize("version", [176, 200, 206, 222])


@VERSIONS
def test_the_version_agreed_upon_is_the_one_offered(client: Any, version: int) -> None:
    assert client.serverVersion() == version
    assert client.wait("managedAccounts") == ("DU1234567",)
    assert client.wait("nextValidId") == (1,)


@VERSIONS
def test_contract_details_resolve_to_one_contract(client: Any, ib: SimpleNamespace) -> None:
    client.reqContractDetails(5, ib.mes())
    client.wait("contractDetailsEnd", lambda req_id: req_id == 5)
    ((_, details),) = client.all("contractDetails")
    assert (details.contract.conId, details.contract.localSymbol) == (730283085, "MESH6")
    assert (details.minTick, float(details.contract.multiplier), details.contractMonth) == (0.25, 5.0, "202603")


@VERSIONS
def test_a_share_carries_its_isin(client: Any, ib: SimpleNamespace) -> None:
    contract = ib.mes()
    contract.symbol, contract.secType, contract.exchange = "SPY", "STK", "SMART"
    contract.lastTradeDateOrContractMonth = ""
    client.reqContractDetails(6, contract)
    client.wait("contractDetailsEnd")
    ((_, details),) = client.all("contractDetails")
    assert [(pair.tag, pair.value) for pair in details.secIdList] == [("ISIN", "US78462F1030")]


def test_an_unknown_contract_is_error_200(client: Any, ib: SimpleNamespace) -> None:
    contract = ib.mes()
    contract.lastTradeDateOrContractMonth = "202612"
    client.reqContractDetails(5, contract)
    client.wait("error", lambda req_id, _time, code, *_: (req_id, code) == (5, 200))


@VERSIONS
def test_account_summary_and_updates(client: Any) -> None:
    client.reqAccountSummary(6, "All", "NetLiquidation,FullAvailableFunds")
    client.reqAccountUpdates(True, "")
    client.reqPositions()
    client.wait("accountSummaryEnd")
    client.wait("accountDownloadEnd")
    client.wait("positionEnd")
    assert client.all("accountSummary") == [
        (6, "DU1234567", "NetLiquidation", "100000.00", "USD"),
        (6, "DU1234567", "FullAvailableFunds", "100000.00", "USD"),
    ]
    assert ("TotalCashValue", "100000.00", "USD", "DU1234567") in client.all("updateAccountValue")


@VERSIONS
def test_history_is_what_closed_and_keeps_up_to_date(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.reqHistoricalData(7, ib.mes(), "", "120 S", "1 min", "TRADES", 0, 2, True, [])
    client.wait("historicalDataEnd")
    bars = [
        (bar.date, bar.open, bar.high, bar.low, bar.close, int(bar.volume)) for _, bar in client.all("historicalData")
    ]
    assert bars == [
        ("1767623460", 6000.5, 6001.5, 5999.75, 6001.0, 400),
        ("1767623520", 6001.0, 6002.0, 6000.25, 6001.5, 400),
    ]
    gateway.step(6)  # one whole bar and the announcement of the next
    _, newest = client.wait("historicalDataUpdate", lambda _, bar: bar.date == "1767623640")
    assert (newest.open, newest.close, int(newest.volume)) == (6002.0, 6002.0, 0)
    last = [bar for _, bar in client.all("historicalDataUpdate") if bar.date == "1767623580"][-1]
    assert (last.open, last.high, last.low, last.close, int(last.volume)) == (6001.5, 6002.5, 6000.75, 6002.0, 400)


@VERSIONS
def test_five_second_bars_add_up_to_the_minute(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.reqRealTimeBars(8, ib.mes(), 5, "TRADES", False, [])
    client.reqCurrentTime()
    client.wait("currentTime")  # the subscription before it has been read
    gateway.step(5)
    client.wait("realtimeBar", lambda _, begin, *rest: begin == 1767623635)
    bars = client.all("realtimeBar")
    assert [bar[1] for bar in bars] == list(range(1767623580, 1767623640, 5))
    assert (bars[0][2], max(bar[3] for bar in bars), min(bar[4] for bar in bars), bars[-1][5]) == (
        6001.5, 6002.5, 6000.75, 6002.0,
    )  # fmt: skip
    assert sum(int(bar[6]) for bar in bars) == 400


@VERSIONS
def test_quotes_and_single_trades(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.reqMktData(9, ib.mes(), "", False, False, [])
    client.reqTickByTickData(10, ib.mes(), "Last", 0, False)
    client.reqTickByTickData(11, ib.mes(), "BidAsk", 0, False)
    client.reqMktData(12, ib.mes(), "", True, False, [])
    client.wait("tickSnapshotEnd", lambda req_id: req_id == 12)
    gateway.step(5)
    client.wait("tickByTickBidAsk", lambda _, second, *rest: second == 1767623640)
    assert [(kind, price) for req_id, kind, price, _ in client.all("tickPrice") if req_id == 9][-3:] == [
        (1, 6002.0), (2, 6002.0), (4, 6002.0),
    ]  # fmt: skip
    prices = [price for _, _, _, price, *_ in client.all("tickByTickAllLast")]
    assert prices == [6001.5, 6000.75, 6002.5, 6002.0]  # low first: it is nearer to the open


@VERSIONS
def test_a_market_order_fills_and_is_reported(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2, orderRef="entry-1"))
    status = client.wait("orderStatus", lambda order_id, state, *rest: state == "Filled")
    assert (status[0], int(status[2]), int(status[3]), status[4]) == (1, 2, 0, 6001.5)
    _, _, execution = client.wait("execDetails")
    assert (execution.side, int(execution.shares), execution.price) == ("BOT", 2, 6001.5)
    assert execution.orderRef == "entry-1"
    (report,) = client.wait("commissionAndFeesReport")
    assert (report.execId, report.commissionAndFees) == (execution.execId, 1.24)
    assert gateway.call(lambda server: server.gateway.broker.account.units(730283085)) == 2


@VERSIONS
def test_open_completed_and_executed_orders_can_be_asked_for(client: Any, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 1))
    client.placeOrder(2, ib.mes(), ib.order("SELL", 1, "LMT", 6010.25, ocaGroup="exit", ocaType=3, orderRef="target"))
    client.placeOrder(3, ib.mes(), ib.order("SELL", 1, "STP", 5990.0, ocaGroup="exit", ocaType=3))
    client.wait("orderStatus", lambda order_id, *rest: order_id == 3)
    client.reqOpenOrders()
    client.wait("openOrderEnd")
    shown = {order_id: order for order_id, _, order, _ in client.all("openOrder")}
    assert (shown[2].lmtPrice, shown[2].ocaGroup, shown[2].ocaType, shown[2].orderRef) == (6010.25, "exit", 3, "target")
    assert (shown[3].auxPrice, shown[3].orderType, shown[3].tif) == (5990.0, "STP", "GTC")
    client.reqExecutions(11, ExecutionFilter())
    client.wait("execDetailsEnd")
    assert [(req_id, execution.orderId) for req_id, _, execution in client.all("execDetails") if req_id == 11] == [
        (11, 1)
    ]
    client.cancelOrder(2, OrderCancel())
    client.wait("error", lambda order_id, _time, code, *_: (order_id, code) == (2, 202))
    client.reqCompletedOrders(False)
    client.wait("completedOrdersEnd")
    assert [state.completedStatus for _, _, state in client.all("completedOrder")] == ["Filled", "Cancelled"]


@VERSIONS
def test_what_if_previews_margin_and_places_nothing(client: Any, gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client.placeOrder(1, ib.mes(), ib.order("BUY", 2, whatIf=True))
    _, _, _, state = client.wait("openOrder")
    assert float(state.initMarginAfter) == 4800.0
    assert float(state.maintMarginChange) == 4360.0
    assert state.commissionAndFees == 1.24
    assert gateway.call(lambda server: dict(server.gateway.broker.orders)) == {}


@VERSIONS
def test_a_global_cancel_reaches_every_client(
    connected: Callable[..., Any], gateway: ThreadedServer, ib: SimpleNamespace
) -> None:
    first, second = connected(1), connected(2)
    first.placeOrder(1, ib.mes(), ib.order("BUY", 1, "LMT", 5990.0))
    first.wait("orderStatus")
    second.reqGlobalCancel(OrderCancel())
    first.wait("orderStatus", lambda _, state, *rest: state == "Cancelled")
    assert gateway.call(lambda server: server.gateway.broker.working()) == []


def test_requests_without_a_started_api_close_the_connection(gateway: ThreadedServer, ib: SimpleNamespace) -> None:
    client = ib.RecordingClient()
    client.startApi = lambda: None
    client.start(gateway.port)
    client.reqIds(1)
    client.wait("connectionClosed")
    client.stop()
    assert client.all("nextValidId") == []
