"""Exploration that holds what it has, in rollouts, updates, predictions and the exported graph alike."""

from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.plain import PLAIN_VARIABLE
from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.decision.rules import TradingConfig
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.risk.config import RiskConfig
from tests.training.conftest import market_of
from tests.training.test_masking import CONFIG
from training.algorithms.config import LearnerConfig
from training.envs.make_envs import make_envs
from training.export import export_onnx, golden_observations, golden_outputs
from training.learning.fit import FitResult, fit
from training.learning.torch_policy import TorchBatchPolicy
from training.simulator.lanes import Lanes
from training.simulator.market import TrainingMarket

HELD = (1, 4)  # columns of the sides in `HoldingEnv`, for one or two instruments


class HoldingEnv(gymnasium.Env[np.ndarray, Any]):
    """The last target is the side held; nothing can be learned. With a mask, flat is never allowed."""

    instruments = 1
    mask_columns = 0

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.observation_space = spaces.Box(-np.inf, np.inf, (6 + self.mask_columns,), np.float32)
        self.action_space: Any = spaces.Discrete(3)
        if self.instruments > 1:
            self.action_space = spaces.MultiDiscrete([3] * self.instruments)

    def observe(self) -> np.ndarray:
        seen = self.rng.normal(30.0, 5.0, 6 + self.mask_columns)
        seen[list(HELD[: self.instruments])] = self.sides
        seen[6:] = np.resize([1, 0, 1], self.mask_columns)
        return seen.astype(np.float32)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.age, self.sides = 0, np.zeros(self.instruments)
        return self.observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.sides = np.atleast_1d(action) - 1.0
        self.age += 1
        return self.observe(), float(self.rng.normal()), self.age == 30, False, {}


class TwoSidesEnv(HoldingEnv):
    instruments = 2


class MaskedHoldingEnv(HoldingEnv):
    mask_columns = 3


@pytest.fixture(scope="module")
def limited_market(spy: tuple[InstrumentSpec, BarSeries]) -> TrainingMarket:
    """A market with two entries a session and no barriers that could end a position early."""
    trading = TradingConfig(barriers=BarrierConfig(None, None, 0), risk=RiskConfig(max_entries_per_session=2))
    return market_of(*spy, trading)


def train(path: Path, env: type[HoldingEnv], **changes: Any) -> FitResult:
    envs = VecMonitor(DummyVecEnv([lambda seed=seed: env(seed) for seed in range(4)]))
    return fit(
        msgspec.structs.replace(CONFIG, **changes), envs, path, seed=1, mask_columns=env.mask_columns,
        held_columns=HELD[: env.instruments], on_update=lambda _: None,
    )  # fmt: skip


def indifferent(result: FitResult) -> None:
    with torch.no_grad():
        result.model.policy.action_net.weight.zero_()
        result.model.policy.action_net.bias.zero_()


