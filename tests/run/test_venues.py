"""Two venues in one backtest: a future compared with shares, and a future traded beside a share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from run.train.train import train_experiment
from tests.run.conftest import experiment
from training.learning.update_metrics import UpdateMetrics

DAYS = ("--start", "2024-11-29", "--end", "2024-12-03")


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic sessions of MES around the clock, SPY and QQQ by day; a half day among them."""
    folder = tmp_path_factory.mktemp("venues")
    first, last, edge = np.datetime64("2024-11-11"), np.datetime64("2024-12-03"), PlantedEdge()
    for seed, (ticker, price) in enumerate((("MESZ4", 6000.0), ("SPY", 600.0), ("QQQ", 500.0))):
        spec = resolve(ticker, instruments_path(), last.item())
        bars = synthetic_sessions(spec, first, last, seed=seed, edge=edge, start_price=price).bars
        write_bars(folder, spec, bars, synthetic_provenance(spec, bars, edge, seed))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"instrument": "MESZ4", "context": "smt", "pruning": {}, "trading": {"units": 2}},
        {"instrument": "SPY", "portfolio": ["MESZ4"], "trading": {"units": 3, "risk": {"max_gross_exposure": 0.6}}},
    ],
    ids=["a future compared with shares", "a share and a future on one account"],
)
def test_the_node_repeats_the_simulator_over_two_venues(
    catalog: Path, tmp_path: Path, answer: Callable[..., dict], changes: dict[str, Any]
) -> None:
    settings = experiment(**changes, train={"start": "2024-11-19", "end": "2024-11-25"})
    trained = train_experiment(settings, catalog, tmp_path / "runs", listener=quiet)
    told = answer("backtest", trained.bundle, "--catalog", catalog, *DAYS, "--out", tmp_path / "out")
    assert told["simulator_agrees"] is True
    assert told["fills"] > 20
    assert told["metrics"]["unreconciled_usd"] == 0.0
