"""Where the context of a policy comes from live: every stream has a contract, or the session is refused in one line."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from adapters.ibkr.connection import gateway as connected
from adapters.ibkr.preflight import Wanted, check_followed
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.server import ThreadedServer
from catalogs.daily_values import write_context
from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from configs import instruments_path
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.bundle.manifest import BundleMetadata, Manifest
from rl_strategies.features import FeaturePlan, FeatureSpec, JoinedPlan, StreamSpec
from rl_strategies.features.plans.streams import ContextSource
from run.trade.safety.doctor_context import examine_context
from run.trade.session.context import live_context, read_streams
from run.trade.session.folder import SessionHome
from run.trade.session.plan import SessionPlan

DAY = date(2026, 10, 1)
MES, SPY = (resolve(name, instruments_path(), DAY) for name in ("MESZ6", "SPY"))
NQ = resolve("NQU6", instruments_path(), DAY)
LEVEL = (FeatureSpec("value", "level", inputs={"x": "close"}),)
SOURCES = (
    ContextSource(name="NQU6", instrument=NQ, bar_type="NQU6.XCME-1-MINUTE-LAST-EXTERNAL"),
    ContextSource(name="SPY", instrument=SPY, bar_type="SPY.EQUS-1-MINUTE-LAST-EXTERNAL"),
    ContextSource(name="MESZ6", instrument=MES, bar_type="MESZ6.XCME-1-MINUTE-LAST-EXTERNAL"),
    ContextSource(name="VIX"),
)
CONFIG = """
host: 127.0.0.1
port: 4002
contract: {symbol: MES, kind: FUT, exchange: CME, expiry: "202703"}
context:
  catalog: CATALOG
  contracts:
    NQU6: {contract: {symbol: NQ, kind: FUT, exchange: CME, expiry: "202612"}}
    SPY: {contract: {symbol: SPY, kind: STK, exchange: SMART}}
