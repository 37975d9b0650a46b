"""Two processes and one contract of an account: the second never begins, wherever its sessions are kept."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from benchmarks.faults.bundle import Traded
from benchmarks.faults.host import GUARD, LiveHost, hosted
from run.trade.gateway import ACCOUNT
from tests.live.conftest import PAPER_DAY, ROOT, PaperDay

DAY = date.fromisoformat(PAPER_DAY)
SPY = "{symbol: SPY, kind: STK, exchange: SMART}"
# Holds the lock until its input ends, or says why it cannot.
HOLDER = """
import sys
from pathlib import Path
from catalogs.errors import InputError
from run.trade.session.contract_lock import contracts_locked
account, instrument_id, store = sys.argv[1:4]
try:
    with contracts_locked(account, instrument_id.split(), Path(store)):
        print("held", flush=True)
        sys.stdin.read()
except InputError as error:
    print(error, flush=True)
"""
TAKEN = "another session trades MESZ6.XCME on this account"


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., tuple[str, subprocess.Popen[str]]]]:
    """``hold(account, instrument_id, store)``: what a process of its own says, and the process."""
    processes: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "RL_INTRADAY_CACHE": str(tmp_path / "cache")}

    def begin(account: str, instrument_id: str, store: str) -> tuple[str, subprocess.Popen[str]]:
        command = [sys.executable, "-c", HOLDER, account, instrument_id, str(tmp_path / store)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip(), process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_contract_of_an_account_is_traded_by_one_process(
    hold: Callable[..., tuple[str, subprocess.Popen[str]]],
) -> None:
    said, first = hold("DU1", "MESZ6.XCME", "store")
    assert said == "held"
    assert hold("DU1", "MESZ6.XCME", "store")[0] == TAKEN
    assert hold("DU1", "MESZ6.XCME", "elsewhere")[0] == TAKEN
    assert hold("DU2", "MESZ6.XCME", "store")[0] == "held"
    assert hold("DU1", "MNQZ6.XCME", "store")[0] == "held"
    first.kill()
    first.wait()
    assert hold("DU1", "MESZ6.XCME", "elsewhere")[0] == "held", "the lock of a dead process has ended with it"


@pytest.fixture
def host(paper_day: PaperDay, tmp_path: Path) -> Iterator[LiveHost]:
    """A gateway, and a session that has not begun, with its guard."""
    traded = Traded(paper_day.bundle, paper_day.catalog)
    with hosted(traded, tmp_path / "host", (DAY, DAY), contract=SPY, guard=GUARD) as host:
        yield host


def run_paper(host: LiveHost, bundle: Path, sessions: Path, account: str = ACCOUNT) -> tuple[int, list[str]]:
    """Exit code and printed lines of another session at the gateway."""
    words = ["paper", bundle, "--config", host.config, "--sessions", sessions]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    environment = {**os.environ, "IB_ACCOUNT": account}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.slow
@pytest.mark.xdist_group("paper")
def test_a_second_session_sends_nothing(host: LiveHost, paper_day: PaperDay, tmp_path: Path) -> None:
    assert host.begin(), host.printed.read_text()
    assert host.step_until(lambda: host.units and host.broker.working(1), 400)
    broker = host.broker
    before = host.units, len(broker.orders), len(broker.trades), len(host.server.connections)
    code, lines = run_paper(host, paper_day.bundle, tmp_path / "elsewhere")
    assert (code, lines) == (2, ["error: another session trades SPY.EQUS on this account"])
    assert (host.units, len(broker.orders), len(broker.trades)) == before[:3]
    host.kill()
    host.kill_guards()
    code, lines = run_paper(host, paper_day.bundle, tmp_path / "elsewhere")
    assert code == 4, "what a session of an older folder holds is not this one's"
    assert f"account already holds {host.units:+d} SPY.EQUS from outside this session" in "".join(lines)
    assert (host.units, len(broker.orders), len(broker.trades)) == before[:3]
    code, lines = run_paper(host, paper_day.bundle, host.folder / "sessions", "DU7654321")
    assert (code, len(lines)) == (2, 1)
    assert "the session traded on another account than the configuration's: close what it holds with" in lines[0]
    assert host.begin(), "the session itself goes on with it"
    assert (host.units, len(broker.orders)) == before[:2]


@pytest.mark.slow
@pytest.mark.xdist_group("paper")
def test_an_account_that_the_gateway_does_not_have_is_refused(
    host: LiveHost, paper_day: PaperDay, tmp_path: Path
) -> None:
    code, lines = run_paper(host, paper_day.bundle, tmp_path / "elsewhere", "DU7654321")
    assert code == 2
    assert lines[-1] == "error: the gateway does not have the account in IB_ACCOUNT"
    assert "DU7654321" not in "".join(lines)
    assert (host.broker.orders, host.broker.trades, host.server.connections) == ({}, [], [])
