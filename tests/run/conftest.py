"""A catalog of synthetic sessions and an experiment that trains on it in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import Experiment, parse_experiment

TICKERS = ("SPY", "AAPL", "MSFT")


@pytest.fixture(scope="session")
def synthetic_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen sessions of three tickers."""
    catalog = tmp_path_factory.mktemp("catalog")
    for seed, ticker in enumerate(TICKERS):
        instrument = resolve(ticker, instruments_path())
        edge = PlantedEdge()
        made = synthetic_sessions(
            instrument,
            np.datetime64("2024-11-11"),
            np.datetime64("2024-12-03"),
            seed=seed,
            edge=edge,
            start_price=300.0,
        )
        write_bars(catalog, instrument, made.bars, synthetic_provenance(instrument, made.bars, edge, seed))
    return catalog


def experiment(**changes: Any) -> Experiment:
    """Two rollouts on SPY; ``changes`` replace keys."""
    content: dict[str, Any] = {
        "name": "quick",
        "instrument": "SPY",
        "train": {"start": "2024-11-18", "end": "2024-11-26"},
        "learner": {
            "total_timesteps": 1024, "n_envs": 4, "n_steps": 128, "batch_size": 256, "n_epochs": 1,
            "lstm_hidden_size": 8, "net_arch": [], "stability": {"evaluate_every": 1},
        },
    }  # fmt: skip
    return parse_experiment(content | changes, "test")
