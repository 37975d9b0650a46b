"""Live configurations: presets, secrets, and what is refused."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from ibapi.protobuf.Contract_pb2 import Contract

from adapters.ibkr.trading import BrokerContract
from catalogs.errors import InputError
from catalogs.rolls import FrontMonth, RollTable, write_rolls
from configs.live.contract import WantedContract
from configs.live.schema import LiveConfig, load_live
from configs.secrets import read_secret
from run.trade.gateway import contract_terms
from run.trade.session.contract import contract_on, contract_spec
from run.trade.session.plan import broker_contract

GOOD = "host: 127.0.0.1\nport: 4002\ncontract: {symbol: SPY, kind: STK, exchange: SMART}\n"
ROLLING = "host: 127.0.0.1\nport: 4002\nfront_month: {root: MES, catalog: CATALOG, table_root: ES}\n"


def load(text: str, folder: Path) -> LiveConfig:
    path = folder / "mine.yaml"
    path.write_text(text)
    return load_live(str(path))


def test_paper_and_live_differ_in_port_and_folder_alone() -> None:
    paper, live = load_live("paper"), load_live("live")
    assert (paper.port, live.port) == (4002, 4001)
    assert (paper.session_folder, live.session_folder) == ("sessions/paper", "sessions/live")
    assert msgspec.structs.replace(live, port=paper.port, session_folder=paper.session_folder) == paper


def test_every_section_can_be_written(tmp_path: Path) -> None:
    sections = """
