"""A portfolio from the experiment to the report: one account, one decision, trades of every instrument."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from catalogs.errors import InputError
from rl_strategies.bundle.bundle import load_bundle
from run.cli import main
from run.train.resume import resume_run
from run.train.train import train_experiment
from tests.run.conftest import experiment
from training.learning.update_metrics import UpdateMetrics

THREE: dict[str, Any] = {
    "name": "three",
    "instrument": "SPY",
    "portfolio": ["AAPL", "MSFT"],
    "train": {"start": "2024-11-18", "end": "2024-11-22"},
    "test": {"start": "2024-11-25", "end": "2024-12-03"},
    "trading": {
        "units": 40,
        "risk": {"max_gross_exposure": 0.3, "max_daily_loss": 0.02},
        "barriers": {"time_limit_bars": 20},
        "mask_actions": True,
    },
}
MINUTES = ("--bar", "1-MINUTE", "--stamp", "open")
DAYS = ("--start", "2024-11-25", "--end", "2024-12-03")


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


@pytest.fixture(scope="module")
def bundle(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that learned to trade three shares on one account for a moment."""
    runs = tmp_path_factory.mktemp("runs")
    return train_experiment(experiment(**THREE), synthetic_catalog, runs, listener=quiet).bundle


def test_a_bundle_holds_its_instruments_in_order(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert [spec.instrument_id for spec in loaded.instruments] == ["SPY.EQUS", "AAPL.EQUS", "MSFT.EQUS"]
    assert loaded.bar_types == tuple(f"{name}.EQUS-1-MINUTE-LAST-EXTERNAL" for name in ("SPY", "AAPL", "MSFT"))
    assert loaded.policy().shape.n_instruments == 3
    with pytest.raises(InputError, match=r"must trade one instrument here, trades SPY\.EQUS, AAPL\.EQUS, MSFT\.EQUS"):
        _ = loaded.instrument


def test_the_report_of_a_backtest_adds_up_over_its_instruments(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    told = answer("backtest", bundle, "--catalog", synthetic_catalog, *DAYS, "--out", tmp_path / "out")
    assert told["simulator_agrees"] is True
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    trades = pd.read_csv(tmp_path / "out" / "trades.csv")
    history = pd.read_csv(tmp_path / "out" / "portfolio_history.csv")
    net = summary["metrics"]["net_pnl_usd"]
    by_ticker = trades.groupby("ticker")["pnl"].sum()
    assert set(by_ticker.index) == {"SPY", "AAPL", "MSFT"}
    assert by_ticker.sum() == pytest.approx(net, abs=0.01)
    for row in summary["instruments"]:
        ticker = row["instrument_id"].removesuffix(".EQUS")
        assert row["net_pnl_usd"] == pytest.approx(by_ticker[ticker], abs=0.005)
        assert row["trades"] == (trades["ticker"] == ticker).sum()
    assert history["equity"].iloc[-1] == pytest.approx(100_000 + net, abs=0.005)
    held = (history[["units_SPY", "units_AAPL", "units_MSFT"]] != 0).sum(axis=1)
    assert (history["open_positions"] == held).all()
    assert held.max() > 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "By instrument" in page
    assert "SPY.EQUS, AAPL.EQUS, MSFT.EQUS: three" in page


def test_the_account_of_a_portfolio_obeys_its_gross_limit(
    bundle: Path, synthetic_catalog: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    answer("backtest", bundle, "--catalog", synthetic_catalog, *DAYS, "--out", tmp_path / "out")
    history = pd.read_csv(tmp_path / "out" / "portfolio_history.csv")
    units = history[["units_SPY", "units_AAPL", "units_MSFT"]].abs()
    # Shares of about 300 USD and 0.3 of 100,000 USD: about a hundred of them, where three times 40 were wanted.
    assert 40 < units.sum(axis=1).max() < 110


def test_evaluation_walks_a_portfolio_whole(bundle: Path, synthetic_catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["evaluate", str(bundle), "--catalog", str(synthetic_catalog), "--out", str(out), "--samples", "2"]
    assert main([*words, "--window", "4"]) == 0
    results = json.loads((out / "evaluation_results.json").read_text())
    (whole,) = results["tickers"]
    assert whole["ticker"] == "SPY+AAPL+MSFT"
    assert [row["sessions"] for row in results["windows"]] == [4, 2]
    assert whole["random_mean_usd"] is not None
    assert {row["ticker"] for row in results["instruments"]} == {"SPY", "AAPL", "MSFT"}
    assert sum(row["net_pnl_usd"] for row in results["instruments"]) == pytest.approx(whole["net_pnl_usd"], abs=0.01)
    assert sum(row["trades"] for row in results["instruments"]) == whole["trades"]
    assert main([*words, "--tickers", "SPY"]) == 2


def test_orders_at_the_next_open(synthetic_catalog: Path, tmp_path: Path, answer: Callable[..., dict]) -> None:
    settings = experiment(**THREE | {"execution": {"fill": "next_open"}, "portfolio": ["MSFT"]})
    trained = train_experiment(settings, synthetic_catalog, tmp_path / "runs", listener=quiet)
    told = answer("backtest", trained.bundle, "--catalog", synthetic_catalog, *DAYS, "--out", tmp_path / "out")
    assert told["simulator_agrees"] is True
    assert told["fills"] > 50


def test_a_stopped_portfolio_with_context_resumes_to_the_same_bundle(
    synthetic_catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(metrics: UpdateMetrics) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "run.train.run_folder.git_commit", lambda: "0" * 40
    )  # a commit made meanwhile would tell them apart
    settings = experiment(**THREE | {"portfolio": ["AAPL"], "context": "smt", "pruning": {}, "validate": 0.3})
    whole = train_experiment(settings, synthetic_catalog, tmp_path / "whole", listener=quiet)
    with pytest.raises(KeyboardInterrupt):
        train_experiment(settings, synthetic_catalog, tmp_path / "runs", listener=interrupt)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert resume_run(run_dir).bundle.name == whole.bundle.name


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tickers": ["QQQ"]}, "portfolio must not be combined with tickers"),
        ({"test_tickers": ["QQQ"]}, "portfolio must not be combined with tickers"),
        ({"portfolio": ["SPY"]}, "SPY must be named once"),
    ],
)
def test_wrong_portfolios_are_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        experiment(**THREE | changes)


def test_real_days_of_a_portfolio_with_context(shared_data: Path, tmp_path: Path, answer: Callable[..., dict]) -> None:
    store = ["--catalog", str(tmp_path / "store")]
    source = shared_data / "us_vix_1min_20190211_15.parquet"
    for ticker in ("AAPL", "MSFT", "SPY", "QQQ"):
        named = ("--instrument", ticker, "--symbol", ticker)
        assert main(["data", "import", str(source), *named, *MINUTES, *store]) == 0
    features = [
        {"kind": "log_return", "name": "return_5", "params": {"n": 5}},
        {"kind": "atr", "name": "atr_14", "params": {"n": 14}, "observe": False},
    ]
    days = {"train": {"start": "2019-02-13", "end": "2019-02-14"}, "test": None}
    changes = {
        "instrument": "AAPL",
        "portfolio": ["MSFT", "SPY"],
        "features": features,
        "context": "smt",
        "pruning": {},
    }
    trained = train_experiment(
        experiment(**THREE | days | changes), tmp_path / "store", tmp_path / "runs", listener=quiet
    )
    told = answer("backtest", trained.bundle, *store, "--start", "2019-02-14", "--end", "2019-02-15")
    assert told["simulator_agrees"] is True
    assert told["decisions"] > 700
