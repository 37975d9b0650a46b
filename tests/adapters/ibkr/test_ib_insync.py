"""ib_insync, the client of the emergency flatten, against the simulated gateway."""

import asyncio
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adapters.ibkr.simulator.server import ThreadedServer

with warnings.catch_warnings():
    # eventkit asks for the event loop at import, which Python 3.12 deprecates.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ib_insync

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")


@pytest.fixture
def insync(gateway: ThreadedServer) -> Iterator[Any]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client = ib_insync.IB()
    client.connect("127.0.0.1", gateway.port, clientId=7, timeout=10)
    yield client
    client.disconnect()
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    asyncio.set_event_loop(None)


def until(client: Any, look: Callable[[], bool]) -> None:
    patience = time.monotonic() + 10
    while not look():
        assert time.monotonic() < patience, "never happened"
        client.sleep(0.01)


def future() -> Any:
    return ib_insync.Future("MES", "202603", "CME", currency="USD")


def test_it_connects_and_synchronises(insync: Any) -> None:
    assert insync.client.serverVersion() == 176
    assert insync.managedAccounts() == ["DU1234567"]
    values = {value.tag: value.value for value in insync.accountValues()}
    assert values["NetLiquidation"] == "100000.00"


def test_contract_history_and_orders(insync: Any, gateway: ThreadedServer) -> None:
    (details,) = insync.reqContractDetails(future())
    assert (details.contract.localSymbol, details.minTick) == ("MESH6", 0.25)
    bars = insync.reqHistoricalData(details.contract, "", "180 S", "1 min", "TRADES", False, 2)
    assert [bar.close for bar in bars] == [6000.5, 6001.0, 6001.5]
    entry = insync.placeOrder(details.contract, ib_insync.MarketOrder("BUY", 3))
    target = insync.placeOrder(details.contract, ib_insync.LimitOrder("SELL", 3, 6020.0))
    stop = insync.placeOrder(details.contract, ib_insync.StopOrder("SELL", 3, 5980.0))
    until(insync, lambda: stop.orderStatus.status == "PreSubmitted" and entry.fills[0].commissionReport.execId != "")
    assert (entry.orderStatus.status, entry.orderStatus.avgFillPrice) == ("Filled", 6001.5)
    assert [fill.commissionReport.commission for fill in entry.fills] == [1.86]
    assert (target.orderStatus.status, stop.orderStatus.status) == ("Submitted", "PreSubmitted")
    assert [(held.contract.conId, held.position) for held in insync.positions()] == [(730283085, 3.0)]
    assert {trade.order.orderType for trade in insync.reqAllOpenOrders()} == {"LMT", "STP"}
    insync.reqGlobalCancel()
    until(insync, lambda: (target.orderStatus.status, stop.orderStatus.status) == ("Cancelled", "Cancelled"))


def test_keep_up_to_date_and_five_second_bars(insync: Any, gateway: ThreadedServer) -> None:
    bars = insync.reqHistoricalData(
        insync.reqContractDetails(future())[0].contract, "", "60 S", "1 min", "TRADES", False, 2, True
    )
    seconds = insync.reqRealTimeBars(insync.reqContractDetails(future())[0].contract, 5, "TRADES", False)
    insync.reqCurrentTime()  # both subscriptions have been read
    gateway.step(6)
    until(insync, lambda: len(bars) == 3 and len(seconds) == 12)
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars[-2:]] == [
        (6001.5, 6002.5, 6000.75, 6002.0),
        (6002.0, 6002.0, 6002.0, 6002.0),
    ]


def test_completed_orders_and_what_if(insync: Any) -> None:
    contract = insync.reqContractDetails(future())[0].contract
    state = insync.whatIfOrder(contract, ib_insync.MarketOrder("BUY", 1))
    assert (state.initMarginChange, state.commission) == ("2400", 0.62)
    order = insync.placeOrder(contract, ib_insync.MarketOrder("BUY", 1))
    until(insync, order.isDone)
    (done,) = insync.reqCompletedOrders(False)
    assert (done.orderStatus.status, done.order.action) == ("Filled", "BUY")
