"""`rl-intraday resume`: continues a stopped or killed run from its last checkpoint."""

from pathlib import Path

from catalogs.errors import InputError
from configs.schema import load_experiment
from run.console import print_json, report
from run.ledger.recording import check_recordable
from run.train.markets import experiment_markets
from run.train.record import recorded_training, training_results
from run.train.run_folder import TrainedRun, announce, data_hash, describe, learn, print_run
from run.train.run_metadata import read_run_metadata
from run.train.runs import read_run
from training.validation.ledger.ledger import ledger_beside


def run_resume(run: Path, catalog: Path | None, as_json: bool) -> None:
    """Resume a training run that was stopped or killed; at most one rollout is repeated.

    The options are those of the verb; see `run.train.commands.resume`.
    """
    trained = resume_run(run, catalog)
    if as_json:
        print_json(describe(trained))
    else:
        print_run(trained)


def resume_run(run_dir: Path, catalog: Path | None = None) -> TrainedRun:
    """Resume a run and bundle it.

    Raises
    ------
    InputError
        If the folder is not a run or has finished, the catalog's bars have changed since it started, or the ledger
        cannot be written.
    """
    if bundle := read_run(run_dir).bundle:
        raise InputError(f"run {run_dir} has finished: its bundle is {run_dir / 'bundle' / bundle}")
    folder = run_dir.absolute()
    check_recordable(ledger_beside(folder.parent))
    started = read_run_metadata(run_dir)
    experiment = load_experiment(str(run_dir / "experiment.yaml"))
    markets = experiment_markets(experiment, catalog or Path(started.catalog))
    found = data_hash(markets)
    if found != started.data_hash:
        raise InputError(
            f"run {run_dir} started with other bars: their hash was {started.data_hash[:12]}..., "
            f"the catalog's is {found[:12]}..."
        )
    announce(experiment, markets)
    report(f"  resuming {run_dir}")
    with recorded_training(experiment, markets, folder.parent, resumes=started.ledger_entry) as recording:
        trained = learn(experiment, markets, run_dir, resume=True)
        recording.results.update(training_results(trained))
    return trained
