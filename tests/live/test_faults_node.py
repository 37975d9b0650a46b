"""`rl-intraday paper` as a process of its own, harmed in every way: session and broker must agree afterwards."""

import inspect
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pytest
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.rules import OrderRule
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.faults import FAULTS
from benchmarks.faults import harm as _live_harm
from benchmarks.faults.audit import differences, doubled, lost
from benchmarks.faults.bundle import UNITS, Traded, make_traded
from benchmarks.faults.harm import HARMS, Harm
from benchmarks.faults.host import LiveHost, hosted
from benchmarks.faults.invariants import TRADING_CLIENT
from rl_strategies.live.journal.journal import read_journal

DAYS = date(2025, 1, 28), date(2025, 1, 29)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Traded:
    """A bundle that enters, leaves and reverses every few bars."""
    return make_traded(tmp_path_factory.mktemp("traded"), seed=1)


@pytest.fixture(scope="module")
def shared_host(traded: Traded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHost]:
    """One session, for all tests that leave it trading."""
    with hosted(traded, tmp_path_factory.mktemp("host"), DAYS) as host:
        yield host


KILLED_NS: list[int] = []


@pytest.fixture
def host(shared_host: LiveHost) -> LiveHost:
    """The session, trading and in agreement with the broker."""
    if not shared_host.is_alive():
        assert shared_host.begin(), shared_host.printed.read_text()
    shared_host.invariants.violations.clear()
    assert shared_host.pass_time(lambda: shared_host.knows(), 30)
    agrees(shared_host)
    return shared_host


def holds(host: LiveHost) -> None:
    """Move the market until a whole position is held behind its barriers."""
    assert host.step_until(lambda: abs(host.units) == UNITS and len(resting(host)) == 2, 2_000)


def resting(host: LiveHost) -> list[tuple[str, int]]:
    """Type and signed size of every order that works at the broker."""
    return host.gateway.call(
        lambda _: [(order.request.orderType, order.side * order.remaining) for order in host.broker.working()]
    )


def stops(host: LiveHost) -> int:
    """Units that stops at the broker would sell, or buy back where negative."""
    return -sum(units for kind, units in resting(host) if kind == "STP")


def found(host: LiveHost) -> list[str]:
    """What the session believes and the broker does not, and what was ordered twice."""
    return differences(host) + doubled(host)


def agrees(host: LiveHost) -> None:
    """The session believes what the broker holds, to the last execution."""
    # Bars may still be on their way: looked at a moment later, an order of theirs could be in the air.
    assert host.pass_time(lambda: not found(host), 10, moving=False), found(host)
    assert host.invariants.violations == []


def comes_back(host: LiveHost, since_ns: int, timeout_s: float = 60.0) -> None:
    """The session is connected again and has asked the broker since."""
    assert host.pass_time(lambda: host.is_subscribed() and host.knows(since_ns), timeout_s, moving=False)


def test_killed_with_an_open_position_it_goes_on_with_it(host: LiveHost) -> None:
    holds(host)
    held, began_ns = host.units, time.time_ns()
    host.kill()
    assert (host.units, stops(host)) == (held, held)  # a dead process is still protected
    assert host.begin(), host.printed.read_text()
    comes_back(host, began_ns)
    assert (host.units, stops(host)) == (held, held)
    agrees(host)


def test_a_stop_that_fills_while_the_connection_is_away_leaves_nothing_behind(host: LiveHost) -> None:
    holds(host)
    began_ns = time.time_ns()
    host.fault("drop")
    while host.units != 0:
        host.step(pause_s=0.0)
    comes_back(host, began_ns)
    agrees(host)
    assert host.position() == host.units


def test_an_entry_whose_stop_is_refused_never_works(host: LiveHost) -> None:
    assert host.step_until(lambda: host.units == 0 and not resting(host), 2_000)
    trades = len(host.broker.trades)
    host.refuse_kind("STP")
    assert host.step_until(lambda: not host.refused_kind, 2_000)
    assert host.pass_time(lambda: not host.broker.working(), 5, moving=False)
    assert (host.units, len(host.broker.trades)) == (0, trades)
    agrees(host)


