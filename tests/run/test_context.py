"""Context from the experiment to the backtest: the node sees what the environments saw, bar for bar."""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from catalogs.daily_values import write_context
from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.features import JoinedPlan
from run.cli import main
from run.train.markets import experiment_markets
from run.train.train import train_experiment
from tests.run.conftest import experiment
from tests.training.conftest import with_holes
from training.learning.update_metrics import UpdateMetrics

BOTH: dict[str, Any] = {"instrument": "AAPL", "context": "smt+vix", "pruning": {}}
SOON_WARM = [
    {"kind": "log_return", "name": "return_5", "params": {"n": 5}},
    {"kind": "atr", "name": "atr_14", "params": {"n": 14}, "observe": False},
    {"kind": "session_clock", "name": "session_clock"},
]
MINUTES = ("--bar", "1-MINUTE", "--stamp", "open")


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


def daily(catalog: Path, symbol: str, first: str, last: str) -> None:
    """An index that moves a little every day."""
    days = np.arange(np.datetime64(first), np.datetime64(last)).tolist()
    levels = 15.0 + np.sin(np.arange(len(days)))
    columns = dict.fromkeys(("open", "high", "low", "close"), levels)
    write_context(catalog, {symbol: pa.table({"date": days, **columns, "source": ["made up"] * len(days)})})


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic sessions of AAPL, SPY with holes and QQQ; daily VIX."""
    folder = tmp_path_factory.mktemp("context")
    first, last, edge = np.datetime64("2024-10-01"), np.datetime64("2024-12-03"), PlantedEdge()
    for seed, ticker in enumerate(("AAPL", "SPY", "QQQ")):
        spec = resolve(ticker, instruments_path())
        bars = synthetic_sessions(spec, first, last, seed=seed, edge=edge, start_price=300.0).bars
        bars = with_holes(bars, seed=5, share=0.3) if ticker == "SPY" else bars
        write_bars(folder, spec, bars, synthetic_provenance(spec, bars, edge, seed))
    daily(folder, "VIX", "2024-07-01", "2024-12-05")
    return folder


@pytest.fixture(scope="module")
def bundle(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that learned with context for a moment."""
    return train_experiment(experiment(**BOTH), catalog, tmp_path_factory.mktemp("runs"), listener=quiet).bundle


