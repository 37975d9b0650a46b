"""The learner must be sb3-contrib's algorithm: every step equal up to float32 rounding, only faster."""

from functools import partial
from typing import Any

import gymnasium
import numba
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from catalogs.plain import PLAIN_VARIABLE
from training.algorithms.recurrent_ppo import SequenceLstmPolicy, SequenceRecurrentPPO
from training.networks import fused_dense, fused_lstm

N_ENVS, N_STEPS, BATCH = 4, 48, 64
NETWORKS = {
    "own critic": {},
    "two layers": {"n_lstm_layers": 2},
    "shared": {"shared_lstm": True, "enable_critic_lstm": False},
    "feed-forward critic": {"enable_critic_lstm": False},
    "ReLU": {"activation_fn": torch.nn.ReLU},
    "not compiled": {"activation_fn": torch.nn.ELU},
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


class TwoActionsEnv(NoiseEnv):
    """As `NoiseEnv`, with two actions at a time."""

    action_space = spaces.MultiDiscrete([3, 2])

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return super().step(int(action[0]) + int(action[1]))


def several_actions() -> DummyVecEnv:
    return DummyVecEnv([partial(TwoActionsEnv, length, length == 7) for length in (5, 7, 11, 60)])


def noise_envs() -> DummyVecEnv:
    lengths = (5, 7, 11, 60)
    return DummyVecEnv([partial(NoiseEnv, length, length in (7, 60)) for length in lengths])


def make_model(cls: type, env: Any = None, seq_len: int | None = None, **network: Any) -> Any:
    options = {} if seq_len is None else {"seq_len": seq_len}
    return cls(
        "MlpLstmPolicy", VecNormalize(env or noise_envs()), n_steps=N_STEPS, batch_size=BATCH, n_epochs=2, seed=3,
        device="cpu", policy_kwargs={"lstm_hidden_size": 16, "net_arch": [16], **network}, **options,
    )  # fmt: skip


def collect(model: Any, begin: bool = True) -> Any:
    _, callback = model._setup_learn(10**6, CallbackList([]), reset_num_timesteps=begin)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, N_STEPS)
    return model.rollout_buffer


def copied(source: Any, target: Any) -> Any:
    """The content of a full buffer in another."""
    for name, value in vars(source).items():
        if isinstance(value, np.ndarray):
            setattr(target, name, value.copy())
    target.full, target.generator_ready = True, False
    return target


def gradients(model: Any, buffer: Any, batch_size: int = BATCH) -> list[torch.Tensor]:
    """Gradient of PPO's loss, flat, one per minibatch of the same split of the same buffer."""
    np.random.seed(5)  # noqa: NPY002 - sb3-contrib splits its minibatches with the global generator
    out = []
    for data in buffer.get(batch_size):
        mask = data.mask > 1e-8
        values, log_prob, entropy = model.policy.evaluate_actions(
            data.observations, actions_of(model, data), data.lstm_states, data.episode_starts
        )
        ratio = torch.exp(log_prob - data.old_log_prob)
        loss = -(data.advantages * ratio)[mask].mean() - 0.01 * entropy[mask].mean()
        loss = loss + 0.5 * ((data.returns - values.flatten()) ** 2)[mask].mean()
        model.policy.optimizer.zero_grad()
        loss.backward()
        grads = [p.grad.flatten() for p in model.policy.parameters() if p.grad is not None]
        out.append(torch.cat(grads))
    return out


def actions_of(model: Any, data: Any) -> torch.Tensor:
    actions = data.actions.long()
    return actions.flatten() if isinstance(model.action_space, spaces.Discrete) else actions


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
    assert_same_rollout(ours, stock)


def test_rollouts_run_compiled_where_they_can() -> None:
    compiled = {name: make_model(SequenceRecurrentPPO, **network)._network for name, network in NETWORKS.items()}
    assert [name for name, network in compiled.items() if network is None] == ["not compiled"]


def test_rollout_of_several_actions_equals_stock() -> None:
    stock, ours = (collect(make_model(cls, several_actions())) for cls in (RecurrentPPO, SequenceRecurrentPPO))
    assert stock.actions.shape[2] == 2
    assert_same_rollout(ours, stock)


