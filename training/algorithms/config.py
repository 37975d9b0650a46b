"""Configuration of the learner. Imports no torch, so that reading an experiment stays fast."""

from math import ceil, inf, log
from typing import Literal

import msgspec

from catalogs.errors import InputError

DEFAULT_BUMP = 2.0  # factor of the learning rate that `rl-intraday lr-bump` asks for by default


def _require(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(f"learner.{name}: must {rule}, was {value}")


class StabilityConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Adjustments, evaluation and checkpoints during a run.

    Attributes
    ----------
    kl_target : float or None
        Divide the learning rate by 1.5 after an update with more than twice this KL divergence, multiply it by 1.5
        after one with less than half. Off if None.
    entropy_floor : float
        Share of the largest possible entropy, 0..1. Below it the entropy weight grows by half per update, above it the
        weight falls back towards ``ent_coef``. Off if 0.
    evaluate_every : int
        Rollouts between two evaluations on the validation sessions, if the experiment has any.
    halve_after : int
        Evaluations without a better result before the learning rate is halved; never if 0.
    stop_after : int
        Evaluations without a better result before the run ends; never if 0.
    checkpoints_kept : int
        Checkpoints kept; one is written per rollout.
    """

    kl_target: float | None = None
    entropy_floor: float = 0.0
    evaluate_every: int = 5
    halve_after: int = 8
    stop_after: int = 0
    checkpoints_kept: int = 2

    def __post_init__(self) -> None:
        _require("stability.kl_target", self.kl_target, self.kl_target is None or self.kl_target > 0, "be above 0")
        in_range = 0 <= self.entropy_floor < 1
        _require("stability.entropy_floor", self.entropy_floor, in_range, "be at least 0 and below 1")
        for name in ("evaluate_every", "checkpoints_kept"):
            _require(f"stability.{name}", getattr(self, name), getattr(self, name) >= 1, "be at least 1")
        for name in ("halve_after", "stop_after"):
            _require(f"stability.{name}", getattr(self, name), getattr(self, name) >= 0, "be at least 0")


class QuantileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of QR-DQN alone.

    Attributes
    ----------
    n_quantiles : int
        Quantiles that describe the distribution of an action's return.
    buffer_size : int
        Steps in the replay buffer, over all environments.
    target_update_interval : int
        Environment steps between two updates of the target network.
    exploration_fraction : float
        Share of the run over which the probability of a random action falls from 1 to ``exploration_final``.
    exploration_final : float
    """

    n_quantiles: int = 50
    buffer_size: int = 200_000
    target_update_interval: int = 10_000
    exploration_fraction: float = 0.3
    exploration_final: float = 0.02

    def __post_init__(self) -> None:
        for name in ("n_quantiles", "buffer_size", "target_update_interval"):
            _require(f"qr_dqn.{name}", getattr(self, name), getattr(self, name) >= 1, "be at least 1")
        fraction, final = self.exploration_fraction, self.exploration_final
        _require("qr_dqn.exploration_fraction", fraction, 0 < fraction <= 1, "be above 0 and at most 1")
        _require("qr_dqn.exploration_final", final, 0 <= final <= 1, "be in [0, 1]")


class LearnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the policy learns: algorithm, settings of PPO, sizes of the network.

    Attributes
    ----------
    algorithm : str
        One of `training.algorithms.build.ALGORITHMS`. An algorithm ignores the settings that it does not have.
    environment : {"simulator", "engine"}
        The compiled simulator, or a NautilusTrader engine per environment in a process of its own.
    total_timesteps : int
        Environment steps over all environments, rounded up to whole rollouts.
    n_envs, n_steps : int
        A rollout is ``n_steps`` steps in each of ``n_envs`` environments.
    batch_size : int
        Steps per minibatch; must divide ``n_envs * n_steps``.
    n_epochs : int
        Passes over a rollout; ``qr_dqn`` draws as many samples from its replay buffer.
    seq_len : int or None
        Longest sequence that gradients flow through (truncated back-propagation through time). Faster; learning does
        not look further back, acting does. Best a divisor of the session's bars, for example 65 of 390. Whole episodes
        if None.
    learning_rate, final_learning_rate : float, float or None
        The learning rate goes linearly from the first to the second over the run; constant if the second is None.
    clip_range, final_clip_range : float, float or None
        Clip range of PPO's probability ratio, linear in the same way.
    gamma, gae_lambda : float
        Discount per step and the decay of generalised advantage estimation.
    ent_coef, vf_coef : float
        Weights of the entropy bonus and the value loss.
    persistence_bars : float
        Bars for which an untrained policy keeps its side on average, so that exploration holds positions instead of
        drawing one a minute: a fixed number is added to the logit of the side held, in training and trading alike. 1
        adds nothing. Only with policies that give probabilities.
    entries_unlimited : bool
        Learn without ``max_entries_per_session``, which the policy observes all the same: an exploring policy spends
        the entries of a session in its first minutes and learns nothing from the rest. Validation and trading keep
        the limit. Simulator only.
    beat_flat_by : float
        Standard errors by which the kept state must beat doing nothing on the validation sessions, or else the bundle
        abstains: it stays flat. Not asked for if 0, or with fewer than ten validation sessions.
    members : int
        Policies of an ensemble that decides in their place, trained on seeds ``seed``, ``seed + 1``, …; 1 for a single
        policy. Each is kept by validation for itself; one that does not beat doing nothing wants to be flat. Not for
        ``qr_dqn``, whose outputs are not probabilities.
    combine : {"mean", "agree"}
        How members decide: by the mean of their probabilities, or only where the likeliest action of all is the same,
        and flat elsewhere.
    max_grad_norm : float
    weight_decay : float
        Share of a weight, times the learning rate, that each step of the optimiser takes off it (AdamW); Adam if 0.
    lstm_hidden_size, lstm_layers : int
    net_arch : tuple of int
        Tanh layers between the LSTM and the heads, each for actor and critic.
    shared_lstm, critic_lstm : bool
        The critic has its own LSTM (``critic_lstm``), reads the actor's (``shared_lstm``), or, with neither, has a
        linear layer and no memory.
    normalize_reward : bool
        Divide rewards by the running standard deviation of the discounted return.
    clip_obs : float
        Bound of a normalised observation.
    target_kl : float or None
        End an update early when the KL divergence exceeds 1.5 times this.
    torch_threads : int
        With 1, equal seeds give bit-identical weights.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes CUDA if there is a device.
    stability : StabilityConfig
    qr_dqn : QuantileConfig

    Raises
    ------
    InputError
        If a value is out of range, with field, rule and value. From YAML or JSON, msgspec raises it as ValidationError.

    Examples
    --------
    >>> LearnerConfig(n_envs=4, n_steps=100, batch_size=64)
    Traceback (most recent call last):
    catalogs.errors.InputError: learner.batch_size: must divide n_envs * n_steps = 400, was 64
    """

    algorithm: str = "recurrent_ppo"
    environment: Literal["simulator", "engine"] = "simulator"
    total_timesteps: int = 1_000_000
    n_envs: int = 16
    n_steps: int = 512
    batch_size: int = 2048
    n_epochs: int = 10
    seq_len: int | None = None
    learning_rate: float = 3e-4
    final_learning_rate: float | None = 1e-5
    clip_range: float = 0.2
    final_clip_range: float | None = 0.1
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    persistence_bars: float = 1.0
    entries_unlimited: bool = False
    beat_flat_by: float = 2.0
    members: int = 1
    combine: Literal["mean", "agree"] = "mean"
    max_grad_norm: float = 0.5
    weight_decay: float = 0.0
    lstm_hidden_size: int = 128
    lstm_layers: int = 1
    net_arch: tuple[int, ...] = (64,)
    shared_lstm: bool = False
    critic_lstm: bool = True
    normalize_reward: bool = True
    clip_obs: float = 10.0
    target_kl: float | None = None
    torch_threads: int = 1
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    stability: StabilityConfig = StabilityConfig()
    qr_dqn: QuantileConfig = QuantileConfig()

    def __post_init__(self) -> None:
        counts = ("total_timesteps", "n_envs", "n_steps", "n_epochs", "lstm_hidden_size", "lstm_layers")
        for name in (*counts, "members", "torch_threads"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "be at least 1")
        for name in ("learning_rate", "max_grad_norm", "clip_obs", "clip_range"):
            _require(name, getattr(self, name), 0 < getattr(self, name) < inf, "be above 0 and finite")
        for name in ("ent_coef", "vf_coef", "weight_decay"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < inf, "be at least 0 and finite")
        for name in ("gamma", "gae_lambda"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "be in [0, 1]")
        for name in ("final_learning_rate", "final_clip_range"):
            value = getattr(self, name)
            _require(name, value, value is None or 0 <= value < inf, "be at least 0 and finite")
        _require("target_kl", self.target_kl, self.target_kl is None or self.target_kl > 0, "be above 0")
        _require("seq_len", self.seq_len, self.seq_len is None or self.seq_len >= 1, "be at least 1")
        _require("net_arch", self.net_arch, all(width >= 1 for width in self.net_arch), "have widths of at least 1")
        persists = self.persistence_bars == 1 or 1.5 < self.persistence_bars < inf
        _require("persistence_bars", self.persistence_bars, persists, "be 1 (off), or above 1.5 and finite")
        _require("beat_flat_by", self.beat_flat_by, 0 <= self.beat_flat_by < inf, "be at least 0 and finite")
        is_probable = self.members == 1 or self.algorithm != "qr_dqn"
        _require("members", self.members, is_probable, "be 1 with qr_dqn, whose outputs are not probabilities")
        both = self.shared_lstm and self.critic_lstm
        _require("shared_lstm", self.shared_lstm, not both, "be false if critic_lstm is true")
        # The advantages of a minibatch are divided by their standard deviation, which a single one does not have.
        _require("batch_size", self.batch_size, self.batch_size >= 2, "be at least 2")
        divides = self.rollout_size % self.batch_size == 0
        _require("batch_size", self.batch_size, divides, f"divide n_envs * n_steps = {self.rollout_size}")

    @property
    def rollout_size(self) -> int:
        """Environment steps of one rollout."""
        return self.n_envs * self.n_steps

    @property
    def keep_logit(self) -> float:
        """Number added to the logit of the side held.

        With it and equal logits the side is kept with probability ``1 - 1 / persistence_bars``.
        """
        return log(2.0 * (self.persistence_bars - 1.0)) if self.persistence_bars > 1 else 0.0

    @property
    def planned_steps(self) -> int:
        """``total_timesteps`` in whole rollouts."""
        return ceil(self.total_timesteps / self.rollout_size) * self.rollout_size
