"""Leaving a position by its stop: at no moment of the broker's books is a unit held without one."""

from collections.abc import Iterator
from typing import Any

import pytest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.closing.scope import OwnTrades
from adapters.ibkr.closing.stop_exit import StopExit
from adapters.ibkr.connection import gateway as connected
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from tests.adapters.ibkr.conftest import MES, START_NS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")
ACCOUNT, SESSION, OWNER = "DU1234567", 1, 7
SCOPE = OwnTrades("3fa9c1d2", SESSION, frozenset({MES.con_id}), frozenset({"O-1", "O-2", "O-3"}))


class Books:
    """A gateway at 6000.00, the session's position of three, and whether it ever lacked its stop.

    Attributes
    ----------
    naked : list of bool
        One for every change of the broker's books since the position was held.
    """

    def __init__(self, threaded: ThreadedServer) -> None:
        self.threaded, self.gateway = threaded, threaded.gateway
        self.broker: Any = threaded.gateway.broker
        self.naked: list[bool] = []
        self.said: list[str] = []
        self._exit = StopExit(ACCOUNT, 1.0, self.said.append)
        self._deliver = self.gateway.deliver

    def begin(self, side: int, *, target: bool, group: str) -> None:
        self.place(OWNER, 1, -2 * side, orderType="STP", auxPrice=6000.0 - 30 * side)
        self.place(SESSION, 1, 3 * side, orderRef="O-1:1")
        joined = {"ocaGroup": group, "ocaType": 2} if group else {}
        if target:
            self.place(SESSION, 2, -3 * side, orderRef="O-2:2", orderType="LMT", lmtPrice=6000.0 + 10 * side, **joined)
        self.place(SESSION, 3, -3 * side, orderRef="O-3:3", orderType="STP", auxPrice=6000.0 - 10 * side, **joined)
        self.gateway.deliver = self._witness  # type: ignore[method-assign]

    def place(self, client_id: int, number: int, units: int, **more: Any) -> None:
        wanted = {"action": "BUY" if units > 0 else "SELL", "orderType": "MKT", "tif": "GTC", "transmit": True, **more}
        order = Order(totalQuantity=str(abs(units)), **wanted)
        request = PlaceOrderRequest(orderId=number, contract=MES.to_contract(), order=order)
        self.threaded.call(lambda server: server.gateway.broker.place(client_id, request))

    def fault(self, name: str, value: int = 1) -> None:
        self.threaded.call(lambda server: FAULTS[name](server, value))

    def leave(self) -> None:
        where = "127.0.0.1", self.threaded.server.port
        with connected(*where, (SESSION,), 5.0, synchronised=False) as client:
            self._exit.run(client, SCOPE)

    def _witness(self) -> None:
        stops = sum(order.remaining for order in self.broker.working(SESSION) if order.is_stop)
        self.naked.append(stops < abs(self.units))
        self._deliver()

    @property
    def units(self) -> int:
        return sum(trade.units for trade in self.broker.trades if trade.client_id == SESSION)

    def resting(self, client_id: int = SESSION) -> list[str]:
        return self.threaded.call(lambda _: sorted(each.request.orderType for each in self.broker.working(client_id)))

    def exits(self) -> list[Any]:
        return [each for each in self.broker.orders.values() if each.request.orderRef.startswith("flatten-")]


@pytest.fixture
def books() -> Iterator[Books]:
    bars = [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(20)]
    market = Market([MES], {MES.con_id: bars}, start_ns=START_NS + 300 * SECOND_NS)
    with running(GatewayServer(Gateway([MES], market, ACCOUNT, 1_000_000_000))) as threaded:
        yield Books(threaded)


def is_left(books: Books) -> bool:
    """The own position is gone by one order, the owner's order is as it was, and no unit was ever without a stop."""
    assert not any(books.naked)
    assert books.resting(OWNER) == ["STP"]
    return (books.units, books.resting()) == (0, [])


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("group", ["", "O-1-1"])
def test_the_stop_takes_the_price_of_the_take_profit(books: Books, side: int, group: str) -> None:
    books.begin(side, target=True, group=group)
    books.leave()
    if not group and books.resting() == ["LMT"]:
        books.threaded.call(lambda server: server.gateway.broker.cancel(SESSION, 2))
    assert is_left(books)
    assert (books.exits(), books.said) == ([], ["moving the stop of 3 MESH6 through the market"])


@pytest.mark.parametrize("side", [1, -1])
def test_without_a_take_profit_a_market_order_joins_the_stops_group(books: Books, side: int) -> None:
    books.begin(side, target=False, group="O-1-1")
    books.leave()
    assert is_left(books)
    (sent,) = books.exits()
    assert (sent.units, sent.request.ocaGroup, sent.request.ocaType) == (3, "O-1-1", 2)


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_alone_and_without_a_group_is_moved_beyond_the_last_price(books: Books, side: int) -> None:
    books.begin(side, target=False, group="")
    books.leave()
    assert is_left(books)
    assert books.exits() == []
    stop = next(each for each in books.broker.orders.values() if each.client_id == SESSION and each.request.auxPrice)
    assert stop.request.auxPrice == 6000.0 + 30 * side, "half a percent beyond 6000.00, on the tick"


def test_without_history_and_group_nothing_is_sent_and_the_stop_stays(books: Books) -> None:
    books.begin(1, target=False, group="")
    books.fault("no_history")
    books.leave()
    assert (books.units, books.resting(), books.exits(), any(books.naked)) == (3, ["STP"], [], False)


def test_a_stop_that_may_not_be_moved_is_joined_once_the_take_profit_is_gone(books: Books) -> None:
    books.begin(1, target=True, group="O-1-1")
    books.fault("groups", 1)  # a limit order that rests in the group holds back whatever joins it
    books.fault("modify_error", 201)
    books.leave()
    assert is_left(books)
    assert len(books.exits()) == 1


def test_a_refused_exit_leaves_the_stop_and_is_tried_again(books: Books) -> None:
    books.begin(1, target=False, group="O-1-1")
    books.fault("exit_errors", 201)
    books.leave()
    assert (books.units, books.resting(), any(books.naked)) == (3, ["STP"], False)
    assert any(line.startswith("exit of 3 MESH6: 201 ") for line in books.said)
    books.fault("exit_errors", 0)
    books.leave()
    assert is_left(books)


@pytest.mark.parametrize("fault", ["dropped_order", "halt"])
def test_an_exit_without_an_answer_or_a_fill_is_never_sent_a_second_time(books: Books, fault: str) -> None:
    books.begin(1, target=False, group="O-1-1")
    books.fault(fault)
    for _ in range(3):
        books.leave()
    assert books.units == 3
    assert "STP" in books.resting()
    sent = [line for line in books.said if line.startswith("closing ")]
    assert (len(sent), any(books.naked)) == (1, False)
