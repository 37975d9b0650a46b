"""`rl-intraday paper` with the guard that it starts: what real processes leave in the broker's books."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.bundle import Traded
from benchmarks.faults.host import LiveHost, hosted
from tests.live.conftest import PAPER_DAY, ROOT, PaperDay

pytestmark = [pytest.mark.xdist_group("paper"), pytest.mark.slow]
DAY = date.fromisoformat(PAPER_DAY)
SPY = "{symbol: SPY, kind: STK, exchange: SMART}"
GUARD = "{{frozen_s: 3, confirm_s: 0.5, restart_s: 2, look_s: 1, close_before_end_s: {before_end_s}}}"
SESSION, OWNER = 1, 7


@pytest.fixture
def host(paper_day: PaperDay, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[LiveHost]:
    """A session that trades, with its guard; the parameter is ``close_before_end_s``."""
    guard = GUARD.format(before_end_s=getattr(request, "param", 240))
    traded = Traded(paper_day.bundle, paper_day.catalog)
    with hosted(traded, tmp_path, (DAY, DAY), contract=SPY, guard=guard) as host:
        assert host.begin(), host.printed.read_text()
        yield host


def holding(host: LiveHost) -> bool:
    """Move the market until the session holds a position with a stop, and its guard watches."""
    stops = lambda: [order for order in host.broker.working(SESSION) if order.is_stop]  # noqa: E731
    return host.step_until(lambda: host.units and stops(), 400) and host.pass_time(
        lambda: state(host).get("session") == "healthy" and stops(), 30, moving=False
    )


def state(host: LiveHost) -> dict[str, Any]:
    """What the guard's file says."""
    path = host.home.last_journal().parent / "guard.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def cancel_stop(host: LiveHost) -> None:
    """By hand at the broker."""

    def cancel(_: object) -> None:
        for order in host.broker.working(SESSION):
            if order.is_stop:
                host.broker.cancel(SESSION, order.order_id)

    host.gateway.call(cancel)


def closed_by_guard(host: LiveHost) -> list[int]:
    return [trade.units for trade in host.broker.trades if trade.details.execution.orderRef.startswith("flatten-")]


def ended(host: LiveHost) -> bool:
    return host.pass_time(lambda: not host.guards(), 60, moving=False)


def test_a_killed_session_without_its_stop_is_closed(host: LiveHost) -> None:
    assert holding(host), host.printed.read_text()
    held = host.units
    host.kill()
    cancel_stop(host)
    assert ended(host)
    assert closed_by_guard(host) == [-held]
    assert (host.units, host.broker.working()) == (0, [])
    assert host.home.risk.read().level == "halted"
    assert "without a stop at the broker" in host.printed.read_text()


def test_a_killed_guard_is_started_again_and_a_healthy_session_is_left_alone(host: LiveHost) -> None:
    assert holding(host), host.printed.read_text()
    (first,) = host.guards()
    os.kill(first, signal.SIGKILL)
    assert host.pass_time(lambda: [pid for pid in host.guards() if pid != first], 30, moving=False)
    host.step(20)
    assert closed_by_guard(host) == []
    assert host.end() == 0
    assert ended(host)
    assert (closed_by_guard(host), host.units, host.broker.working()) == ([], 0, [])
    assert host.home.risk.read().level == "normal"


def test_session_and_guard_killed_leave_a_stop(host: LiveHost) -> None:
    assert holding(host), host.printed.read_text()
    held = host.units
    for pid in host.guards():
        os.kill(pid, signal.SIGKILL)
    host.kill()
    time.sleep(1.0)
    assert host.units == held
    assert sum(order.remaining for order in host.broker.working(SESSION) if order.is_stop) == abs(held)


@pytest.mark.parametrize("host", [86_400], indirect=True)
def test_a_dead_session_whose_time_is_over_is_left_by_its_stop(host: LiveHost) -> None:
    assert holding(host), host.printed.read_text()
    held = host.units
    host.kill()
    before = len(host.broker.trades)
    assert ended(host)
    assert [trade.units for trade in host.broker.trades[before:]] == [-held]
    assert closed_by_guard(host) == []
    assert (host.units, host.broker.working()) == (0, [])


def test_a_simulated_session_has_a_guard_if_it_is_asked_for(paper_day: PaperDay, tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(paper_day.folder.parents[2].joinpath("paper.yaml").read_text())
    words = ["paper", paper_day.bundle, "--simulated", "--start", PAPER_DAY, "--speed", 2000, "--json", "--guard"]
    words += ["--catalog", paper_day.catalog, "--sessions", tmp_path, "--config", tmp_path / "paper.yaml"]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    folder = Path(json.loads(done.stdout)["folder"])
    assert json.loads((folder / "guard.json").read_text())["action"] == "end"
    assert "guard: the session is over, nothing of it is left at the broker" in done.stderr
    assert not (paper_day.folder / "guard.json").exists(), "without --guard there is none"
