"""The life of a contract as the verbs show it: backtest, evaluate and paper on the day of its expiry."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import DateRange, parse_experiment
from rl_strategies.accounting.record import Fill
from rl_strategies.bundle.bundle import load_bundle, write_bundle
from rl_strategies.bundle.golden import Golden
from rl_strategies.bundle.manifest import BundleMetadata
from rl_strategies.decision.core import observation_names
from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.live.journal.journal import read_journal
from run.backtest.node import run_node
from run.backtest.window import backtest_window
from run.cli import BAD_INPUT, main
from run.train.markets import bundle_market
from tests.live.conftest import ROOT
from tests.summing_network import summing_network
from training.simulator.lanes import rollout

EXPIRY = "2025-03-21"
LAST_TRADE_NS = int(np.datetime64("2025-03-21T13:30", "ns").astype(np.int64))  # 08:30 in Chicago
MINUTE_NS = 60 * 10**9
# The price comes first and is positive, so that the summing network always wants to be long.
PLAN = FeaturePlan([FeatureSpec("sma", "level", {"n": 2}), FeatureSpec("atr", "atr_14", {"n": 14})])
PAPER_CONFIG = """
host: 127.0.0.1
port: 4002
contract: {symbol: MES, kind: FUT, exchange: CME, expiry: "202503"}
health: null
"""
HOLDS = {"stop_loss": None, "take_profit": None, "time_limit_bars": 0}
ENTERS_AGAIN = {"stop_loss": None, "take_profit": None, "time_limit_bars": 15}


class Expiring(NamedTuple):
    """A bundle for the future that expires on 2025-03-21, and the catalog with its last days."""

    bundle: Path
    catalog: Path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five sessions up to the last; the vendor sent bars for two hours after the last trade, too."""
    folder, edge = tmp_path_factory.mktemp("expiring"), PlantedEdge()
    spec = mes()
    endless = msgspec.structs.replace(spec, expiration_ns=0)
    bars = synthetic_sessions(endless, np.datetime64("2025-03-17"), np.datetime64(EXPIRY), seed=4, edge=edge).bars
    bars = bars.slice(0, int(np.searchsorted(bars.ts_ns, LAST_TRADE_NS + 120 * MINUTE_NS)))
    write_bars(folder, spec, bars, synthetic_provenance(spec, bars, edge, 4))
    return folder


