"""The flatten against a gateway whose answers are late, old, repeated, lost or of others; the broker is the judge."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.ManagedAccounts_pb2 import ManagedAccounts
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.OrderStatus_pb2 import OrderStatus
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from ibapi.protobuf.Position_pb2 import Position
from ibapi.protobuf.PositionEnd_pb2 import PositionEnd

from adapters.ibkr.closing.book import Executed, Pace
from adapters.ibkr.closing.flatten import Flattened, Flattening, flatten_gateway
from adapters.ibkr.closing.scope import OneContract, OwnTrades, Scope, WholeAccount
from adapters.ibkr.connection import GatewayError
from adapters.ibkr.connection import gateway as connected
from adapters.ibkr.simulator import answers
from adapters.ibkr.simulator.adversary.draw import random_adversary
from adapters.ibkr.simulator.adversities import behave
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from tests.adapters.ibkr.conftest import MES, SPY, START_NS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")

ACCOUNT, OTHER_ACCOUNT = "DU1234567", "DU7654321"
FAST = 10.0  # delays and patience are ten times shorter than in earnest; the slow test takes them as they are
SESSION, OWNER, BY_HAND = 1, 7, 0
ASKED = ("PositionsRequest", "AllOpenOrdersRequest", "ExecutionRequest")
REFUSED = Refusal(201, "Order rejected - reason:The exchange is closed")


@dataclass
class Adversary:
    """Takes the gateway's answers in hand; the broker behind it stays as it is.

    Attributes
    ----------
    delay : callable
        Seconds by which an answer of a kind is late.
    staleness_s : float
        Age of the positions that an answer shows.
    repeats : int
        Times that every answer comes again.
    lost : tuple of type
        Messages to the client that never arrive.
    accounts : str
        Accounts of the login.
    is_moving : bool
        Whether the market moves a step with every question for positions.
    others : list of Position
        Rows of other accounts.
    fractions : dict of int to Decimal
        Added to what is held, by contract.
    """

    threaded: ThreadedServer
    delay: Callable[[str], float] = lambda _: 0.0
    staleness_s: float = 0.0
    repeats: int = 0
    lost: tuple[type[Message], ...] = ()
    accounts: str = ACCOUNT
    is_moving: bool = False
    others: list[Position] = field(default_factory=list)
    fractions: dict[int, Decimal] = field(default_factory=dict)
    history: list[tuple[float, dict[int, int]]] = field(default_factory=list)
    shown_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trade = self.broker.account.trade
        self.broker.account.trade = self._book  # type: ignore[method-assign]
        self._note()

    @property
    def server(self) -> GatewayServer:
        return self.threaded.server

    @property
    def broker(self) -> Any:
        return self.server.gateway.broker

    def held(self) -> dict[int, int]:
        return {con_id: holding.units for con_id, holding in self.broker.account.holdings.items()}

    def _book(self, *args: Any) -> int:
        realized = self._trade(*args)
        self._note()
        return realized

    def _note(self) -> None:
        self.history.append((time.monotonic(), self.held()))

    def positions(self) -> list[Message]:
        self.shown_at.append(time.monotonic())
        seen_s = time.monotonic() - self.staleness_s
        shown = next((held for at_s, held in reversed(self.history) if at_s <= seen_s), self.history[0][1])
        rows: list[Message] = [
            Position(
                account=ACCOUNT,
                contract=self.broker.contracts[con_id].to_contract(),
                position=str(Decimal(units) + self.fractions.get(con_id, Decimal(0))),
            )
            for con_id, units in shown.items()
        ]
        return [*rows, *self.others, PositionEnd()]

    def answer(self, kind: str, real: answers.Answer, gateway: Gateway, session: Any, request: Any) -> list[Message]:
        """What is sent at once; the rest is sent later."""
        if kind == "PositionsRequest" and self.is_moving:
            gateway.step()
        messages = self.positions() if kind == "PositionsRequest" else real(gateway, session, request)
        if kind == "ManagedAccountsRequest":
            messages = [ManagedAccounts(accountsList=self.accounts)]
        wait_s = self.delay(kind) if kind in ASKED else 0.0
        if not wait_s:
            return messages * (1 + self.repeats)
        for number in range(1 + self.repeats):
            self.later(wait_s * (1 + number), session, messages)
        return []

    def later(self, wait_s: float, session: Any, messages: list[Message]) -> None:
        def send() -> None:
            if session in self.server.gateway.sessions:
                session.outbox += messages
                self.server.flush()

        asyncio.get_running_loop().call_later(wait_s, send)


@pytest.fixture
def plain() -> Iterator[ThreadedServer]:
    """A gateway of MES and SPY that stands still."""
    bars = {
        terms.con_id: [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(20)]
        for terms in (MES, SPY)
    }
    market = Market([MES, SPY], bars, start_ns=START_NS + 300 * SECOND_NS)
    with running(GatewayServer(Gateway([MES, SPY], market, ACCOUNT, 1_000_000_000))) as threaded:
        yield threaded


@pytest.fixture
def adversary(plain: ThreadedServer, monkeypatch: pytest.MonkeyPatch) -> Adversary:
    """The gateway with its answers in the hands of the test."""
    taken = Adversary(plain)
    for kind, real in list(answers.ANSWERS.items()):

        def asked(gateway: Gateway, session: Any, request: Any, kind: str = kind, real: Any = real) -> list[Message]:
            return taken.answer(kind, real, gateway, session, request)

        monkeypatch.setitem(answers.ANSWERS, kind, asked)
    gateway = plain.gateway
    start, tell = gateway.start, gateway.deliver

    def begin(session: Any, client_id: int) -> bool:
        is_begun = start(session, client_id)
        for number, message in enumerate(session.outbox):
            if isinstance(message, ManagedAccounts):
                session.outbox[number] = ManagedAccounts(accountsList=taken.accounts)
        return is_begun

    def deliver() -> None:
        events = gateway.broker.events
        events[:] = [each for each in events if not isinstance(each.message, taken.lost)]
        tell()

    monkeypatch.setattr(gateway, "start", begin)
    monkeypatch.setattr(gateway, "deliver", deliver)
    return taken


def order(
    adversary: Adversary, client_id: int, number: int, units: int, terms: ContractTerms = MES, **more: Any
) -> None:
    """Place an order at the broker, as another client does; a market order without a price."""
    wanted = {"action": "BUY" if units > 0 else "SELL", "orderType": "MKT", "tif": "GTC", "transmit": True, **more}
    request = PlaceOrderRequest(
        orderId=number, contract=terms.to_contract(), order=Order(totalQuantity=str(abs(units)), **wanted)
    )
    adversary.threaded.call(lambda server: server.gateway.broker.place(client_id, request))


def flatten(
    adversary: Adversary,
    scope: Scope | None = None,
    pace: Pace | None = None,
    timeout_s: float = 20.0,
    request_timeout_s: float = 12.0,
) -> tuple[Flattened, list[str]]:
    """Flatten as the command does; what it said comes with it."""
    said: list[str] = []

    def begin(_: Any) -> Flattening:
        return Flattening(ACCOUNT, scope or WholeAccount(), pace or Pace().faster(FAST), said.append)

    where = "127.0.0.1", adversary.server.port
    return flatten_gateway(where, (91, 92), request_timeout_s, begin, timeout_s, said.append), said


def reversals(adversary: Adversary, con_id: int, first: int) -> list[int]:
    """Positions of a contract that were beyond zero, or more than at first."""
    units = [held.get(con_id, 0) for _, held in adversary.history]
    units = units[units.index(first) :]
    return [each for each in units if each * first < 0 or abs(each) > abs(first)]


def sent(adversary: Adversary, con_id: int = MES.con_id) -> int:
    """Units that closing orders asked the broker for."""
    orders = adversary.broker.orders.values()
    closing = [each for each in orders if each.request.orderRef.startswith("flatten-") and each.terms.con_id == con_id]
    return sum(int(float(each.request.totalQuantity)) for each in closing)


def assert_closed_without_excess(adversary: Adversary, first: int) -> None:
    assert adversary.held()[MES.con_id] == 0
    assert reversals(adversary, MES.con_id, first) == []
    assert sent(adversary) == abs(first)
    assert adversary.broker.working() == []


def all_at(delay_s: float) -> Callable[[str], float]:
    return lambda _: delay_s


@pytest.mark.parametrize("first", [3, -2])
@pytest.mark.parametrize("delay_s", [0.0, 0.2, 0.5, 1.0, 5.0])
def test_late_answers_never_make_it_send_more_than_is_held(adversary: Adversary, delay_s: float, first: int) -> None:
    order(adversary, SESSION, 1, first)
    order(adversary, SESSION, 2, -first, orderType="STP", auxPrice=5990.0 if first > 0 else 6010.0)
    adversary.delay = all_at(delay_s / FAST)
    done, _ = flatten(adversary)
    assert done.is_flat
    assert_closed_without_excess(adversary, first)


@pytest.mark.parametrize(
    ("kind", "fast"), [*((kind, FAST) for kind in ASKED), pytest.param("all", 1.0, marks=pytest.mark.slow)]
)
def test_answers_of_a_kind_five_seconds_late(adversary: Adversary, kind: str, fast: float) -> None:
    order(adversary, SESSION, 1, 3)
    adversary.delay = lambda asked: 5.0 / fast if kind in (asked, "all") else 0.0
    done, _ = flatten(adversary, pace=Pace().faster(fast), timeout_s=60.0)
    assert done.is_flat
    assert_closed_without_excess(adversary, 3)


@pytest.mark.parametrize("staleness_s", [0.2, 0.5, 1.0, 5.0])
def test_old_positions_never_make_it_send_more_than_is_held(adversary: Adversary, staleness_s: float) -> None:
    adversary.staleness_s = staleness_s / FAST
    order(adversary, SESSION, 1, 2)
    done, _ = flatten(adversary)
    assert done.is_flat
    assert_closed_without_excess(adversary, 2)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_answers_do_no_more_is_sent_than_is_held(adversary: Adversary, seed: int) -> None:
    chance = random.Random(seed)
    first = chance.choice([-5, -1, 1, 2, 4, 7])
    order(adversary, SESSION, 1, first)
    if chance.random() < 0.5:
        order(adversary, SESSION, 2, -first, orderType="STP", auxPrice=5990.0 if first > 0 else 6010.0)
    adversary.delay = lambda _: chance.choice([0.0, 0.2, 0.5, 1.0, 5.0]) * chance.random() / FAST
    adversary.staleness_s = chance.choice([0.0, 0.2, 0.5, 1.0, 5.0]) / FAST
    adversary.repeats = chance.choice([0, 0, 1, 2])
    adversary.lost = chance.choice([(), (), (ExecutionDetails,), (OrderStatus,), (ExecutionDetails, OrderStatus)])
    if chance.random() < 0.3:
        adversary.broker.refuse_next = REFUSED
    if chance.random() < 0.3:
        adversary.broker.largest_fill = 1
    adversary.is_moving = True
    done, said = flatten(adversary, timeout_s=8.0)
    assert reversals(adversary, MES.con_id, first) == [], said
    accepted = [each for each in adversary.broker.orders.values() if each.request.orderRef.startswith("flatten-")]
    assert sum(each.filled + each.remaining * each.is_working for each in accepted) <= abs(first), said
    assert done.is_flat, said
    assert adversary.held()[MES.con_id] == 0


@pytest.mark.parametrize("seed", range(12))
def test_a_random_adversary_never_makes_it_send_more_than_is_held(plain: ThreadedServer, seed: int) -> None:
    adversary = Adversary(plain)
    first = 2 + seed % 3
    order(adversary, SESSION, 1, first)
    drawn = msgspec.structs.replace(random_adversary(seed), acts=())
    plain.call(lambda server: behave(server, drawn))
    try:
        _, said = flatten(adversary, timeout_s=6.0, request_timeout_s=1.5)
    except GatewayError as error:  # some never answer
        said = [str(error)]
    assert reversals(adversary, MES.con_id, first) == [], said
    accepted = [each for each in adversary.broker.orders.values() if each.request.orderRef.startswith("flatten-")]
    assert sum(each.filled + each.remaining * each.is_working for each in accepted) <= first, said


def test_a_list_that_does_not_show_the_entry_yet_is_not_flat(adversary: Adversary) -> None:
    adversary.staleness_s = 0.3
    time.sleep(0.35)
    order(adversary, SESSION, 1, 3)
    assert adversary.positions()[:-1] == [], "the list is behind"
    done, _ = flatten(adversary)
    assert done.is_flat
    assert_closed_without_excess(adversary, 3)


def test_a_stop_that_has_just_filled_is_not_closed_again(adversary: Adversary) -> None:
    adversary.staleness_s = 0.4
    order(adversary, SESSION, 1, 3)
    time.sleep(0.45)
    order(adversary, SESSION, 2, -3)  # what a stop does
    done, _ = flatten(adversary)
    assert (done.is_flat, done.closed, sent(adversary)) == (True, {}, 0)
    assert adversary.held()[MES.con_id] == 0


def test_refusals_are_said_with_code_and_text_counted_and_paused(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 3)
    asked_at: list[float] = []
    place = adversary.broker.place

    def refuse(client_id: int, request: PlaceOrderRequest) -> None:
        asked_at.append(time.monotonic())
        adversary.broker.refuse_next = REFUSED
        place(client_id, request)

    adversary.broker.place = refuse
    done, said = flatten(adversary)
    assert (done.is_flat, done.positions_left, done.closed) == (False, {"MESH6": 3.0}, {})
    refusals = [line for line in said if line.startswith("closing order for MESH6: 201 Order rejected")]
    assert refusals[0] == (
        "closing order for MESH6: 201 Order rejected - reason:The exchange is closed; attempt 1 of 6"
    )
    assert len(refusals) == len(asked_at) == Pace().attempts
    pauses = [later - earlier for earlier, later in pairwise(asked_at)]
    assert all(pause >= least / FAST for pause, least in zip(pauses, Pace().pauses_s, strict=True))
    assert said[-1] == "+3 MESH6: not closed in 6 attempts, given up"
    assert adversary.held()[MES.con_id] == 3


def test_a_notice_about_the_order_does_not_make_it_send_again(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 3)
    adversary.broker.halted = True
    adversary.threaded.call(lambda server: FAULTS["order_error"](server, 10349))
    done, said = flatten(adversary, timeout_s=3.0)
    assert (done.is_flat, done.orders_left, sent(adversary)) == (False, 1, 3)
    assert any(line.startswith("closing order for MESH6: 10349 ") for line in said)


def test_a_fraction_of_a_share_is_named_and_left(adversary: Adversary) -> None:
    order(adversary, OWNER, 1, 10, SPY)
    adversary.fractions[SPY.con_id] = Decimal("0.5")
    done, said = flatten(adversary)
    assert "closing +10 SPY at the market" in said
    assert "0.5 SPY must be closed by hand: the API trades whole units only" in said
    assert (done.is_flat, done.positions_left, done.by_hand) == (False, {"SPY": 0.5}, {"SPY": 0.5})
    assert (adversary.held()[SPY.con_id], sent(adversary, SPY.con_id)) == (0, 10)
    assert done.seconds < 5, "what can be closed is closed: it does not wait for its timeout"


def test_other_accounts_of_the_login_are_left_alone(adversary: Adversary) -> None:
    adversary.accounts = f"{ACCOUNT},{OTHER_ACCOUNT}"
    adversary.others = [Position(account=OTHER_ACCOUNT, contract=MES.to_contract(), position="5")]
    order(adversary, SESSION, 1, 3)
    order(adversary, SESSION, 2, -3, orderType="STP", auxPrice=5990.0)
    order(adversary, OWNER, 1, -5, orderType="STP", auxPrice=5990.0, account=OTHER_ACCOUNT)
    done, _ = flatten(adversary)
    assert (done.is_flat, done.orders_cancelled) == (True, 1)
    assert adversary.held()[MES.con_id] == 0
    assert [(each.client_id, each.request.account) for each in adversary.broker.working()] == [(OWNER, OTHER_ACCOUNT)]


def test_an_order_whose_owner_is_connected_is_said_and_its_contract_is_not_closed(adversary: Adversary) -> None:
    adversary.accounts = f"{ACCOUNT},{OTHER_ACCOUNT}"
    order(adversary, SESSION, 1, 3)
    order(adversary, SESSION, 2, -3, orderType="STP", auxPrice=5990.0)
    order(adversary, OWNER, 1, 10, SPY)
    adversary.server.gateway.taken_ids.add(SESSION)
    done, said = flatten(adversary, pace=Pace().faster(4 * FAST))
    assert "1 orders of client 1 cannot be cancelled: client id 1 is in use" in said
    assert (done.positions_left, done.orders_left, done.closed) == ({"MESH6": 3.0}, 1, {"SPY": -10.0})
    assert (adversary.held()[MES.con_id], sent(adversary)) == (3, 0), "the stop may fill at any moment"


def test_one_contract_is_closed_and_the_others_stay(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 3)
    order(adversary, SESSION, 2, -3, orderType="STP", auxPrice=5990.0)
    order(adversary, OWNER, 1, 100, SPY)
    order(adversary, OWNER, 2, -100, SPY, orderType="STP", auxPrice=200.0)
    done, _ = flatten(adversary, OneContract(MES.con_id))
    assert (done.is_flat, done.orders_cancelled, done.closed) == (True, 1, {"MESH6": -3.0})
    assert adversary.held() == {MES.con_id: 0, SPY.con_id: 100}
    assert [(each.client_id, each.order_id) for each in adversary.broker.working()] == [(OWNER, 2)]


def own(*fills: Executed, con_id: int = SPY.con_id) -> OwnTrades:
    return OwnTrades("3fa9c1d2", SESSION, frozenset({con_id}), frozenset({"O-1", "O-2", "O-3"}), fills=fills)


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 5.0])
def test_a_session_leaves_what_its_owner_holds_and_ordered_in_the_same_contract(
    adversary: Adversary, delay_s: float
) -> None:
    order(adversary, OWNER, 1, 100, SPY)
    order(adversary, OWNER, 2, -40, SPY, orderType="STP", auxPrice=200.0)
    order(adversary, BY_HAND, 3, 2)
    order(adversary, SESSION, 1, 10, SPY, orderRef="O-1:1")
    order(adversary, SESSION, 2, -10, SPY, orderRef="O-2:2", orderType="STP", auxPrice=230.0)
    adversary.delay = all_at(delay_s / FAST)
    done, _ = flatten(adversary, own())
    assert (done.is_flat, done.orders_cancelled, done.closed) == (True, 1, {"SPY": -10.0})
    assert adversary.held() == {MES.con_id: 2, SPY.con_id: 100}
    assert min(held.get(SPY.con_id, 100) for _, held in adversary.history[1:]) == 100
    assert [(each.client_id, each.order_id) for each in adversary.broker.working()] == [(OWNER, 2)]
    again, _ = flatten(adversary, own())
    assert (again.is_flat, again.closed, adversary.held()[SPY.con_id]) == (True, {}, 100)


def test_an_order_of_another_client_with_the_number_of_ours_is_not_cancelled(adversary: Adversary) -> None:
    order(adversary, OWNER, 2, 5, SPY, orderType="LMT", lmtPrice=100.0)
    order(adversary, SESSION, 1, 10, SPY, orderRef="O-1:1")
    order(adversary, SESSION, 2, -10, SPY, orderRef="O-2:2", orderType="STP", auxPrice=230.0)
    done, _ = flatten(adversary, own())
    assert done.is_flat
    assert [(each.client_id, each.order_id) for each in adversary.broker.working()] == [(OWNER, 2)]


def test_what_the_owner_closed_by_hand_is_not_closed_again(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 10, SPY, orderRef="O-1:1")
    order(adversary, BY_HAND, 1, -10, SPY)
    done, _ = flatten(adversary, own())
    assert (done.is_flat, done.closed, adversary.held()[SPY.con_id]) == (True, {}, 0)


def test_a_broken_connection_is_taken_up_and_nothing_is_sent_twice(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 3)
    place = adversary.broker.place

    def break_after(client_id: int, request: PlaceOrderRequest) -> None:
        place(client_id, request)
        adversary.broker.place = place
        for connection in list(adversary.server.connections):
            connection.reset()

    adversary.broker.place = break_after
    adversary.staleness_s = 0.5
    done, said = flatten(adversary)
    assert any(line.endswith("; trying again") for line in said)
    assert done.is_flat, said
    assert_closed_without_excess(adversary, 3)


def test_late_answers_to_an_abandoned_question_are_not_taken_for_the_next(adversary: Adversary) -> None:
    order(adversary, SESSION, 1, 3)
    adversary.delay = lambda kind: 1.5 if kind == "PositionsRequest" else 0.0
    flattening = Flattening(ACCOUNT, WholeAccount(), Pace().faster(FAST), print)
    with connected("127.0.0.1", adversary.server.port, (91,), 1.0, synchronised=False) as client:
        with pytest.raises(TimeoutError):
            flattening.run(client, 5.0)
        asked = len(adversary.shown_at)
        adversary.delay = all_at(0.0)
        assert flattening.run(client, 5.0).is_flat
        assert adversary.shown_at[asked] - adversary.shown_at[asked - 1] >= 1.5, "the late answer is awaited first"
    assert_closed_without_excess(adversary, 3)