def test_a_bundle_carries_its_context(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert isinstance(loaded.plan, JoinedPlan)
    observed = loaded.plan.outputs[: loaded.plan.observed]
    assert {"smt_own_spy", "smt_swing_spy_qqq", "SPY_fresh", "vix"} <= set(observed)
    assert dict(loaded.plan.left_out)["vix_9d_1m"] == "VIX9D has no data"
    assert "QQQ_fresh" in dict(loaded.plan.pruned), "QQQ is never missed: to say so would be a constant"
    assert {source.name: source.bar_type for source in loaded.context} == {
        "SPY": "SPY.EQUS-1-MINUTE-LAST-EXTERNAL",
        "QQQ": "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL",
        "VIX": None,
    }


def test_the_node_repeats_the_simulator_with_context(
    bundle: Path, catalog: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    words = ("--catalog", catalog, "--start", "2024-11-27", "--end", "2024-12-03", "--out", tmp_path / "out")
    told = answer("backtest", bundle, *words)
    assert told["simulator_agrees"] is True
    assert told["fills"] > 10
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {"vix_9d_1m", "QQQ_fresh"} <= {item["name"] for item in summary["left_out_features"]}


def test_the_node_begins_early_enough_for_a_stream_with_a_long_memory(
    catalog: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    average = {"kind": "sma", "name": "average", "params": {"n": 1500}}
    settings = experiment(
        instrument="AAPL",
        features=SOON_WARM,
        context=[{"name": "QQQ", "lag_s": 60, "max_age_s": 600_000, "features": [average]}],
        cross=[{"kind": "value", "name": "qqq", "inputs": {"x": "QQQ.average"}}],
        train={"start": "2024-11-25", "end": "2024-11-26"},
    )
    trained = train_experiment(settings, catalog, tmp_path / "runs", listener=quiet)
    words = ("--catalog", catalog, "--start", "2024-12-02", "--end", "2024-12-03", "--out", tmp_path / "out")
    told = answer("backtest", trained.bundle, *words)
    assert told["simulator_agrees"] is True
    assert told["decisions"] > 700


def test_a_catalog_without_the_context_is_refused(bundle: Path, synthetic_catalog: Path, tmp_path: Path) -> None:
    words = ["--catalog", str(synthetic_catalog), "--start", "2024-11-27", "--end", "2024-12-03"]
    assert main(["backtest", str(bundle), *words, "--out", str(tmp_path / "out")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_context_from_another_source_than_the_training_s_is_refused(
    bundle: Path, catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(catalog, other)
    daily(other, "QQQ", "2024-07-01", "2024-12-05")
    words = ["--catalog", str(other), "--start", "2024-11-27", "--end", "2024-12-03", "--out", str(tmp_path / "out")]
    assert main(["backtest", str(bundle), *words]) == 2
    line = " ".join(capsys.readouterr().err.split())
    assert "needs QQQ.EQUS-1-MINUTE-LAST-EXTERNAL as context, this catalog has daily values" in line


def test_what_is_pruned_is_fitted_on_training_sessions_alone(catalog: Path) -> None:
    whole = experiment_markets(experiment(**BOTH, validate=0.3), catalog)
    shorter = experiment(**BOTH | {"train": {"start": "2024-11-18", "end": "2024-11-22"}})
    alone = experiment_markets(shorter, catalog)
    assert str(whole.train[0].session_dates[-1]) == "2024-11-22"
    assert whole.train[0].plan.hash == whole.validate[0].plan.hash == alone.train[0].plan.hash
    assert whole.train[0].observation_names == whole.validate[0].observation_names


def test_the_full_set_trains_on_a_short_window_once_pruned(catalog: Path) -> None:
    days = {"train": {"start": "2024-11-25", "end": "2024-11-26"}}
    with pytest.raises(InputError, match=r"constant features in the training sessions: .* or set `pruning: \{\}`"):
        experiment_markets(experiment(instrument="AAPL", features="full", **days), catalog)
    markets = experiment_markets(experiment(instrument="AAPL", features="full", pruning={}, **days), catalog)
    (market,) = markets.train
    assert dict(market.plan.pruned)["shortened_day"].startswith("hardly varies")
    assert market.arrays.features.shape[1] == market.plan.observed < len(market.plan.outputs)


def test_required_context_that_is_missing_is_refused(synthetic_catalog: Path) -> None:
    momentum = {"kind": "momentum", "name": "momentum", "params": {"n": 10}}
    stream = {"name": "QQQ", "features": [momentum], "required": True}
    cross = [{"kind": "value", "name": "qqq", "inputs": {"x": "QQQ.momentum"}}]
    with pytest.raises(InputError, match="stream QQQ is required, but has no data"):
        experiment_markets(experiment(context=[stream], cross=cross), synthetic_catalog)
    optional = experiment(context=[stream | {"required": False}], cross=cross)
    (market,) = experiment_markets(optional, synthetic_catalog).train
    assert ("qqq", "QQQ has no data") in market.plan.left_out


def test_a_week_of_real_minutes(shared_data: Path, tmp_path: Path, answer: Callable[..., dict]) -> None:
    store = ["--catalog", str(tmp_path / "store")]
    source = shared_data / "us_vix_1min_20190211_15.parquet"
    for ticker in ("AAPL", "SPY", "QQQ"):
        named = ("--instrument", ticker, "--symbol", ticker)
        assert main(["data", "import", str(source), *named, *MINUTES, *store]) == 0
    vix = pd.read_parquet(shared_data / "vix_daily_1990_202509.parquet")
    vix = vix[vix["ts_event"].dt.year.isin([2018, 2019])]
    days = vix["ts_event"].dt.date.tolist()
    prices = {name: vix[name].to_numpy() for name in ("open", "high", "low", "close")}
    write_context(tmp_path / "store", {"VIX": pa.table({"date": days, **prices, "source": ["file"] * len(days)})})
    settings = experiment(**BOTH, features=SOON_WARM, train={"start": "2019-02-13", "end": "2019-02-14"})
    trained = train_experiment(settings, tmp_path / "store", tmp_path / "runs", listener=quiet)
    observed = load_bundle(trained.bundle).plan.outputs[: load_bundle(trained.bundle).plan.observed]
    assert {"smt_own_spy", "smt_spy_qqq", "vix"} <= set(observed)
    told = answer("backtest", trained.bundle, *store, "--start", date(2019, 2, 13), "--end", date(2019, 2, 15))
    assert told["simulator_agrees"] is True
    assert told["decisions"] > 1100
