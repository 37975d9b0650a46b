"""`rl-intraday train`: an experiment becomes a run directory with a bundle in it."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
import yaml

from catalogs.arrow import read_bars
from catalogs.bar_types import bar_type_of
from catalogs.errors import InputError
from catalogs.instruments import resolve
from catalogs.sessions import SessionCalendar, has_extended_hours, session_calendar
from configs import instruments_path
from configs.schema import Experiment, load_experiment
from rl_strategies.bundle import load_bundle, write_bundle
from rl_strategies.manifest import BundleFacts, installed_versions
from run.options import DEFAULT_CATALOG, DEFAULT_RUNS, CatalogOption, JsonOption, RunsOption, answer_json, progress
from training.env import SessionVecEnv
from training.export import export_onnx, golden_observations, golden_outputs
from training.fit import FitResult, TrainingSummary, fit
from training.market import TrainingMarket, build_market, constant_features
from training.progress import UpdateMetrics


@dataclass(frozen=True)
class TrainedRun:
    """What a training run leaves.

    Attributes
    ----------
    run_dir, bundle : Path
    sessions, bars : int
        That the policy learned from.
    left_out : tuple of (str, str)
        Features that the data could not give, with the reason.
    summary : TrainingSummary
    """

    run_dir: Path
    bundle: Path
    sessions: int
    bars: int
    left_out: tuple[tuple[str, str], ...]
    summary: TrainingSummary


def command(
    experiment: Annotated[str, typer.Argument(help="A YAML file, or the name of a preset.")],
    catalog: CatalogOption = DEFAULT_CATALOG,
    runs: RunsOption = DEFAULT_RUNS,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First trading day.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last trading day, included.")] = None,
    instrument: Annotated[str | None, typer.Option(help="Instead of the experiment's.")] = None,
    timesteps: Annotated[int | None, typer.Option(help="Instead of learner.total_timesteps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the experiment's.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key, e.g. trading.units=2.")
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
    }
    overrides = {key: value for key, value in named.items() if value is not None} | _parse_changes(changes or [])
    trained = train_experiment(load_experiment(experiment, overrides), catalog, runs)
    if as_json:
        answer_json(describe(trained))
        return
    progress.print(f"Run     {trained.run_dir}\nBundle  {trained.bundle}")
    progress.print(f"Next    rl-intraday backtest {trained.bundle} --catalog {catalog} --start DATE --end DATE")


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
        Told after every update; a progress bar on stderr if omitted.

    Raises
    ------
    InputError
        Before anything is written, where data and experiment do not fit together.
    """
    market = training_market(experiment, catalog)
    constant = constant_features(market)
    if constant:
        raise InputError(
            f"features must vary over the training window, {', '.join(constant)} did not; "
            "leave them out in `features:` or widen `train:`"
        )
    _say(experiment, market)
    run_dir = _make_run_dir(experiment, runs)
    env = SessionVecEnv(market, experiment.learner.n_envs, reward=experiment.reward, seed=experiment.seed)
    result = fit(experiment.learner, env, run_dir, seed=experiment.seed, progress=listener)
    bundle = _bundle(experiment, market, result, run_dir)
    return TrainedRun(run_dir, bundle, len(market), _bars_walked(market), market.plan.left_out, result.summary)


def training_market(experiment: Experiment, catalog: Path) -> TrainingMarket:
    """Features and episodes of an experiment's training window; no later bar is read."""
    spec = resolve(experiment.instrument, instruments_path(), experiment.train.end)
    calendar = session_calendar(spec.calendar)
    end_ns = last_close_ns(calendar, experiment.train.end)
    bars = read_bars(catalog, bar_type_of(spec, experiment.bar), end_ns=end_ns)
    plan = experiment.plan(volume_known=bars.volume_known, extended_hours=has_extended_hours(spec.calendar))
    window = experiment.train
    return build_market(bars, spec, plan, experiment.trading, experiment.execution, start=window.start, end=window.end)


