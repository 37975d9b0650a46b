"""The health endpoint over real sockets, and what systemd hears."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from msgspec.structs import force_setattr, replace

from catalogs.errors import InputError
from configs.live.supervision import HealthConfig
from run.trade.monitoring.health import STARTING, Health, HealthServer
from run.trade.monitoring.systemd import notify
from run.trade.monitoring.telemetry_store import StoreHealth
from run.trade.monitoring.watchdog import Supervision
from run.trade.session_runner import LiveSession

WELL = Health(
    state="trading", connected=True, data_age_s=1.5, last_decision_ns=7, position={"MESZ6.XCME": -2},
    risk_state="normal",
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[HealthServer]:
    """A server on a free port."""
    made = HealthServer(HealthConfig(port=0, max_tick_age_s=30.0))
    yield made
    made.close()


def get(server: HealthServer, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_well_session_is_200_with_everything_in_it(server: HealthServer) -> None:
    server.tick(WELL)
    assert get(server, "/health?probe=1") == (200, {
        "state": "trading", "connected": True, "data_age_s": 1.5, "last_decision_ns": 7,
        "position": {"MESZ6.XCME": -2}, "risk_state": "normal", "problems": [],
    })  # fmt: skip


@pytest.mark.parametrize(
    "ill", [{"connected": False}, {"risk_state": "reduce_only"}, {"risk_state": "halted"}, {"problems": ("disk full",)}]
)
def test_an_ill_session_is_503_but_lives(ill: dict[str, Any], server: HealthServer) -> None:
    server.tick(replace(WELL, **ill))
    status, content = get(server, "/health")
    assert status == 503
    (name, value), = ill.items()  # fmt: skip
    assert content[name] == (list(value) if isinstance(value, tuple) else value)
    assert get(server, "/live")[0] == 200


def test_before_the_first_tick_it_is_starting(server: HealthServer) -> None:
    status, content = get(server, "/health")
    assert (status, content["state"]) == (503, "starting")


def test_a_loop_that_hangs_is_seen() -> None:
    now_s = [100.0]
    server = HealthServer(HealthConfig(port=0, max_tick_age_s=10.0), clock_s=lambda: now_s[0])
    server.tick(WELL)
    now_s[0] = 110.0
    assert get(server, "/live") == (200, {"live": True, "tick_age_s": 10.0})
    now_s[0] = 110.5
    (live, alive), (health, content) = get(server, "/live"), get(server, "/health")
    server.close()
    assert (live, alive["live"], health) == (503, False, 503)
    assert content["problems"] == ["the trading loop has not reported for 10 s"]


def test_other_paths_are_404(server: HealthServer) -> None:
    assert get(server, "/")[0] == 404


def test_a_client_that_says_nothing_stops_neither_the_loop_nor_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("run.trade.monitoring.health.CLIENT_TIMEOUT_S", 600)  # the others must not wait for it
    server = HealthServer(HealthConfig(port=0))
    with socket.create_connection(("127.0.0.1", server.port)):
        server.tick(WELL)
        assert get(server, "/live")[0] == 200
    server.close()


def test_an_address_that_others_reach_is_refused_also_past_the_configuration() -> None:
    config = HealthConfig(port=0)
    force_setattr(config, "host", "0.0.0.0")
    with pytest.raises(InputError, match="must be a loopback address such as"):
        HealthServer(config)


def test_a_port_in_use_is_one_line(server: HealthServer) -> None:
    with pytest.raises(InputError, match=f"health port {server.port} cannot be listened on"):
        HealthServer(HealthConfig(port=server.port))


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_every_state(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@rl-intraday-{tmp_path.name}-{time.monotonic_ns()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert [notify("READY=1"), notify("WATCHDOG=1"), notify("STOPPING=1")] == [True] * 3
        assert [manager.recv(64) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False


def test_a_manager_that_is_away_is_logged_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert notify("WATCHDOG=1") is False
    assert "could not be notified of WATCHDOG=1" in caplog.text


def test_starting_is_not_fine() -> None:
    assert not STARTING.is_fine


def test_supervision_is_ready_with_the_first_tick_that_trades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        supervision = Supervision(HealthConfig(port=0))
        assert supervision.server is not None
        for health in (STARTING, WELL, WELL):
            supervision.tick(health)
        assert get(supervision.server, "/health")[0] == 200
        supervision.close()
        heard = [manager.recv(64).decode() for _ in range(5)]
    assert heard == ["WATCHDOG=1", "READY=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_supervision_without_an_endpoint_still_tells_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervision = Supervision(None)
    supervision.tick(WELL)
    supervision.close()
    assert supervision.server is None


def test_context_that_is_missing_is_a_problem_of_the_session() -> None:
    session = object.__new__(LiveSession)
    inputs = SimpleNamespace(context=SimpleNamespace(missing=("VIX",)), age_s=lambda: 0.0)
    config = SimpleNamespace(timeouts=SimpleNamespace(clock="wall"))
    session.plan = SimpleNamespace(config=config)
    session.link = SimpleNamespace(is_connected=lambda: True, clock_drift_s=None)
    session._store = SimpleNamespace(health=StoreHealth())
    session.strategy = SimpleNamespace(
        traded=[SimpleNamespace(name="SPY.EQUS", execution=SimpleNamespace(units=0))],
        is_ready=True, problem="", protection=SimpleNamespace(is_known=lambda: True, is_protected=lambda: True),
        market_data=inputs, last_decision_ns=0, monitor=SimpleNamespace(level="normal"),
    )  # fmt: skip
    assert (session.health().problems, session.health().is_fine) == (("context VIX is missing or too old",), False)
    inputs.context.missing = ()
    session.link.clock_drift_s = -1.23
    assert session.health().problems == ("this machine's clock is 1.2 s behind the broker's",)
    session.link.clock_drift_s = 0.9
    inputs.context = None
    assert session.health().is_fine
