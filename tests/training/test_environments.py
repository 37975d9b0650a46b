"""Training on the real engine, one process per lane, must be training on the simulator: same episodes, same policy."""

from pathlib import Path

import numpy as np
import pytest

from training.env import SessionEnv
from training.environments import engine_envs
from training.fit import fit
from training.learner import LearnerConfig
from training.market import TrainingMarket


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
        result = fit(config, env, tmp_path, seed=5, progress=lambda _: None)
    finally:
        env.close()
    assert result.summary.steps == 1024
    assert result.summary.episodes >= 2