def last_close_ns(calendar: SessionCalendar, day: date) -> int:
    """Close of the last session up to and including ``day``, UTC nanoseconds."""
    index = int(np.searchsorted(calendar.session_date, np.datetime64(day), side="right")) - 1
    if index < 0:
        raise InputError(f"calendar {calendar.name} must reach back to {day}, begins {calendar.session_date[0]}")
    return int(calendar.close_ns[index])


def describe(trained: TrainedRun) -> dict[str, Any]:
    """Plain data for ``--json``."""
    return {
        "run": str(trained.run_dir),
        "bundle": str(trained.bundle),
        "sessions": trained.sessions,
        "bars": trained.bars,
        "left_out_features": dict(trained.left_out),
        "training": msgspec.to_builtins(trained.summary),
    }


def _parse_changes(changes: list[str]) -> dict[str, Any]:
    parsed = {}
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or not key:
            raise InputError(f"--set must be KEY=VALUE, was {change!r}")
        parsed[key] = yaml.safe_load(value)
    return parsed


def _say(experiment: Experiment, market: TrainingMarket) -> None:
    dates = market.session_dates
    progress.print(
        f"Training [bold]{experiment.name}[/] on {market.instrument.instrument_id}: {len(market)} sessions "
        f"{dates[0]} to {dates[-1]}, {_bars_walked(market):,} bars, {len(market.observation_names)} observations, "
        f"{experiment.learner.planned_steps:,} steps, seed {experiment.seed}"
    )
    for name, reason in market.plan.left_out:
        progress.print(f"  left out: feature {name}: {reason}")
    for reason, count in market.skipped.items():
        if count:
            progress.print(f"  left out: {count} sessions: {reason}")


def _bars_walked(market: TrainingMarket) -> int:
    return int((market.world.episodes["last"] - market.world.episodes["first"] + 1).sum())


def _make_run_dir(experiment: Experiment, runs: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    run_dir = runs / f"{stamp}-{experiment.name}"
    attempt = 1
    while run_dir.exists():
        attempt += 1
        run_dir = runs / f"{stamp}-{experiment.name}-{attempt}"
    run_dir.mkdir(parents=True)
    (run_dir / "experiment.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    (run_dir / "command.txt").write_text(shlex.join(["rl-intraday", *sys.argv[1:]]) + "\n", encoding="utf-8")
    (run_dir / "versions.json").write_text(json.dumps(installed_versions(), indent=2) + "\n", encoding="utf-8")
    return run_dir


def _bundle(experiment: Experiment, market: TrainingMarket, result: FitResult, run_dir: Path) -> Path:
    model, normalizer = result.model, result.vecnormalize
    onnx = run_dir / "policy.onnx"
    export_onnx(model, normalizer, onnx)
    try:
        bundle = write_bundle(
            run_dir / "bundle",
            experiment.name.lower(),
            policy_onnx=onnx,
            plan=market.plan,
            experiment_yaml=experiment.to_yaml(),
            golden=golden_outputs(model, normalizer, golden_observations(normalizer)),
            facts=_facts(experiment, market),
            model_zip=result.checkpoint / "model.zip",
            vecnormalize_pkl=result.checkpoint / "vecnormalize.pkl",
        )
    finally:
        onnx.unlink()
    load_bundle(bundle)  # what cannot be loaded is not called done
    return bundle


def _facts(experiment: Experiment, market: TrainingMarket) -> BundleFacts:
    bars = market.bars
    return BundleFacts(
        instrument=market.instrument,
        bar_type=bars.bar_type,
        seeds=(experiment.seed,),
        data_hash=bars.hash,
        calendar_hash=market.calendar.hash_between(int(bars.ts_ns[0]), int(bars.ts_ns[-1])),
        git_commit=git_commit(),
    )


def git_commit() -> str | None:
    """Commit of the program's checkout; None where it is installed without one."""
    git = shutil.which("git")
    if git is None:
        return None
    here = Path(__file__).resolve().parent
    found = subprocess.run([git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
