"""What the selection ledger says of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from configs.schema import Experiment
from run.ledger.recording import Recording, changed_since, fingerprint, recorded
from run.train.markets import ExperimentMarkets
from run.train.run_folder import TrainedRun, data_hash
from training.validation.ledger.ledger import ledger_beside


@contextmanager
def recorded_training(
    experiment: Experiment, markets: ExperimentMarkets, runs: Path, *, resumes: str = ""
) -> Iterator[Recording]:
    """Record a training in the ledger beside its runs; `training_results` are for the caller to add.

    Parameters
    ----------
    experiment : Experiment
    markets : ExperimentMarkets
    runs : Path
    resumes : str
        Entry of the ledger that began the run which goes on: no new try.

    Raises
    ------
    InputError
        If the ledger is damaged or cannot be written.
    """
    ledger = ledger_beside(runs)
    facts = training_facts(experiment, markets)
    facts["changed"] = changed_since(ledger, "training", experiment.name, facts["prints"])
    if resumes:
        facts["resumes"] = resumes
    with recorded(ledger, "training", facts) as recording:
        yield recording


def training_facts(experiment: Experiment, markets: ExperimentMarkets) -> dict[str, Any]:
    """Experiment, window, seed, and fingerprints of everything that may be changed between two trials."""
    prints = {
        "features": [experiment.features, experiment.context, experiment.cross, experiment.pruning],
        "reward": experiment.reward,
        "costs": experiment.execution,
        "trading": experiment.trading,
        "learner": experiment.learner,
        "data": [data_hash(markets), experiment.validate, experiment.augment],
    }
    return {
        "experiment": experiment.name,
        "instruments": [name for names in experiment.markets for name in names],
        "start": experiment.train.start.isoformat(),
        "end": experiment.train.end.isoformat(),
        "sessions": sum(map(len, markets.train)),
        "seed": experiment.seed,
        "prints": {part: fingerprint(msgspec.to_builtins(content)) for part, content in prints.items()},
    }


def training_results(trained: TrainedRun) -> dict[str, Any]:
    """What came of a training."""
    summary = trained.summary
    return {
        "run": trained.run_dir.name,
        "bundle": trained.bundle.name,
        "steps": summary.steps,
        "best_validation": summary.best_validation,
        "best_error": summary.best_error,
        "beats_flat": summary.beats_flat,
    }
