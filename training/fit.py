"""One training run: a configuration, an environment and a seed in; a model, its normaliser and a record out."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import torch
from gymnasium import spaces
from rich.console import Console
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from catalogs.cache import written_aside
from catalogs.errors import InputError
from training.callbacks import CheckpointCallback, MetricsCallback
from training.finite_env import FiniteVecEnv
from training.learner import LearnerConfig
from training.progress import RichProgress, UpdateMetrics
from training.recurrent_ppo import SequenceRecurrentPPO

RECORDED_PACKAGES = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium", "numpy")


class TrainingSummary(msgspec.Struct, frozen=True):
    """The run in a few figures, written as ``metrics/training_summary.json``.

    Attributes
    ----------
    steps : int
        Environment steps taken.
    seconds, samples_per_s : float
    episodes : int
    mean_episode_reward_first, mean_episode_reward_last : float or None
        Over the episodes of the first and the last rollout in which one ended, reward before normalisation.
    approx_kl, clip_fraction, explained_variance : float or None
        Of the last update; None where there was none.
    seed : int
    interrupted : bool
        Ended by Ctrl-C.
    versions : dict of str to str
    """

    steps: int
    seconds: float
    samples_per_s: float
    episodes: int
    mean_episode_reward_first: float | None
    mean_episode_reward_last: float | None
    approx_kl: float | None
    clip_fraction: float | None
    explained_variance: float | None
    seed: int
    interrupted: bool
    versions: dict[str, str]


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Attributes
    ----------
    model : SequenceRecurrentPPO
    vecnormalize : VecNormalize
        Statistics frozen.
    checkpoint : Path
        Folder with ``model.zip`` and ``vecnormalize.pkl`` of this very state.
    updates : tuple of UpdateMetrics
    summary : TrainingSummary
    """

    model: SequenceRecurrentPPO
    vecnormalize: VecNormalize
    checkpoint: Path
    updates: tuple[UpdateMetrics, ...]
    summary: TrainingSummary


def fit(
    config: LearnerConfig,
    env: VecEnv,
    run_dir: Path,
    *,
    seed: int,
    progress: Callable[[UpdateMetrics], None] | None = None,
) -> FitResult:
    """Train a policy.

    Parameters
    ----------
    config : LearnerConfig
    env : VecEnv
        ``config.n_envs`` environments with float32 Box observations, shape (n,), and Discrete actions. The info of
        an ended episode holds ``episode`` with its reward ``r`` and length ``l``, as `SessionVecEnv` and
        stable-baselines3's VecMonitor give it. Observations and rewards are normalised here, not by the caller.
    run_dir : Path
        Receives ``checkpoints/``, ``metrics/progress.csv``, ``metrics/training_summary.json``, ``tensorboard/``.
    seed : int
        Seeds Python, NumPy, torch and the environment.
    progress : callable, optional
        Called after every update; a progress bar on standard error if omitted.

    Returns
    -------
    FitResult
        Also after Ctrl-C, with a checkpoint and ``summary.interrupted`` true.

    Raises
    ------
    InputError
        If environment and configuration do not match or ``run_dir`` holds a run already; or if an observation,
        reward, loss or weight stops being finite: metrics and checkpoints up to then remain.

    Notes
    -----
    Sets torch's number of threads and switches off its checks of distribution arguments (a tenth of a rollout) for
    the process; divergence is checked after every update instead.
    """
    _check_environment(config, env)
    if (run_dir / "checkpoints").exists():
        raise InputError(f"run directory {run_dir}: must be that of a new run, but has checkpoints already")
    torch.set_num_threads(config.torch_threads)
    torch.distributions.Distribution.set_default_validate_args(False)
    vecnormalize = VecNormalize(
        FiniteVecEnv(env),
        norm_reward=config.normalize_reward,
        clip_obs=config.clip_obs,
        gamma=config.gamma,
    )
    model = _build_model(config, vecnormalize, seed)
    (run_dir / "metrics").mkdir(parents=True, exist_ok=True)
    checkpoints = CheckpointCallback(run_dir / "checkpoints", vecnormalize)
    started = time.perf_counter()
    bar: AbstractContextManager[Callable[[UpdateMetrics], None]] = (
        RichProgress(config.planned_steps) if progress is None else nullcontext(progress)
    )
    with (
        closing(Logger(None, [TensorBoardOutputFormat(str(run_dir / "tensorboard"))])) as logger,
        bar as listener,
    ):
        model.set_logger(logger)
        metrics = MetricsCallback(run_dir / "metrics" / "progress.csv", config.planned_steps, listener)
        interrupted = _learn(model, config.total_timesteps, [metrics, checkpoints])
    checkpoint = checkpoints.save()
    if interrupted:
        Console(stderr=True).print(f"Interrupted at step {model.num_timesteps:,}; checkpoint: {checkpoint}")
    vecnormalize.training = False
    seconds = time.perf_counter() - started
    summary = _summarise(metrics.updates, model.num_timesteps, seconds, seed, interrupted)
    with written_aside(run_dir / "metrics" / "training_summary.json") as aside:
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    return FitResult(model, vecnormalize, checkpoint, tuple(metrics.updates), summary)