capital_usd: 25000.50
on_sigterm: hold
session_folder: sessions/mes
monitor: {daily_loss: {reduce_only: 0.01, flatten: 0.02}, drawdown: {}, recover_after_s: 60}
orders: {max_per_minute: 20, max_notional_usd: 120000}
health: null
redis: {host: cache, password_variable: MY_REDIS}
telemetry_url_variable: MY_STORE
"""
    config = load(GOOD + sections, tmp_path)
    assert (config.capital_usd, config.on_sigterm, config.health) == (Decimal("25000.50"), "hold", None)
    assert config.monitor.daily_loss.level_of(0.015) == "reduce_only"
    assert not config.monitor.drawdown.is_on
    assert (config.orders.max_per_minute, config.orders.max_notional_usd) == (20, 120_000)
    assert config.redis is not None
    assert (config.redis.host, config.redis.port) == ("cache", 6379)


def test_the_account_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(GOOD + "account_variable: MY_ACCOUNT\n", tmp_path)
    monkeypatch.delenv("MY_ACCOUNT", raising=False)
    assert config.account() == ""
    monkeypatch.setenv("MY_ACCOUNT", "DU7")
    assert config.account() == "DU7"


def test_a_secret_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "account").write_text("DU8\n")
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    monkeypatch.setenv("IB_ACCOUNT_FILE", str(tmp_path / "account"))
    assert read_secret("IB_ACCOUNT") == "DU8"


@pytest.mark.parametrize(
    ("content", "value", "said"),
    [
        ("", "", "the file of IB_ACCOUNT_FILE, .*, is empty"),
        (None, "", "cannot read the file of IB_ACCOUNT_FILE, .*: No such file or directory"),
        ("DU8", "DU9", "both IB_ACCOUNT and IB_ACCOUNT_FILE are set: unset one"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused_without_being_shown(
    content: str | None, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "account").write_text(content)
    monkeypatch.setenv("IB_ACCOUNT", value)
    monkeypatch.setenv("IB_ACCOUNT_FILE", str(tmp_path / "account"))
    with pytest.raises(InputError, match=said) as refused:
        read_secret("IB_ACCOUNT")
    assert "DU" not in str(refused.value)


def test_secrets_are_known_for_hiding_and_never_part_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(GOOD + "redis: {}\n", tmp_path)
    monkeypatch.setenv("IB_ACCOUNT", "DU7654321")
    monkeypatch.setenv("RL_INTRADAY_TELEMETRY_URL", "postgresql://trader:store-pass@db/telemetry")
    monkeypatch.setenv("REDIS_PASSWORD", "cache-pass")
    assert config.secrets() == ("DU7654321", "store-pass", "cache-pass")
    assert not any(secret in repr(config) for secret in config.secrets())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "prot: 4002\n", "prot"),
        (GOOD.replace("4002", "99999"), "port must be between 1 and 65535, was 99999"),
        (GOOD.replace("STK", "OPT"), "contract.kind must be FUT or STK, was 'OPT'"),
        (GOOD.replace("STK", "FUT"), "contract.expiry is required for FUT and not allowed for STK, was '' for FUT"),
        (
            GOOD.replace("SMART}", "SMART, expiry: DEC6}").replace("STK", "FUT"),
            "must be YYYYMM or YYYYMMDD, was 'DEC6'",
        ),
        (GOOD + "doctor_client_id: 1\n", "client ids must differ"),
        (GOOD + "flatten_client_ids: []\n", "with at least one in flatten_client_ids"),
        (
            GOOD + "front_month: {root: MES}\n",
            "give one of contract, front_month and contracts, was contract and front_month",
        ),
        ("host: 127.0.0.1\nport: 1\n", "give one of contract, front_month and contracts, was none"),
        (GOOD + "capital_usd: 0\n", "capital_usd must be above zero and in whole cents, was 0"),
        (GOOD + "capital_usd: 10.005\n", "capital_usd must be above zero and in whole cents, was 10.005"),
        (GOOD + "capital_usd: .nan\n", "capital_usd"),
        (GOOD + "on_sigterm: panic\n", "on_sigterm"),
        (GOOD + "session_folder: ''\n", "session_folder must not be empty"),
        (GOOD + "health: {host: 0.0.0.0}\n", "health.host must be a loopback address such as 127.0.0.1, was '0.0.0.0'"),
        (GOOD + "health: {host: localhost}\n", "was 'localhost'"),
        (GOOD + "health: {port: -1}\n", "health.port must be between 0 and 65535, was -1"),
        (GOOD + "health: {max_tick_age_s: 0}\n", "health.max_tick_age_s must be above zero, was 0"),
        (GOOD + "redis: {port: 0}\n", "redis.port must be between 1 and 65535, was 0"),
        (GOOD + "orders: {max_per_minute: 0}\n", "orders.max_per_minute must be at least 1, was 0"),
        (GOOD + "orders: {max_notional_usd: -1}\n", "orders.max_notional_usd must not be negative, was -1"),
        (GOOD + "monitor: {daily_los: {}}\n", "daily_los"),
        (GOOD + "monitor: {daily_loss: {flatten: 2, halted: 1}}\n", "must ascend from reduce_only to halted"),
        ("host: [", "mine.yaml"),
        ("", "mine.yaml"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load(text, tmp_path)
    assert said in str(refused.value)
    assert "mine.yaml" in str(refused.value)


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(InputError, match="no live configuration 'demo': presets are live, paper, or name a YAML file"):
        load_live("demo")


@pytest.fixture
def rolling(tmp_path: Path) -> LiveConfig:
    """Trades MES by the roll table of ES: ESU6 until 2026-09-15, then ESZ6, whose end is not known."""
    months = (
        FrontMonth("ESU6.XCME", date(2026, 6, 16), date(2026, 9, 15)),
        FrontMonth("ESZ6.XCME", date(2026, 9, 16), None),
    )
    write_rolls(tmp_path, RollTable("ES", "CME Globex Equity", "calendar", 4, months))
    return load(ROLLING.replace("CATALOG", str(tmp_path)), tmp_path)


@pytest.mark.parametrize(("day", "expiry"), [(date(2026, 9, 15), "202609"), (date(2026, 9, 16), "202612")])
def test_the_front_month_is_that_of_the_roll_table(day: date, expiry: str, rolling: LiveConfig) -> None:
    assert contract_on(rolling, day) == WantedContract("MES", "FUT", "CME", expiry)


def test_a_roll_table_that_is_too_old_to_know_is_refused(rolling: LiveConfig) -> None:
    # Expiry is Friday 2026-12-18; four sessions before it, on Monday the 14th, the next month takes over.
    assert contract_on(rolling, date(2026, 12, 11)).expiry == "202612"
    with pytest.raises(InputError, match=r"roll table of ES ends with ESZ6\.XCME, too early for 2026-12-14"):
        contract_on(rolling, date(2026, 12, 14))


def test_a_named_contract_is_traded_on_any_day(tmp_path: Path) -> None:
    named = load(GOOD, tmp_path)
    assert contract_on(named, date(2030, 1, 1)) == named.contract


@pytest.mark.parametrize(
    ("day", "expiry"),
    [
        (date(2026, 9, 11), "202609"),
        (date(2026, 9, 14), "202612"),  # the Monday before the third Friday
        (date(2026, 12, 1), "202612"),
        (date(2026, 12, 11), "202612"),
        (date(2026, 12, 14), "202703"),
        (date(2026, 12, 31), "202703"),
    ],
)
def test_the_presets_trade_the_front_month_by_calendar(day: date, expiry: str) -> None:
    assert contract_on(load_live("paper"), day) == WantedContract("MES", "FUT", "CME", expiry)


@pytest.mark.parametrize("preset", ["live", "paper"])
def test_presets_name_no_month_that_will_expire(preset: str) -> None:
    config = load_live(preset)
    assert config.contract is None
    assert config.front_month is not None
    assert config.front_month.roll == "calendar"


@pytest.mark.parametrize(
    ("root", "exchange", "day", "expiry"),
    [
        ("CL", "NYMEX", date(2026, 11, 6), "202612"),  # its last trade is on 20 November
        ("CL", "NYMEX", date(2026, 11, 9), "202701"),
        ("NG", "NYMEX", date(2026, 12, 1), "202701"),
        ("ZN", "CBOT", date(2026, 11, 20), "202612"),
        ("ZN", "CBOT", date(2026, 11, 23), "202703"),
        ("GC", "COMEX", date(2026, 12, 1), "202702"),
    ],
)
def test_a_contract_is_named_to_the_broker_by_its_own_month(
    root: str, exchange: str, day: date, expiry: str, tmp_path: Path
) -> None:
    text = f"host: 127.0.0.1\nport: 1\nfront_month: {{root: {root}, exchange: {exchange}, roll: calendar}}\n"
    wanted = contract_on(load(text, tmp_path), day)
    assert wanted == WantedContract(root, "FUT", exchange, expiry)
    spec = contract_spec(wanted, day)
    assert spec.underlying == root
    assert broker_contract(spec) == BrokerContract(root, "FUT", exchange, expiry, spec.venue)
    terms, month = contract_terms(spec), f"{spec.sessions.session_date[-1]}"[:7].replace("-", "")
    for named in (expiry, terms.last_trade_date, month):
        asked = Contract(symbol=root, secType="FUT", exchange=exchange, lastTradeDateOrContractMonth=named)
        assert terms.is_meant_by(asked) == (named != month)  # all of these are given up in the month before


def test_a_day_of_the_last_trade_names_the_contract_too() -> None:
    day = date(2026, 10, 1)
    assert contract_spec(WantedContract("CL", "FUT", "NYMEX", "20261120"), day).symbol == "CLZ6"
    assert contract_spec(WantedContract("MES", "FUT", "CME", "20261218"), day).symbol == "MESZ6"
    with pytest.raises(InputError, match=r"must be a day of the last trade \(CLV6 20260922, CLX6 20261020\)"):
        contract_spec(WantedContract("CL", "FUT", "NYMEX", "20261019"), day)
    assert contract_spec(WantedContract("ES", "STK", "SMART"), day).instrument_id == "ES.EQUS"


def test_a_front_month_on_another_exchange_is_refused(tmp_path: Path) -> None:
    text = "host: 127.0.0.1\nport: 1\nfront_month: {root: CL, roll: calendar}\n"
    with pytest.raises(InputError, match=r"front_month\.exchange of CL must be NYMEX, was CME"):
        contract_on(load(text, tmp_path), date(2026, 11, 2))


def test_a_front_month_by_calendar_needs_a_known_root_and_day(tmp_path: Path) -> None:
    text = "host: 127.0.0.1\nport: 1\nfront_month: {root: ZZ, roll: calendar}\n"
    with pytest.raises(InputError, match=r"root of a future must be one of .*, was 'ZZ'"):
        contract_on(load(text, tmp_path), date(2026, 12, 1))
    with pytest.raises(InputError, match=r"day must be in calendar CME Globex Equity, which ends .*, was 2060-01-01"):
        contract_on(load_live("paper"), date(2060, 1, 1))


def test_without_a_roll_table_there_is_no_front_month(tmp_path: Path) -> None:
    config = load(ROLLING.replace("CATALOG", str(tmp_path)), tmp_path)
    with pytest.raises(InputError, match="no roll table of ES"):
        contract_on(config, date(2026, 9, 15))
