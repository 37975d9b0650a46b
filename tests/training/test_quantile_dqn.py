"""QR-DQN learns, keeps to the mask where it bootstraps, goes on after an interruption, and refuses portfolios."""

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
from tests.training.test_masking import TwoInstrumentsEnv
from tests.training.test_resume import assert_same
from training.algorithms.config import LearnerConfig, QuantileConfig
from training.algorithms.masking import IMPOSSIBLE
from training.algorithms.quantile_dqn import MaskedQuantilePolicy
from training.envs.session_env import SessionVecEnv
from training.export import export_onnx
from training.learning.fit import fit
from training.learning.update_metrics import UpdateMetrics
from training.simulator.market import TrainingMarket

CONFIG = LearnerConfig(
    algorithm="qr_dqn", total_timesteps=6 * 512, n_envs=4, n_steps=128, batch_size=128, n_epochs=4, net_arch=(16,),
    learning_rate=3e-3, gamma=0.5, qr_dqn=QuantileConfig(n_quantiles=11, target_update_interval=300, buffer_size=2000),
)  # fmt: skip


class CueEnv(gymnasium.Env[np.ndarray, int]):
    """Shows the action that pays, one-hot, among noise of another scale."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def observe(self) -> np.ndarray:
        self.paying = int(self.rng.integers(3))
        return np.append(np.eye(3)[self.paying], self.rng.normal(50.0, 9.0)).astype(np.float32)

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.age = 0
        return self.observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.age += 1
        reward = float(action == self.paying) + float(self.rng.normal(0.0, 0.3))
        return self.observe(), reward, self.age == 10, False, {}


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


def test_it_learns_what_pays_and_exports_it(tmp_path: Path) -> None:
    env = VecMonitor(DummyVecEnv([lambda seed=seed: CueEnv(seed) for seed in range(4)]))
    result = fit(CONFIG, env, tmp_path / "run", seed=1, on_update=quiet)
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    policy, world = OnnxPolicy(tmp_path / "policy.onnx"), CueEnv(99)
    assert policy.shape.lstm_layers == 0
    observation, _ = world.reset()
    right = 0
    for _ in range(300):
        right += policy.act(observation) == world.paying
        observation, *_ = world.step(0)
    assert right > 290
    shares = [update.action_shares for update in result.updates]
    assert all(sum(share) == pytest.approx(1.0) for share in shares)


def test_interrupted_and_resumed_is_the_same_run(spy_market: TrainingMarket, tmp_path: Path) -> None:
    def train(folder: str, stop_at: int = 10**9, resume: bool = False) -> Any:
        def listen(metrics: UpdateMetrics) -> None:
            if metrics.steps >= stop_at:
                raise KeyboardInterrupt

        env = SessionVecEnv(spy_market, 4, seed=3)
        return fit(CONFIG, env, tmp_path / folder, seed=3, on_update=listen, resume=resume)

    whole = train("whole")
    assert whole.model.replay_buffer.full, "the oldest steps must have been overwritten"
    for stop_at in (2 * 512, 5 * 512):
        with pytest.raises(KeyboardInterrupt):
            train("cut", stop_at, resume=stop_at > 1024)
    assert_same(train("cut", resume=True), whole)


def policy_with_mask() -> MaskedQuantilePolicy:
    torch.manual_seed(0)
    space = spaces.Box(-np.inf, np.inf, (8,), np.float32)
    return MaskedQuantilePolicy(
        space, spaces.Discrete(3), lambda _: 1e-3, n_quantiles=7, net_arch=[6], activation_fn=torch.nn.Tanh,
        mask_columns=3,
    )  # fmt: skip


def test_no_target_counts_on_a_forbidden_action() -> None:
    policy, rng = policy_with_mask(), np.random.default_rng(0)
    mask = rng.integers(2, size=(200, 3))
    mask[np.arange(200), rng.integers(3, size=200)] = 1
    observations = torch.as_tensor(np.hstack([rng.normal(size=(200, 5)), mask]).astype(np.float32))
    # As QRDQN.train chooses the action that the target of an update is computed with.
    greedy = policy.quantile_net_target(observations).mean(dim=1).argmax(dim=1)
    assert mask[np.arange(200), greedy.numpy()].all()
    unmasked = observations.clone()
    unmasked[:, 5:] = 1.0
    assert (policy.quantile_net_target(unmasked).mean(dim=1).argmax(dim=1) != greedy).any(), "some were forbidden"


def test_the_exported_layers_give_the_mean_over_quantiles() -> None:
    policy = policy_with_mask()
    observations = torch.randn(50, 8)
    observations[:, 5:] = torch.tensor([1.0, 1.0, 0.0])
    means = policy.quantile_net(observations).mean(dim=1).detach()
    exported = torch.nn.Sequential(*policy.decision_layers())(observations[:, :5]).detach()
    torch.testing.assert_close(exported[:, :2], means[:, :2], rtol=0, atol=1e-6)
    assert (means[:, 2] < IMPOSSIBLE / 2).all()


def test_several_instruments_are_refused_in_one_line(tmp_path: Path) -> None:
    env = VecMonitor(DummyVecEnv([lambda seed=seed: TwoInstrumentsEnv(seed) for seed in range(4)]))
    line = r"^learner\.algorithm: qr_dqn decides for one instrument only, the actions are MultiDiscrete\(\[3 3\]\)$"
    with pytest.raises(InputError, match=line):
        fit(CONFIG, env, tmp_path, seed=1, on_update=quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"n_quantiles": 0}, r"learner\.qr_dqn\.n_quantiles: must be at least 1, was 0"),
        ({"exploration_fraction": 0.0}, r"learner\.qr_dqn\.exploration_fraction: must be above 0 .*, was 0.0"),
        ({"exploration_final": 1.5}, r"learner\.qr_dqn\.exploration_final: must be in \[0, 1\], was 1.5"),
    ],
)
def test_a_wrong_setting_is_refused(changes: dict[str, float], line: str) -> None:
    with pytest.raises(InputError, match=line):
        msgspec.structs.replace(CONFIG.qr_dqn, **changes)
