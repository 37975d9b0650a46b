"""The reconciler: what it believes, when it acts, and that it never takes silence for flat."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from rl_strategies.live.broker.link import NS, BrokerFill, BrokerState
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.execution.reconciler import UNANSWERED_REQUESTS, NotOursError, Reconciler
from rl_strategies.live.journal.rebuild import BEGUN
from tests.live.bars import ListLink
from tests.live.stub_host import CLOSE_NS, LONG, StubHost, new_core

FLATTEN = "rl-intraday flatten live"


@dataclass(frozen=True)
class Resting:
    """An order at the broker."""

    order_ref: str = ""
    kind: str = "STP"
    units: int = -3


@dataclass(frozen=True)
class Reported:
    """A fill as the broker reports it."""

    trade_id: str
    order_ref: str
    units: int
    price: float = 500.0
    commission_usd: float = 0.35
    ts_ns: int = CLOSE_NS


@dataclass
class Broker(ListLink):
    """A broker whose answers a test writes down; None is no answer."""

    up: bool = True
    held: BrokerState | None = field(default_factory=lambda: SimpleNamespace(units=0, orders=()))
    fills: list[BrokerFill] | None = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    cancelled: list[Any] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    hung_up: int = 0
    forgotten: int = 0

    def is_connected(self) -> bool:
        return self.up

    async def broker_state(self) -> BrokerState | None:
        self.questions.append("state")
        await asyncio.sleep(0)
        self.meanwhile()
        return self.held

    async def executions(self) -> Sequence[BrokerFill] | None:
        self.questions.append("executions")
        await asyncio.sleep(0)
        self.meanwhile()
        return self.fills

    def cancel(self, order: Any) -> None:
        self.cancelled.append(order)

    def drop_requests(self) -> None:
        self.forgotten += 1

    def disconnect(self) -> None:
        self.hung_up += 1


class Scene:
    """A reconciler of a real execution, with a clock that the test sets."""

    def __init__(self) -> None:
        self.host, self.broker = StubHost(new_core()), Broker()
        self.reported: list[tuple[str, str]] = []
        self.halted: list[str] = []
        self.now_ns = CLOSE_NS
        # Half a second between two requests, whether all is well or not.
        timeouts = Timeouts(reconcile_s=0.5, poll_s=0.5, resolve_s=20.0)
        services: Any = SimpleNamespace(link=self.broker, timeouts=timeouts, flatten_command=FLATTEN)
        self.reconciler = Reconciler(services, self.host.execution, self, self.halted.append, lambda: self.now_ns)
        asyncio.run(self.reconciler.claim())
        self.reported.clear()
        self.broker.questions.clear()

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.reported.append((what, new))

    @property
    def fills_seen(self) -> int:
        """Number of fills that the host has heard of."""
        return self.host.moves.count("on fill")

    def look(self, seconds: float = 0.5) -> None:
        """Ask, so much later."""
        self.now_ns += int(seconds * NS)
        self.host.clock.set_time(self.now_ns)
        asyncio.run(self.reconciler.reconcile())

    def show(self, units: int, *orders: Resting) -> None:
        """What the broker holds from now on."""
        self.broker.held = SimpleNamespace(units=units, orders=orders)

    def enter(self) -> None:
        """Three shares with stop and target, which the broker shows."""
        self.host.entered()
        self.show(3, *self.barriers())

    def barriers(self) -> tuple[Resting, Resting]:
        _, stop, target = (order.client_order_id.value for order in self.host.sent[:3])
        return Resting(stop, "STP", -3), Resting(target, "LMT", -3)


@pytest.fixture
def scene() -> Scene:
    """A session that has begun, flat."""
    return Scene()


# Beginning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("units", "orders"), [(2, ()), (-1, ()), (0, (Resting(),))])
def test_an_account_that_holds_something_is_not_claimed(units: int, orders: tuple[Resting, ...]) -> None:
    scene = Scene()
    scene.show(units, *orders)
    with pytest.raises(
        NotOursError,
        match=rf"already holds \{units:+d} SPY\.EQUS and \d orders from outside this session: run `{FLATTEN}`",
    ):
        asyncio.run(scene.reconciler.claim())
    assert scene.reported == []


def test_fills_before_the_session_are_journaled_and_never_applied(scene: Scene) -> None:
    scene.broker.fills = [Reported("m1", "", 5), Reported("m2", "", -5)]
    written: list[str] = []
    scene.report = lambda what, old="", new="", reason="", **more: written.extend([what, reason])  # type: ignore[method-assign]
    asyncio.run(scene.reconciler.claim())
    assert written == [BEGUN, "m1 m2"]
    scene.reconciler.request_fills()
    scene.look()
    assert (scene.host.rows, scene.fills_seen, scene.reconciler.known) == ([], 0, True)


def test_at_the_beginning_silence_is_asked_again() -> None:
    scene = Scene()
    answers = iter([None, [], []])
    scene.broker.meanwhile = lambda: setattr(scene.broker, "fills", next(answers, []))
    scene.reconciler._timeouts = Timeouts(poll_s=0.001)
    scene.broker.fills = None
    asyncio.run(scene.reconciler.claim())
    assert scene.broker.questions[:3] == ["executions", "executions", "state"]


# Belief -----------------------------------------------------------------------------------------------------------


def test_while_all_is_well_it_asks_no_more_often_than_it_should(scene: Scene) -> None:
    for _ in range(10):
        scene.look(0.1)
    assert scene.broker.questions == ["state", "state"]
    assert scene.reported == []
    assert scene.reconciler.is_flat


def test_no_answer_is_unknown_and_never_flat(scene: Scene) -> None:
    scene.enter()
    scene.look()
    assert (scene.reconciler.known, scene.reconciler.is_flat) == (True, False)
    scene.broker.held = None
    scene.look()
    assert (scene.reconciler.known, scene.reconciler.is_flat) == (False, False)
    assert scene.reported[-1] == ("broker", "unknown")
    assert scene.host.units == 3
    assert len(scene.host.sent) == 3
    scene.show(3, *scene.barriers())
    scene.look()
    assert scene.reconciler.known


def test_unanswered_requests_end_the_connection(scene: Scene) -> None:
    scene.broker.held = None
    for _ in range(UNANSWERED_REQUESTS - 1):
        scene.look()
    assert scene.broker.hung_up == 0
    scene.look()
    assert scene.broker.hung_up == 1


def test_an_answer_older_than_an_order_event_is_ignored(scene: Scene) -> None:
    scene.enter()
    scene.show(0)  # what it held before the entry
    scene.broker.meanwhile = scene.host.execution.note_change
    for _ in range(4):
        scene.look()
    assert scene.reconciler.known
    assert scene.reported == []
    scene.broker.meanwhile = lambda: None
    scene.look()
    assert not scene.reconciler.known


def test_while_an_order_is_in_flight_nothing_is_requested(scene: Scene) -> None:
    scene.host.execution.execute(LONG)
    scene.look()
    assert scene.broker.questions == []
    scene.host.accept(scene.host.sent[0])
    scene.host.fill_order(scene.host.sent[0], 3, 50000)
    scene.host.accept(*scene.host.sent[1:])
    scene.show(3, *scene.barriers())
    scene.look()
    assert scene.broker.questions == ["state"]


def test_an_answer_older_than_an_order_is_ignored(scene: Scene) -> None:
    scene.show(1)
    scene.broker.meanwhile = lambda: scene.host.execution.execute(LONG) if not scene.host.sent else None
    scene.look()
    assert scene.reconciler.known
    assert scene.reported == []


def test_after_a_lost_connection_the_position_is_unknown_until_fills_and_position_agree(scene: Scene) -> None:
    scene.enter()
    scene.broker.up = False
    scene.reconciler.check_connection()
    assert scene.reported == [("connection", "down"), ("broker", "unknown")]
    scene.look()
    assert scene.broker.questions == [], "who is not there is not asked"
    scene.broker.up = True
    scene.reconciler.check_connection()
    scene.reconciler.check_connection()
    assert scene.reported[2:] == [("connection", "up")]
    assert scene.broker.forgotten == 1, "what was asked on the old connection is asked anew"
    assert not scene.reconciler.known
    scene.look()
    assert scene.broker.questions == ["executions", "state"]
    assert scene.reconciler.known


# Naked ------------------------------------------------------------------------------------------------------------


def test_a_position_without_a_stop_is_closed_when_it_is_seen_twice(scene: Scene) -> None:
    scene.enter()
    scene.show(3, scene.barriers()[1])
    for seconds in (0.5, 0.99):
        scene.look(seconds)
        assert len(scene.host.sent) == 3
        assert not scene.reconciler.known, "but nothing is opened meanwhile"
    scene.look(0.5)
    assert [wire[:2] for wire in scene.host.wires(3)] == [("MarketOrder", -3)]
    assert scene.host.rows[-1].reason == "protection_lost"
    assert ("protection", "lost") in scene.reported


def test_a_stop_that_shows_again_in_time_keeps_the_position(scene: Scene) -> None:
    scene.enter()
    scene.show(3)
    scene.look(0.6)
    scene.show(3, *scene.barriers())
    scene.look(0.6)
    scene.show(3)
    scene.look(0.6)
    assert len(scene.host.sent) == 3, "a second doubt begins anew"
    scene.look(1.0)
    assert len(scene.host.sent) == 4


def test_a_close_that_is_refused_is_tried_again(scene: Scene) -> None:
    scene.enter()
    scene.show(3)
    for _ in range(4):
        scene.look(0.5)
    scene.host.reject(scene.host.sent[3])
    for _ in range(4):
        scene.look(0.5)
    assert [wire[:2] for wire in scene.host.wires(3)] == [("MarketOrder", -3)] * 2


def test_exits_for_more_than_is_held_close_it(scene: Scene) -> None:
    scene.enter()
    scene.broker.fills = [Reported("hand", "", -1)]
    scene.reconciler.request_fills()
    scene.show(2, *scene.barriers())
    for _ in range(4):
        scene.look(0.5)
    assert [wire[:2] for wire in scene.host.wires(3)] == [("MarketOrder", -2)]


# Orphans ----------------------------------------------------------------------------------------------------------


def test_orphans_are_cancelled_when_they_are_seen_twice(scene: Scene) -> None:
    orphan = Resting("whoever", "LMT", 1)
    scene.show(0, orphan)
    scene.look(0.5)
    scene.look(0.5)
    assert scene.broker.cancelled == []
    scene.look(0.5)
    assert scene.broker.cancelled == [orphan]
    scene.show(0)
    scene.look(0.5)
    assert scene.reconciler.known
    assert scene.reconciler.is_flat


def test_only_orphans_are_cancelled(scene: Scene) -> None:
    scene.enter()
    orphan = Resting("", "STP", 3)
    scene.show(3, *scene.barriers(), orphan)
    for _ in range(3):
        scene.look(0.5)
    assert scene.broker.cancelled == [orphan]
    assert len(scene.host.sent) == 3


# Positions --------------------------------------------------------------------------------------------------------


def test_missed_fills_explain_a_position_and_count_once(scene: Scene) -> None:
    scene.enter()
    stop = scene.host.sent[1].client_order_id.value
    scene.show(0)
    scene.broker.fills = [Reported("x1", "", 3), Reported("s1", stop, -2, 499.60), Reported("s2", stop, -1, 499.59)]
    scene.look()
    assert not scene.reconciler.known
    scene.look()
    assert (scene.reconciler.known, scene.host.units, scene.fills_seen) == (True, 0, 3)
    written = [(row.trade_id, row.role, row.units, row.price_ticks, row.commission_cents, row.late) for row in
               scene.host.rows[-2:]]  # fmt: skip
    assert written == [("s1", "stop", -2, 49960, 35, True), ("s2", "stop", -1, 49959, 35, True)]
    scene.reconciler.request_fills()
    scene.look()
    assert scene.fills_seen == 3
    assert scene.halted == []


def test_a_position_that_nothing_explains_halts_and_not_before_its_time(scene: Scene) -> None:
    scene.show(2)
    for _ in range(40):
        scene.look(0.5)
    assert scene.halted == []
    scene.look(0.6)
    assert scene.halted[0] == f"the broker holds 2 units, the session 0 for 20 s; run `{FLATTEN}`"
    assert scene.host.sent == [], "nobody knows what it is: nothing is sent"


def test_a_position_that_is_explained_in_time_does_not_halt_later(scene: Scene) -> None:
    scene.show(2)
    for _ in range(30):
        scene.look(0.5)
    scene.show(0)
    scene.look(0.5)
    scene.show(2)
    for _ in range(30):
        scene.look(0.5)
    assert scene.halted == []


def test_missed_fills_are_requested_again_before_anything_is_believed(scene: Scene) -> None:
    scene.broker.fills = None
    scene.reconciler.request_fills()
    scene.look()
    scene.look()
    assert scene.broker.questions == ["executions", "executions"]
    assert not scene.reconciler.known
    scene.broker.fills = []
    scene.look()
    assert scene.broker.questions[2:] == ["executions", "state"]
    assert scene.reconciler.known


def test_fills_wanted_during_a_request_are_requested_again(scene: Scene) -> None:
    scene.reconciler.request_fills()
    asked = iter([scene.reconciler.request_fills])
    scene.broker.meanwhile = lambda: next(asked, lambda: None)()
    scene.look()
    scene.look()
    scene.look()
    assert scene.broker.questions == ["executions", "state", "executions", "state", "state"]