def _check_environment(config: LearnerConfig, env: VecEnv) -> None:
    if env.num_envs != config.n_envs:
        raise InputError(f"learner.n_envs: must be the environment's {env.num_envs}, was {config.n_envs}")
    space = env.observation_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype == np.float32):
        raise InputError(f"observation space: must be a float32 Box of one dimension, was {space}")
    if not isinstance(env.action_space, spaces.Discrete):
        raise InputError(f"action space: must be Discrete, was {env.action_space}")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("learner.device: must be cpu where no CUDA device is present, was cuda")


def _build_model(config: LearnerConfig, env: VecNormalize, seed: int) -> SequenceRecurrentPPO:
    return SequenceRecurrentPPO(
        "MlpLstmPolicy",
        env,
        learning_rate=_linear(config.learning_rate, config.final_learning_rate),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        seq_len=config.seq_len,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=_linear(config.clip_range, config.final_clip_range),
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        target_kl=config.target_kl,
        policy_kwargs={
            "lstm_hidden_size": config.lstm_hidden_size,
            "n_lstm_layers": config.lstm_layers,
            "net_arch": list(config.net_arch),
            "shared_lstm": config.shared_lstm,
            "enable_critic_lstm": config.critic_lstm,
        },
        seed=seed,
        device=config.device,
    )


def _linear(first: float, final: float | None) -> LinearSchedule:
    return LinearSchedule(first, first if final is None else final, 1.0)


def _learn(
    model: SequenceRecurrentPPO, total_timesteps: int, callbacks: list[MetricsCallback | CheckpointCallback]
) -> bool:
    try:
        # The metrics callback writes the log after each update; the library's would lag one update behind.
        model.learn(total_timesteps, callback=callbacks, log_interval=None)
    except KeyboardInterrupt:
        return True
    return False


def _summarise(
    updates: list[UpdateMetrics], steps: int, seconds: float, seed: int, interrupted: bool
) -> TrainingSummary:
    rewards = [u.mean_episode_reward for u in updates if u.mean_episode_reward is not None]
    last = updates[-1] if updates else None
    return TrainingSummary(
        steps=steps,
        seconds=seconds,
        samples_per_s=steps / seconds,
        episodes=sum(u.episodes for u in updates),
        mean_episode_reward_first=rewards[0] if rewards else None,
        mean_episode_reward_last=rewards[-1] if rewards else None,
        approx_kl=last.approx_kl if last else None,
        clip_fraction=last.clip_fraction if last else None,
        explained_variance=last.explained_variance if last else None,
        seed=seed,
        interrupted=interrupted,
        versions={"python": sys.version.split()[0], **{name: version(name) for name in RECORDED_PACKAGES}},
    )