def test_a_stop_that_is_refused_when_it_begins_to_work_closes_the_position(host: LiveHost) -> None:
    assert host.step_until(lambda: host.units == 0 and not resting(host), 2_000)
    trades = len(host.broker.trades)
    rule = OrderRule(201, "activate", kinds=("STP",))
    host.gateway.call(lambda server: server.gateway.broker.answers.add(rule))
    assert host.step_until(lambda: len(host.broker.trades) > trades, 2_000)
    assert host.pass_time(lambda: host.units == 0 and resting(host) == [], 5, moving=False)
    assert [abs(trade.units) for trade in host.broker.trades[trades:]] == [UNITS, UNITS]
    agrees(host)


def test_what_led_to_an_order_is_on_disk_before_its_first_byte_arrives(host: LiveHost) -> None:
    decision = {"bar", "observation", "recurrent_state", "logits", "target", "review"}
    folder, place = host.home.last_journal(), host.broker.place
    seen, missing = [], []

    def look_and_place(client_id: int, request: PlaceOrderRequest) -> None:
        rows = read_journal(folder).rows
        orders = [msgspec.json.decode(row["text"]) for row in rows.to_pylist() if row["kind"] == "order"]
        found = [row for row in orders if row["client_order_id"] == request.order.orderRef.partition(":")[0]]
        seen.append(found[-1]["role"] if found else "unknown")
        at_decision = pc.equal(rows["ts_ns"], found[-1]["decision_ns"]) if found else None
        kinds = set(rows.filter(at_decision)["kind"].to_pylist()) if found else set()
        if not found or (found[-1]["role"] == "entry" and not decision <= kinds):
            missing.append((request.order.orderRef, decision - kinds))
        place(client_id, request)

    host.gateway.call(lambda _: setattr(host.broker, "place", look_and_place))
    try:
        assert host.step_until(lambda: {"entry", "stop", "target", "exit"} <= set(seen), 2_000)
    finally:
        host.gateway.call(lambda _: setattr(host.broker, "place", place))
    assert missing == []
    agrees(host)


def test_an_entry_that_fills_in_parts_is_covered_and_then_ended(host: LiveHost) -> None:
    assert host.step_until(lambda: host.units == 0 and not resting(host), 2_000)
    host.fault("partial_fills", 1)
    assert host.step_until(lambda: host.units != 0, 2_000)
    for _ in range(10):
        host.step()
        assert host.pass_time(lambda: abs(stops(host)) >= abs(host.units), 5, moving=False)
    host.fault("partial_fills", 0)
    agrees(host)


def test_a_fill_that_is_told_late_is_protected_all_the_while(host: LiveHost) -> None:
    assert host.step_until(lambda: host.units == 0, 2_000)
    host.fault("late_fills", 1)
    assert host.step_until(lambda: host.gateway.gateway.unreported, 2_000)
    assert stops(host) == host.units, "the broker has it before the session hears of the fill"
    host.pass_time(lambda: False, 2.0, moving=False)
    host.fault("late_fills", 0)
    assert host.pass_time(lambda: host.knows(), 30, moving=False)
    agrees(host)


def test_it_trades_on_after_the_gateway_has_restarted(host: LiveHost) -> None:
    holds(host)
    began_ns = time.time_ns()
    host.fault("restart", 500)
    comes_back(host, began_ns)
    agrees(host)
    trades = len(host.broker.trades)
    assert host.step_until(lambda: len(host.broker.trades) >= trades + 3, 4_000)
    agrees(host)


def test_servers_lost_for_a_moment_while_an_order_is_on_its_way_are_noticed(host: LiveHost) -> None:
    orders = len(host.broker.orders)
    assert host.step_until(lambda: len(host.broker.orders) > orders, 2_000)
    began_ns = time.time_ns()
    host.fault("servers_lost")
    host.pass_time(lambda: False, 0.3, moving=False)  # the next order's number is told meanwhile
    host.fault("servers_back", 0)
    comes_back(host, began_ns)
    agrees(host)


