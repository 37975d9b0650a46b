"""A forbidden action is never taken: not in rollouts, evaluation or the exported graph; learning goes on unharmed."""

from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from catalogs.errors import InputError
from rl_strategies.policy.policies import OnnxPolicy
from training.algorithms.build import ALGORITHMS
from training.algorithms.config import LearnerConfig
from training.export import export_onnx, golden_observations, golden_outputs
from training.learning.fit import FitResult, fit
from training.learning.torch_policy import TorchBatchPolicy

CONFIG = LearnerConfig(
    total_timesteps=512, n_envs=4, n_steps=64, batch_size=64, n_epochs=2, lstm_hidden_size=8, net_arch=(8,),
    learning_rate=1e-2, gamma=0.5,
)  # fmt: skip


class MaskedEnv(gymnasium.Env[np.ndarray, Any]):
    """Random masks in the last columns; the action that pays best (the largest allowed) is often forbidden."""

    instruments = 1

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4 + 3 * self.instruments,), np.float32)
        self.action_space: Any = spaces.Discrete(3)
        if self.instruments > 1:
            self.action_space = spaces.MultiDiscrete([3] * self.instruments)

    def observe(self) -> np.ndarray:
        self.mask = self.rng.integers(2, size=(self.instruments, 3))
        self.mask[np.arange(self.instruments), self.rng.integers(3, size=self.instruments)] = 1
        return np.concatenate([self.rng.normal(50.0, 9.0, 4), self.mask.ravel()]).astype(np.float32)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.age = 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        chosen = np.atleast_1d(action)
        assert self.mask[np.arange(self.instruments), chosen].all(), "a forbidden action was taken"
        self.age += 1
        return self.observe(), float(chosen.sum()), self.age == 20, False, {}


class TwoInstrumentsEnv(MaskedEnv):
    instruments = 2


def train(path: Path, env: type[MaskedEnv], algorithm: str = "recurrent_ppo", mask: bool = True) -> FitResult:
    envs = VecMonitor(DummyVecEnv([lambda seed=seed: env(seed) for seed in range(4)]))
    config = msgspec.structs.replace(CONFIG, algorithm=algorithm)
    columns = 3 * env.instruments if mask else 0
    return fit(config, envs, path, seed=1, mask_columns=columns, on_update=lambda _: None)


CASES = [
    (name, env)
    for name, algorithm in sorted(ALGORITHMS.items())
    for env in (MaskedEnv, TwoInstrumentsEnv)
    if algorithm.is_joint or env.instruments == 1
]


@pytest.mark.parametrize(("algorithm", "env"), CASES)
def test_masks_hold_in_training_evaluation_and_the_exported_graph(
    algorithm: str, env: type[MaskedEnv], tmp_path: Path
) -> None:
    result = train(tmp_path / "run", env, algorithm)  # every step of it is checked by the environment
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    single, batch = env(99), policy.batch(1)
    torch_policy = TorchBatchPolicy(result.model, result.vecnormalize)
    observation, _ = single.reset()
    for step in range(300):
        allowed = single.mask.astype(bool)
        start = np.array([step == 0])
        action = policy.act(observation)
        np.testing.assert_array_equal(batch.act_batch(observation[np.newaxis], start)[0], action)
        np.testing.assert_array_equal(torch_policy.act_batch(observation[np.newaxis], start)[0], action)
        np.testing.assert_array_equal(np.isneginf(policy.logits).reshape(allowed.shape), ~allowed)
        observation, *_ = single.step(action)


@pytest.mark.parametrize(("algorithm", "env"), CASES)
def test_golden_outputs_hold_with_masks(algorithm: str, env: type[MaskedEnv], tmp_path: Path) -> None:
    result = train(tmp_path / "run", env, algorithm)
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    golden = golden_outputs(result.model, result.vecnormalize, golden_observations(result.vecnormalize))
    assert np.isneginf(golden.log_probs).any()
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    assert golden.difference(policy) <= golden.tolerance
    with torch.no_grad():
        last_layer(result.model.policy).bias[0] += 0.01
    export_onnx(result.model, result.vecnormalize, tmp_path / "changed.onnx")
    assert golden.difference(OnnxPolicy(tmp_path / "changed.onnx")) > golden.tolerance


def last_layer(policy: Any) -> torch.nn.Linear:
    return policy.quantile_net.quantile_net[-1] if hasattr(policy, "quantile_net") else policy.action_net


@pytest.mark.parametrize("algorithm", ["recurrent_ppo", "qr_dqn"])
def test_without_the_mask_the_environment_would_object(tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(AssertionError, match="a forbidden action was taken"):
        train(tmp_path, MaskedEnv, algorithm, mask=False)


def test_the_network_does_not_see_the_mask_and_it_is_not_normalised(tmp_path: Path) -> None:
    result = train(tmp_path, MaskedEnv)
    assert result.model.policy.features_dim == 4
    observation, _ = MaskedEnv(0).reset()
    np.testing.assert_array_equal(result.vecnormalize.normalize_obs(observation)[-3:], observation[-3:])
    assert np.abs(result.vecnormalize.normalize_obs(observation)[:4]).max() < 6, "the rest is"


def test_entropy_counts_only_what_is_allowed(tmp_path: Path) -> None:
    policy = train(tmp_path, MaskedEnv).model.policy
    observations = torch.zeros(2, 7)
    observations[0, -1] = 1.0  # one action allowed
    observations[1, -3:] = 1.0
    start = torch.ones(2)
    state = (torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))
    entropy = policy.get_distribution(observations, state, start)[0].entropy().detach()
    assert entropy[0] == pytest.approx(0.0, abs=1e-6)
    assert 0.1 < float(entropy[1]) <= np.log(3) + 1e-6


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    envs = VecMonitor(DummyVecEnv([lambda seed=seed: MaskedEnv(seed) for seed in range(4)]))
    with pytest.raises(InputError, match=r"mask columns must be 0 or 3 for Discrete\(3\), were 2"):
        fit(CONFIG, envs, tmp_path, seed=1, mask_columns=2, on_update=lambda _: None)


def test_entropy_and_divergence_are_of_the_steps_with_a_choice(tmp_path: Path) -> None:
    class OneChoiceInFour(MaskedEnv):
        def observe(self) -> np.ndarray:
            seen = super().observe()
            self.mask = np.ones((1, 3)) if self.rng.random() < 0.25 else np.array([[0, 1, 0]])
            seen[-3:] = self.mask.ravel()
            return seen

    result = train(tmp_path, OneChoiceInFour)
    buffer = result.model.rollout_buffer
    free = (buffer.observations[..., -3:].sum(axis=-1) > 1).mean()
    assert 0.15 < free < 0.35
    # An untrained policy draws nearly evenly where it may, log 3 nats; over all steps it would be a quarter of that.
    assert result.updates[0].entropy == pytest.approx(np.log(3), rel=0.1)


def test_weight_decay_shrinks_what_the_gradient_leaves_alone(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, weight_decay=10.0, ent_coef=0.0)
    envs = [VecMonitor(DummyVecEnv([lambda seed=seed: MaskedEnv(seed) for seed in range(4)])) for _ in range(2)]
    decayed = fit(config, envs[0], tmp_path / "a", seed=1, mask_columns=3, on_update=lambda _: None)
    plain = fit(CONFIG, envs[1], tmp_path / "b", seed=1, mask_columns=3, on_update=lambda _: None)

    def size(result: FitResult) -> float:
        return float(sum(p.detach().square().sum() for p in result.model.policy.parameters()))

    assert size(decayed) < 0.8 * size(plain)
