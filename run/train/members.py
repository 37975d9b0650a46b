"""Learns the policy of an experiment: a single one, or the members of an ensemble, one after another.

Members share the markets in memory and differ by their seed alone: member ``k`` is what a run with seed ``seed + k``
would learn on them. A finished member is kept as its exported file; its model is let go.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.schema import Experiment
from rl_strategies.bundle.golden import Golden
from rl_strategies.policy.onnx_network import Combine
from rl_strategies.policy.policies import OnnxBatchPolicy, OnnxPolicy
from run.console import report
from run.train.markets import ExperimentMarkets, validator
from training.ensemble import ensemble_golden, export_ensemble, smallest_margin
from training.envs.make_envs import make_envs
from training.export import export_onnx, golden_observations, golden_outputs
from training.learning.checkpoint import checkpoints
from training.learning.fit import FitResult, fit
from training.learning.model_selection import beats_flat, standard_error
from training.learning.summary import TrainingSummary, ensemble_summary, read_summary, write_summary
from training.learning.update_metrics import UpdateMetrics

Listener = Callable[[UpdateMetrics], None]
MEMBER = "member_"
GOLDEN_DRAWS = 8  # sets of observations of which the one without close decisions becomes the golden one


@dataclass(frozen=True)
class LearnedPolicy:
    """What a bundle needs of a training.

    Attributes
    ----------
    onnx : bytes
    golden : Golden
    summary : TrainingSummary
    checkpoint : Path or None
        Folder with the kept state; None for an ensemble, each member of which has its own.
    """

    onnx: bytes
    golden: Golden
    summary: TrainingSummary
    checkpoint: Path | None


@dataclass(frozen=True)
class _Member:
    onnx: bytes
    goldens: list[Golden]
    summary: TrainingSummary


def learn_policy(
    experiment: Experiment,
    markets: ExperimentMarkets,
    run_dir: Path,
    *,
    listener: Listener | None = None,
    resume: bool = False,
) -> LearnedPolicy:
    """Fit and export the policy of an experiment; the parameters are those of `run.train.run_folder.learn`."""
    if experiment.learner.members > 1:
        return _learn_ensemble(experiment, markets, run_dir, listener, resume)
    result = _fit(experiment, markets, run_dir, experiment.seed, listener, resume)
    member = _exported(result, [golden_observations(result.vecnormalize)])
    return LearnedPolicy(member.onnx, member.goldens[0], member.summary, result.checkpoint)


def member_seeds(experiment: Experiment) -> tuple[int, ...]:
    """Seed of every member; of a single policy its only one."""
    return tuple(experiment.seed + k for k in range(experiment.learner.members))


def member_folders(run_dir: Path) -> list[Path]:
    """Folders of the members that a run has begun."""
    return sorted(run_dir.glob(f"{MEMBER}*/"))


def _learn_ensemble(
    experiment: Experiment, markets: ExperimentMarkets, run_dir: Path, listener: Listener | None, resume: bool
) -> LearnedPolicy:
    members: list[_Member] = []
    observations: list[NDArray[np.float32]] = []
    seeds = member_seeds(experiment)
    for k, seed in enumerate(seeds):
        report(f"  member {k + 1} of {len(seeds)}, seed {seed}")
        folder = run_dir / f"{MEMBER}{k + 1:02d}"
        try:
            result = _fit(experiment, markets, folder, seed, listener, resume and _can_resume(folder), run_dir)
        except KeyboardInterrupt:
            _write_interrupted(run_dir)
            raise
        observations = observations or _draws(result, experiment.learner.combine)
        members.append(_exported(result, observations))
    return _ensemble(experiment, markets, members, run_dir)


def _fit(
    experiment: Experiment,
    markets: ExperimentMarkets,
    folder: Path,
    seed: int,
    listener: Listener | None,
    resume: bool,
    bump_dir: Path | None = None,
) -> FitResult:
    env = make_envs(experiment.learner, markets.train, reward=experiment.reward, seed=seed)
    try:
        return fit(
            experiment.learner,
            env,
            folder,
            seed=seed,
            mask_columns=markets.train[0].mask_columns,
            held_columns=markets.train[0].held_columns,
            validate=validator(markets.validate),
            on_update=listener,
            resume=resume,
            bump_dir=bump_dir,
        )
    finally:
        env.close()


def _can_resume(folder: Path) -> bool:
    # Without a checkpoint the member has learned nothing yet: it begins anew.
    if checkpoints(folder / "checkpoints"):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _draws(result: FitResult, combine: str) -> list[NDArray[np.float32]]:
    draws = GOLDEN_DRAWS if combine == "agree" else 1
    return [golden_observations(result.vecnormalize, seed=seed) for seed in range(draws)]


def _exported(result: FitResult, observations: Sequence[NDArray[np.float32]]) -> _Member:
    model, normalizer = result.model, result.vecnormalize
    abstains = result.summary.beats_flat is False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        export_onnx(model, normalizer, path, abstains=abstains)
        content = path.read_bytes()
    goldens = [golden_outputs(model, normalizer, drawn, abstains=abstains) for drawn in observations]
    return _Member(content, goldens, result.summary)


def _ensemble(
    experiment: Experiment, markets: ExperimentMarkets, members: Sequence[_Member], run_dir: Path
) -> LearnedPolicy:
    learner, mask_columns = experiment.learner, markets.train[0].mask_columns
    onnx = _joined(members, learner.combine, mask_columns)
    mean, error = _validated(OnnxPolicy(onnx), markets)
    beats = beats_flat(mean, error, learner.beat_flat_by) if learner.beat_flat_by > 0 else None
    abstains = beats is False
    if abstains:
        onnx = _joined(members, learner.combine, mask_columns, abstains=True)
    golden = ensemble_golden(
        _clearest(members), combine=learner.combine, mask_columns=mask_columns, abstains=OnnxPolicy(onnx).shape.abstains
    )
    summary = ensemble_summary([member.summary for member in members], validation=mean, error=error, beats_flat=beats)
    write_summary(summary, run_dir)
    return LearnedPolicy(onnx, golden, summary, None)


def _joined(members: Sequence[_Member], combine: Combine, mask_columns: int, *, abstains: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        contents = [member.onnx for member in members]
        export_ensemble(contents, path, combine=combine, mask_columns=mask_columns, abstains=abstains)
        return path.read_bytes()


def _clearest(members: Sequence[_Member]) -> tuple[Golden, ...]:
    # Where two actions of a member are nearly as likely, rounding alone decides whether the members agree.
    draws = zip(*(member.goldens for member in members), strict=True)
    return max(draws, key=lambda goldens: min(map(smallest_margin, goldens)))


class _OnLanes:
    # A policy on as many lanes as it is first asked about.
    def __init__(self, policy: OnnxPolicy) -> None:
        self._policy = policy
        self._lanes: OnnxBatchPolicy | None = None

    def act_batch(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_]) -> NDArray[np.int64]:
        self._lanes = self._lanes or self._policy.batch(len(observations))
        return self._lanes.act_batch(observations, episode_start)


def _validated(policy: OnnxPolicy, markets: ExperimentMarkets) -> tuple[float | None, float | None]:
    validate = validator(markets.validate)
    if validate is None:
        return None, None
    scores = validate(lambda: _OnLanes(policy))
    return float(np.mean(scores)), standard_error(scores)


def _write_interrupted(run_dir: Path) -> None:
    known = [read_summary(folder) for folder in member_folders(run_dir)]
    begun = [summary for summary in known if summary is not None]
    if begun:
        write_summary(ensemble_summary(begun, interrupted=True), run_dir)
