"""`rl-intraday train`: trains an experiment into a run folder that contains the bundle."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from catalogs.errors import InputError
from configs.schema import Experiment, load_experiment
from run.console import print_json
from run.options import DEFAULT_CATALOG, DEFAULT_RUNS, CatalogOption, JsonOption, RunsOption
from run.train.execution_file import execution_overrides
from run.train.markets import experiment_markets
from run.train.run_folder import TrainedRun, announce, describe, learn, make_run_dir, print_run
from training.learning.update_metrics import UpdateMetrics


def command(
    experiment: Annotated[str, typer.Argument(help="YAML file, or name of a preset.")],
    catalog: CatalogOption = DEFAULT_CATALOG,
    runs: RunsOption = DEFAULT_RUNS,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First trading day.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last trading day, included.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Instrument (default: the experiment's).")] = None,
    timesteps: Annotated[int | None, typer.Option(help="Training steps (default: the experiment's).")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed (default: the experiment's).")] = None,
    tickers: Annotated[str | None, typer.Option(help="More instruments of the same policy: AAPL,MSFT.")] = None,
    test_tickers: Annotated[str | None, typer.Option(help="Instruments kept out of training: ADBE,V.")] = None,
    execution: Annotated[Path | None, typer.Option(help="Costs measured by `rl-intraday calibrate --out`.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the experiment, e.g. trading.units=2."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train an experiment into a bundle.

    Example: rl-intraday train spy_single --start 2024-04-01 --end 2024-12-31
    """
    named = {
        "train.start": start.date() if start else None,
        "train.end": end.date() if end else None,
        "instrument": instrument,
        "learner.total_timesteps": timesteps,
        "seed": seed,
        "tickers": tickers.split(",") if tickers else None,
        "test_tickers": test_tickers.split(",") if test_tickers else None,
    }
    measured = execution_overrides(execution) if execution else {}
    given = {key: value for key, value in named.items() if value is not None}
    overrides = given | measured | _parse_changes(changes or [])
    trained = train_experiment(load_experiment(experiment, overrides), catalog, runs)
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
        If data and experiment do not fit; nothing is written then.
    KeyboardInterrupt
        After Ctrl-C; there is no bundle, and the command to resume is printed.
    """
    markets = experiment_markets(experiment, catalog)
    announce(experiment, markets)
    run_dir = make_run_dir(experiment, markets, catalog, runs)
    return learn(experiment, markets, run_dir, listener=listener)


def _parse_changes(changes: list[str]) -> dict[str, Any]:
    parsed = {}
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or not key:
            raise InputError(f"--set must be KEY=VALUE, was {change!r}")
        parsed[key] = yaml.safe_load(value)
    return parsed