def assert_same_rollout(ours: Any, stock: Any) -> None:
    np.testing.assert_array_equal(ours.actions, stock.actions)
    np.testing.assert_array_equal(ours.episode_starts, stock.episode_starts)
    np.testing.assert_allclose(ours.log_probs, stock.log_probs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.advantages, stock.advantages, rtol=0, atol=1e-5)
    for name in ours.STATES:
        np.testing.assert_allclose(getattr(ours, name), getattr(stock, name), rtol=0, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_gradients_equal_stock(network: dict[str, Any]) -> None:
    stock, ours = make_model(RecurrentPPO, **network), make_model(SequenceRecurrentPPO, **network)
    buffer = collect(stock)
    packed = copied(buffer, ours.rollout_buffer)
    assert largest(gradients(stock, buffer), gradients(ours, packed)) <= 1e-6


def test_gradients_of_several_actions_equal_stock() -> None:
    stock, ours = (make_model(cls, several_actions()) for cls in (RecurrentPPO, SequenceRecurrentPPO))
    buffer = collect(stock)
    packed = copied(buffer, ours.rollout_buffer)
    assert largest(gradients(stock, buffer), gradients(ours, packed)) <= 1e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_weights_after_learning_equal_stock(network: dict[str, Any]) -> None:
    learned = [
        weights(make_model(cls, **network).learn(2 * N_ENVS * N_STEPS)) for cls in (RecurrentPPO, SequenceRecurrentPPO)
    ]  # two rollouts, two epochs, three minibatches: 12 optimiser steps
    assert largest([learned[0]], [learned[1]]) <= 1e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_plain_layers_learn_the_same_weights(network: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = make_model(SequenceRecurrentPPO, seq_len=7, **network).learn(2 * N_ENVS * N_STEPS)
    monkeypatch.setenv(PLAIN_VARIABLE, "layers")
    for module in (fused_lstm, fused_dense):
        monkeypatch.setattr(module, "run", refused)
    plain = make_model(SequenceRecurrentPPO, seq_len=7, **network)
    assert plain._network is None
    plain.learn(2 * N_ENVS * N_STEPS)
    assert largest([weights(compiled)], [weights(plain)]) <= 1e-6


def refused(*_: Any) -> None:
    raise AssertionError("compiled layers must not run")


def test_uncompiled_kernels_leave_the_layers_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert make_model(SequenceRecurrentPPO)._network is None


def test_ignoring_episode_starts_would_be_noticed() -> None:
    stock, forgets = make_model(RecurrentPPO), make_model(SequenceRecurrentPPO)
    buffer = collect(stock)
    packed = copied(buffer, forgets.rollout_buffer)
    packed.episode_starts[:] = 0.0
    assert largest(gradients(stock, buffer), gradients(forgets, packed)) > 1e-4


def test_stock_minibatches_are_understood_too() -> None:
    stock, ours = make_model(RecurrentPPO), make_model(SequenceRecurrentPPO)
    buffer = collect(stock)
    assert largest(gradients(stock, buffer), gradients(ours, buffer)) <= 1e-6


def test_pieces_as_long_as_episodes_give_the_whole_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np.random, "randint", lambda _: 0)  # stock cuts its one batch here, between two environments
    stock, whole = make_model(RecurrentPPO), make_model(SequenceRecurrentPPO, seq_len=N_STEPS)
    short = make_model(SequenceRecurrentPPO, seq_len=3)
    buffer = collect(stock)
    uncut, cut = copied(buffer, whole.rollout_buffer), copied(buffer, short.rollout_buffer)
    expected = gradients(stock, buffer, N_ENVS * N_STEPS)
    assert largest(expected, gradients(whole, uncut, N_ENVS * N_STEPS)) <= 1e-6
    assert largest(expected, gradients(short, cut, N_ENVS * N_STEPS)) > 1e-5, (
        "cutting at three steps must change the gradient"
    )


@pytest.mark.parametrize("seq_len", [1, 4, 7, 48])
def test_pieces_cover_every_step_once(seq_len: int) -> None:
    model = make_model(SequenceRecurrentPPO, seq_len=seq_len)
    buffer = collect(model)
    # A name for every step that survives the shuffle: lane * 1000 + time.
    buffer.values[:] = np.arange(N_ENVS) * 1000 + np.arange(N_STEPS)[:, np.newaxis]
    begins = {int(v) for v in buffer.values[buffer.episode_starts == 1]}
    seen: list[int] = []
    for data in buffer.get(BATCH):
        for piece in unpacked(data.old_values, data.lstm_states.counts):
            assert len(piece) <= seq_len
            np.testing.assert_array_equal(np.diff(piece), 1)
            assert not begins & set(piece[1:]), "an episode must not begin inside a piece"
            seen += piece
    assert sorted(seen) == sorted(lane * 1000 + t for lane in range(N_ENVS) for t in range(N_STEPS))


def unpacked(values: torch.Tensor, counts: np.ndarray) -> list[list[int]]:
    """Values of each sequence of a packed batch, in time order."""
    pieces: list[list[int]] = [[] for _ in range(counts[0])]
    row = 0
    for count in counts:
        for k in range(count):
            pieces[k].append(int(values[row + k]))
        row += count
    assert row == len(values)
    return pieces


def test_an_unfilled_rollout_is_not_sampled() -> None:
    model = make_model(SequenceRecurrentPPO)
    with pytest.raises(ValueError, match="a rollout must be full before it is sampled, has 0 of 48 steps"):
        next(model.rollout_buffer.get(BATCH))


@pytest.mark.parametrize("seq_len", [None, 7])
def test_minibatches_before_the_first_step_have_a_ratio_of_one(seq_len: int | None) -> None:
    model = make_model(SequenceRecurrentPPO, seq_len=seq_len)
    model.learn(N_ENVS * N_STEPS)
    buffer = collect(model, begin=False)
    assert not buffer.episode_starts[0].all(), "the rollout must begin inside an episode"
    for data in buffer.get(BATCH):
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
