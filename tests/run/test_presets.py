"""The presets train on real data: short budgets here, real ones in docs/results."""

import json
from pathlib import Path
from typing import Any

import pytest

from configs import experiments_path
from configs.schema import load_experiment
from run.cli import main

PRESETS = sorted(path.stem for path in experiments_path().glob("*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_an_experiment_of_its_own_name(name: str) -> None:
    assert load_experiment(name).name == name


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.slow
def test_spy_single_trains_and_is_evaluated_on_real_bars(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = ["--catalog", str(tmp_path / "catalog")]
    source = str(shared_data / "spy_1min_202403_202504.parquet")
    run_json(capsys, "data", "import", source, "--instrument", "SPY", "--stamp", "open", *catalog)
    runs = ["--runs", str(tmp_path / "runs")]
    trained = run_json(capsys, "train", "spy_single", "--timesteps", "12288", *catalog, *runs)
    # NYSE sessions from 1 April to 29 November 2024: 170, the first of which the features are not warm for.
    assert trained["sessions"] == 169
    assert trained["training"]["steps"] == 12_288
    evaluated = run_json(capsys, "evaluate", trained["bundle"], "--samples", "1", *catalog)
    # From 2 January to 31 March 2025: 61 weekdays less 9 January, 20 January and 17 February, and what was not bought.
    assert evaluated["total"]["sessions"] == 60
    assert (tmp_path / "runs").is_dir()


@pytest.mark.slow
def test_us30_multiticker_trains_and_meets_unseen_tickers_on_real_bars(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = ["--catalog", str(tmp_path / "catalog")]
    source = str(shared_data / "us30_1min_201510_201602.parquet")
    for ticker in ("AAPL", "MSFT", "GE"):  # all thirty take a minute
        run_json(capsys, "data", "import", source, "--symbol", ticker, "--stamp", "open", *catalog)
    options = ["--tickers", "MSFT", "--test-tickers", "GE", "--timesteps", "18720", "--runs", str(tmp_path / "runs")]
    trained = run_json(capsys, "train", "us30_multiticker", *options, *catalog)
    assert trained["training"]["best_validation"] is not None
    evaluated = run_json(capsys, "evaluate", trained["bundle"], "--test-tickers", "--samples", "1", *catalog)
    assert [row["ticker"] for row in evaluated["tickers"]] == ["GE.EQUS"]
    assert evaluated["total"]["sessions"] == 24, "25 January to 26 February 2016, Presidents' Day being none"
