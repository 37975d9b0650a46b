"""When a live session believes the broker, and what it does where they differ. Numbered as in docs/risk.md."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from rl_strategies.live.execution.comparison import compare

from rl_strategies.live.broker.link import NS
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.execution.reconciler import NotOursError, Reconciler

# Orders of the session: the stop and target of a group that is held, the stop of one that is gone, an entry.
ORDERS: Any = {
    "stop": SimpleNamespace(role="stop", group="held"),
    "target": SimpleNamespace(role="target", group="held"),
    "stop 2": SimpleNamespace(role="stop", group="held 2"),
    "target 2": SimpleNamespace(role="target", group="held 2"),
    "old stop": SimpleNamespace(role="stop", group="gone"),
    "entry": SimpleNamespace(role="entry", group="held"),
}
GROUPS = ("held", "held 2")


@dataclass(frozen=True)
class Resting:
    """An order that works at the broker."""

    order_ref: str
    kind: str
    units: int


STOP, TARGET = Resting("stop", "STP", -3), Resting("target", "LMT", -3)
FOREIGN = Resting("", "LMT", -1)


def shows(units: int, *orders: Resting) -> Any:
    return SimpleNamespace(units=units, orders=orders)


@pytest.mark.parametrize(
    ("broker", "units", "difference"),
    [
        pytest.param(shows(0), 0, None, id="K1"),
        pytest.param(shows(3, STOP, TARGET), 3, None, id="K2"),
        pytest.param(shows(2, STOP, TARGET), 3, "position", id="K3"),
        pytest.param(shows(-3, STOP, TARGET), 3, "position", id="K4"),
        pytest.param(shows(3, TARGET), 3, "naked", id="K5"),
        pytest.param(shows(3, Resting("stop", "STP", -2)), 3, "naked", id="K6"),
        pytest.param(shows(3, Resting("stop", "STP LMT", -3)), 3, None, id="K7"),
        pytest.param(shows(-3, Resting("stop", "STP", 3)), -3, None, id="K8"),
        pytest.param(shows(-3, STOP), -3, "naked", id="K9"),  # a stop that would sell more
        pytest.param(shows(3, Resting("stop", "STP", -2), Resting("stop 2", "STP", -1)), 3, None, id="K10"),
        pytest.param(shows(1, Resting("stop", "STP", -1)), 1, None, id="K57"),
        pytest.param(shows(-1, Resting("stop", "STP", 1)), -1, None, id="K58"),
        pytest.param(shows(0, STOP), 0, "orphans", id="K11"),
        pytest.param(shows(3, STOP, FOREIGN), 3, "orphans", id="K12"),
        pytest.param(shows(3, STOP, Resting("old stop", "STP", -3)), 3, "orphans", id="K13"),
        pytest.param(shows(3, STOP, Resting("entry", "MKT", 3)), 3, "orphans", id="K14"),
        pytest.param(shows(3, FOREIGN), 3, "naked", id="K15"),  # the graver of the two
        pytest.param(shows(3, STOP, Resting("stop 2", "STP", -1)), 3, "oversized", id="K16"),
        pytest.param(shows(3, STOP, TARGET, Resting("target 2", "LMT", -1)), 3, "oversized", id="K17"),
        pytest.param(shows(3, STOP, Resting("stop 2", "STP", -1), FOREIGN), 3, "orphans", id="K18"),
    ],
)
def test_difference(broker: Any, units: int, difference: str | None) -> None:
    assert compare(broker, units, ORDERS, GROUPS, wants_stop=True).difference == difference


@pytest.mark.parametrize(
    ("broker", "difference"),
    [
        pytest.param(shows(3, TARGET), None, id="K19"),
        pytest.param(shows(3, STOP, Resting("stop 2", "STP", -1)), "oversized", id="K20"),
    ],
)
def test_difference_where_no_stop_is_configured(broker: Any, difference: str | None) -> None:
    assert compare(broker, 3, ORDERS, GROUPS, wants_stop=False).difference == difference


@pytest.mark.parametrize(
    ("broker", "orphans"),
    [
        pytest.param(shows(3, STOP, FOREIGN, TARGET, Resting("old stop", "STP", -3)), ["", "old stop"], id="K21"),
        pytest.param(shows(0, STOP, TARGET), ["stop", "target"], id="K22"),
    ],
)
def test_orphans(broker: Any, orphans: list[str]) -> None:
    found = compare(broker, broker.units, ORDERS, GROUPS, wants_stop=True)
    assert [order.order_ref for order in found.orphans] == orphans


SILENT = None


@dataclass
class Session:
    """A session of SPY: what it holds, what the broker answers, and everything that the reconciler did, in order.

    Attributes
    ----------
    units : int
        Held by the session.
    answers : broker's position and orders, or None for silence.
    fills : broker's fills, or None for silence.
    """

    units: int = 0
    answers: Any = field(default_factory=lambda: shows(0))
    fills: Sequence[Any] | None = ()
    is_up: bool = True
    in_flight: bool = False
    overdue: bool = False
    changes: int = 0
    gone: list[str] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    applied: set[str] = field(default_factory=set)

    instrument_id = "SPY.EQUS"
    tick_size = 0.01
    orders = ORDERS
    groups = GROUPS
    wants_stop = True

    def __post_init__(self) -> None:
        self.now_ns = 0
        timeouts = Timeouts(reconcile_s=2.0, poll_s=0.25, resolve_s=20.0)
        services: Any = SimpleNamespace(link=self, timeouts=timeouts, flatten_command="rl-intraday flatten live")
        execution: Any = self
        events: Any = self
        self.reconciler = Reconciler(services, execution, events, self._halt, lambda: self.now_ns)

    def begun(self) -> "Session":
        """After it claimed a flat account at second 0; since then it holds what it holds."""
        answers, fills = self.answers, self.fills
        self.answers, self.fills = shows(0), ()
        asyncio.run(self.reconciler.claim())
        self.answers, self.fills = answers, fills
        self.did.clear()
        return self

    def at(self, second: float) -> list[str]:
        """Reconcile at that second; what was done."""
        self.did.clear()
        self.now_ns = round(second * NS)
        asyncio.run(self.reconciler.reconcile())
        return list(self.did)

    def _halt(self, reason: str) -> None:
        self.did.append(f"halt: {reason}")

    # The broker -----------------------------------------------------------------------------------------------------

    def is_connected(self) -> bool:
        return self.is_up

    async def broker_state(self) -> Any:
        self.did.append("ask state")
        return self.answers

    async def executions(self) -> Sequence[Any] | None:
        self.did.append("ask fills")
        return self.fills

    def cancel(self, order: Resting) -> None:
        self.did.append(f"cancel {order.kind} {order.units:+d}")

    def drop_requests(self) -> None:
        self.did.append("drop requests")

    def disconnect(self) -> None:
        self.did.append("disconnect")

    # The session ----------------------------------------------------------------------------------------------------

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        self.did.append(f"{what} {new}".strip())

    def is_in_flight(self) -> bool:
        return self.in_flight

    def is_overdue(self, now_ns: int) -> bool:
        return self.overdue

    def ignore_fills(self, trade_ids: Sequence[str]) -> None:
        self.did.append(f"ignore {' '.join(trade_ids)}".strip())

    def drop_unknown(self, resting: set[str], now_ns: int) -> list[str]:
        gone, self.gone = self.gone, []
        self.in_flight = self.in_flight and not gone
        return gone

    def apply_fill(self, fill: Any, *, late: bool) -> bool:
        if fill.trade_id in self.applied:
            return False
        self.applied.add(fill.trade_id)
        self.units += fill.units
        self.did.append(f"fill {fill.units:+d} at {fill.price_ticks} for {fill.commission_cents}, late {late}")
        return True

    def close_position(self, reason: str) -> None:
        self.did.append(f"close: {reason}")


ASKED, UNKNOWN, KNOWN = "ask state", "broker unknown", "broker known"
LOST = ["ask state", "protection lost", "close: protection_lost"]
PROTECTED = shows(3, STOP, TARGET)


def k31() -> Any:
    # Neither position nor order: flat. Not asked yet: not known.
    session = Session().begun()
    before = session.reconciler.is_flat
    session.at(2)
    return before, session.reconciler.is_flat


def k32() -> Any:
    # No position, but an order works: not flat.
    session = Session(answers=shows(0, STOP)).begun()
    session.at(2)
    return session.reconciler.is_flat


def k33() -> Any:
    session = Session(3, PROTECTED).begun()
    session.at(2)
    return session.reconciler.is_flat


def k34() -> Any:
    # While all agrees it asks every 2 s.
    session = Session(3, PROTECTED).begun()
    return session.at(1.999), session.at(2), session.at(3.999), session.at(4)


def k35() -> Any:
    # Where fills may have been missed, every 0.25 s, and fills first; then all is well again.
    session = Session(3, PROTECTED).begun()
    session.reconciler.request_fills()
    return session.at(0.249), session.at(0.25), session.at(0.5)


def k36() -> Any:
    # While it differs, every 0.25 s.
    session = Session(3, shows(3)).begun()
    return session.at(2), session.at(2.249), session.at(2.25)


def k37() -> Any:
    # The broker owes an answer: nothing is asked until that is overdue; then fills first.
    session = Session(3, PROTECTED, in_flight=True).begun()
    waiting = session.at(2)
    session.overdue = True
    return waiting, session.at(2.25)


def k38() -> Any:
    # An order that the broker does not show is reported and forgotten; then it is compared.
    session = Session(3, PROTECTED, in_flight=True, overdue=True, gone=["lost"]).begun()
    return session.at(2), session.reconciler.is_flat


def k39() -> Any:
    # Still owed after the question: the answer is not compared.
    session = Session(3, shows(3), in_flight=True, overdue=True).begun()
    return session.at(2), session.reconciler.is_flat


def k40() -> Any:
    # Another position: unknown at once, fills are asked for, halted when it lasts for more than 20 s.
    session = Session(0, shows(2)).begun()
    return session.at(2), session.at(2.25), session.at(22), session.at(22.25)


def k41() -> Any:
    # Agreed in between: the time counts anew.
    session = Session(0, shows(2)).begun()
    session.at(2)
    session.answers = shows(0)
    agreed = session.at(12)
    session.answers = shows(2)
    session.at(14)
    return agreed, "halt" in str(session.at(34)), "halt" in str(session.at(34.25))


def k42() -> Any:
    # Without a stop: closed when it is seen again a second later; once more after another.
    session = Session(3, shows(3)).begun()
    return session.at(2), session.at(2.999), session.at(3.249), session.at(3.5), session.at(4.5)


def k43() -> Any:
    # Exits for more than is held: the same.
    session = Session(3, shows(3, STOP, Resting("stop 2", "STP", -1))).begun()
    return session.at(2), session.at(2.999), session.at(3.25)


def k44() -> Any:
    # Orders that protect nothing: cancelled after a second, and those alone.
    session = Session(3, shows(3, STOP, FOREIGN)).begun()
    return session.at(2), session.at(2.75), session.at(3)


def k45() -> Any:
    # Another difference in between: the second counts anew.
    session = Session(3, shows(3)).begun()
    session.at(2)
    session.answers = shows(3, STOP, FOREIGN)
    session.at(2.5)
    session.answers = shows(3)
    return session.at(3), session.at(3.75), session.at(4)


def k46() -> Any:
    # Silence is not flat: unknown at once, a dead connection after the second; two more for the next.
    session = Session(3, SILENT).begun()
    return session.at(2), session.at(2.25), session.reconciler.is_flat, session.at(2.5), session.at(2.75)


def k47() -> Any:
    # An answer in between: counted anew.
    session = Session(3, SILENT).begun()
    session.at(2)
    session.answers = PROTECTED
    answered = session.at(2.25)
    session.answers = SILENT
    return answered, session.at(4.25), session.at(4.5)


def k48() -> Any:
    # Silence on a connection that is down already hangs nothing up.
    session = Session(3, SILENT).begun()
    session.at(2)
    session.is_up = False
    return session.at(2.25)


def k49() -> Any:
    # No word on the fills: nothing is compared, and fills are asked for again. The second silence ends the connection.
    session = Session(3, PROTECTED, fills=SILENT).begun()
    session.reconciler.request_fills()
    return session.at(2), session.at(2.25)


def k50() -> Any:
    # Missed fills explain the position and count once: 499.604 is nearest to 49,960 ticks, 1.004 USD to 100 cents.
    fill = SimpleNamespace(trade_id="t1", order_ref="stop", ts_ns=5, units=-3, price=499.604, commission_usd=1.004)
    session = Session(3, shows(0), fills=[fill]).begun()
    session.reconciler.request_fills()
    first = session.at(2)
    session.reconciler.request_fills()
    return first, session.at(4), session.units


def k51() -> Any:
    # Something happened to an order while it was asked: the answer is outdated.
    session = Session(3, shows(0)).begun()

    async def state() -> Any:
        session.changes += 1
        return shows(0)

    session.broker_state = state  # type: ignore[method-assign]
    session.at(2)
    return session.reconciler.known, session.reconciler.is_flat


def k52() -> Any:
    # A lost connection: unknown, nothing is asked; once back, fills and position must agree first.
    session = Session(3, PROTECTED).begun()
    session.is_up = False
    session.reconciler.check_connection()
    lost, silent = list(session.did), session.at(9)
    session.is_up = True
    session.reconciler.check_connection()
    session.reconciler.check_connection()
    return lost, silent, list(session.did), session.at(9.25), session.reconciler.known


def k53() -> Any:
    # A flat account is claimed; fills from before are never applied.
    fill = SimpleNamespace(trade_id="old")
    session = Session(fills=[fill])
    asyncio.run(session.reconciler.claim())
    return session.did[:3], session.reconciler.known, session.reconciler.is_connected


STORIES: dict[Any, Any] = {
    k31: (None, True),
    k32: False,
    k33: False,
    k34: ([], [ASKED], [], [ASKED]),
    k35: ([], ["ask fills", ASKED], []),
    k36: ([ASKED, UNKNOWN], [], [ASKED]),
    k37: ([], ["ask fills", ASKED]),
    k38: (["ask fills", ASKED, "order gone"], False),
    k39: (["ask fills", ASKED], None),
    k40: (
        [ASKED, UNKNOWN],
        ["ask fills", ASKED],
        ["ask fills", ASKED],
        ["ask fills", ASKED,
         "halt: the broker holds 2 units, the session 0 for 20 s; run `rl-intraday flatten live`"],
    ),
    k41: (["ask fills", ASKED, KNOWN], False, True),
    k42: ([ASKED, UNKNOWN], [ASKED], LOST, [ASKED], LOST),
    k43: ([ASKED, UNKNOWN], [ASKED], LOST),
    k44: ([ASKED, UNKNOWN], [ASKED], [ASKED, "orders cancelled", "cancel LMT -1"]),
    k45: ([ASKED], [ASKED], LOST),
    k46: (
        [ASKED, UNKNOWN], [ASKED, "connection hung up", "disconnect"], None,
        [ASKED], [ASKED, "connection hung up", "disconnect"],
    ),
    k47: ([ASKED, KNOWN], [ASKED, UNKNOWN], [ASKED, "connection hung up", "disconnect"]),
    k48: [ASKED],
    k49: (["ask fills", UNKNOWN], ["ask fills", "connection hung up", "disconnect"]),
    k50: (["ask fills", "fill -3 at 49960 for 100, late True", "fill found", ASKED], ["ask fills", ASKED], 0),
    k51: (True, None),
    k52: (["connection down", UNKNOWN], [], ["drop requests", "connection up"], ["ask fills", ASKED, KNOWN], True),
    k53: (["ask fills", ASKED, "ignore old"], True, True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("story", "expected"),
    [pytest.param(story, expected, id=story.__name__.upper()) for story, expected in STORIES.items()],
)
def test_reconciler(story: Any, expected: Any) -> None:
    assert story() == expected


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        pytest.param(shows(2), r"account already holds \+2 SPY.EQUS and 0 orders", id="K54"),
        pytest.param(shows(-1), r"account already holds -1 SPY.EQUS and 0 orders", id="K55"),
        pytest.param(shows(0, STOP), r"account already holds \+0 SPY.EQUS and 1 orders", id="K56"),
    ],
)
def test_an_account_that_is_not_flat_is_not_claimed(answers: Any, message: str) -> None:
    session = Session(answers=answers)
    with pytest.raises(NotOursError, match=message):
        asyncio.run(session.reconciler.claim())
    assert (session.reconciler.known, session.reconciler.is_connected) == (False, False)
