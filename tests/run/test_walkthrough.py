"""The README's walk-through on real data: import, train, backtest; the three clocks agree to the byte."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from configs.schema import DateRange, parse_experiment
from rl_strategies.bundle.bundle import load_bundle
from run.cli import main
from run.train.markets import bundle_market
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv

TRADE_HEADER = (
    "ticker,direction,entry_time,exit_time,entry_price,exit_price,units,duration_bars,duration_minutes,pnl,mfe,mae,"
    "commission,spread_cost,slippage_cost,impact_cost,total_cost_est,return_pct,trade_id,run_seed,window_start,"
    "window_end,exit_reason"
)
ARTIFACTS = {"summary.json", "portfolio_history.csv", "daily_report.csv", "trades.csv", "report.html"}
MINUTE_BARS = ("--bar", "1-MINUTE", "--stamp", "open")
# A policy that has hardly learned must trade all the same: it keeps no side.
SMALL = {
    "learner.n_steps": 64, "learner.n_envs": 4, "learner.batch_size": 128, "learner.total_timesteps": 512,
    "learner.persistence_bars": 1,
}  # fmt: skip
TINY = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one walk-through."""
    return tmp_path_factory.mktemp("walkthrough")


@pytest.fixture(scope="module")
def spy(home: Path, shared_data: Path) -> Path:
    """Bundle trained for a moment on a month of SPY; ``home / "store"`` is its catalog."""
    source = shared_data / "spy_1min_202403_202504.parquet"
    store = ["--catalog", str(home / "store")]
    assert main(["data", "import", str(source), "--instrument", "SPY", *MINUTE_BARS, *store]) == 0
    dates = ("--start", "2024-04-01", "--end", "2024-04-30")
    assert main(["train", "spy_single", *store, *dates, *TINY, "--runs", str(home / "runs")]) == 0
    return next((home / "runs").glob("*/bundle/spy_single-*"))


def test_backtest_writes_every_artifact(spy: Path, home: Path, answer: Callable[..., dict]) -> None:
    words = ("--catalog", home / "store", "--start", "2024-05-06", "--end", "2024-05-17")
    told = answer("backtest", spy, *words)
    assert told["simulator_agrees"] is True
    folder = spy.parent.parent / "backtest" / "2024-05-06_2024-05-17"
    assert {path.name for path in folder.iterdir()} >= ARTIFACTS
    trades = pd.read_csv(folder / "trades.csv")
    assert ",".join(trades.columns) == TRADE_HEADER
    daily = pd.read_csv(folder / "daily_report.csv")
    assert list(daily["session_date"]) == [str(day.date()) for day in pd.bdate_range("2024-05-06", "2024-05-17")]
    summary = json.loads((folder / "summary.json").read_text())
    net = summary["metrics"]["net_pnl_usd"]
    assert net == pytest.approx(trades["pnl"].sum(), abs=0.005)
    assert net == pytest.approx(daily["pnl"].sum(), abs=0.005)
    assert summary["verdict"].startswith("Made" if net > 0 else "Lost" if net < 0 else "")


def test_same_policy_same_fills_in_all_three_clocks(spy: Path, home: Path) -> None:
    bundle = load_bundle(spy)
    experiment = parse_experiment(yaml.safe_load(bundle.experiment_yaml), "bundle")
    days = [pd.Timestamp(day).date() for day in ("2024-05-06", "2024-05-10")]
    market = bundle_market(bundle, experiment, home / "store", DateRange(*days))
    assert len(market) == 5
    simulated, pnl = played(SessionEnv(market), bundle.policy(), len(market))
    with closing(EngineEnv(market)) as engine:
        assert played(engine, bundle.policy(), len(market)) == (simulated, pnl)
    out = home / "parity"
    words = ["--catalog", str(home / "store"), "--start", str(days[0]), "--end", str(days[1]), "--out", str(out)]
    assert main(["backtest", str(spy), *words]) == 0
    summary = json.loads((out / "summary.json").read_text())
    # `backtest` itself refuses to report when the node's observations or fills differ from the simulator's by a bit.
    assert f"reproduces the engine's {len(simulated)} fills and every observation exactly" in " ".join(summary["notes"])
    assert summary["metrics"]["net_pnl_usd"] == pytest.approx(pnl, abs=1e-6)
    assert summary["metrics"]["commission_usd"] == pytest.approx(sum(fill.commission_cents for fill in simulated) / 100)


def played(env: object, policy: object, episodes: int) -> tuple[list, float]:
    """Fills and summed PnL of a policy over all episodes."""
    fills, pnl = [], 0.0
    for episode in range(episodes):
        observation, told = env.reset(options={"episode": episode})
        start, over = told["equity_usd"], False
        policy.reset()
        while not over:
            observation, _, over, _, told = env.step(policy.act(observation))
        fills += told["fills"][0]
        pnl += told["equity_usd"] - start
    return fills, round(pnl, 6)


@pytest.mark.parametrize("name", ["policy.onnx", "experiment.yaml", "features.json", "golden.npz", "manifest.json"])
def test_changed_byte_is_refused(
    spy: Path, home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / spy.name
    shutil.copytree(spy, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    capsys.readouterr()
    words = ["backtest", str(copy), "--catalog", str(home / "store"), "--start", "2024-05-06", "--end", "2024-05-10"]
    assert main([*words, "--out", str(tmp_path / "report")]) == 2
    line = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(line) == 1
    assert not (tmp_path / "report").exists()


def test_window_without_sessions_is_refused(
    spy: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["backtest", str(spy), "--catalog", str(home / "store"), "--start", "2024-05-11", "--end", "2024-05-12"]
    assert main([*words, "--out", str(tmp_path / "report")]) == 2
    assert "no tradable session from" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_next_open_is_the_same_in_node_and_simulator(
    spy: Path, home: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    dates = ("--start", "2024-04-01", "--end", "2024-04-30")
    words = ("--catalog", home / "store", *TINY, "--set", "execution.fill=next_open", "--runs", tmp_path / "runs")
    trained = answer("train", "spy_single", *dates, *words)
    days = ("--start", "2024-05-06", "--end", "2024-05-10")
    told = answer("backtest", trained["bundle"], "--catalog", home / "store", *days)
    assert told["simulator_agrees"] is True
    assert told["fills"] > 10


def test_futures_without_volume(tmp_path: Path, shared_data: Path, answer: Callable[..., dict]) -> None:
    source = shared_data / "es_1min_202507_202509_novol.parquet"
    store = ("--catalog", tmp_path / "store")
    told = answer("data", "import", source, "--instrument", "ESU5", *MINUTE_BARS, *store)
    assert told["volume_known"] is False
    dates = ("--start", "2025-07-30", "--end", "2025-08-08")
    trained = answer("train", "es_single", *store, *dates, *TINY, "--runs", tmp_path / "runs")
    assert "vwap_distance" in trained["left_out_features"]
    words = ("backtest", trained["bundle"], *store, "--start", "2025-09-02", "--end", "2025-09-04")
    result = answer(*words)
    assert result["simulator_agrees"] is True
    features = load_bundle(Path(trained["bundle"])).plan.outputs
    assert not [name for name in features if "vwap" in name]
    assert np.isfinite(result["metrics"]["net_pnl_usd"])