def test_servers_that_stay_lost_over_a_reconnect_cost_no_client_id(
    host: LiveHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(host)
    gateway, starts = host.gateway.gateway, []
    start = gateway.start

    def note(session: ClientSession, client_id: int) -> bool:
        starts.append((client_id, start(session, client_id)))
        return starts[-1][1]

    monkeypatch.setattr(gateway, "start", note)
    began_ns = time.time_ns()
    host.fault("servers_lost")
    assert host.pass_time(lambda: len(starts) >= 3, 60, moving=False), "it connects, and is told that they are lost"
    host.fault("servers_back", 1)
    comes_back(host, began_ns)
    agrees(host)
    assert set(starts) == {(TRADING_CLIENT, True)}, "the connection before had ended, and its client id was free"


@pytest.mark.parametrize("process_is", ["alive", "hanging", "dead"])
def test_flatten_closes_whatever_the_process_does(process_is: str, host: LiveHost) -> None:
    holds(host)
    began_ns = time.time_ns()
    if process_is == "hanging":
        host.stop()
    elif process_is == "dead":
        host.kill()
    assert host.flatten()["is_flat"]
    assert (host.units, resting(host)) == (0, [])
    if process_is == "hanging":
        host.go_on()
    elif process_is == "dead":
        assert host.begin(), host.printed.read_text()
    if process_is == "dead":
        comes_back(host, began_ns)
    else:  # it hears of the closing fill, and need not doubt what the broker holds
        assert host.pass_time(lambda: host.knows() and host.position() == 0, 60.0, moving=False)
    agrees(host)


def test_sigterm_closes_what_is_held(host: LiveHost) -> None:
    holds(host)
    assert host.end() == 0
    assert (host.units, resting(host)) == (0, [])


# With seed 1 an entry is refused and the refusal of its stop is lost: the stop was once not known to be gone.
MIXED = [(harm, seed) for harm in HARMS if harm.name == "adversities" for seed in (2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "seed"), [*((harm, 1) for harm in HARMS), *MIXED], ids=lambda each: getattr(each, "name", str(each))
)
def test_the_broker_holds_what_the_session_believes_after(harm: Harm, seed: int, host: LiveHost) -> None:
    random = np.random.default_rng(seed)
    host.step_until(lambda: host.units != 0, 2_000)
    began_ns = time.time_ns()
    harm.act(host, random)
    if not host.is_alive():
        # For the tests after this one too: they share the session, and what this kill kept from leaving never left.
        KILLED_NS.extend((began_ns, time.time_ns()))
        assert host.begin(), host.printed.read_text()
    comes_back(host, began_ns if harm.interrupts else 0)
    agrees(host)
    host.pass_time(lambda: not lost(host, KILLED_NS)[0], 10, moving=False)  # a refusal may be on its way
    assert lost(host, KILLED_NS)[0] == []
    trades = len(host.broker.trades)
    assert host.step_until(lambda: len(host.broker.trades) >= trades + 3, 4_000)
    agrees(host)


def test_every_fault_of_the_simulator_is_played() -> None:
    played = inspect.getsource(_live_harm)
    assert [name for name in FAULTS if f'"{name}"' not in played] == []


def test_with_redis_a_session_starts_trades_and_goes_on(traded: Traded, tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            with hosted(traded, tmp_path / "host", DAYS, more=f"redis: {{port: {port}}}") as host:
                assert host.begin(), host.printed.read_text()
                holds(host)
                assert "order" in keys_of(port)
                held, began_ns = host.units, time.time_ns()
                host.kill()
                assert host.begin(), host.printed.read_text()
                comes_back(host, began_ns)
                assert (host.units, stops(host)) == (held, held)
                agrees(host)
        finally:
            redis.terminate()


def keys_of(port: int) -> str:
    """Names of all keys in a Redis, in one text."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"KEYS *\r\nQUIT\r\n")
        return b"".join(iter(lambda: connection.recv(1 << 20), b"")).decode()
