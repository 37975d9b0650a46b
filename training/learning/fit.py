"""One training run: from a configuration, environments and a seed to a model, its normaliser and a summary."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnv

from catalogs.errors import InputError
from training.algorithms.build import algorithm_named
from training.algorithms.config import LearnerConfig
from training.algorithms.normalize import MaskedVecNormalize
from training.envs.finite_env import FiniteVecEnv
from training.envs.timed_env import TimedVecEnv
from training.learning.callbacks import MetricsCallback
from training.learning.checkpoint import CheckpointCallback, latest_checkpoint, load_model, restore
from training.learning.findings import findings
from training.learning.live_table import LiveTable
from training.learning.malloc import keep_freed_memory
from training.learning.model_selection import ModelSelectionCallback, Validate, beats_flat
from training.learning.stability import StabilityCallback
from training.learning.summary import TrainingSummary, write_summary
from training.learning.update_metrics import UpdateMetrics

RECORDED_PACKAGES = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium", "numpy")


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Attributes
    ----------
    model : BaseAlgorithm
        The state with the best validation result, or the last one without validation.
    vecnormalize : MaskedVecNormalize
        Normaliser with frozen statistics.
    checkpoint : Path
        Folder with ``model.zip`` and ``vecnormalize.pkl`` of this state.
    updates : tuple of UpdateMetrics
    summary : TrainingSummary
    """

    model: Any
    vecnormalize: MaskedVecNormalize
    checkpoint: Path
    updates: tuple[UpdateMetrics, ...]
    summary: TrainingSummary


def fit(
    config: LearnerConfig,
    env: VecEnv,
    run_dir: Path,
    *,
    seed: int,
    mask_columns: int = 0,
    held_columns: tuple[int, ...] = (),
    validate: Validate | None = None,
    on_update: Callable[[UpdateMetrics], None] | None = None,
    resume: bool = False,
    bump_dir: Path | None = None,
) -> FitResult:
    """Train a policy.

    Parameters
    ----------
    config : LearnerConfig
    env : VecEnv
        ``config.n_envs`` environments with float32 Box observations, shape (n,), and Discrete or MultiDiscrete
        actions. The info of an ended episode holds ``episode`` with its reward ``r`` and length ``l``, as
        `SessionVecEnv` and stable-baselines3's VecMonitor give it, and may hold ``reward_components``. Observations
        and rewards are normalised here, not by the caller.
    run_dir : Path
        Receives ``checkpoints/``, ``best/``, ``metrics/progress.csv``, ``metrics/training_summary.json``,
        ``tensorboard/``.
    seed : int
        Seed of Python, NumPy, torch and the environment.
    mask_columns : int
        Number of last columns of the observation that are an action mask, see `training.algorithms.masking`.
    held_columns : tuple of int
        Columns of the observation with the side held of each instrument (-1, 0, 1); they are not normalised if
        ``config.persistence_bars`` asks for them.
    validate : callable, optional
        Scores a policy on sessions that the environments never show; the state with the best mean score is kept.
    on_update : callable, optional
        Called after every update; default is a live table on standard error.
    resume : bool
        Continue from the newest checkpoint of ``run_dir``.
    bump_dir : Path, optional
        Where `rl-intraday lr-bump` leaves its file; default ``run_dir``.

    Raises
    ------
    InputError
        If environment and configuration do not match; if ``run_dir`` already has a run, or with ``resume`` has none;
        if an observation, reward, loss or weight is not finite. Metrics and checkpoints remain.
    KeyboardInterrupt
        After Ctrl-C. Summary and checkpoints are written, and the run can be resumed.

    Notes
    -----
    Changes the process: torch's number of threads, freed memory is kept, and torch's checks of distribution arguments
    (a tenth of a rollout) are off; divergence is checked after every update instead.
    """
    _check_environment(config, env)
    algorithm = algorithm_named(config.algorithm, env.action_space)
    if not resume and (run_dir / "checkpoints").exists():
        raise InputError(f"run directory {run_dir} already has checkpoints; choose a new one, or resume the run")
    checkpoint = latest_checkpoint(run_dir) if resume else None
    _set_up_process(config)
    timed = TimedVecEnv(FiniteVecEnv(env))
    normalizer = MaskedVecNormalize(
        timed,
        mask_columns,
        held_columns if config.keep_logit else (),
        norm_reward=config.normalize_reward,
        clip_obs=config.clip_obs,
        gamma=config.gamma,
    )
    model = algorithm.build(config, normalizer, seed)
    state = restore(checkpoint, model, normalizer) if checkpoint else {"steps": 0, "validation": {}}
    (run_dir / "metrics").mkdir(parents=True, exist_ok=True)
    run = _Run(config, model, normalizer, timed, run_dir, validate, state, seed, bump_dir or run_dir)
    with _listening(config, on_update) as listener:
        return run.learn(listener)


def _set_up_process(config: LearnerConfig) -> None:
    torch.set_num_threads(config.torch_threads)
    keep_freed_memory()
    torch.distributions.Distribution.set_default_validate_args(False)