@pytest.mark.parametrize("env", [HoldingEnv, TwoSidesEnv])
def test_an_indifferent_policy_keeps_its_side_nine_times_in_ten(env: type[HoldingEnv], tmp_path: Path) -> None:
    result = train(tmp_path / "run", env, persistence_bars=10.0)
    indifferent(result)
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    observation = np.full(6, 31.0, np.float32)
    for side, kept in ((-1.0, 0), (0.0, 1), (1.0, 2)):
        observation[list(HELD[: env.instruments])] = side
        policy.act(observation)
        logits = policy.logits.reshape(env.instruments, 3).astype(float)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = np.full((env.instruments, 3), 0.05)
        expected[:, kept] = 0.9
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["recurrent_ppo", "ppo_mlp", "trpo"])
@pytest.mark.parametrize("env", [HoldingEnv, TwoSidesEnv, MaskedHoldingEnv])
@pytest.mark.parametrize("plain", ["", "network"])
def test_what_was_learned_is_what_is_exported(
    env: type[HoldingEnv], algorithm: str, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(tmp_path / "run", env, algorithm=algorithm, persistence_bars=4.0)
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    monkeypatch.setenv(PLAIN_VARIABLE, plain)
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    observations = golden_observations(result.vecnormalize)
    sides = observations[..., list(HELD[: env.instruments])]
    assert set(np.unique(sides)) == {-1.0, 0.0, 1.0}
    golden = golden_outputs(result.model, result.vecnormalize, observations)
    assert golden.difference(policy) <= golden.tolerance
    predicted = TorchBatchPolicy(result.model, result.vecnormalize)
    batch = policy.batch(observations.shape[1])
    for step, row in enumerate(observations):
        begun = np.full(len(row), step == 0)
        np.testing.assert_array_equal(batch.act_batch(row, begun), predicted.act_batch(row, begun))


def test_the_first_update_sees_the_policy_that_acted(tmp_path: Path) -> None:
    once = train(tmp_path / "run", TwoSidesEnv, persistence_bars=10.0, n_epochs=1, batch_size=256, total_timesteps=256)
    assert once.updates[0].approx_kl == pytest.approx(0.0, abs=1e-6)
    kept = once.updates[0].entropy or 0.0
    # Two choices, each 0.9, 0.05, 0.05 up to an untrained network's small logits.
    expected = -2 * (0.9 * np.log(0.9) + 0.1 * np.log(0.05))
    assert kept == pytest.approx(expected, rel=0.05)


def test_switched_off_it_changes_nothing(tmp_path: Path) -> None:
    envs = VecMonitor(DummyVecEnv([lambda seed=seed: HoldingEnv(seed) for seed in range(4)]))
    before = fit(CONFIG, envs, tmp_path / "before", seed=1, on_update=lambda _: None)
    after = train(tmp_path / "after", HoldingEnv, persistence_bars=1.0)
    for name, value in before.model.policy.state_dict().items():
        assert torch.equal(value, after.model.policy.state_dict()[name]), name


@pytest.mark.parametrize("env", [HoldingEnv, MaskedHoldingEnv, TwoSidesEnv])
def test_an_abstaining_policy_stays_flat_whatever_it_sees(env: type[HoldingEnv], tmp_path: Path) -> None:
    result = train(tmp_path / "run", env, persistence_bars=4.0)
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx", abstains=True)
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    observations = golden_observations(result.vecnormalize, n_envs=1)
    golden = golden_outputs(result.model, result.vecnormalize, observations, abstains=True)
    assert golden.difference(policy) == 0.0
    for row in observations[:, 0]:
        assert np.all(np.atleast_1d(policy.act(row)) == 1)
        assert np.isneginf(policy.logits.reshape(-1, 3)[:, [0, 2]]).all()


@pytest.mark.parametrize("value", [0.0, 1.2, 1.5, float("inf")])
def test_a_persistence_that_would_repel_is_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"learner\.persistence_bars: must be 1 \(off\), or above 1\.5"):
        LearnerConfig(persistence_bars=value)


def test_learning_may_exceed_the_limit_on_entries_that_it_observes(limited_market: TrainingMarket) -> None:
    config = LearnerConfig(n_envs=1, n_steps=64, batch_size=64, entries_unlimited=True)
    free = make_envs(config, [limited_market], reward="pnl", seed=1)
    left = limited_market.observation_names.index("entries_left")
    observed, entries, held = free.reset(), 0, 0
    seen = []
    for step in range(60):
        target = (2, 1, 0, 1)[step % 4]
        observed, _, _, _ = free.step(np.array([target]))
        side = round(float(observed[0, limited_market.held_columns[0]]))
        entries += side not in (0, held)
        held = side
        seen.append(float(observed[0, left]))
    assert entries > 3, "two entries are allowed in trading"
    assert min(seen) == 0.0
    lanes = Lanes(limited_market, 1)
    lanes.begin(np.array([0]))
    for step in range(60):
        lanes.step(np.array([(2, 1, 0, 1)[step % 4]]))
    assert lanes.state.legs["entries"][0, 0] == 2
    assert lanes.refusals_of(0)["entry_limit"] > 0


def test_engines_keep_their_limits(limited_market: TrainingMarket) -> None:
    config = LearnerConfig(n_envs=1, n_steps=64, batch_size=64, entries_unlimited=True, environment="engine")
    with pytest.raises(InputError, match=r"learner\.environment: must be simulator with entries_unlimited, was engine"):
        make_envs(config, [limited_market], reward="pnl", seed=1)