"""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """MESZ6 beside two futures, a share and VIX; nothing of it is on disk."""
    primary = FeaturePlan([FeatureSpec("sma", "atr_14", {"n": 2})])
    streams = [StreamSpec(source.name, LEVEL, max_age_s=5 * 86_400) for source in SOURCES]
    cross = [FeatureSpec("value", f"x_{source.name}", inputs={"x": f"{source.name}.level"}) for source in SOURCES]
    metadata = BundleMetadata(
        instruments=(MES,), bar_types=("MESZ6.XCME-1-MINUTE-LAST-EXTERNAL",), seeds=(1,), data_hash="d" * 64,
        calendar_hash="c" * 64, context=(*SOURCES, ContextSource(name="VIX9D")),
    )  # fmt: skip
    manifest = Manifest.of("beside", {}, metadata, {}, datetime(2026, 1, 1, tzinfo=UTC))
    return Bundle(Path("beside"), manifest, JoinedPlan(primary, streams, cross), "", 0.0, (), b"")


def store(catalog: Path, last: date) -> None:
    days = [last - timedelta(days=n) for n in range(9, -1, -1)]
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), np.arange(10.0, 20.0))
    write_context(catalog, {"VIX": pa.table({"date": days, **prices, "source": ["made up"] * 10})})


@pytest.fixture
def config(tmp_path: Path) -> LiveConfig:
    """A contract for every stream, and a catalog with VIX up to the day before."""
    store(tmp_path / "catalog", DAY - timedelta(days=1))
    path = tmp_path / "live.yaml"
    path.write_text(CONFIG.replace("CATALOG", str(tmp_path / "catalog")))
    return load_live(str(path))


def without(config: LiveConfig, name: str) -> LiveConfig:
    contracts = {key: value for key, value in config.context.contracts.items() if key != name}
    return msgspec.structs.replace(config, context=msgspec.structs.replace(config.context, contracts=contracts))


def test_streams_follow_the_contracts_of_the_configuration(bundle: Bundle, config: LiveConfig) -> None:
    march = resolve("MESH7", instruments_path(), date(2027, 3, 1))
    sources = live_context(bundle, (march,), config, DAY)
    assert [(source.name, source.bar_type) for source in sources] == [
        ("NQU6", "NQZ6.XCME-1-MINUTE-LAST-EXTERNAL"),
        ("SPY", "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"),
        ("MESZ6", "MESH7.XCME-1-MINUTE-LAST-EXTERNAL"),  # what is traded, whatever its month
        ("VIX", None),
    ]
    plan = SessionPlan(bundle, march, config, "paper", "DU1", SessionHome(Path("home")), DAY, sources)
    assert [spec.instrument_id for spec in plan.followed] == ["NQZ6.XCME", "SPY.EQUS"]


def test_streams_that_no_feature_reads_are_not_followed(bundle: Bundle) -> None:
    assert [source.name for source in read_streams(bundle)] == ["NQU6", "SPY", "MESZ6", "VIX"]


def test_a_stream_without_a_contract_is_one_line_with_what_to_write(bundle: Bundle, config: LiveConfig) -> None:
    with pytest.raises(InputError) as said:
        live_context(bundle, (MES,), without(config, "NQU6"), DAY)
    assert str(said.value) == (
        "context stream NQU6 has no contract in the live configuration: add context: {contracts: {NQU6: "
        '{contract: {symbol: NQ, kind: FUT, exchange: CME, expiry: "YYYYMM"}}}}'
    )
    with pytest.raises(InputError, match="symbol: SPY, kind: STK, exchange: SMART"):
        live_context(bundle, (MES,), without(config, "SPY"), DAY)


def test_a_contract_of_other_terms_is_refused(bundle: Bundle, config: LiveConfig) -> None:
    contracts = {**config.context.contracts, "NQU6": config.context.contracts["SPY"]}
    other = msgspec.structs.replace(config, context=msgspec.structs.replace(config.context, contracts=contracts))
    with pytest.raises(InputError, match="contract SPY: kind must be future as in bundle"):
        live_context(bundle, (MES,), other, DAY)


def test_a_catalog_without_daily_values_is_refused(bundle: Bundle, config: LiveConfig, tmp_path: Path) -> None:
    elsewhere = msgspec.structs.replace(config.context, catalog=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="VIX"):
        live_context(bundle, (MES,), msgspec.structs.replace(config, context=elsewhere), DAY)


@pytest.mark.parametrize("both", [True, False])
def test_a_stream_follows_exactly_one_of_contract_and_front_month(both: bool, tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    followed = "{contract: {symbol: ES, kind: FUT, exchange: CME, expiry: '202612'}, front_month: {root: ES}}"
    path.write_text(CONFIG.replace("{contract: {symbol: SPY, kind: STK, exchange: SMART}}", followed if both else "{}"))
    with pytest.raises(InputError, match=f"give either contract or front_month, was {'both' if both else 'neither'}"):
        load_live(str(path))


# Doctor -----------------------------------------------------------------------------------------------------------


def now_ns(days_later: float) -> int:
    return int((datetime(2026, 10, 1, tzinfo=UTC) + timedelta(days=days_later)).timestamp()) * 10**9


def test_the_doctor_asks_the_gateway_about_every_stream_of_bars(bundle: Bundle, config: LiveConfig) -> None:
    found = examine_context(bundle, config, DAY, now_ns(0.5))
    assert {name: (wanted.symbol, wanted.expiry) for name, wanted in found.wanted.items()} == {
        "NQU6": ("NQ", "202612"),
        "SPY": ("SPY", ""),
    }
    assert [(finding.check, finding.state) for finding in found.findings] == [("context VIX", "ok")]


def test_the_doctor_says_what_is_missing_and_what_to_do(bundle: Bundle, config: LiveConfig) -> None:
    found = examine_context(bundle, without(config, "NQU6"), DAY, now_ns(9))
    stream, vix = found.findings
    assert (stream.check, stream.state, "NQU6" in found.wanted) == ("context NQU6", "fail", False)
    assert "under context.contracts" in stream.fix
    assert (vix.state, vix.found) == ("fail", "newest value of 2026-09-30, 220 h old, 120 h allowed")
    assert "data fetch vix" in vix.fix


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")
def test_the_gateway_is_asked_for_contract_history_and_data(gateway: ThreadedServer) -> None:
    wanted = Wanted("MES", "FUT", "CME", "202612", "")

    def states() -> dict[str, str]:
        with connected("127.0.0.1", gateway.port, (81,), 5.0) as client:
            return {finding.check: finding.state for finding in check_followed(client, wanted, "NQ")}

    assert states().keys() == {"NQ contract", "NQ history", "NQ market data"}
    assert set(states().values()) <= {"ok", "warn"}
    gateway.call(lambda server: FAULTS["no_quotes"](server, 1))
    assert states()["NQ market data"] == "fail"
    unknown = dataclasses.replace(wanted, symbol="NQ")
    with connected("127.0.0.1", gateway.port, (81,), 5.0) as client:
        (finding,) = check_followed(client, unknown, "NQ")
    assert (finding.check, finding.state) == ("NQ contract", "fail")
