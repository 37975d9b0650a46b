"""`rl-intraday resume`: a run that was stopped or killed goes on from its last checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from catalogs.errors import InputError
from configs.schema import load_experiment
from run.console import print_json, report
from run.options import JsonOption
from run.train.markets import experiment_markets
from run.train.origin import read_origin
from run.train.run_folder import TrainedRun, announce, data_hash, describe, learn, say


def command(
    run: Annotated[Path, typer.Argument(help="Run directory, as `rl-intraday train` printed it.")],
    catalog: Annotated[Path | None, typer.Option(help="Where the catalog is now, if it has moved.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a training run that was stopped or killed; at most one rollout is learned again.

    With one thread on a CPU the run ends with the very weights that it would have ended with uninterrupted.

    Example: rl-intraday resume runs/20260102-090000-spy_single
    """
    trained = resume_run(run, catalog)
    if as_json:
        print_json(describe(trained))
    else:
        say(trained)


def resume_run(run_dir: Path, catalog: Path | None = None) -> TrainedRun:
    """Go on with a run and bundle it.

    Raises
    ------
    InputError
        If the directory holds no run, or the catalog's bars are no longer those that the run began with.
    """
    began_with = read_origin(run_dir)
    experiment = load_experiment(str(run_dir / "experiment.yaml"))
    markets = experiment_markets(experiment, catalog or Path(began_with.catalog))
    found = data_hash(markets)
    if found != began_with.data_hash:
        raise InputError(
            f"run {run_dir}: must go on with the bars it began with ({began_with.data_hash[:12]}...), "
            f"the catalog's were {found[:12]}..."
        )
    announce(experiment, markets)
    report(f"  going on with {run_dir}")
    return learn(experiment, markets, run_dir, resume=True)
