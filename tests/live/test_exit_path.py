"""A real session that leaves while positions are old, exits are refused, stops fill on the way, or the disk is full."""

import resource
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.matching import Execution
from benchmarks.faults.audit import differences
from benchmarks.faults.bundle import Traded
from benchmarks.faults.host import LiveHost, hosted
from benchmarks.faults.invariants import TRADING_CLIENT
from tests.live.asked_of_host import ended, stops
from tests.live.conftest import PAPER_DAY, PaperDay

pytestmark = [pytest.mark.xdist_group("paper"), pytest.mark.slow]
DAY = date.fromisoformat(PAPER_DAY)
SPY = "{symbol: SPY, kind: STK, exchange: SMART}"
UNITS = 10
CAPITAL = "capital_usd: 1000000"  # what the gateway's account has, so that balances can be compared


@pytest.fixture
def host(paper_day: PaperDay, tmp_path: Path) -> Iterator[LiveHost]:
    """A session that trades."""
    traded = Traded(paper_day.bundle, paper_day.catalog)
    with hosted(traded, tmp_path, (DAY, DAY), CAPITAL, contract=SPY) as host:
        assert host.begin(), host.printed.read_text()
        yield host


def holding(host: LiveHost) -> int:
    """Move the market until the whole position is held behind its stop; the signed units."""
    held = lambda: abs(host.units) == UNITS == stops(host) and not differences(host)  # noqa: E731
    assert host.step_until(held, 800), host.printed.read_text()[-2000:]
    return host.units


def level(host: LiveHost) -> str:
    return str(host.home.risk.read().level)


# Positions 30 s late ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["stale_positions", "late_position"])
def test_positions_half_a_minute_old_halt_nobody_and_the_session_ends_flat(host: LiveHost, fault: str) -> None:
    host.fault(fault, 30_000)
    holding(host)
    host.pass_time(lambda: not host.is_alive(), 25, moving=False)  # longer than a real difference would be borne
    assert (host.is_alive(), level(host)) == (True, "normal"), host.printed.read_text()[-2000:]
    assert stops(host) == abs(host.units)
    assert host.process is not None
    host.process.terminate()
    assert ended(host) == 0
    assert (host.units, host.broker.working(), differences(host)) == (0, [], [])
    assert "others trade" not in host.printed.read_text()


# A stop that fills while the exit is on the wire ----------------------------------------------------------------------


@pytest.mark.parametrize("units", [1, 7, 10])
def test_a_stop_that_fills_while_the_exit_is_on_its_way_leaves_nothing(host: LiveHost, units: int) -> None:
    side = 1 if holding(host) > 0 else -1
    place, met, held = host.broker.place, [], []

    def place_late(client_id: int, request: PlaceOrderRequest) -> None:
        (stop,) = [order for order in host.broker.working(TRADING_CLIENT) if order.is_stop] or [None]
        if not met and stop is not None and client_id == TRADING_CLIENT and request.order.orderType == "MKT":
            met.append(request.order.totalQuantity)
            host.broker._fill(stop, Execution(units, host.broker.quotes[stop.terms.con_id].ticks))
        place(client_id, request)
        held.append(host.units * side)

    host.broker.place = place_late  # type: ignore[method-assign]
    assert host.process is not None
    host.process.terminate()
    assert ended(host) == 0
    assert met == [str(UNITS)], "the exit was for the whole position when it left"
    assert min(held) >= -units, "no more is closed than the stop has met"
    assert (host.units, host.broker.working(), differences(host)) == (0, [], [])
    assert level(host) == "normal"


# Disk full ----------------------------------------------------------------------------------------------------------


def fill_disk(host: LiveHost) -> Callable[[], None]:
    """Let no file of the process grow beyond what its journal has now; returns what undoes that."""
    assert host.process is not None
    pid = host.process.pid
    size = max(path.stat().st_size for path in host.home.last_journal().glob("*"))
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def undo() -> None:
        if host.is_alive():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    return undo


def entries(host: LiveHost) -> int:
    return sum(order.request.orderType == "MKT" and not order.request.ocaGroup for order in host.broker.orders.values())


def fill_disk_at_first_order(host: LiveHost) -> None:
    """Before the broker takes the next order."""
    place, undo = host.broker.place, []

    def place_on_full_disk(client_id: int, request: PlaceOrderRequest) -> None:
        if not undo:
            undo.append(fill_disk(host))
        place(client_id, request)

    host.broker.place = place_on_full_disk  # type: ignore[method-assign]


def test_with_a_full_disk_what_is_held_is_left_and_nothing_is_entered(host: LiveHost) -> None:
    holding(host)
    undo = fill_disk(host)
    assert host.step_until(lambda: host.units == 0, 400), "the policy, a barrier or the time limit closes it"
    assert host.pass_time(lambda: not host.broker.working(), 30, moving=False)
    before = entries(host)
    host.step(200)
    assert (entries(host), host.units, host.is_alive()) == (before, 0, True), host.printed.read_text()[-2000:]
    undo()
    assert host.step_until(lambda: entries(host) > before, 400), "with room on the disk it trades again"
    assert host.end() == 0
    assert (host.units, host.broker.working(), differences(host)) == (0, [], [])


def test_a_disk_that_is_full_between_an_entry_and_its_fill_costs_no_stop(host: LiveHost) -> None:
    fill_disk_at_first_order(host)
    assert host.step_until(lambda: host.units, 400)
    assert host.pass_time(lambda: stops(host) == abs(host.units), 5, moving=False)
    host.pass_time(lambda: False, 3, moving=False)
    assert (host.is_alive(), stops(host)) == (True, abs(host.units))
    assert host.process is not None
    host.process.terminate()
    assert ended(host) == 0
    assert (host.units, host.broker.working()) == (0, [])
    assert host.invariants.unprotected_s == pytest.approx(0, abs=0.05)
    said = host.printed.read_text()
    assert "Traceback" not in said, "a full disk is said in one line"
    assert "journal cannot be written: File too large" in said


def test_killed_with_a_full_disk_it_goes_on_with_what_the_broker_holds(host: LiveHost) -> None:
    fill_disk_at_first_order(host)
    assert host.step_until(lambda: host.units, 400)
    host.kill()
    since = time.time_ns()
    assert host.begin(), host.printed.read_text()[-2000:]
    assert host.pass_time(lambda: host.knows(since) and not differences(host), 60, moving=False), differences(host)
    assert stops(host) == abs(host.units)
