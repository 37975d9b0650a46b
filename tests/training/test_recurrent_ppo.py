"""The learner must be sb3-contrib's algorithm: every step equal up to float32 rounding, only faster."""

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from training.recurrent_ppo import SequenceLstmPolicy, SequenceRecurrentPPO

N_ENVS, N_STEPS, BATCH = 4, 48, 64
NETWORKS = {
    "own critic": {},
    "two layers": {"n_lstm_layers": 2},
    "shared": {"shared_lstm": True, "enable_critic_lstm": False},
    "feed-forward critic": {"enable_critic_lstm": False},
}


class NoiseEnv(gymnasium.Env[np.ndarray, int]):
    """Random observations and rewards; an episode of `length` steps ends terminated or truncated."""

    observation_space = spaces.Box(-np.inf, np.inf, (5,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, length: int, truncates: bool) -> None:
        self.length, self.truncates = length, truncates
        self.rng = np.random.default_rng(length)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.age = 0
        return self.rng.normal(2.0, 3.0, 5).astype(np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.age += 1
        over = self.age >= self.length
        observation = self.rng.normal(2.0, 3.0, 5).astype(np.float32)
        reward = float((action - 1) * self.rng.normal())
        return observation, reward, over and not self.truncates, over and self.truncates, {}


def noise_envs() -> DummyVecEnv:
    lengths = (5, 7, 11, 60)
    return DummyVecEnv([partial(NoiseEnv, length, length in (7, 60)) for length in lengths])


class ForgetsEpisodeStarts(SequenceLstmPolicy):
    """Negative control: carries the LSTM state across episodes."""

    @staticmethod
    def _process_sequence(features, lstm_states, episode_starts, lstm):  # type: ignore[no-untyped-def]
        return SequenceLstmPolicy._process_sequence(features, lstm_states, torch.zeros_like(episode_starts), lstm)


def make_model(cls: type, policy: Any = "MlpLstmPolicy", **network: Any) -> Any:
    env = VecNormalize(noise_envs())
    return cls(
        policy, env, n_steps=N_STEPS, batch_size=BATCH, n_epochs=2, seed=3, device="cpu",
        policy_kwargs={"lstm_hidden_size": 16, "net_arch": [16], **network},
    )  # fmt: skip


def collect(model: Any) -> Any:
    _, callback = model._setup_learn(10**6, CallbackList([]))
    model.collect_rollouts(model.env, callback, model.rollout_buffer, N_STEPS)
    return model.rollout_buffer


def gradients(model: Any, buffer: Any) -> list[torch.Tensor]:
    """Gradient of PPO's loss, flat, one per minibatch of the same split of the same buffer."""
    np.random.seed(5)  # noqa: NPY002 - sb3-contrib splits its minibatches with the global generator
    out = []
    for data in buffer.get(BATCH):
        mask = data.mask > 1e-8
        values, log_prob, entropy = model.policy.evaluate_actions(
            data.observations, data.actions.long().flatten(), data.lstm_states, data.episode_starts
        )
        ratio = torch.exp(log_prob - data.old_log_prob)
        loss = -(data.advantages * ratio)[mask].mean() - 0.01 * entropy[mask].mean()
        loss = loss + 0.5 * ((data.returns - values.flatten()) ** 2)[mask].mean()
        model.policy.optimizer.zero_grad()
        loss.backward()
        grads = [p.grad.flatten() for p in model.policy.parameters() if p.grad is not None]
        out.append(torch.cat(grads))
    return out


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.policy.parameters()])


def largest(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    return max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True))


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_rollout_equals_stock(network: dict[str, Any]) -> None:
    stock, ours = (collect(make_model(cls, **network)) for cls in (RecurrentPPO, SequenceRecurrentPPO))
    assert stock.episode_starts.sum() > 20, "the rollout must contain episode starts"
    np.testing.assert_array_equal(ours.actions, stock.actions)
    np.testing.assert_allclose(ours.log_probs, stock.log_probs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.advantages, stock.advantages, rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_gradients_equal_stock(network: dict[str, Any]) -> None:
    stock, ours = make_model(RecurrentPPO, **network), make_model(SequenceRecurrentPPO, **network)
    buffer = collect(stock)
    assert largest(gradients(stock, buffer), gradients(ours, buffer)) <= 1e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_weights_after_learning_equal_stock(network: dict[str, Any]) -> None:
    learned = [
        weights(make_model(cls, **network).learn(2 * N_ENVS * N_STEPS)) for cls in (RecurrentPPO, SequenceRecurrentPPO)
    ]  # two rollouts, two epochs, three minibatches: 12 optimiser steps
    assert largest([learned[0]], [learned[1]]) <= 1e-6


def test_ignoring_episode_starts_would_be_noticed() -> None:
    stock = make_model(RecurrentPPO)
    forgets = make_model(SequenceRecurrentPPO, ForgetsEpisodeStarts)
    buffer = collect(stock)
    assert largest(gradients(stock, buffer), gradients(forgets, buffer)) > 1e-4


def test_an_episode_start_inside_a_sequence_takes_the_stock_path() -> None:
    lstm = torch.nn.LSTM(3, 4)
    torch.manual_seed(0)
    features, state = torch.randn(2 * 6, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))
    starts = torch.zeros(2, 6)
    starts[1, 3] = 1.0
    expected, _ = RecurrentActorCriticPolicy._process_sequence(features, state, starts.flatten(), lstm)
    found, _ = SequenceLstmPolicy._process_sequence(features, state, starts.flatten(), lstm)
    ignored, _ = SequenceLstmPolicy._process_sequence(features, state, torch.zeros(12), lstm)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert float((ignored - expected).detach().abs().max()) > 1e-3


def test_first_minibatch_has_a_ratio_of_one() -> None:
    model = make_model(SequenceRecurrentPPO)
    buffer = collect(model)
    data = next(buffer.get(BATCH))
    with torch.no_grad():
        _, log_prob, _ = model.policy.evaluate_actions(
            data.observations, data.actions.long().flatten(), data.lstm_states, data.episode_starts
        )
    ratio = torch.exp(log_prob - data.old_log_prob)[data.mask > 1e-8]
    assert float((ratio - 1).abs().max()) <= 5e-7


def test_saved_model_comes_back_with_the_same_policy_class(tmp_path: Any) -> None:
    model = make_model(SequenceRecurrentPPO)
    model.save(tmp_path / "model.zip")
    loaded = SequenceRecurrentPPO.load(tmp_path / "model.zip", device="cpu")
    assert type(loaded.policy) is SequenceLstmPolicy
    assert torch.equal(weights(loaded), weights(model))
