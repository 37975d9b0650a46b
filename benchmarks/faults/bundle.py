"""A catalog of synthetic sessions and a bundle that trades often on them, without outside data.

The network is almost untrained: it enters, leaves and reverses every few bars, which is all that a campaign needs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import parse_experiment
from run.train.train import train_experiment

FIRST_DAY, LAST_DAY = np.datetime64("2025-01-06"), np.datetime64("2025-02-07")
UNITS = 3
EXPERIMENT: dict[str, Any] = {
    "name": "faults",
    "instrument": "MESH5",
    "bar": "1-MINUTE",
    "train": {"start": "2025-01-15", "end": "2025-01-16"},
    "trading": {
        "units": UNITS,
        "barriers": {
            "stop_loss": {"value": 2.0, "unit": "atr"},
            "take_profit": {"value": 3.0, "unit": "atr"},
            "time_limit_bars": 20,
        },
        "risk": {"max_entries_per_session": 0, "max_gross_exposure": 0.0},
    },
    "execution": {"starting_balance_usd": 1_000_000},
    "learner": {
        "total_timesteps": 512, "n_envs": 4, "n_steps": 128, "batch_size": 256, "n_epochs": 1,
        "lstm_hidden_size": 16, "net_arch": [], "stability": {"evaluate_every": 1},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Traded:
    """Bundle and catalog of a campaign.

    Attributes
    ----------
    bundle, catalog : Path
    """

    bundle: Path
    catalog: Path


def make_traded(folder: Path, seed: int) -> Traded:
    """Write the catalog and train the bundle; takes a minute on two slow cores."""
    catalog = make_catalog(folder, seed)
    experiment = parse_experiment({**EXPERIMENT, "seed": seed}, "faults")
    return Traded(train_experiment(experiment, catalog, folder / "runs").bundle, catalog)


def make_catalog(folder: Path, seed: int) -> Path:
    """Write the catalog alone."""
    experiment = parse_experiment({**EXPERIMENT, "seed": seed}, "faults")
    instrument = resolve(experiment.instrument, instruments_path(), experiment.train.end)
    edge, catalog = PlantedEdge(), folder / "catalog"
    made = synthetic_sessions(instrument, FIRST_DAY, LAST_DAY, seed=seed, edge=edge)
    write_bars(catalog, instrument, made.bars, synthetic_provenance(instrument, made.bars, edge, seed))
    return catalog
