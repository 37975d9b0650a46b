"""Three shares in one session: guard, halt, flatten and what others trade, by the broker's books of every contract."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.faults.audit import differences, doubled
from benchmarks.faults.bundle import Traded, make_portfolio
from benchmarks.faults.host import LiveHost, hosted
from benchmarks.faults.invariants import TRADING_CLIENT
from benchmarks.live_faults import STARTS
from run.trade.gateway import ACCOUNT
from tests.live.conftest import ROOT

pytestmark = [pytest.mark.xdist_group("portfolio-safety"), pytest.mark.slow]
GUARD = "{frozen_s: 3, confirm_s: 0.5, restart_s: 2, look_s: 1, close_before_end_s: 240}"
OWNERS = 7


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """A bundle that enters, leaves and reverses every few bars."""
    return make_portfolio(tmp_path_factory.mktemp("three"), seed=4)


@contextmanager
def session(traded: Traded, folder: Path, guard: str = "null", halts: bool = False) -> Iterator[LiveHost]:
    """A session that trades; one that ``halts`` does so once it holds anything."""
    with hosted(traded, folder, traded.window(STARTS[0]), traded.more, contract="", guard=guard) as host:
        if halts:
            text = host.config.read_text()
            host.config.write_text(text.replace("leverage: {}", "leverage: {halted: 0.000001}"))
        assert host.begin(), host.printed.read_text()[-2000:]
        yield host


def at_broker(host: LiveHost) -> list[int]:
    """Positions of the account in the three contracts, whoever holds them."""
    return [host.broker.account.units(con_id) for con_id in host.con_ids.values()]


def stops(host: LiveHost, con_id: int) -> int:
    resting = [order for order in host.broker.working(TRADING_CLIENT) if order.is_stop]
    return sum(order.remaining for order in resting if order.terms.con_id == con_id)


def holding(host: LiveHost, wanted: int = 2) -> list[int]:
    """Move the market until so many contracts are held behind their stops; the signed units of all."""

    def is_so() -> bool:
        held = [(con_id, host.broker.account.units(con_id)) for con_id in host.con_ids.values()]
        is_covered = all(stops(host, con_id) == abs(units) for con_id, units in held)
        return is_covered and sum(units != 0 for _, units in held) >= wanted and not differences(host)

    assert host.step_until(is_so, 4_000), host.printed.read_text()[-2000:]
    return at_broker(host)


def closed(host: LiveHost) -> list[int]:
    """Units that flatten or guard traded in each of the three contracts."""
    closing = [trade for trade in host.broker.trades if trade.details.execution.orderRef.startswith("flatten-")]
    return [sum(trade.units for trade in closing if trade.con_id == con_id) for con_id in host.con_ids.values()]


def entries(host: LiveHost) -> list[int]:
    """Number of entries that arrived for each of the three contracts."""
    sent = [order for order in host.broker.orders.values() if order.client_id == TRADING_CLIENT]
    opening = [order for order in sent if order.request.orderType == "MKT" and not order.request.ocaGroup]
    return [sum(order.terms.con_id == con_id for order in opening) for con_id in host.con_ids.values()]


def test_a_guard_closes_all_that_a_dead_session_held_and_nothing_of_its_owner(traded: Traded, tmp_path: Path) -> None:
    with session(traded, tmp_path, GUARD) as host:
        held = holding(host)
        assert host.pass_time(lambda: host.guards(), 30, moving=False)
        host.kill()
        side = 1 if held[0] >= 0 else -1
        host.fault("hand_trade", OWNERS * side)
        host.fault("hand_order", 1)
        naked = next(con_id for con_id, units in zip(host.con_ids.values(), held, strict=True) if units)

        def cancel(_: object) -> None:
            for order in host.broker.working(TRADING_CLIENT):
                if order.is_stop and order.terms.con_id == naked:
                    host.broker.cancel(TRADING_CLIENT, order.order_id)

        host.gateway.call(cancel)
        assert host.pass_time(lambda: not host.guards(), 60, moving=False), host.printed.read_text()[-2000:]
        assert closed(host) == [-units for units in held]
        assert at_broker(host) == [OWNERS * side, 0, 0]
        assert [order.client_id for order in host.broker.working()] == [0], "the owner's order works on"
        assert host.home.risk.read().level == "halted"


def test_a_halt_leaves_every_contract(traded: Traded, tmp_path: Path) -> None:
    with session(traded, tmp_path, halts=True) as host:
        assert host.step_until(lambda: host.units, 4_000), host.printed.read_text()[-2000:]
        assert host.process is not None
        assert host.pass_time(lambda: not host.is_alive(), 90, moving=False), host.printed.read_text()[-2000:]
        assert host.process.returncode == 5
        assert (at_broker(host), host.broker.working()) == ([0, 0, 0], [])
        assert (differences(host), doubled(host)) == ([], [])
        assert '"reason": "leverage' in host.printed.read_text()
        assert host.invariants.unprotected_s == 0


def test_flatten_of_a_dead_session_closes_its_own_units_of_every_contract(traded: Traded, tmp_path: Path) -> None:
    with session(traded, tmp_path) as host:
        held = holding(host)
        host.kill()
        side = 1 if held[0] >= 0 else -1
        host.fault("hand_trade", OWNERS * side)
        day = host.home.last_journal().parent
        words = ["flatten", host.config, "--scope", "session", "--session", day, "--json"]
        command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "IB_ACCOUNT": ACCOUNT}, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout)["is_flat"]
        assert closed(host) == [-units for units in held]
        assert at_broker(host) == [OWNERS * side, 0, 0]
        assert host.broker.working() == []


def test_what_others_trade_in_one_contract_ends_entries_in_that_alone(traded: Traded, tmp_path: Path) -> None:
    with session(traded, tmp_path) as host:
        held = holding(host)
        side = 1 if held[0] >= 0 else -1
        host.fault("hand_trade", OWNERS * side)
        said = lambda: "others trade SPY.EQUS" in host.printed.read_text()  # noqa: E731
        assert host.pass_time(said, 30, moving=False), host.printed.read_text()[-2000:]
        before = entries(host)
        more = lambda: [now - then for now, then in zip(entries(host), before, strict=True)]  # noqa: E731
        assert host.step_until(lambda: min(more()[1:]) >= 2, 6_000), more()
        assert more()[0] == 0
        assert host.end() == 0
        assert at_broker(host) == [OWNERS * side, 0, 0]
        assert (host.broker.working(), differences(host), doubled(host)) == ([], [], [])
