"""A bundle over unseen windows and tickers: sums that agree, windows that do not leak, files that are whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rl_strategies.bundle.bundle import load_bundle
from run.backtest.evaluation import SampledPolicy
from run.cli import main
from run.train.runs import read_run
from run.train.train import train_experiment
from tests.run.conftest import experiment
from training.learning.update_metrics import UpdateMetrics

SETTINGS: dict[str, Any] = {
    "name": "shared",
    "train": {"start": "2024-11-18", "end": "2024-11-22"},
    "test": {"start": "2024-11-25", "end": "2024-12-03"},
    "tickers": ["AAPL"],
    "test_tickers": ["MSFT"],
}


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


@pytest.fixture(scope="module")
def bundle(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return train_experiment(experiment(**SETTINGS), synthetic_catalog, runs, listener=quiet).bundle


def evaluate(bundle: Path, catalog: Path, out: Path, *options: str) -> int:
    return main(["evaluate", str(bundle), "--catalog", str(catalog), "--out", str(out), "--samples", "2", *options])


def results_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "evaluation_results.json").read_text())
    return found


def test_windows_tickers_and_trades_add_up(bundle: Path, synthetic_catalog: Path, tmp_path: Path) -> None:
    assert evaluate(bundle, synthetic_catalog, tmp_path / "out", "--window", "4") == 0
    results, trades = results_of(tmp_path / "out"), pd.read_csv(tmp_path / "out" / "trades.csv")
    # 25, 26, 27, 29 November, 2 and 3 December: Thanksgiving is none.
    assert [row["sessions"] for row in results["windows"]] == [4, 2, 4, 2]
    assert [(row["start"], row["end"]) for row in results["windows"]][:2] == [
        ("2024-11-25", "2024-11-29"),
        ("2024-12-02", "2024-12-03"),
    ]
    for ticker, whole in zip(("SPY", "AAPL"), results["tickers"], strict=True):
        windows = [row for row in results["windows"] if row["ticker"] == whole["ticker"]]
        assert sum(row["net_pnl_usd"] for row in windows) == pytest.approx(whole["net_pnl_usd"])
        its = trades[trades["ticker"] == ticker]
        assert len(its) == whole["trades"] == sum(row["trades"] for row in windows)
        assert its["pnl"].sum() == pytest.approx(whole["net_pnl_usd"], abs=0.01)
    assert results["total"]["net_pnl_usd"] == pytest.approx(sum(row["net_pnl_usd"] for row in results["tickers"]))
    assert results["total"]["sessions"] == 12


def test_the_simulator_s_evaluation_is_the_engine_s_backtest(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path
) -> None:
    assert evaluate(bundle, synthetic_catalog, tmp_path / "out", "--tickers", "SPY") == 0
    days = ["--start", "2024-11-25", "--end", "2024-12-03"]
    backtest = ["backtest", str(bundle), "--catalog", str(synthetic_catalog), "--out", str(tmp_path / "engine"), *days]
    assert main(backtest) == 0
    engine = json.loads((tmp_path / "engine" / "summary.json").read_text())["metrics"]
    (whole,) = results_of(tmp_path / "out")["tickers"]
    assert whole["trades"] == engine["trades"] > 0
    assert whole["net_pnl_usd"] == pytest.approx(engine["net_pnl_usd"], abs=0.005)


def test_tickers_kept_out_of_the_training(bundle: Path, synthetic_catalog: Path, tmp_path: Path) -> None:
    assert evaluate(bundle, synthetic_catalog, tmp_path / "out", "--test-tickers") == 0
    assert [row["ticker"] for row in results_of(tmp_path / "out")["tickers"]] == ["MSFT.EQUS"]


def test_the_same_seed_gives_the_same_results(bundle: Path, synthetic_catalog: Path, tmp_path: Path) -> None:
    for name in "ab":
        assert evaluate(bundle, synthetic_catalog, tmp_path / name, "--tickers", "SPY", "--seed", "3") == 0
    for file in ("evaluation_results.json", "trades.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--start", "2024-11-20", "--end", "2024-12-03"], "dates must lie outside `train`"),
        (["--start", "2024-12-03"], "give --start and --end"),
        (
            ["--start", "2024-12-03", "--end", "2024-12-02"],
            "--end must not be before --start (2024-12-03), was 2024-12-02",
        ),
        (["--tickers", "SPY", "--test-tickers"], "not both"),
        (["--start", "2024-12-10", "--end", "2024-12-12"], "no tradable session from"),
    ],
)
def test_wrong_windows_are_refused_and_nothing_is_written(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], line: str,
) -> None:  # fmt: skip
    assert evaluate(bundle, synthetic_catalog, tmp_path / "out", "--strict-test-window", *options) == 2
    assert line in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_ticker_without_data_is_left_out_unless_strict(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(bundle, synthetic_catalog, tmp_path / "out", "--tickers", "SPY,NVDA") == 0
    results = results_of(tmp_path / "out")
    assert [row["ticker"] for row in results["tickers"]] == ["SPY.EQUS"]
    assert list(results["left_out"]) == ["NVDA"]
    assert "left out:" in capsys.readouterr().err
    assert evaluate(bundle, synthetic_catalog, tmp_path / "o2", "--tickers", "SPY,NVDA", "--strict-test-window") == 2


def test_sampled_actions_have_the_policy_s_probabilities(bundle: Path) -> None:
    policy = load_bundle(bundle).policy()
    n = 20_000
    observations = np.zeros((n, policy.shape.n_observations), np.float32)
    drawn = SampledPolicy(policy.batch(n), seed=1).act_batch(observations, np.ones(n, bool))
    policy.act(observations[0])
    logits = policy.logits.astype(float)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / n, expected, atol=0.015)  # four deviations


@pytest.mark.parametrize(
    ("start", "end", "note"),
    [
        ("2024-11-18", "2024-11-22", "NOT OUT OF SAMPLE: all 5 sessions are days that the policy was trained on."),
        (
            "2024-11-21",
            "2024-11-26",
            "NOT OUT OF SAMPLE: 2 of these 4 sessions are days that the policy was trained on.",
        ),
    ],
)
def test_a_backtest_over_days_of_the_training_says_so_first(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, answer: Any, start: str, end: str, note: str
) -> None:
    words = ("--catalog", synthetic_catalog, "--start", start, "--end", end, "--out", tmp_path / "out")
    told = answer("backtest", bundle, *words)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    for said in (told["verdict"], summary["verdict"]):
        assert said.startswith(note)
        assert "evidence of" not in said
    assert told["seen_sessions"] == summary["window"]["seen_sessions"] == int(note.split()[4].replace("all", "5"))
    assert f">{note}" in (tmp_path / "out" / "report.html").read_text()


def test_every_window_keeps_its_results(bundle: Path, synthetic_catalog: Path, answer: Any) -> None:
    store = ("--catalog", synthetic_catalog)
    run = bundle.parent.parent
    windows = (("2024-11-25", "2024-11-26"), ("2024-11-27", "2024-12-03"), ("2024-11-22", "2024-11-25"))
    earned = {}
    for start, end in windows:
        told = answer("backtest", bundle, *store, "--start", start, "--end", end)
        assert Path(told["files"]["summary.json"]).parent == run / "backtest" / f"{start}_{end}"
        earned[f"backtest {start} to {end}"] = told["metrics"]["net_pnl_usd"]
    for tickers in (["--tickers", "SPY"], ["--tickers", "AAPL"], ["--test-tickers"]):
        told = answer("evaluate", bundle, *store, "--samples", "2", *tickers)
        of = tickers[-1].removeprefix("--")
        earned[f"evaluate 2024-11-25 to 2024-12-03 {of}"] = told["total"]["net_pnl_usd"]
    [listed] = answer("runs", run)["runs"]
    names = {f"{row['verb']} {row['start']} to {row['end']}" for row in listed["results"]}
    assert {row["seen_sessions"] for row in listed["results"]} == {0, 1}
    assert len(listed["results"]) == len(earned)
    assert names == {name.rpartition(" ")[0] if "evaluate" in name else name for name in earned}
    found = {result.name.removesuffix(" (not out of sample)"): result.net_pnl_usd for result in read_run(run).results}
    assert found == earned


def test_results_of_earlier_versions_are_listed(tmp_path: Path) -> None:
    (tmp_path / "backtest").mkdir()
    window = {"start": "2025-01-02", "end": "2025-03-31"}
    (tmp_path / "backtest" / "summary.json").write_text(
        json.dumps({"window": window, "metrics": {"net_pnl_usd": -4314.0}})
    )
    (tmp_path / "experiment.yaml").write_text(experiment().to_yaml())
    (tmp_path / "origin.json").write_text("{}")
    assert [(row.name, row.net_pnl_usd) for row in read_run(tmp_path).results] == [
        ("backtest 2025-01-02 to 2025-03-31", -4314.0)
    ]


def test_runs_are_listed_and_compared(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(metrics: UpdateMetrics) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_experiment(experiment(seed=9), synthetic_catalog, tmp_path, listener=stop)
    (stopped,) = tmp_path.iterdir()
    capsys.readouterr()
    assert main(["runs", str(bundle.parent.parent), str(stopped), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["state"] for run in found["runs"]] == ["finished", "stopped"]
    assert found["runs"][0]["bundle"] == bundle.name
    assert found["runs"][0]["figures"]["steps"] == 1024
    assert found["differences"]["seed"] == [1, 9]
    assert "learner.n_envs" not in found["differences"]
    assert main(["runs", "--runs", str(tmp_path)]) == 0
    assert stopped.name in capsys.readouterr().err
    assert main(["runs", "--runs", str(tmp_path / "nowhere")]) == 2
