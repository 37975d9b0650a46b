"""`paper` and `live` refuse what must not be traded, in one line, before anything is written or sent."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path
from configs.live.contract import ContractChoice, WantedContract
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.journal.journal import Journal
from rl_strategies.risk.state_file import RiskState
from run.cli import BAD_INPUT, main
from run.trade.live import check_intent
from run.trade.locked_session import trade_session
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import read_metadata
from run.trade.session.plan import SessionPlan, broker_contract, traded_specs
from run.trade.session_runner import HALTED, NOT_STARTED

DAY = date(2026, 10, 1)
MES = resolve("MESZ6", instruments_path(), DAY)
HALT = RiskState("halted", 1_767_623_400_000_000_000, "drawdown must stay below 0.1, was 0.2", DAY, None, None, None)


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """A session makes its files unreadable for others; the tests after this one need not."""
    kept = os.umask(0o022)
    yield
    os.umask(kept)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No account in the environment, but what a test puts there."""
    for name in ("IB_ACCOUNT", "IB_ACCOUNT_FILE", "RL_INTRADAY_TELEMETRY_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def config() -> LiveConfig:
    """A gateway that nobody serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    patched = {"port": port, "health": None, "request_timeout_s": 1.0}
    return msgspec.structs.replace(load_live("paper"), **patched)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that must be refused; the line it prints."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error:")]
    return line


# Whose money ------------------------------------------------------------------------------------------------------


def test_real_money_wants_to_be_meant_by_this_very_account(account: pytest.MonkeyPatch) -> None:
    config = load_live("live")
    account.setenv("IB_ACCOUNT", "U7654321")
    for typed in ("U7654321", "4321"):  # a command line can be read by every user of the machine
        check_intent(config, typed, is_meant=True)
    with pytest.raises(InputError, match="real money needs --live"):
        check_intent(config, "U7654321", is_meant=False)
    for typed in ("U7654322", "u7654321", "", " U7654321", "321", "7654"):
        with pytest.raises(InputError, match="--account is not the account in IB_ACCOUNT") as said:
            check_intent(config, typed, is_meant=True)
        assert "7654" not in str(said.value)
    account.setenv("IB_ACCOUNT", "DU7654321")
    with pytest.raises(InputError, match=r"--account is a paper account \(DU…\)"):
        check_intent(config, "DU7654321", is_meant=True)


def test_real_money_knows_no_empty_account(account: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--account is not the account in"):
        check_intent(load_live("live"), "", is_meant=True)


def test_real_money_is_not_traded_by_a_replayed_clock(account: pytest.MonkeyPatch) -> None:
    account.setenv("IB_ACCOUNT", "U7654321")
    config = msgspec.structs.replace(load_live("live"), timeouts=Timeouts(clock="bars"))
    with pytest.raises(InputError, match=r"patience\.clock must be wall for real money, was bars"):
        check_intent(config, "U7654321", is_meant=True)


def test_live_without_its_word_is_refused(
    bundle: Bundle, tmp_path: Path, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setenv("IB_ACCOUNT", "U7654321")
    words = ("live", bundle.path, "--account", "U7654321", "--sessions", tmp_path / "sessions")
    assert "real money needs --live" in refused(capsys, *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("", "no account: set the environment variable IB_ACCOUNT"),
        ("U7654321", "the account in IB_ACCOUNT is not a paper account (DU…)"),
    ],
)
def test_paper_is_traded_on_paper_accounts_alone(
    number: str,
    said: str,
    bundle: Bundle,
    tmp_path: Path,
    account: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account.setenv("IB_ACCOUNT", number)
    line = refused(capsys, "paper", bundle.path, "--sessions", tmp_path / "sessions")
    assert said in line
    assert "7654321" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--simulated",), "needs the day to replay: --start"),
        (("--simulated", "--start", "2024-12-25"), "2024-12-25 is not a trading day of CME Globex Equity"),
        (("--simulated", "--start", "2024-12-24", "--end", "2024-12-25"), "2024-12-25 is not a trading day"),
        (("--simulated", "--start", "2024-12-24", "--catalog", "nowhere"), "nowhere"),
        (("--config", "papyrus"), "no live configuration 'papyrus': presets are live, paper, or name a YAML file"),
    ],
)
def test_what_paper_cannot_do_it_says(
    words: tuple[str, ...], said: str, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, "paper", bundle.path, "--sessions", tmp_path / "sessions", *words)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_is_none_is_refused(
    tmp_path: Path, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setenv("IB_ACCOUNT", "U1234567")
    assert "nothing" in refused(capsys, "paper", tmp_path / "nothing", "--sessions", tmp_path / "sessions")
    assert "nothing" in refused(capsys, "live", tmp_path / "nothing", "--account", "U1234567", "--live")
    assert list(tmp_path.iterdir()) == []


# Homes ------------------------------------------------------------------------------------------------------------


def home_of(bundle: Bundle, sessions: Path) -> SessionHome:
    return SessionHome(sessions / bundle.id)


def test_a_halted_home_is_not_traded(
    bundle: Bundle, tmp_path: Path, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setenv("IB_ACCOUNT", "DU1234567")
    home = home_of(bundle, tmp_path)
    home.path.mkdir()
    home.risk.write(HALT)
    assert main(["paper", str(bundle.path), "--sessions", str(tmp_path)]) == HALTED == 5
    said = capsys.readouterr().err
    assert "halted: drawdown must stay below 0.1, was 0.2; `rl-intraday unhalt" in said
    assert home.risk.read() == HALT
    assert list(home.path.glob("*/journal")) == []


def test_a_home_is_traded_by_one_process_at_a_time(
    bundle: Bundle, tmp_path: Path, account: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account.setenv("IB_ACCOUNT", "DU1234567")
    home = home_of(bundle, tmp_path)
    with home.locked():
        before = sorted(tmp_path.rglob("*"))
        assert "another process is using" in refused(capsys, "paper", bundle.path, "--sessions", tmp_path)
        assert sorted(tmp_path.rglob("*")) == before


def plan_of(bundle: Bundle, config: LiveConfig, home: SessionHome) -> SessionPlan:
    return SessionPlan(bundle, MES, config, "my_live.yaml", "DU1234567", home, DAY)


def test_a_gateway_that_is_not_there_is_said(bundle: Bundle, config: LiveConfig, tmp_path: Path) -> None:
    home = SessionHome(tmp_path / "home")
    outcome = trade_session(plan_of(bundle, config, home))
    assert (outcome.exit_code, outcome.decisions, outcome.units) == (NOT_STARTED, 0, 0)
    assert f"no gateway on 127.0.0.1:{config.port}" in outcome.reason
    assert home.risk.read().level == "normal"
    again = trade_session(plan_of(bundle, config, home))
    assert again.exit_code == NOT_STARTED, "what never began is begun again"
    folder = home.path / "2026-10-01"
    assert folder.stat().st_mode & 0o077 == 0, "it knows the account"
    assert "DU1234567" not in (folder / "session.log").read_text()


def test_a_session_that_cannot_be_taken_up_again_halts_its_home(
    bundle: Bundle, config: LiveConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("run.trade.locked_session.CLOSE_S", 1.0)
    home = SessionHome(tmp_path / "home")
    journal = Journal(home.journal(DAY), durable=False)
    journal.append("bar", 1, "MESZ6.XCME", [1, 2, 3])
    journal.close()
    outcome = trade_session(plan_of(bundle, config, home))
    assert outcome.exit_code == HALTED
    assert outcome.reason.startswith("the session of 2026-10-01 cannot be resumed: journal: row 0 is not a valid bar")
    assert "the broker could not be asked" in outcome.reason
    assert f"run `rl-intraday flatten my_live.yaml --scope session --session {home.path}/2026-10-01`" in outcome.reason
    kept = home.risk.read()
    assert (kept.level, kept.reason) == ("halted", outcome.reason.partition(";")[0])
    assert trade_session(plan_of(bundle, config, home)).reason.startswith("halted: the session of 2026-10-01")
    folder = home.path / "2026-10-01"
    assert outcome.reason.endswith(f"to begin anew: `rl-intraday unhalt {home.path}`, then move {folder} away")
    assert main(["unhalt", str(home.path), "--reason", "looked at it", "--yes"]) == 0
    folder.rename(tmp_path / "away")
    assert trade_session(plan_of(bundle, config, home)).exit_code == NOT_STARTED, "begun anew, but for the gateway"


def test_the_advice_to_flatten_names_the_sessions_own_configuration(
    bundle: Bundle, config: LiveConfig, tmp_path: Path
) -> None:
    plan = plan_of(bundle, config, SessionHome(tmp_path / "home"))
    own = f"--scope session --session {tmp_path / 'home' / str(DAY)}"
    assert plan.flatten_command == f"rl-intraday flatten my_live.yaml {own}"
    simulated = msgspec.structs.replace(config, port=50_123, timeouts=Timeouts(clock="bars"))
    assert replace(plan, config=simulated).flatten_command == (
        f"rl-intraday flatten my_live.yaml --host 127.0.0.1 --port 50123 --account DU1234567 {own}"
    )


def test_a_session_writes_down_its_configuration(bundle: Bundle, config: LiveConfig, tmp_path: Path) -> None:
    plan = plan_of(bundle, config, SessionHome(tmp_path / "home"))
    trade_session(plan)
    assert read_metadata(plan.folder).configuration == "my_live.yaml"


# Contracts --------------------------------------------------------------------------------------------------------


def traded(bundle: Bundle, contract: WantedContract) -> InstrumentSpec:
    """The instrument that a bundle of one trades by a configuration's contract."""
    config = msgspec.structs.replace(load_live("paper"), contract=contract, front_month=None)
    (spec,) = traded_specs(bundle, config, DAY)
    return spec


def test_a_later_month_of_the_bundles_future_is_traded(bundle: Bundle) -> None:
    spec = traded(bundle, WantedContract("MES", "FUT", "CME", "202703"))
    assert (spec.instrument_id, spec.tick_size, spec.multiplier) == ("MESH7.XCME", MES.tick_size, 5)
    told = broker_contract(spec)
    assert (told.symbol, told.kind, told.exchange, told.expiry, told.venue) == ("MES", "FUT", "CME", "202703", "XCME")


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (WantedContract("ES", "FUT", "CME", "202612"), "contract ESZ6: underlying must be MES as in bundle"),
        (WantedContract("SPY", "STK", "SMART"), "contract SPY: kind must be future as in bundle"),
    ],
)
def test_other_terms_than_the_bundles_are_refused(bundle: Bundle, contract: WantedContract, said: str) -> None:
    with pytest.raises(InputError, match=said):
        traded(bundle, contract)


