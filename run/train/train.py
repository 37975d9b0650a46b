"""`rl-intraday train`: trains an experiment into a run folder that contains the bundle."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from catalogs.errors import InputError
from configs.schema import Experiment, load_experiment
from run.console import print_json
from run.ledger.recording import check_recordable
from run.options import comma_separated
from run.train.execution_file import execution_overrides
from run.train.markets import experiment_markets
from run.train.record import recorded_training, training_results
from run.train.run_folder import TrainedRun, announce, describe, has_begun, learn, make_run_dir, print_run
from training.learning.update_metrics import UpdateMetrics
from training.validation.ledger.ledger import ledger_beside

OPTIONS = {
    "train.start": "--start",
    "train.end": "--end",
    "instrument": "--instrument",
    "learner.total_timesteps": "--timesteps",
    "seed": "--seed",
    "tickers": "--tickers",
    "test_tickers": "--test-tickers",
}


def run_train(
    *,
    experiment: str,
    catalog: Path,
    runs: Path,
    start: datetime | None,
    end: datetime | None,
    instrument: str | None,
    timesteps: int | None,
    seed: int | None,
    tickers: str | None,
    test_tickers: str | None,
    execution: Path | None,
    changes: list[str] | None,
    as_json: bool,
) -> None:
    """Train an experiment into a bundle.

    The options are those of the verb; see `run.train.commands.train`.
    """
    named = {
        "train.start": start.date() if start else None,
        "train.end": end.date() if end else None,
        "instrument": instrument,
        "learner.total_timesteps": timesteps,
        "seed": seed,
        "tickers": comma_separated(tickers) if tickers else None,
        "test_tickers": comma_separated(test_tickers) if test_tickers else None,
    }
    measured = execution_overrides(execution) if execution else {}
    given = {key: value for key, value in named.items() if value is not None}
    overrides = given | measured | _parse_changes(changes or [])
    words = {key: f"{OPTIONS[key]} {_word(given[key])}" for key in given}
    words |= dict.fromkeys(measured, f"--execution {execution}")
    words |= {change.partition("=")[0]: f"--set {change}" for change in changes or []}
    trained = train_experiment(load_experiment(experiment, overrides, words), catalog, runs)
    if as_json:
        print_json(describe(trained))
        return
    print_run(trained)


def train_experiment(
    experiment: Experiment,
    catalog: Path,
    runs: Path,
    *,
    listener: Callable[[UpdateMetrics], None] | None = None,
) -> TrainedRun:
    """Read bars, build features and episodes, fit, export, bundle.

    Parameters
    ----------
    experiment : Experiment
    catalog, runs : Path
    listener : callable, optional
        Called after every update; by default a live table on stderr.

    Raises
    ------
    InputError
        If data and experiment do not fit, or the ledger cannot be written; no run is made then.
    KeyboardInterrupt
        After Ctrl-C; there is no bundle, and the command to resume is printed.
    """
    check_recordable(ledger_beside(runs))
    markets = experiment_markets(experiment, catalog)
    announce(experiment, markets)
    with recorded_training(experiment, markets, runs) as recording:
        run_dir = make_run_dir(experiment, markets, catalog, runs, recording.entry)
        try:
            trained = learn(experiment, markets, run_dir, listener=listener)
        except InputError:
            if not has_begun(run_dir):
                shutil.rmtree(run_dir)
            raise
        recording.results.update(training_results(trained))
    return trained


def _word(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def _parse_changes(changes: list[str]) -> dict[str, Any]:
    parsed = {}
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or not key:
            raise InputError(f"--set must be KEY=VALUE, was {change!r}")
        try:
            parsed[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {change}: the value must be YAML, was {value!r}") from error
    return parsed
