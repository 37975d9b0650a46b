"""Training of policies: the simulator, environments over it, learning algorithms, export.

>>> import numpy as np
>>> from catalogs.instruments.specification import resolve
>>> from catalogs.synthetic import synthetic_sessions
>>> from configs import instruments_path
>>> from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
>>> from rl_strategies.features import default_plan
>>> from training import SessionVecEnv, build_market
>>> spy = resolve("SPY", instruments_path())
>>> first, last = np.datetime64("2024-11-21"), np.datetime64("2024-12-05")
>>> bars = synthetic_sessions(spy, first, last, seed=7, start_price=500.0).bars
>>> plan = default_plan(volume_known=True, extended_hours=False)
>>> market = build_market(bars, spy, plan, TradingConfig(), ExecutionConfig())
>>> env = SessionVecEnv(market, num_envs=2, seed=1)
>>> observations = env.reset()
>>> observations, rewards, dones, infos = env.step(np.array([2, 0]))  # one long, one short
>>> observations.shape == (2, len(market.observation_names))
True

Then ``fit(LearnerConfig(n_envs=2, n_steps=1024), env, Path("runs/mine"), seed=1)`` trains a policy, and ``export_onnx``
writes it as a file that trades without torch.

Rooms: ``simulator`` (the market), ``envs`` (environments and rewards), ``algorithms``, ``networks``, ``learning``
(runs), ``parity`` (simulator against engine), ``validation`` (more than chance?). A name is imported when it is first
asked for: ``import training`` loads neither torch nor NautilusTrader.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.algorithms.config import LearnerConfig, QuantileConfig, StabilityConfig
    from training.algorithms.recurrent_ppo import SequenceRecurrentPPO
    from training.ensemble import ensemble_golden, export_ensemble
    from training.envs.engine_env import EngineEnv
    from training.envs.make_envs import engine_envs, make_envs
    from training.envs.reward import RewardConfig, reward
    from training.envs.session_env import SessionEnv, SessionVecEnv
    from training.envs.ticker_env import TickerVecEnv
    from training.envs.vector_env import SessionVectorEnv
    from training.export import export_onnx, golden_observations, golden_outputs
    from training.learning.fit import FitResult, fit
    from training.parity.certify import Certificate, certify
    from training.simulator.lanes import rollout
    from training.simulator.market import TrainingMarket, build_market, build_portfolio_market
    from training.validation.leakage import assert_no_leakage

__all__ = [
    "Certificate",
    "EngineEnv",
    "FitResult",
    "LearnerConfig",
    "QuantileConfig",
    "RewardConfig",
    "SequenceRecurrentPPO",
    "SessionEnv",
    "SessionVecEnv",
    "SessionVectorEnv",
    "StabilityConfig",
    "TickerVecEnv",
    "TrainingMarket",
    "assert_no_leakage",
    "build_market",
    "build_portfolio_market",
    "certify",
    "engine_envs",
    "ensemble_golden",
    "export_ensemble",
    "export_onnx",
    "fit",
    "golden_observations",
    "golden_outputs",
    "make_envs",
    "reward",
    "rollout",
]

_HOMES = {
    "algorithms.config": ("LearnerConfig", "QuantileConfig", "StabilityConfig"),
    "algorithms.recurrent_ppo": ("SequenceRecurrentPPO",),
    "ensemble": ("ensemble_golden", "export_ensemble"),
    "envs.engine_env": ("EngineEnv",),
    "envs.make_envs": ("engine_envs", "make_envs"),
    "envs.reward": ("RewardConfig", "reward"),
    "envs.session_env": ("SessionEnv", "SessionVecEnv"),
    "envs.ticker_env": ("TickerVecEnv",),
    "envs.vector_env": ("SessionVectorEnv",),
    "export": ("export_onnx", "golden_observations", "golden_outputs"),
    "learning.fit": ("FitResult", "fit"),
    "parity.certify": ("Certificate", "certify"),
    "simulator.lanes": ("rollout",),
    "validation.leakage": ("assert_no_leakage",),
    "simulator.market": ("TrainingMarket", "build_market", "build_portfolio_market"),
}

if not TYPE_CHECKING:  # else mypy would take every name for one of the module's

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
