"""A training run on disk: its folder, the training, and the bundle at its end."""

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from catalogs.sessions import session_calendar
from configs.schema import Experiment
from rl_strategies.bundle.bundle import load_bundle, write_bundle
from rl_strategies.bundle.manifest import BundleMetadata, ValidationResult, installed_versions
from run.console import report
from run.train.markets import ExperimentMarkets
from run.train.members import LearnedPolicy, learn_policy, member_folders, member_seeds
from run.train.run_metadata import RunMetadata, write_run_metadata
from training.learning.summary import TrainingSummary
from training.learning.update_metrics import UpdateMetrics
from training.simulator.market import TrainingMarket


@dataclass(frozen=True)
class TrainedRun:
    """A finished training run.

    Attributes
    ----------
    run_dir, bundle : Path
    sessions, bars : int
        Number of training sessions and of their bars.
    left_out : tuple of (str, str)
        Features that the data cannot give or that were pruned, with the reason.
    summary : TrainingSummary
    """

    run_dir: Path
    bundle: Path
    sessions: int
    bars: int
    left_out: tuple[tuple[str, str], ...]
    summary: TrainingSummary


def announce(experiment: Experiment, markets: ExperimentMarkets) -> None:
    """Print what the training uses, in a few lines on stderr."""
    first = markets.train[0]
    names = ", ".join(spec.instrument_id for spec in first.instruments)
    others = len(markets.train) - 1
    names = f"{names} and {others} more" if others else names
    dates = first.session_dates
    sessions = sum(len(market) for market in markets.train)
    report(
        f"Training {experiment.name} on {names}: {sessions} sessions {dates[0]} to {dates[-1]}, "
        f"{_bars_traded(markets.train):,} bars, {len(first.observation_names)} observations, "
        f"{experiment.learner.planned_steps:,} steps, seed {experiment.seed}"
    )
    if markets.validate:
        dates = markets.validate[0].session_dates
        folds = f" in {experiment.validation_folds} folds" if experiment.has_folds else ""
        report(f"  validation on {sum(map(len, markets.validate))} sessions{folds} {dates[0]} to {dates[-1]}")
    for name, reason in (*first.plan.left_out, *first.plan.pruned):
        report(f"  left out: feature {name}: {reason}")
    skipped = Counter[str]()
    for market in markets.train:
        skipped.update(market.skipped)
    for reason, count in (+skipped).items():
        report(f"  left out: {count} sessions: {reason}")


def make_run_dir(
    experiment: Experiment, markets: ExperimentMarkets, catalog: Path, runs: Path, ledger_entry: str = ""
) -> Path:
    """A new folder with the experiment, the command, the versions and the run's metadata."""
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
    write_run_metadata(run_dir, RunMetadata(str(catalog.resolve()), data_hash(markets), ledger_entry))
    return run_dir


def has_begun(run_dir: Path) -> bool:
    """Whether a run has learned anything yet: only then is there something to keep of it."""
    return (run_dir / "metrics").exists() or any(member_folders(run_dir))


def learn(
    experiment: Experiment,
    markets: ExperimentMarkets,
    run_dir: Path,
    *,
    listener: Callable[[UpdateMetrics], None] | None = None,
    resume: bool = False,
) -> TrainedRun:
    """Fit, then bundle the best policy; after Ctrl-C nothing is bundled and the resume command is printed."""
    try:
        learned = learn_policy(experiment, markets, run_dir, listener=listener, resume=resume)
    except KeyboardInterrupt:
        report(f"Stopped: no bundle was made. Resume with: rl-intraday resume {run_dir}")
        raise
    bundle = _bundle(experiment, markets, learned, run_dir)
    sessions = sum(len(market) for market in markets.train)
    left_out = (*markets.train[0].plan.left_out, *markets.train[0].plan.pruned)
    return TrainedRun(run_dir, bundle, sessions, _bars_traded(markets.train), left_out, learned.summary)


