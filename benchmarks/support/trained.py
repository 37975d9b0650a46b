"""A market of synthetic sessions and a network of the documented size, trained for one rollout."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalogs.instruments.specification import resolve
from catalogs.sessions import has_extended_hours
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import default_plan
from rl_strategies.policy.policies import OnnxPolicy
from training.algorithms.config import LearnerConfig
from training.envs.session_env import SessionVecEnv
from training.export import export_onnx
from training.learning.fit import FitResult, fit
from training.simulator.market import TrainingMarket, build_market

LEARNER = LearnerConfig(total_timesteps=1024, n_envs=4, n_steps=256, batch_size=512, n_epochs=1)


@dataclass(frozen=True)
class Trained:
    """Market, training result and exported policy for a live decision.

    Attributes
    ----------
    market : TrainingMarket
    result : FitResult
    policy : OnnxPolicy
    """

    market: TrainingMarket
    result: FitResult
    policy: OnnxPolicy


def synthetic_market(seed: int, last: str) -> TrainingMarket:
    """SPY-like one-minute sessions from 21 November 2024 to ``last``, default features and rules."""
    instrument = resolve("SPY", instruments_path())
    made = synthetic_sessions(
        instrument, np.datetime64("2024-11-21"), np.datetime64(last), seed=seed, start_price=500.0
    )
    plan = default_plan(volume_known=True, extended_hours=has_extended_hours(instrument.calendar))
    return build_market(made.bars, instrument, plan, TradingConfig(), ExecutionConfig())


def train_briefly(market: TrainingMarket, seed: int) -> Trained:
    """Train for one rollout and one epoch; a decision costs the same as after a million steps."""
    with tempfile.TemporaryDirectory() as folder:
        env = SessionVecEnv(market, LEARNER.n_envs, seed=seed)
        result = fit(LEARNER, env, Path(folder) / "run", seed=seed, on_update=lambda _: None)
        onnx = Path(folder) / "policy.onnx"
        export_onnx(result.model, result.vecnormalize, onnx)
        return Trained(market, result, OnnxPolicy(onnx))
