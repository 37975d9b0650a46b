"""What a guard decides, as a table: the session's pulse, what it owns at the broker, and whether its time is over."""

import itertools
from decimal import Decimal
from typing import get_args

import pytest

from run.trade.guard.decision import Action, Holding, decide
from run.trade.monitoring.heartbeat import Pulse

PULSES: tuple[Pulse, ...] = get_args(Pulse)
ALIVE: tuple[Pulse, ...] = ("starting", "healthy")
GONE: tuple[Pulse, ...] = ("frozen", "dead", "ended")


def holding(units: int = 0, held: int | None = None, stopped: int = 0, orders: int = 0) -> Holding:
    held = units if held is None else held
    return Holding("MESZ6", Decimal(units), Decimal(held), Decimal(stopped), orders)


FLAT, NAKED, SHORT = holding(), holding(3), holding(-3)
COVERED = holding(3, stopped=3, orders=2)
PARTLY = holding(3, stopped=2, orders=1)
ORPHANS = holding(0, stopped=0, orders=1)
TAKEN = holding(3, held=0, stopped=3, orders=1)  # closed by hand, or the positions are old
TAKEN_BARE = holding(3, held=0)
TAKEN_PARTLY = holding(3, held=1, stopped=3, orders=1)


@pytest.mark.parametrize(
    ("pulses", "holdings", "is_over", "action"),
    [
        (ALIVE, [FLAT], False, "watch"),
        (ALIVE, [COVERED], False, "watch"),
        (ALIVE, [COVERED], True, "watch"),
        (ALIVE, [ORPHANS], True, "watch"),
        (ALIVE, [NAKED], False, "warn"),
        (ALIVE, [NAKED], True, "warn"),
        (ALIVE, [PARTLY], False, "warn"),
        (GONE, [NAKED], False, "close"),
        (GONE, [SHORT], False, "close"),
        (GONE, [PARTLY], False, "close"),
        (GONE, [COVERED, NAKED], False, "close"),
        (GONE, [COVERED], False, "leave"),
        (GONE, [COVERED, ORPHANS], False, "leave"),
        (GONE, [COVERED], True, "exit"),
        (GONE, [COVERED, NAKED], True, "close"),
        (GONE, [ORPHANS], False, "cancel"),
        (GONE, [TAKEN], False, "cancel"),
        (GONE, [ORPHANS], True, "cancel"),
        (ALIVE, [TAKEN_PARTLY], True, "watch"),
        (GONE, [TAKEN_PARTLY], False, "trim"),
        (GONE, [TAKEN_PARTLY], True, "trim"),
        (GONE, [TAKEN_PARTLY, NAKED], True, "close"),
        (("frozen",), [FLAT], False, "watch"),
        (("frozen",), [TAKEN_BARE], True, "watch"),
        (("dead", "ended"), [FLAT], False, "end"),
        (("dead", "ended"), [FLAT], True, "end"),
        (("dead", "ended"), [TAKEN_BARE], False, "end"),
        (("dead", "ended"), [], False, "end"),
    ],
)
def test_the_table(pulses: tuple[Pulse, ...], holdings: list[Holding], is_over: bool, action: Action) -> None:
    for pulse in pulses:
        assert decide(pulse, holdings, is_over).action == action, pulse


def test_a_living_session_is_never_acted_upon_and_a_naked_position_never_left() -> None:
    some = [FLAT, NAKED, SHORT, COVERED, PARTLY, ORPHANS, TAKEN, TAKEN_BARE, TAKEN_PARTLY]
    for pulse, one, other, is_over in itertools.product(PULSES, some, some, (False, True)):
        action = decide(pulse, [one, other], is_over).action
        if pulse in ALIVE:
            assert action in ("watch", "warn")
        elif not (one.is_covered and other.is_covered):
            assert action == "close"
        elif one.is_excessive or other.is_excessive:
            assert action == "trim"
        elif one.held or other.held:
            assert action == ("exit" if is_over else "leave")
        elif action in ("end", "watch"):
            assert one.orders == other.orders == 0


def test_the_reason_names_units_and_contract() -> None:
    assert decide("dead", [NAKED], False).reason == "the session has died: +3 MESZ6 without a stop at the broker"
    assert decide("frozen", [COVERED], False).reason == "the session hangs: +3 MESZ6 left to the stop at the broker"
    over = decide("ended", [COVERED], True).reason
    assert over == "the session has ended and its time is over: +3 MESZ6 still held"
