"""When a live session believes the broker, and what it does where they differ. Numbered as in docs/risk.md."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.execution.reconciler import NotOursError, Reconciler
from rl_strategies.live.journal.rebuild import BEGUN
from tests.live.bars import ListLink
from tests.live.stub_host import FLAT, LONG, NS, StubHost, executed, new_core

FLATTEN = "rl-intraday flatten live"
ASK, ASK_FILLS, UNKNOWN, KNOWN = "ask", "ask fills", "broker unknown", "broker known"


@dataclass
class Broker(ListLink):
    """A broker whose answers a test writes down; None is no answer."""

    up: bool = True
    losses: int = 0
    units: int = 0
    orders: list[Any] = field(default_factory=list)
    answers: bool = True
    tells_fills: bool = True
    fills: list[Any] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    listener: Any = None
    meanwhile: Callable[[], None] = lambda: None

    def is_connected(self) -> bool:
        return self.up

    async def broker_state(self, instrument_id: str) -> Any:
        self.did.append(ASK)
        await asyncio.sleep(0)
        self.meanwhile()
        return SimpleNamespace(units=self.units, orders=list(self.orders)) if self.answers else None

    async def executions(self, instrument_id: str) -> Any:
        self.did.append(ASK_FILLS)
        if not self.tells_fills:
            return None
        for fill in self.fills:
            self.listener.on_execution(fill)
        return self.fills

    def drop_requests(self) -> None:
        self.did.append("drop requests")

    def disconnect(self) -> None:
        self.did.append("disconnect")


class Session:
    """A reconciler of a real execution, with a clock that the test sets; its session holds nothing at second 0."""

    def __init__(self) -> None:
        self.host, self.broker = StubHost(new_core()), Broker()
        self.broker.listener = self.host.execution
        self.host.clock.set_time(0)
        self.halted: list[str] = []
        timeouts = Timeouts(reconcile_s=2.0, poll_s=0.25, resolve_s=20.0)
        services: Any = SimpleNamespace(link=self.broker, timeouts=timeouts, flatten_command=FLATTEN)
        now: Any = self.host.clock.timestamp_ns
        self.reconciler = Reconciler(services, self.host.execution, self, self.halted.append, now)
        asyncio.run(self.reconciler.claim())
        self.broker.did.clear()

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.broker.did.append(reason if what == BEGUN else f"{what} {new}".strip())

    def at(self, second: float) -> list[str]:
        """Reconcile at that second; what was done."""
        self.broker.did.clear()
        self.host.clock.set_time(round(second * NS))
        self.host.execution.poll()
        asyncio.run(self.reconciler.reconcile())
        return list(self.broker.did)

    def until(self, first: float, last: float) -> None:
        """Reconcile every quarter of a second."""
        for step in range(round(first * 4), round(last * 4) + 1):
            self.at(step / 4)

    def holds(self) -> "Session":
        """Three shares with take profit and stop, which the broker lists."""
        self.host.entered()
        self.show(3, *self.host.sent[1:])
        return self

    def show(self, units: int, *orders: Any) -> None:
        """What the broker holds and lists from now on."""
        self.broker.units = units
        self.broker.orders = [
            SimpleNamespace(order_ref=order.client_order_id.value, client_id=1, status="Submitted") for order in orders
        ]

    @property
    def sent(self) -> list[tuple[str, int]]:
        return [(kind, units) for kind, units, *_ in self.host.wires()]


def k1() -> Any:
    session = Session()
    before = session.reconciler.is_flat
    session.at(2)
    return before, session.reconciler.is_flat


def k2() -> Any:
    session = Session().holds()
    session.at(4)
    return session.reconciler.is_flat, session.reconciler.known


def k3() -> Any:
    session = Session().holds()
    return session.at(2), session.at(2.1), session.at(3.999), session.at(4)


def k4() -> Any:
    session = Session().holds()
    session.reconciler.request_fills()
    return session.at(0.249), session.at(0.25), session.at(0.5)


def k5() -> Any:
    session = Session()
    session.host.execution.execute(LONG)
    session.host.accept(*session.host.sent)
    waiting = session.at(2.9)
    session.show(0, *session.host.sent)
    return waiting, session.at(3.25)


def k6() -> Any:
    session = Session()
    session.host.execution.execute(LONG)
    return session.at(2.9), session.at(3.25), session.host.execution.is_in_flight()


def k7() -> Any:
    session = Session()
    session.show(2)
    first = session.at(2)
    session.until(2.25, 30)
    execution = session.host.execution
    return first, session.halted, execution.foreign.units, execution.foreign.is_active, session.sent


def k8() -> Any:
    session = Session().holds()
    session.show(1, *session.host.sent[1:])
    session.until(2, 22)
    early = list(session.halted)
    session.until(22.25, 22.5)
    return early, session.halted[0]


def k9() -> Any:
    session = Session().holds()
    session.show(0, *session.host.sent[1:])
    session.until(2, 7)
    young = session.host.execution.most_to_close
    session.until(7.25, 9)
    old = session.host.execution.most_to_close
    session.show(3, *session.host.sent[1:])
    session.until(9.25, 10)
    return young, old, session.host.execution.most_to_close


def k10() -> Any:
    session = Session().holds()
    session.show(3, session.host.sent[1])
    session.at(4)
    session.until(4.25, 5)
    return session.sent[3:], session.reconciler.known


def k11() -> Any:
    session = Session().holds()
    session.broker.orders.append(SimpleNamespace(order_ref="", client_id=0, status="Submitted"))
    session.until(2, 30)
    return session.sent[3:], session.host.cancelled, session.halted, session.reconciler.known


def k12() -> Any:
    session = Session().holds()
    stop = session.host.sent[2]
    session.host.status(stop, "Inactive")
    session.host.cancel_all(session.host.sent[1])
    for order in session.broker.orders:
        order.status = "Inactive"
    session.until(2, 2.5)
    return session.sent[3:], session.host.cancelled.count(stop.client_order_id.value)


def k13() -> Any:
    session = Session()
    session.host.execution.execute(LONG)
    entry = session.host.sent[0]
    session.host.accept(*session.host.sent)
    session.show(3, *session.host.sent)
    session.until(2, 6)
    provisional = session.host.units
    session.broker.fills = [executed("late", 3, 50002, entry.client_order_id.value)]
    session.reconciler.request_fills()
    session.until(6.25, 7)
    return provisional, session.host.units, [fill.price_ticks for fill in session.host.execution.fills]


def k14() -> Any:
    session = Session().holds()
    session.broker.answers = session.broker.tells_fills = False
    return session.at(4), session.at(4.25), session.reconciler.known, session.at(4.5), session.at(4.75)


def k15() -> Any:
    session = Session().holds()
    session.broker.answers = session.broker.tells_fills = False
    session.at(4)
    session.broker.up = False
    return session.at(4.25)


def k16() -> Any:
    session = Session().holds()
    session.broker.tells_fills = False
    session.reconciler.request_fills()
    return session.at(2), session.at(2.25)


def k17() -> Any:
    session = Session().holds()
    stop = session.host.sent[2].client_order_id.value
    session.broker.fills = [executed("s", -3, 49960, stop)]
    session.show(0)
    session.at(4)
    session.until(4.25, 5)
    session.reconciler.request_fills()
    session.until(5.25, 9)
    return session.host.units, len(session.host.execution.fills), session.halted, session.reconciler.known


def k18() -> Any:
    session = Session().holds()

    def change() -> None:
        session.host.execution.changes += 1

    session.show(0)
    session.broker.meanwhile = change
    session.until(4, 8)
    return session.reconciler.known


def k19() -> Any:
    session = Session().holds()
    session.broker.up = False
    session.reconciler.check_connection()
    lost, silent = list(session.broker.did), session.at(9)
    session.broker.up = True
    session.reconciler.check_connection()
    session.reconciler.check_connection()
    back = list(session.broker.did)
    return lost, silent, back, session.at(9.25), session.reconciler.known


def k20() -> Any:
    session = Session().holds()
    session.host.execution.execute(FLAT)
    session.host.cancel_all(session.host.sent[1])
    exit_ = session.host.sent[3]
    session.show(0)
    session.until(4, 59)
    old = session.host.units
    session.until(59.25, 63)
    return old, session.host.units, session.host.execution.fills[-1].reason, exit_.is_closed


def k21() -> Any:
    session = Session().holds()
    session.host.cancel_all(*session.host.sent[1:])
    session.host.execution.on_execution(executed("x9", -3, 49960, session.host.sent[2].client_order_id.value))
    session.show(0, session.host.sent[1])
    session.at(4)
    once = list(session.host.cancelled)
    session.until(4.25, 8)
    return once, session.host.cancelled[:1] == [session.host.sent[1].client_order_id.value]


def k26() -> Any:
    session = Session().holds()
    session.broker.answers = False
    session.until(4, 60)
    early = "disconnect" in session.at(60.25)
    late = [what for step in range(242, 270) for what in session.at(step / 4)]
    return early, "disconnect" in late, session.halted, session.sent[3:]


def k27() -> Any:
    session = Session().holds()
    session.show(0, *session.host.sent[1:])
    session.until(2, 59)
    held = session.halted, session.host.execution.foreign.units, session.reconciler.known, session.sent[3:]
    session.show(3, *session.host.sent[1:])
    session.until(59.25, 60)
    return *held, session.reconciler.known


def k28() -> Any:
    session = Session().holds()
    session.show(0, *session.host.sent[1:])
    session.until(2, 61)
    return session.halted[0]


def k29(tells: bool = True) -> Any:
    session = Session().holds()
    session.show(0, *session.host.sent[1:])
    session.until(2, 10)
    session.host.tells = tells
    session.host.execution.execute(FLAT)
    session.host.cancel_all(session.host.sent[1])
    session.until(10.25, 25)
    return session.sent[3:]


def k30() -> Any:
    return k29(tells=False)


def k31() -> Any:
    session = Session().holds()
    session.host.execution.execute(FLAT)
    session.host.cancel_all(session.host.sent[1])
    exit_ = session.host.sent[3]
    session.host.accept(exit_)
    session.show(0, session.host.sent[2], exit_)
    session.until(2, 20)
    stop = session.host.sent[2].client_order_id.value
    return session.host.units, session.sent[4:], stop in session.host.cancelled


def k32() -> Any:
    session = Session().holds()
    session.reconciler.check_connection()
    quiet = list(session.broker.did)
    session.broker.losses = 1
    session.reconciler.check_connection()
    session.reconciler.check_connection()
    noticed, known = list(session.broker.did), session.reconciler.known
    return quiet, noticed, known, session.at(0.25), session.reconciler.known


STORIES: dict[Any, Any] = {
    k1: (None, True),
    k2: (False, True),
    k3: ([ASK], [], [], [ASK]),
    k4: ([], [ASK_FILLS, ASK], []),
    k5: ([], [ASK_FILLS, ASK]),
    k6: ([], [ASK_FILLS, ASK, "order gone", "order gone", "order gone"], False),
    k7: ([ASK, UNKNOWN], [], 2, True, []),
    k8: ([], f"the broker holds 1 units, the session 3 for 20 s; run `{FLATTEN}`"),
    k9: (None, 0, None),
    k10: ([("StopMarketOrder", -3)], False),
    k11: ([], [], [], True),
    k12: ([("MarketOrder", -3)], 0),
    k13: (3, 3, [50002]),
    k14: (
        [ASK, UNKNOWN], [ASK_FILLS, "connection hung up", "disconnect"], False,
        [ASK_FILLS], [ASK_FILLS, "connection hung up", "disconnect"],
    ),
    k15: [ASK_FILLS],
    k16: ([ASK_FILLS, UNKNOWN], [ASK_FILLS, "connection hung up", "disconnect"]),
    k17: (0, 2, [], True),
    k18: True,
    k19: (["connection down", UNKNOWN], [], ["drop requests", "connection up"], [ASK_FILLS, ASK, KNOWN], True),
    k20: (3, 0, "signal", False),
    k21: ([], True),
    k26: (False, True, [], []),
    k27: ([], 0, False, [], True),
    k28: f"the broker holds 0 units, the session 3 for 58 s; run `{FLATTEN}`",
    k29: [("MarketOrder", -3)],
    k30: [],
    k31: (3, [], False),
    k32: ([], ["drop requests", "connection up", UNKNOWN], False, [ASK_FILLS, ASK, KNOWN], True),
}  # fmt: skip


@pytest.mark.parametrize("story", [pytest.param(story, id=story.__name__.upper()) for story in STORIES])
def test_what_a_session_does(story: Callable[[], Any]) -> None:
    assert story() == STORIES[story]


def sibling(client: int, name: str) -> Any:
    return SimpleNamespace(order_ref=name, client_id=client, status="Submitted")


@pytest.mark.parametrize(
    ("units", "orders", "message"),
    [
        pytest.param(2, [], r"already holds \+2 SPY\.EQUS from outside this session: close it by hand", id="K22"),
        pytest.param(-1, [], r"already holds -1 SPY\.EQUS", id="K23"),
        pytest.param(0, [sibling(7, "O-1-2")], r"1 orders of another session work in SPY\.EQUS \(client 7\)", id="K24"),
        pytest.param(0, [sibling(0, ""), sibling(9, "mine")], "", id="K25"),
    ],
)
def test_what_a_session_claims(units: int, orders: list[Any], message: str) -> None:
    session = Session()
    session.reconciler.known = session.reconciler.is_connected = False
    session.broker.units, session.broker.orders = units, orders
    session.broker.fills = [executed("morning", 5)]
    if message:
        with pytest.raises(NotOursError, match=message):
            asyncio.run(session.reconciler.claim())
        assert not session.reconciler.known
        return
    asyncio.run(session.reconciler.claim())
    assert session.broker.did[-1] == "morning"
    session.host.execution.on_execution(executed("morning", 5))
    assert (session.host.rows, session.reconciler.known) == ([], True)


def test_a_connection_whose_messages_wait_unread_is_not_hung_up() -> None:
    session = Session().holds()
    session.broker.answers = session.broker.tells_fills = False
    behind = True
    session.broker.is_behind = lambda: behind  # type: ignore[method-assign]
    assert [session.at(second) for second in (4, 4.25, 4.5)] == [[ASK, UNKNOWN], [ASK_FILLS], [ASK_FILLS]]
    behind = False
    assert session.at(4.75) == [ASK_FILLS, "connection hung up", "disconnect"]


def test_a_cancel_that_is_not_confirmed_leaves_an_order_that_counts_as_working_and_says_so() -> None:
    session = Session().holds()
    session.host.clock.set_time(2 * NS)
    session.host.status(session.host.sent[2], "PendingCancel")
    said = [what for step in range(9, 49) for what in session.at(step / 4)]
    assert "order not cancelled" not in said
    assert ASK_FILLS in said, "executions and orders are asked for meanwhile"
    assert "order not cancelled" in session.at(12.25)
    assert session.host.warned
    session.until(12.5, 20)
    assert (session.sent[3:], session.reconciler.known, session.host.execution.is_protected) == ([], True, True)
