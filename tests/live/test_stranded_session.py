"""A real session that cannot go on, or may not, while it holds something: protection first, and it is said."""

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from benchmarks.faults.bundle import Traded
from benchmarks.faults.host import LiveHost, hosted
from benchmarks.faults.invariants import TRADING_CLIENT
from tests.live.asked_of_host import ended, stops
from tests.live.conftest import PAPER_DAY, PaperDay

pytestmark = [pytest.mark.xdist_group("paper"), pytest.mark.slow]
DAY = date.fromisoformat(PAPER_DAY)
SPY = "{symbol: SPY, kind: STK, exchange: SMART}"
START_S = 6


@pytest.fixture
def host(paper_day: PaperDay, tmp_path: Path) -> Iterator[LiveHost]:
    """A gateway and a session that has not begun; it gives up a start after some seconds."""
    traded = Traded(paper_day.bundle, paper_day.catalog)
    with hosted(traded, tmp_path, (DAY, DAY), contract=SPY) as host:
        yield host


def impatient(host: LiveHost) -> None:
    """From its next start on."""
    text = host.config.read_text()
    host.config.write_text(text.replace("truth_s: 1}", f"truth_s: 1, start_s: {START_S}}}"))


def holding(host: LiveHost) -> int:
    assert host.step_until(lambda: host.units and stops(host), 400), host.printed.read_text()
    return host.units


def cancel_stop(host: LiveHost) -> None:
    """By hand at the broker."""

    def cancel(_: object) -> None:
        for order in host.broker.working(TRADING_CLIENT):
            if order.is_stop:
                host.broker.cancel(TRADING_CLIENT, order.order_id)

    host.gateway.call(cancel)


def test_without_history_at_a_restart_what_is_held_stays_protected(host: LiveHost) -> None:
    assert host.begin(), host.printed.read_text()
    held = holding(host)
    host.kill()
    impatient(host)
    host.fault("no_history", 1)
    naked_s, orders = host.invariants.unprotected_s, len(host.broker.orders)
    assert not host.begin()
    assert ended(host) == 4
    said = host.printed.read_text()
    assert "history was refused or not answered" in said or f"not started after {START_S} s" in said
    assert f'"units": {held}' in said, "what is held is said"
    assert (host.units, stops(host), len(host.broker.orders)) == (held, abs(held), orders)
    assert host.invariants.unprotected_s == naked_s


def test_without_history_at_a_restart_a_lost_stop_is_made_good_first(host: LiveHost) -> None:
    assert host.begin(), host.printed.read_text()
    holding(host)
    host.kill()
    cancel_stop(host)
    impatient(host)
    host.fault("no_history", 1)
    assert not host.begin()
    assert ended(host) == 4
    assert stops(host) == abs(host.units), "it has a stop again, or was closed"
    assert "NOT confirmed as protected" not in host.printed.read_text()


def test_a_halt_with_every_exit_refused_tries_on_until_it_is_out(host: LiveHost) -> None:
    text = host.config.read_text()
    assert "leverage: {}" in text
    host.config.write_text(text.replace("leverage: {}", "leverage: {halted: 0.000001}"))
    tried: list[float] = []
    place = host.broker.place

    def note(client_id: int, request: PlaceOrderRequest) -> None:
        if client_id == TRADING_CLIENT and request.order.orderType == "MKT" and host.units:
            tried.append(time.monotonic())
        place(client_id, request)

    host.broker.place = note  # type: ignore[method-assign]
    assert host.begin(), host.printed.read_text()
    host.fault("exit_errors", 201)
    assert host.step_until(lambda: host.units, 400), host.printed.read_text()
    held = host.units
    assert host.pass_time(lambda: len(tried) >= 4, 30, moving=False), "it tries again"
    assert host.is_alive()
    assert (host.units, stops(host)) == (held, abs(held)), "behind its stop"
    cancel_stop(host)
    assert host.pass_time(lambda: "unprotected" in host.printed.read_text(), 30, moving=False), "which is said"
    before = len(tried)
    assert host.pass_time(lambda: len(tried) >= before + 2, 90, moving=False), "and it goes on trying"
    assert (host.is_alive(), host.units) == (True, held), "a process that holds something unprotected does not end"
    host.fault("exit_errors", 0)
    assert ended(host, 90) == 5
    assert (host.units, host.broker.working()) == (0, []), host.printed.read_text()
    assert "position closed" in host.printed.read_text()
