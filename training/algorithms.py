"""The algorithms that an experiment may name: each builds a stable-baselines3 model from the same configuration."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from catalogs.errors import InputError
from training.learner import LearnerConfig
from training.masking import MaskedMlpPolicy
from training.recurrent_ppo import SequenceRecurrentPPO
from training.schedules import RateSchedule

Build = Callable[[LearnerConfig, VecEnv, int, int], OnPolicyAlgorithm]


class Algorithm(NamedTuple):
    """How a model is built, and whether its policy remembers.

    Attributes
    ----------
    build : callable
        Takes the configuration, the normalised environment, the number of mask columns and the seed.
    is_recurrent : bool
    """

    build: Build
    is_recurrent: bool


def algorithm_named(name: str) -> Algorithm:
    """Algorithm registered under ``name``.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in ALGORITHMS:
        raise InputError(f"learner.algorithm: must be one of {', '.join(sorted(ALGORITHMS))}, was {name}")
    return ALGORITHMS[name]


def _recurrent_ppo(config: LearnerConfig, env: VecEnv, mask_columns: int, seed: int) -> OnPolicyAlgorithm:
    policy = _policy(config, mask_columns) | {
        "lstm_hidden_size": config.lstm_hidden_size,
        "n_lstm_layers": config.lstm_layers,
        "shared_lstm": config.shared_lstm,
        "enable_critic_lstm": config.critic_lstm,
    }
    return SequenceRecurrentPPO(
        "MlpLstmPolicy", env, policy_kwargs=policy, seq_len=config.seq_len, **_ppo(config), **_common(config, seed)
    )


def _ppo_mlp(config: LearnerConfig, env: VecEnv, mask_columns: int, seed: int) -> OnPolicyAlgorithm:
    policy = _policy(config, mask_columns)
    return PPO(MaskedMlpPolicy, env, policy_kwargs=policy, **_ppo(config), **_common(config, seed))


def _trpo(config: LearnerConfig, env: VecEnv, mask_columns: int, seed: int) -> OnPolicyAlgorithm:
    policy = _policy(config, mask_columns)
    kl = {} if config.target_kl is None else {"target_kl": config.target_kl}
    return TRPO(MaskedMlpPolicy, env, policy_kwargs=policy, **kl, **_common(config, seed))


def _policy(config: LearnerConfig, mask_columns: int) -> dict[str, Any]:
    return {"net_arch": list(config.net_arch), "mask_columns": mask_columns}


def _common(config: LearnerConfig, seed: int) -> dict[str, Any]:
    final = config.learning_rate if config.final_learning_rate is None else config.final_learning_rate
    return {
        "learning_rate": RateSchedule(config.learning_rate, final),
        "n_steps": config.n_steps,
        "batch_size": config.batch_size,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "seed": seed,
        "device": config.device,
    }


def _ppo(config: LearnerConfig) -> dict[str, Any]:
    final = config.clip_range if config.final_clip_range is None else config.final_clip_range
    return {
        "n_epochs": config.n_epochs,
        "clip_range": RateSchedule(config.clip_range, final),
        "ent_coef": config.ent_coef,
        "vf_coef": config.vf_coef,
        "max_grad_norm": config.max_grad_norm,
        "target_kl": config.target_kl,
    }


ALGORITHMS: dict[str, Algorithm] = {
    "recurrent_ppo": Algorithm(_recurrent_ppo, is_recurrent=True),
    "ppo_mlp": Algorithm(_ppo_mlp, is_recurrent=False),
    "trpo": Algorithm(_trpo, is_recurrent=False),
}