def print_run(trained: TrainedRun) -> None:
    """Findings and paths on stderr."""
    summary = trained.summary
    for finding in summary.findings:
        report(str(finding), label="finding:", style="yellow")
    for member in summary.members:
        stays_flat = ", wants to be flat" if member.beats_flat is False else ""
        report(f"Member  seed {member.seed}: {_kept(member)}{stays_flat}")
    if summary.members or summary.best_step is not None:
        report(f"Kept    {_kept(summary)}")
    if summary.beats_flat is False:
        report("No policy beats doing nothing here: the bundle abstains, it stays flat.", style="bold yellow")
    report(f"Run     {trained.run_dir}\nBundle  {trained.bundle}")
    report(f"Next    rl-intraday backtest {trained.bundle} --start DATE --end DATE")


def _kept(summary: TrainingSummary) -> str:
    if summary.members:
        state = f"an ensemble of {len(summary.members)} members"
    else:
        state = f"the policy of step {summary.steps if summary.best_step is None else summary.best_step:,}"
    if summary.best_validation is None:
        return state
    error = "" if summary.best_error is None else f", standard error {summary.best_error:,.2f}"
    return f"{state}: {summary.best_validation:,.2f} USD per validation session{error}"


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


def data_hash(markets: ExperimentMarkets) -> str:
    """Hash of all bars and context of the training: of one market its own, else of all hashes in order."""
    hashes = [market.data_hash for market in markets.train]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _bars_traded(markets: tuple[TrainingMarket, ...]) -> int:
    episodes = [market.arrays.episodes for market in markets]
    return sum(int((walked["last"] - walked["first"] + 1).sum()) for walked in episodes)


def _bundle(experiment: Experiment, markets: ExperimentMarkets, learned: LearnedPolicy, run_dir: Path) -> Path:
    kept, onnx = learned.checkpoint, run_dir / "policy.onnx"
    onnx.write_bytes(learned.onnx)
    try:
        bundle = write_bundle(
            run_dir / "bundle",
            experiment.name.lower(),
            policy_onnx=onnx,
            plan=markets.train[0].plan,
            experiment_yaml=experiment.portable().to_yaml(),
            golden=learned.golden,
            metadata=_metadata(experiment, markets, learned.summary),
            model_zip=kept and kept / "model.zip",
            vecnormalize_pkl=kept and kept / "vecnormalize.pkl",
        )
    finally:
        onnx.unlink()
    load_bundle(bundle)  # a bundle that cannot be loaded is an error now, not at the first backtest
    return bundle


def _metadata(experiment: Experiment, markets: ExperimentMarkets, summary: TrainingSummary) -> BundleMetadata:
    market = markets.train[0]
    return BundleMetadata(
        instruments=market.instruments,
        bar_types=tuple(bars.bar_type for bars in market.series),
        context=markets.context,
        seeds=member_seeds(experiment),
        data_hash=data_hash(markets),
        calendar_hash=_calendar_hash(market),
        git_commit=git_commit(),
        validation=_validation(experiment, summary),
    )


def _validation(experiment: Experiment, summary: TrainingSummary) -> ValidationResult | msgspec.UnsetType:
    if summary.beats_flat is None or summary.best_validation is None or summary.best_error is None:
        return msgspec.UNSET
    return ValidationResult(
        mean_usd=summary.best_validation,
        standard_error_usd=summary.best_error,
        standard_errors_wanted=experiment.learner.beat_flat_by,
        beats_flat=summary.beats_flat,
    )


def _calendar_hash(market: TrainingMarket) -> str:
    hashes = {
        session_calendar(spec.calendar).hash_between(int(bars.ts_ns[0]), int(bars.ts_ns[-1]))
        for spec, bars in zip(market.instruments, market.series, strict=True)
    }
    return hashes.pop() if len(hashes) == 1 else hashlib.sha256(" ".join(sorted(hashes)).encode()).hexdigest()


def git_commit() -> str | None:
    """Commit of the program's checkout; None if it is not a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    here = Path(__file__).resolve().parent
    found = subprocess.run([git, "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
