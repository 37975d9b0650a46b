"""A training whose policy does not beat doing nothing gives a bundle that stays flat, and everything says so."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from rl_strategies.bundle.bundle import load_bundle
from run.trade.safety.doctor_checks import check_bundle
from run.train.run_folder import print_run
from run.train.train import train_experiment
from tests.run.conftest import experiment

NO_TRADING_DAYS = {"start": "2024-11-27", "end": "2024-12-12"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-five sessions of SPY."""
    folder = tmp_path_factory.mktemp("catalog")
    instrument, edge = resolve("SPY", instruments_path()), PlantedEdge()
    made = synthetic_sessions(
        instrument, np.datetime64("2024-11-11"), np.datetime64("2024-12-17"), seed=1, edge=edge, start_price=300.0
    )
    write_bars(folder, instrument, made.bars, synthetic_provenance(instrument, made.bars, edge, 1))
    return folder


def trained(catalog: Path, runs: Path, beat_flat_by: float) -> Path:
    settings = experiment()
    learner = msgspec.to_builtins(settings.learner) | {"beat_flat_by": beat_flat_by}
    settings = experiment(train={"start": "2024-11-18", "end": "2024-11-26"}, validate=NO_TRADING_DAYS, learner=learner)
    run = train_experiment(settings, catalog, runs, listener=lambda _: None)
    print_run(run)
    return run.bundle


def test_a_policy_that_beats_nothing_abstains_and_says_so(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Callable[..., dict]
) -> None:
    bundle = trained(catalog, tmp_path / "runs", beat_flat_by=1e6)
    assert "No policy beats doing nothing here: the bundle abstains, it stays flat." in capsys.readouterr().err
    result = load_bundle(bundle).manifest.metadata.validation
    assert not isinstance(result, msgspec.UnsetType)
    assert (result.standard_errors_wanted, result.beats_flat) == (1e6, False)

    window = ("--start", "2024-12-13", "--end", "2024-12-17")
    backtest = answer("backtest", bundle, *window, "--catalog", catalog, "--out", tmp_path / "out")
    assert backtest["verdict"].startswith(
        "This policy abstains: in training no state beat doing nothing on the validation sessions ("
    )
    assert backtest["verdict"].endswith("No trades in 3 sessions: 0.00 USD made, nothing to judge.")
    assert "This policy abstains" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")

    finding = check_bundle(bundle)
    assert (finding.state, "This policy abstains" in finding.found) == ("warn", True)


def test_a_policy_that_nobody_asked_trades(catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = load_bundle(trained(catalog, tmp_path, beat_flat_by=0.0))
    assert "abstains" not in capsys.readouterr().err
    assert bundle.abstention == ""
    assert not bundle.policy().shape.abstains
    assert "validation" not in (bundle.path / "manifest.json").read_text(encoding="utf-8")
