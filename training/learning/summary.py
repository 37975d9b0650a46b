"""The summary file of a finished run."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from catalogs.cache import written_aside
from training.learning.findings import Finding


class TrainingSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a whole run, written as ``metrics/training_summary.json``.

    Attributes
    ----------
    algorithm : str
    steps : int
        Environment steps taken.
    seconds, samples_per_s : float
    episodes : int
    mean_episode_reward_first, mean_episode_reward_last : float or None
        Mean reward, before normalisation, of the first and the last rollout in which an episode ended.
    approx_kl, clip_fraction, explained_variance : float or None
        Values of the last update; None if the algorithm has no such figure.
    best_validation, best_step : float and int, or None
        Best validation result and the step of that state; None without validation.
    best_error : float or None
        Standard error of ``best_validation``; None with too few validation sessions.
    beats_flat : bool or None
        Whether the kept state beats doing nothing on the validation sessions by ``learner.beat_flat_by`` standard
        errors. If not, the bundle abstains. None if it was not asked for or cannot be said.
    findings : list of Finding
        Figures out of their healthy range.
    seed : int
    interrupted : bool
        Whether Ctrl-C ended it.
    versions : dict of str to str
    members : list of TrainingSummary
        One per member of an ensemble. The other figures are then sums of steps, seconds and episodes, means of what an
        update has, and the validation result of the ensemble itself.
    """

    algorithm: str
    steps: int
    seconds: float
    samples_per_s: float
    episodes: int
    mean_episode_reward_first: float | None
    mean_episode_reward_last: float | None
    approx_kl: float | None
    clip_fraction: float | None
    explained_variance: float | None
    best_validation: float | None
    best_step: int | None
    best_error: float | None = None
    beats_flat: bool | None = None
    findings: list[Finding]
    seed: int
    interrupted: bool
    versions: dict[str, str]
    members: list["TrainingSummary"] = []


def ensemble_summary(
    members: Sequence[TrainingSummary],
    *,
    validation: float | None = None,
    error: float | None = None,
    beats_flat: bool | None = None,
    interrupted: bool = False,
) -> TrainingSummary:
    """Summary of an ensemble from those of its members and its own validation result."""
    first, steps, seconds = members[0], sum(m.steps for m in members), sum(m.seconds for m in members)
    return TrainingSummary(
        algorithm=first.algorithm,
        steps=steps,
        seconds=seconds,
        samples_per_s=steps / seconds if seconds else 0.0,
        episodes=sum(m.episodes for m in members),
        mean_episode_reward_first=_mean([m.mean_episode_reward_first for m in members]),
        mean_episode_reward_last=_mean([m.mean_episode_reward_last for m in members]),
        approx_kl=_mean([m.approx_kl for m in members]),
        clip_fraction=_mean([m.clip_fraction for m in members]),
        explained_variance=_mean([m.explained_variance for m in members]),
        best_validation=validation,
        best_step=None,
        best_error=error,
        beats_flat=beats_flat,
        findings=[finding for m in members for finding in m.findings],
        seed=first.seed,
        interrupted=interrupted,
        versions=first.versions,
        members=list(members),
    )


def write_summary(summary: TrainingSummary, run_dir: Path) -> None:
    """Write the summary into ``metrics/`` of a run, which is created if missing."""
    path = summary_path(run_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")


def read_summary(run_dir: Path) -> TrainingSummary | None:
    """Summary of a run; None if there is none yet."""
    path = summary_path(run_dir)
    return msgspec.json.decode(path.read_bytes(), type=TrainingSummary) if path.is_file() else None


def summary_path(run_dir: Path) -> Path:
    """Place of a run's summary."""
    return run_dir / "metrics" / "training_summary.json"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
