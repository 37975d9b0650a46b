"""From a bar's arrival to its entry on the wire, each entry once."""

from dataclasses import dataclass, field

import pytest

from rl_strategies.live.broker.latency import LatencyMeter
from rl_strategies.live.journal.session_journal import OrderRow, Role
from tests.live.bars import ListLink


@dataclass
class Wire(ListLink):
    """A link that knows when orders were written to the socket."""

    written: dict[str, int] = field(default_factory=dict)

    def wire_ns(self, client_order_id: str) -> int | None:
        return self.written.get(client_order_id)


def order(name: str, role: Role = "entry") -> OrderRow:
    return OrderRow(name, "SPY.EQUS", role, 1, 1, "market", 0, "entry", "", 0, 0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def meter(wire: Wire) -> LatencyMeter:
    return LatencyMeter(wire)


def test_an_entry_is_measured_once_when_it_is_on_the_wire(meter: LatencyMeter, wire: Wire) -> None:
    assert (meter.read(), meter.last_s) == (None, 0.0)
    meter.note_order(order("a"), arrived_ns=1_000)
    assert meter.read() is None, "not written yet"
    wire.written["a"] = 3_501_000
    assert meter.read() == 3_500_000
    assert meter.read() is None
    meter.note_order(order("b"), arrived_ns=5_000_000)
    wire.written["b"] = 6_000_000
    assert meter.read() == 1_000_000
    assert (meter.taken_ns, meter.last_s) == ([3_500_000, 1_000_000], 0.001)


@pytest.mark.parametrize("role", ["stop", "target", "exit", "external"])
def test_only_entries_follow_from_a_bar(meter: LatencyMeter, wire: Wire, role: Role) -> None:
    wire.written["x"] = 100
    meter.note_order(order("x", role), arrived_ns=1)
    assert meter.read() is None


def test_an_entry_that_never_reached_the_wire_gives_way_to_the_next(meter: LatencyMeter, wire: Wire) -> None:
    meter.note_order(order("lost"), arrived_ns=1)
    meter.note_order(order("next"), arrived_ns=1_000)
    wire.written["next"] = 1_250
    assert meter.read() == 250


def test_a_clock_that_was_set_back_is_no_negative_latency(meter: LatencyMeter, wire: Wire) -> None:
    wire.written["a"] = 500
    meter.note_order(order("a"), arrived_ns=1_000)
    assert meter.read() == 0