def _listening(
    config: LearnerConfig, on_update: Callable[[UpdateMetrics], None] | None
) -> AbstractContextManager[Callable[[UpdateMetrics], None]]:
    return LiveTable(config.planned_steps) if on_update is None else nullcontext(on_update)


class _Run:
    def __init__(
        self,
        config: LearnerConfig,
        model: BaseAlgorithm,
        normalizer: MaskedVecNormalize,
        timed: TimedVecEnv,
        run_dir: Path,
        validate: Validate | None,
        state: dict[str, Any],
        seed: int,
        bump_dir: Path,
    ) -> None:
        self.config, self.model, self.normalizer, self.run_dir, self.seed = config, model, normalizer, run_dir, seed
        self.timed, self.resumed_at, self.bump_dir = timed, state["steps"], bump_dir
        self.validation = None
        if validate is not None:
            self.validation = ModelSelectionCallback(validate, normalizer, config.stability, run_dir / "best")
            self.validation.state |= state["validation"]

    def learn(self, listener: Callable[[UpdateMetrics], None]) -> FitResult:
        config, run_dir = self.config, self.run_dir
        metrics = MetricsCallback(
            run_dir / "metrics" / "progress.csv",
            config.planned_steps,
            listener,
            self.timed,
            self.validation,
            self.resumed_at,
        )
        callbacks = [
            metrics,
            *([self.validation] if self.validation else []),
            StabilityCallback(config, metrics, self.bump_dir),
            CheckpointCallback(
                run_dir / "checkpoints", self.normalizer, config.stability.checkpoints_kept, self._validation_state
            ),
        ]
        with closing(Logger(None, [TensorBoardOutputFormat(str(run_dir / "tensorboard"))])) as logger:
            self.model.set_logger(logger)
            try:
                # MetricsCallback writes the log after each update; the library's own log is one update late.
                self.model.learn(
                    config.total_timesteps - self.resumed_at,
                    callback=callbacks,
                    log_interval=None,  # type: ignore[arg-type]
                    reset_num_timesteps=self.resumed_at == 0 and self.model._last_obs is None,
                )
            except KeyboardInterrupt:
                self._write_summary(metrics.updates, interrupted=True)
                raise
        return self._finish(metrics.updates)

    def _validation_state(self) -> dict[str, Any]:
        return self.validation.state if self.validation else {}

    def _finish(self, updates: list[UpdateMetrics]) -> FitResult:
        checkpoint = latest_checkpoint(self.run_dir)
        if self.validation is not None and self.validation.state["best"] is not None:
            checkpoint = self.validation.best_folder
            load_model(self.model, self.normalizer, checkpoint)
        self.normalizer.training = False
        summary = self._write_summary(updates, interrupted=False)
        return FitResult(self.model, self.normalizer, checkpoint, tuple(updates), summary)

    def _beats_flat(self, best: dict[str, Any]) -> bool | None:
        wanted = self.config.beat_flat_by
        return beats_flat(best.get("best"), best.get("best_error"), wanted) if wanted > 0 else None

    def _write_summary(self, updates: list[UpdateMetrics], interrupted: bool) -> TrainingSummary:
        rewards = [u.mean_episode_reward for u in updates if u.mean_episode_reward is not None]
        last = updates[-1] if updates else None
        best = self._validation_state()
        summary = TrainingSummary(
            algorithm=self.config.algorithm,
            steps=last.steps if last else 0,
            seconds=last.seconds if last else 0.0,
            samples_per_s=last.samples_per_s if last else 0.0,
            episodes=sum(u.episodes for u in updates),
            mean_episode_reward_first=rewards[0] if rewards else None,
            mean_episode_reward_last=rewards[-1] if rewards else None,
            approx_kl=last.approx_kl if last else None,
            clip_fraction=last.clip_fraction if last else None,
            explained_variance=last.explained_variance if last else None,
            best_validation=best.get("best"),
            best_step=best.get("best_steps"),
            best_error=best.get("best_error"),
            beats_flat=self._beats_flat(best),
            findings=findings(updates),
            seed=self.seed,
            interrupted=interrupted,
            versions={"python": sys.version.split()[0], **{name: version(name) for name in RECORDED_PACKAGES}},
        )
        write_summary(summary, self.run_dir)
        return summary


def _check_environment(config: LearnerConfig, env: VecEnv) -> None:
    if env.num_envs != config.n_envs:
        raise InputError(f"learner.n_envs: must equal the number of environments, {env.num_envs}, was {config.n_envs}")
    space = env.observation_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype == np.float32):
        raise InputError(f"observation space: must be a float32 Box of one dimension, was {space}")
    if not isinstance(env.action_space, spaces.Discrete | spaces.MultiDiscrete):
        raise InputError(f"action space: must be Discrete or MultiDiscrete, was {env.action_space}")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("learner.device: cuda needs a CUDA device, none found")