@pytest.fixture(scope="module", params=[HOLDS, ENTERS_AGAIN], ids=["holds", "enters again"])
def expiring(request: pytest.FixtureRequest, catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Expiring:
    """Always long, for as long as the barriers let it."""
    rules = {"barriers": request.param, "risk": {"max_entries_per_session": 0, "max_gross_exposure": 0.0}}
    return Expiring(always_long(tmp_path_factory.mktemp("bundle"), rules), catalog)


def mes() -> InstrumentSpec:
    """The future, as a bundle of that time knows it."""
    return resolve("MESH5", instruments_path(), np.datetime64(EXPIRY).item())


def always_long(folder: Path, trading: dict[str, Any]) -> Path:
    """Bundle for MESH5 whose policy wants to be long at every decision."""
    experiment = {
        "name": "expiring",
        "instrument": "MESH5",
        "train": {"start": "2025-03-18", "end": "2025-03-19"},
        "trading": trading,
        "execution": {},
    }
    parsed = parse_experiment(experiment, "test")
    count = len(observation_names([mes()], PLAN, parsed.trading))
    flat = math.exp(0.5) / (2 + math.exp(0.5))
    log_probs = np.log(np.array([[[(1 - flat) / 2, flat, (1 - flat) / 2]]])).astype(np.float32)
    golden = Golden(np.zeros((1, 1, count), np.float32), np.ones((1, 1), np.bool_), log_probs, 1e-5)
    network = folder / "policy.onnx"
    network.write_bytes(summing_network(count, scale=1.0))
    metadata = BundleMetadata(
        instruments=(mes(),), bar_types=("MESH5.XCME-1-MINUTE-LAST-EXTERNAL",), seeds=(1,), data_hash="d" * 64,
        calendar_hash="c" * 64, git_commit="0" * 40,
    )  # fmt: skip
    text = msgspec.yaml.encode(experiment).decode()
    return write_bundle(
        folder, "expiring", policy_onnx=network, plan=PLAN, experiment_yaml=text, golden=golden, metadata=metadata,
        created=datetime(2025, 3, 1, tzinfo=UTC),
    )  # fmt: skip


def node_fills(expiring: Expiring) -> list[Fill]:
    """What the BacktestNode does on the day of the expiry."""
    bundle = load_bundle(expiring.bundle)
    day = np.datetime64(EXPIRY).item()
    experiment = parse_experiment(bundle.experiment, "test")
    market = bundle_market(bundle, experiment, expiring.catalog, DateRange(day, day))
    run = run_node(bundle, expiring.catalog, backtest_window(market, bundle), volume_known=True)
    return list(run.fills[0])


def test_backtest_ends_flat_and_the_simulator_agrees(
    expiring: Expiring, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    days = ("--start", "2025-03-20", "--end", EXPIRY)
    told = answer("backtest", expiring.bundle, "--catalog", expiring.catalog, *days, "--out", tmp_path)
    assert told["simulator_agrees"] is True
    assert told["metrics"]["unreconciled_usd"] == 0.0
    assert told["fills"] >= 4


def test_the_node_is_flat_before_the_last_trade(expiring: Expiring) -> None:
    fills = node_fills(expiring)
    assert sum(fill.units for fill in fills) == 0
    assert fills[-1].ts_ns <= LAST_TRADE_NS - 5 * MINUTE_NS
    entries = [fill.ts_ns for fill in fills if fill.reason == "entry"]
    assert entries[-1] <= LAST_TRADE_NS - 60 * MINUTE_NS
    if len(entries) == 1:
        assert (fills[-1].ts_ns, fills[-1].reason) == (LAST_TRADE_NS - 5 * MINUTE_NS, "end_of_session")
    else:
        assert entries[-1] > LAST_TRADE_NS - 80 * MINUTE_NS


def test_evaluate_trades_as_the_node_does(expiring: Expiring) -> None:
    bundle = load_bundle(expiring.bundle)
    day = np.datetime64(EXPIRY).item()
    experiment = parse_experiment(bundle.experiment, "test")
    market = bundle_market(bundle, experiment, expiring.catalog, DateRange(day, day))
    policy = bundle.policy().batch(1)
    lanes = rollout(market, lambda seen, begun, at: policy.act_batch(seen, begun), [0])
    assert lanes.fills_of(0) == node_fills(expiring)


def test_nothing_is_traded_after_the_expiry(
    expiring: Expiring, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, after = ("--catalog", str(expiring.catalog)), "2025-03-24"
    refused = {
        (
            "gateway",
            "MESH5",
            "--start",
            after,
            *catalog,
        ): "MESH5.XCME expired on 2025-03-21 13:30 UTC, the replay begins",
        ("paper", str(expiring.bundle), "--simulated", "--start", after, "--sessions", str(tmp_path), *catalog): (
            "MESH5.XCME expired on 2025-03-21 13:30 UTC, the replay begins"
        ),
        ("backtest", str(expiring.bundle), "--start", after, "--end", after, "--out", str(tmp_path), *catalog): (
            "no tradable session from 2025-03-24 to 2025-03-24"
        ),
    }
    for words, said in refused.items():
        capsys.readouterr()
        assert main(words) == BAD_INPUT
        assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.xdist_group("expiry")
def test_paper_fills_as_the_node_does_and_holds_nothing_past_the_expiry(
    expiring: Expiring, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    config = tmp_path / "paper.yaml"
    config.write_text(PAPER_CONFIG)
    words = ["paper", expiring.bundle, "--simulated", "--start", EXPIRY, "--speed", 100_000, "--json"]
    words += ["--catalog", expiring.catalog, "--sessions", tmp_path / "sessions", "--config", config]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert (told["exit_code"], told["units"]) == (0, 0)
    rows = read_journal(Path(told["folder"]) / "journal").rows.to_pylist()
    fills = [json.loads(row["text"]) for row in rows if row["kind"] == "fill"]
    names = ("units", "price_ticks", "commission_cents", "kind", "reason")
    assert [[fill[name] for name in names] for fill in fills] == [
        [getattr(fill, name) for name in names] for fill in node_fills(expiring)
    ]
    assert max(row["ts_ns"] for row in rows if row["kind"] == "bar") <= LAST_TRADE_NS
    replay = answer("replay", told["folder"], "--catalog", expiring.catalog)
    assert replay["is_equal"] is True
