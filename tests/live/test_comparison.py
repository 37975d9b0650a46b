"""Comparison of the broker with the session: which difference, the gravest first."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from rl_strategies.live.execution.comparison import compare
from rl_strategies.live.journal.session_journal import OrderRow


@dataclass(frozen=True)
class Resting:
    """An order at the broker."""

    order_ref: str
    kind: str
    units: int


def row(name: str, role: str, group: str = "g") -> OrderRow:
    return OrderRow(name, "SPY.EQUS", role, -1, 3, "stop", 1, "stop_loss", group, 0, 0)


ORDERS = {
    "S": row("S", "stop"), "T": row("T", "target"), "E": row("E", "entry", ""), "X": row("X", "exit"),
    "S-old": row("S-old", "stop", "gone"),
}  # fmt: skip
STOP, TARGET = Resting("S", "STP", -3), Resting("T", "LMT", -3)
OTHERS = Resting("", "LMT", -3)


@pytest.mark.parametrize(
    ("held", "believed", "resting", "difference"),
    [
        (0, 0, [], None),
        (3, 3, [STOP, TARGET], None),
        (3, 3, [STOP], None),  # a missing take profit is no danger
        (-3, -3, [Resting("S", "STP", 3), Resting("T", "LMT", 3)], None),
        (3, 3, [Resting("S", "STP LMT", -3), TARGET], None),
        (3, 0, [STOP, TARGET], "position"),
        (0, 3, [], "position"),
        (-3, 3, [STOP, TARGET], "position"),
        (2, 3, [STOP, TARGET], "position"),
        (3, 3, [], "naked"),
        (3, 3, [TARGET], "naked"),
        (3, 3, [Resting("S", "STP", -2), TARGET], "naked"),
        (3, 3, [Resting("S", "STP", 3)], "naked"),  # it would buy more
        (-3, -3, [STOP], "naked"),
        (0, 0, [STOP], "orphans"),
        (0, 0, [Resting("E", "MKT", 3)], "orphans"),
        (3, 3, [STOP, TARGET, OTHERS], "orphans"),
        (3, 3, [STOP, TARGET, Resting("S-old", "STP", -3)], "orphans"),
        (3, 3, [STOP, Resting("E", "MKT", 3)], "orphans"),
        (3, 3, [STOP, TARGET, Resting("X", "MKT", -3)], "orphans"),
        (2, 2, [STOP, TARGET], "oversized"),
        (2, 2, [Resting("S", "STP", -2), TARGET], "oversized"),
        (3, 3, [STOP, Resting("S", "STP", -1), TARGET], "oversized"),
        (3, 3, [OTHERS], "naked"),  # the gravest one first
        (2, 2, [STOP, OTHERS], "orphans"),
    ],
)
def test_the_gravest_difference_is_found(
    held: int, believed: int, resting: list[Resting], difference: str | None
) -> None:
    broker = SimpleNamespace(units=held, orders=tuple(resting))
    found = compare(broker, believed, ORDERS, ["g"], wants_stop=True)
    assert found.difference == difference
    assert bool(found.description) == (difference is not None)
    assert "\n" not in found.description


def test_orphans_are_named_one_by_one() -> None:
    old = Resting("S-old", "STP", -3)
    found = compare(SimpleNamespace(units=3, orders=(STOP, OTHERS, TARGET, old)), 3, ORDERS, ["g"], wants_stop=True)
    assert found.orphans == (OTHERS, old)
    assert found.description == "orders that protect nothing: LMT -3, STP -3"


def test_nobody_misses_a_stop_that_is_not_wanted() -> None:
    bare = SimpleNamespace(units=3, orders=(TARGET,))
    assert compare(bare, 3, ORDERS, ["g"], wants_stop=False).difference is None
    assert compare(SimpleNamespace(units=1, orders=(TARGET,)), 1, ORDERS, ["g"], wants_stop=False).difference == (
        "oversized"
    )


def test_the_description_gives_the_numbers() -> None:
    assert compare(SimpleNamespace(units=2, orders=()), -1, {}, [], wants_stop=True).description == (
        "the broker holds 2 units, the session -1"
    )
    assert compare(SimpleNamespace(units=2, orders=()), 2, {}, [], wants_stop=True).description == (
        "2 units are held with stops for 0"
    )
