"""The algorithms by name: each builds a stable-baselines3 model from a `LearnerConfig`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from gymnasium import spaces
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from catalogs.errors import InputError
from training.algorithms.config import LearnerConfig
from training.algorithms.masking import MaskedMlpPolicy
from training.algorithms.normalize import MaskedVecNormalize
from training.algorithms.quantile_dqn import MaskedQRDQN, MaskedQuantilePolicy
from training.algorithms.recurrent_ppo import SequenceRecurrentPPO
from training.algorithms.schedules import RateSchedule

Build = Callable[[LearnerConfig, MaskedVecNormalize, int], BaseAlgorithm]


class Algorithm(NamedTuple):
    """How to build a model, and what its policy can do.

    Attributes
    ----------
    build : callable
        Takes the configuration, the normalised environments and the seed.
    is_recurrent : bool
        Whether the policy has a memory.
    is_joint : bool
        Whether it can decide for several instruments at once (MultiDiscrete actions).
    """

    build: Build
    is_recurrent: bool
    is_joint: bool = True


def algorithm_named(name: str, action_space: spaces.Space) -> Algorithm:
    """Algorithm registered under ``name``.

    Raises
    ------
    InputError
        If there is none, or it does not support such actions.
    """
    if name not in ALGORITHMS:
        raise InputError(f"learner.algorithm: must be one of {', '.join(sorted(ALGORITHMS))}, was {name}")
    algorithm = ALGORITHMS[name]
    if isinstance(action_space, spaces.MultiDiscrete) and not algorithm.is_joint:
        raise InputError(f"learner.algorithm: {name} decides for one instrument only, the actions are {action_space}")
    return algorithm


def _recurrent_ppo(config: LearnerConfig, env: MaskedVecNormalize, seed: int) -> BaseAlgorithm:
    policy = _policy(config, env) | {
        "lstm_hidden_size": config.lstm_hidden_size,
        "n_lstm_layers": config.lstm_layers,
        "shared_lstm": config.shared_lstm,
        "enable_critic_lstm": config.critic_lstm,
    }
    return SequenceRecurrentPPO(
        "MlpLstmPolicy", env, policy_kwargs=policy, seq_len=config.seq_len, **_ppo(config), **_common(config, seed)
    )


def _ppo_mlp(config: LearnerConfig, env: MaskedVecNormalize, seed: int) -> BaseAlgorithm:
    policy = _policy(config, env)
    return PPO(MaskedMlpPolicy, env, policy_kwargs=policy, **_ppo(config), **_common(config, seed))


def _trpo(config: LearnerConfig, env: MaskedVecNormalize, seed: int) -> BaseAlgorithm:
    policy = _policy(config, env)
    kl = {} if config.target_kl is None else {"target_kl": config.target_kl}
    return TRPO(MaskedMlpPolicy, env, policy_kwargs=policy, **kl, **_common(config, seed))


def _qr_dqn(config: LearnerConfig, env: MaskedVecNormalize, seed: int) -> BaseAlgorithm:
    own = config.qr_dqn
    policy = {"net_arch": list(config.net_arch), "mask_columns": env.mask_columns}
    policy |= {"n_quantiles": own.n_quantiles, "activation_fn": nn.Tanh}
    return MaskedQRDQN(
        MaskedQuantilePolicy,
        env,
        learning_rate=_rate(config),
        buffer_size=own.buffer_size,
        learning_starts=0,
        batch_size=config.batch_size,
        gamma=config.gamma,
        # One rollout, then one update of as many samples as PPO would take.
        train_freq=config.n_steps,
        gradient_steps=config.n_epochs * config.rollout_size // config.batch_size,
        target_update_interval=max(own.target_update_interval, config.n_envs),
        exploration_fraction=own.exploration_fraction,
        exploration_final_eps=own.exploration_final,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs=policy,
        seed=seed,
        device=config.device,
    )


def _policy(config: LearnerConfig, env: MaskedVecNormalize) -> dict[str, Any]:
    return {
        "net_arch": list(config.net_arch),
        "mask_columns": env.mask_columns,
        "held_columns": env.held_columns,
        "keep_logit": config.keep_logit if env.held_columns else 0.0,
    } | _optimizer(config)


def _optimizer(config: LearnerConfig) -> dict[str, Any]:
    if config.weight_decay == 0.0:
        return {}
    decay = {"eps": 1e-5, "fused": True, "weight_decay": config.weight_decay}
    return {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": decay}


def _common(config: LearnerConfig, seed: int) -> dict[str, Any]:
    return {
        "learning_rate": _rate(config),
        "n_steps": config.n_steps,
        "batch_size": config.batch_size,
        "gamma": config.gamma,
        "gae_lambda": config.gae_lambda,
        "seed": seed,
        "device": config.device,
    }


def _rate(config: LearnerConfig) -> RateSchedule:
    final = config.learning_rate if config.final_learning_rate is None else config.final_learning_rate
    return RateSchedule(config.learning_rate, final)


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
    "qr_dqn": Algorithm(_qr_dqn, is_recurrent=False, is_joint=False),
}
