"""Verbs of training as the command line declares them; the work is imported when a verb is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from run.options import DEFAULT_CATALOG, DEFAULT_RUNS, CatalogOption, JsonOption, RunsOption, day_option
from training.algorithms.config import DEFAULT_BUMP

RunArgument = Annotated[Path, typer.Argument(help="Run folder.")]


def train(
    experiment: Annotated[str, typer.Argument(help="YAML file, or name of a preset.")],
    catalog: CatalogOption = DEFAULT_CATALOG,
    runs: RunsOption = DEFAULT_RUNS,
    start: Annotated[datetime | None, day_option("First trading day (default: the experiment's).")] = None,
    end: Annotated[datetime | None, day_option("Last trading day, included (default: the experiment's).")] = None,
    instrument: Annotated[
        str | None, typer.Option(metavar="SYMBOL", help="Instrument (default: the experiment's).")
    ] = None,
    timesteps: Annotated[int | None, typer.Option(help="Training steps (default: the experiment's).")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (default: the experiment's).")] = None,
    tickers: Annotated[
        str | None, typer.Option(metavar="SYMBOLS", help="More instruments of the same policy: AAPL,MSFT.")
    ] = None,
    test_tickers: Annotated[
        str | None, typer.Option(metavar="SYMBOLS", help="Instruments kept out of training: ADBE,V.")
    ] = None,
    execution: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Costs measured by `rl-intraday calibrate --out`.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the experiment, e.g. trading.units=2."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train an experiment into a bundle.

    \b
    Example:
      rl-intraday train spy_single --start 2024-04-01 --end 2024-12-31
    """
    from run.train.train import run_train

    run_train(
        experiment=experiment,
        catalog=catalog,
        runs=runs,
        start=start,
        end=end,
        instrument=instrument,
        timesteps=timesteps,
        seed=seed,
        tickers=tickers,
        test_tickers=test_tickers,
        execution=execution,
        changes=changes,
        as_json=as_json,
    )


def resume(
    run: RunArgument,
    catalog: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Catalog of bars (default: the one the run started with).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Resume a training run that was stopped or killed.

    At most one rollout is repeated. On a CPU with one thread, the run ends with exactly the weights of an uninterrupted
    run.

    \b
    Example:
      rl-intraday resume runs/20260102-090000-spy_single
    """
    from run.train.resume import run_resume

    run_resume(run, catalog, as_json)


def runs(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN", help="Run folders to compare (default: list all).")
    ] = None,
    folder: RunsOption = DEFAULT_RUNS,
    as_json: JsonOption = False,
) -> None:
    """List or compare training runs: differing settings and all results.

    \b
    Examples:
      rl-intraday runs
      rl-intraday runs runs/20260102-090000-demo runs/20260103-090000-demo
    """
    from run.train.runs import run_runs

    run_runs(runs, folder, as_json)


def lr_bump(
    run: RunArgument,
    factor: Annotated[float, typer.Option(help="Factor of the learning rate.")] = DEFAULT_BUMP,
) -> None:
    """Multiply the learning rate of a training in progress.

    From its next rollout on; a stopped run takes it at `rl-intraday resume`. Creating the empty file .lr_bump in the
    run folder doubles the rate.

    \b
    Example:
      rl-intraday lr-bump runs/20260102-090000-spy_single --factor 0.5
    """
    from run.train.lr_bump import run_lr_bump

    run_lr_bump(run, factor)
