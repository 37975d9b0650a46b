"""Training on the real engine, one process per lane, must be training on the simulator: same episodes, same policy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from catalogs.errors import InputError
from rl_strategies.policy.policies import OnnxPolicy
from training.algorithms.config import LearnerConfig
from training.envs.make_envs import engine_envs, make_envs
from training.envs.session_env import SessionEnv, SessionVecEnv
from training.export import export_onnx, golden_observations, golden_outputs
from training.learning.fit import fit
from training.simulator.market import TrainingMarket


@pytest.mark.slow
def test_a_policy_learns_on_engines_in_processes_of_their_own(spy_market: TrainingMarket, tmp_path: Path) -> None:
    env = engine_envs(spy_market, 2, seed=5)
    try:
        first = np.asarray(env.reset())
        env.seed(5)
        again = np.asarray(env.reset())
        np.testing.assert_array_equal(first, again)
        for lane in range(2):
            expected, _ = SessionEnv(spy_market).reset(seed=5 + lane)
            np.testing.assert_array_equal(first[lane], expected)
        config = LearnerConfig(
            total_timesteps=2 * 512, n_envs=2, n_steps=512, batch_size=256, n_epochs=1, lstm_hidden_size=8, net_arch=()
        )
        result = fit(config, env, tmp_path, seed=5, on_update=lambda _: None)
    finally:
        env.close()
    assert result.summary.steps == 1024
    assert result.summary.episodes >= 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("algorithm", ["recurrent_ppo", "ppo_mlp"])
def test_a_policy_learns_on_cuda(spy_market: TrainingMarket, tmp_path: Path, algorithm: str) -> None:
    config = LearnerConfig(
        total_timesteps=1024, n_envs=2, n_steps=256, batch_size=256, n_epochs=1, device="cuda", algorithm=algorithm
    )
    result = fit(config, SessionVecEnv(spy_market, 2, seed=5), tmp_path / "run", seed=5, on_update=lambda _: None)
    assert {parameter.device.type for parameter in result.model.policy.parameters()} == {"cuda"}
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    golden = golden_outputs(result.model, result.vecnormalize, golden_observations(result.vecnormalize), tolerance=1e-3)
    assert golden.difference(OnnxPolicy(tmp_path / "policy.onnx")) <= golden.tolerance


def test_several_tickers_are_not_learned_on_engines(spy_market: TrainingMarket) -> None:
    config = LearnerConfig(n_envs=2, n_steps=256, batch_size=256, environment="engine")
    with pytest.raises(InputError, match=r"learner\.environment: must be simulator for several tickers, was engine"):
        make_envs(config, [spy_market, spy_market], reward="pnl", seed=1)