def test_another_share_than_the_bundles_is_refused(bundle: Bundle) -> None:
    spy = resolve("SPY", instruments_path())
    metadata = msgspec.structs.replace(bundle.manifest.metadata, instruments=(spy,))
    known = msgspec.structs.replace(bundle.manifest, metadata=metadata)
    shares = replace(bundle, manifest=known)
    assert traded(shares, WantedContract("SPY", "STK", "SMART")) == spy
    assert broker_contract(spy).exchange == "SMART"
    with pytest.raises(InputError, match="AAPL"):
        traded(shares, WantedContract("AAPL", "STK", "SMART"))


def test_every_instrument_of_a_portfolio_needs_a_contract(bundle: Bundle) -> None:
    spy, aapl = (resolve(name, instruments_path()) for name in ("SPY", "AAPL"))
    bars = tuple(f"{name}.EQUS-1-MINUTE-LAST-EXTERNAL" for name in ("SPY", "AAPL"))
    metadata = msgspec.structs.replace(bundle.manifest.metadata, instruments=(spy, aapl), bar_types=bars)
    two = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, metadata=metadata))
    named = {name: ContractChoice(WantedContract(name, "STK", "SMART")) for name in ("AAPL", "SPY")}
    config = msgspec.structs.replace(load_live("paper"), front_month=None, contracts=named)
    assert traded_specs(two, config, DAY) == (spy, aapl), "in the policy's order"
    lacking = msgspec.structs.replace(config, contracts={"AAPL": named["AAPL"]})
    for other in (lacking, load_live("paper")):
        with pytest.raises(InputError) as refusal:
            traded_specs(two, other, DAY)
        assert str(refusal.value).endswith(
            "trades SPY, AAPL: the live configuration must name a contract for each and for none else: contracts: "
            "{SPY: {contract: {symbol: SPY, kind: STK, exchange: SMART}}, "
            "AAPL: {contract: {symbol: AAPL, kind: STK, exchange: SMART}}}"
        )
