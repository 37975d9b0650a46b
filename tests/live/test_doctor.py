"""The doctor against the simulated gateway: every check, well and ill."""

import json
import re
import socketserver
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ibapi.protobuf.OrderState_pb2 import OrderState

from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from configs.live.contract import WantedContract
from configs.live.supervision import RedisConfig
from rl_strategies.bundle.bundle import Bundle
from run.cli import main
from run.trade.safety.doctor_checks import check_calendar, check_disk, check_expiry, check_redis, check_telemetry
from tests.live.conftest import MES, START_NS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")
OTHER = "DU1234568"
NO_PERMISSION = Refusal(460, "No trading permissions")


@pytest.fixture
def configuration(gateway: ThreadedServer, tmp_path: Path) -> Path:
    """Names the contract that the gateway trades."""
    path = tmp_path / "mes.yaml"
    contract = '{symbol: MES, kind: FUT, exchange: CME, expiry: "202612"}'
    path.write_text(f"host: 127.0.0.1\nport: {gateway.port}\ncontract: {contract}\n")
    return path


@pytest.fixture
def doctor(configuration: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """``doctor()``: exit code and findings by check."""
    for name in ("IB_ACCOUNT", "RL_INTRADAY_TELEMETRY_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*options: str) -> tuple[int, dict[str, dict[str, str]]]:
        code = main(["doctor", str(configuration), "--json", *options])
        answer = json.loads(capsys.readouterr().out)
        return code, {finding["check"]: finding for finding in answer["checks"]}

    return run


def test_a_sound_gateway_fails_on_its_simulated_clock_alone(doctor: Callable[..., Any]) -> None:
    code, found = doctor()
    by_date = ("calendar", "contract", "expiry")
    states = {check: finding["state"] for check, finding in found.items() if check not in by_date}
    assert states == {
        "gateway": "ok", "account": "ok", "clock": "fail", "open positions": "ok", "history": "ok",
        "market data": "ok", "margin": "ok", "disk": "ok", "redis": "ok",
    }  # fmt: skip
    assert found["contract"]["found"].startswith("MESZ6, ")
    assert found["margin"]["found"] == "2,400.00 USD for one unit, 100,000.00 available"
    assert "DU1234567" not in json.dumps(found)
    assert code == 1


@pytest.mark.parametrize(("drift_s", "state"), [(3, "warn"), (-60, "fail")])
def test_a_clock_that_drifts_is_said(
    drift_s: int, state: str, doctor: Callable[..., Any], gateway: ThreadedServer
) -> None:
    gateway.call(lambda server: setattr(server.gateway, "now_ns", lambda: time.time_ns() + drift_s * 10**9))
    _, found = doctor()
    assert found["clock"]["state"] == state
    assert "synchronise this machine's clock" in found["clock"]["fix"]


def test_a_clock_that_agrees_passes(doctor: Callable[..., Any], gateway: ThreadedServer) -> None:
    gateway.call(lambda server: setattr(server.gateway, "now_ns", time.time_ns))
    _, found = doctor()
    assert found["clock"]["state"] == "ok"


def test_the_offset_of_the_clocks_is_measured_and_named(doctor: Callable[..., Any], gateway: ThreadedServer) -> None:
    gateway.call(lambda server: setattr(server.gateway, "now_ns", time.time_ns))
    gateway.call(lambda server: FAULTS["clock_offset"](server, 1200))
    _, found = doctor()
    said = re.fullmatch(r"this machine's is (\d\.\d) s behind the broker's, within (\d\.\d) s", found["clock"]["found"])
    assert said is not None, found["clock"]
    offset_s, error_s = map(float, said.groups())
    assert abs(offset_s - 1.2) <= error_s + 0.1  # both are rounded
    assert error_s <= 0.5, "several answers say more than one"
    assert found["clock"]["state"] == "warn"


@pytest.mark.parametrize(
    ("fault", "check", "said"),
    [
        ("no_history", "history", "No market data permissions"),
        ("no_quotes", "market data", "No market data during competing live session"),
    ],
)
def test_what_the_gateway_refuses_is_a_finding(
    fault: str, check: str, said: str, doctor: Callable[..., Any], gateway: ThreadedServer
) -> None:
    gateway.call(lambda server: FAULTS[fault](server, 1))
    _, found = doctor()
    assert said in found[check]["found"]
    assert found[check]["state"] == "fail"
    assert found[check]["fix"] != ""


def test_margin_beyond_the_funds_fails(doctor: Callable[..., Any], gateway: ThreadedServer) -> None:
    gateway.call(lambda server: setattr(server.gateway.broker.account, "cash_cents", 100_000))
    _, found = doctor()
    assert (found["margin"]["state"], found["margin"]["fix"]) == ("fail", "deposit, or trade a smaller contract")


def test_an_open_trade_is_a_warning(node: Any, doctor: Callable[..., Any]) -> None:
    _, found = doctor()
    assert found["open positions"]["found"] == "1 positions, 2 working orders"
    assert found["open positions"]["state"] == "warn"
    assert re.fullmatch(
        r"expected after a restart; otherwise `rl-intraday flatten \S+mes\.yaml`", found["open positions"]["fix"]
    )


def test_another_account_fails(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IB_ACCOUNT", "U7654321")
    code, found = doctor()
    assert (code, found["account"]["state"]) == (1, "fail")
    assert "U7654321" not in json.dumps(found)


def test_live_sends_nothing_where_a_check_fails(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(20)]
    market = Market([MES], {MES.con_id: bars}, start_ns=bars[5].open_ns)
    monkeypatch.setenv("IB_ACCOUNT", "U1234567")
    monkeypatch.setattr("adapters.ibkr.simulator.broker.broker.refusal_here", lambda *_: NO_PERMISSION)
    with running(GatewayServer(Gateway([MES], market, "U1234567", 10_000_000))) as real:
        config = tmp_path / "real.yaml"
        contract = '{symbol: MES, kind: FUT, exchange: CME, expiry: "202612"}'
        config.write_text(f"host: 127.0.0.1\nport: {real.port}\ncontract: {contract}\n")
        words = ["live", bundle.path, "--live", "--account", "4567", "--config", config, "--sessions", tmp_path / "s"]
        assert main(list(map(str, words))) == 4
        said = capsys.readouterr().err.splitlines()
        assert (
            "margin: No trading permissions; allow this account to trade the contract; turn off Read-Only API" in said
        )
        assert said[-1] == f"not started: the checks above failed (`rl-intraday doctor {config}`)"
        assert (real.gateway.broker.orders, (tmp_path / "s").exists()) == ({}, False)


@pytest.mark.parametrize(("account", "funds"), [("DU1234567", "100,000.00"), (OTHER, "7,500.00")])
def test_of_a_login_with_two_accounts_the_configured_one_is_looked_at(
    account: str, funds: str, doctor: Callable[..., Any], gateway: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.call(lambda server: FAULTS["second_account"](server, 5))
    gateway.call(lambda server: setattr(server.gateway.broker.accounts[OTHER], "cash_cents", 750_000 + 2_400_00 * 5))
    monkeypatch.setenv("IB_ACCOUNT", account)
    _, found = doctor()
    held = 5 if account == OTHER else 0
    assert found["account"] == {"check": "account", "state": "ok", "found": f"paper, DU…{account[-2:]}", "fix": ""}
    assert found["open positions"]["found"] == ("1 positions, 0 working orders" if held else "no position, no order"), (
        "of the other account nothing is counted"
    )
    assert found["margin"]["found"] == f"2,400.00 USD for one unit, {funds} available"
    assert gateway.gateway.broker.orders == {}, "the what-if order is none"


def test_a_login_with_two_accounts_of_which_none_is_chosen_fails(
    doctor: Callable[..., Any], gateway: ThreadedServer
) -> None:
    gateway.call(lambda server: FAULTS["second_account"](server, 5))
    code, found = doctor()
    assert (code, found["account"]["state"]) == (1, "fail")
    assert found["account"]["found"] == "the gateway has 2 accounts, none is chosen"


def test_funds_and_margin_are_in_the_currency_of_the_account(
    doctor: Callable[..., Any], gateway: ThreadedServer
) -> None:
    gateway.call(lambda server: FAULTS["euro_base"](server, 1))
    _, found = doctor()
    assert re.fullmatch(r"[\d,.]+ EUR for one unit, [\d,.]+ available", found["margin"]["found"])


def test_an_account_that_previews_no_margin_fails(
    doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, configuration: Path
) -> None:
    configuration.write_text(configuration.read_text() + "request_timeout_s: 2\n")
    unset = OrderState(initMarginChange=1.7976931348623157e308)  # what is not known is told as the largest double
    monkeypatch.setattr("adapters.ibkr.simulator.broker.broker.preview_of", lambda *_: unset)
    code, found = doctor()
    assert (code, found["margin"]["state"], found["margin"]["found"]) == (1, "fail", "the gateway previews no margin")


def test_an_account_without_permission_fails(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.ibkr.simulator.broker.broker.refusal_here", lambda *_: NO_PERMISSION)
    code, found = doctor()
    margin = found["margin"]
    assert (code, margin["state"], margin["found"]) == (1, "fail", "No trading permissions")
    assert margin["fix"] == "allow this account to trade the contract; turn off Read-Only API"


@pytest.mark.parametrize(
    ("now", "sessions", "state", "said"),
    [
        ("2026-12-16T15:00", 1, "ok", "MESZ6: last trade 2026-12-18 14:30 UTC, 2 sessions after this one"),
        ("2026-12-17T15:00", 1, "ok", "MESZ6: last trade 2026-12-18 14:30 UTC, 1 sessions after this one"),
        # Globex has begun the session of the 18th on the evening of the 17th.
        ("2026-12-17T23:30", 1, "fail", "expires on 2026-12-18 14:30 UTC: 0 sessions left after this one"),
        ("2026-12-17T23:30", 0, "ok", "0 sessions after this one"),
        ("2026-12-17T15:00", 2, "fail", "1 sessions left after this one, sessions_before_expiry is 2"),
        ("2026-12-18T14:31", 0, "fail", "MESZ6.XCME expired on 2026-12-18 14:30 UTC"),
    ],
)
def test_a_contract_that_expires_soon_fails(now: str, sessions: int, state: str, said: str) -> None:
    now_ns = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) * 10**9
    wanted = WantedContract("MES", "FUT", "CME", "202612")
    (finding,) = check_expiry(wanted, datetime.fromisoformat(now).date(), now_ns, sessions)
    assert (finding.state, said in finding.found) == (state, True), finding.found


def test_shares_do_not_expire() -> None:
    now_ns = time.time_ns()
    assert check_expiry(WantedContract("SPY", "STK", "SMART"), datetime.now(UTC).date(), now_ns, 1) == []


def test_no_gateway_still_checks_the_machine(doctor: Callable[..., Any], gateway: ThreadedServer) -> None:
    gateway.shut()
    _, found = doctor()
    assert found["gateway"]["state"] == "fail"
    assert {"disk", "redis", "calendar"} <= found.keys()


def test_a_bundle_that_is_none_fails(doctor: Callable[..., Any], tmp_path: Path) -> None:
    _, found = doctor("--bundle", str(tmp_path / "missing"))
    assert found["bundle"]["state"] == "fail"


def test_the_table_names_check_state_and_fix(configuration: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", str(configuration)])
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("check", "what to do", "market data", "fail"))


@pytest.mark.parametrize(
    ("now", "state", "said"),
    [
        ("2026-01-05T15:00", "ok", "session of 2026-01-05, 7.0 h to its close"),
        ("2026-01-03T15:00", "warn", "the session of 2026-01-05 opens in 32.0 h"),
    ],
)
def test_the_calendar_knows_open_and_closed(now: str, state: str, said: str) -> None:
    now_ns = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()) * 10**9
    finding = check_calendar("CME Globex Equity", now_ns)
    assert (finding.state, said in finding.found) == (state, True)


def test_stores_that_are_away_are_said(tmp_path: Path) -> None:
    assert check_redis(RedisConfig(port=1)).state == "fail"
    finding = check_telemetry("postgresql://trader:secret@127.0.0.1:1/telemetry")
    assert finding.state == "warn"
    assert "secret" not in finding.found
    assert check_telemetry(f"sqlite:///{tmp_path}/telemetry.db").state == "ok"
    assert check_disk(tmp_path).check == "disk"


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (b"+OK\r\n+PONG\r\n", "ok", "answers"),
        (b"-WRONGPASS invalid username-password pair\r\n-NOAUTH\r\n", "fail", "WRONGPASS"),
        (b"HTTP/1.1 400 Bad Request\r\n", "fail", "HTTP"),
    ],
)
def test_redis_is_asked_with_its_password(
    answer: bytes, state: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "cache pass")
    heard: list[bytes] = []

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(256))
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request).start()
        finding = check_redis(RedisConfig(port=server.server_address[1]))
    assert heard == [b"*2\r\n$4\r\nAUTH\r\n$10\r\ncache pass\r\n*1\r\n$4\r\nPING\r\n"]
    assert finding.state == state
    assert said in finding.found
    assert "cache pass" not in finding.found
