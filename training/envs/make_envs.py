"""Choice of the training environments that a `LearnerConfig` asks for."""

from collections.abc import Sequence
from functools import partial

from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecMonitor

from catalogs.errors import InputError
from training.algorithms.config import LearnerConfig
from training.envs.engine_env import EngineEnv
from training.envs.reward import RewardConfig
from training.envs.session_env import SessionVecEnv
from training.envs.ticker_env import TickerVecEnv
from training.simulator.market import TrainingMarket, without_limits


def make_envs(
    config: LearnerConfig, markets: Sequence[TrainingMarket], *, reward: str | RewardConfig, seed: int
) -> VecEnv:
    """``config.n_envs`` environments over the markets, episodes drawn with ``seed``.

    Raises
    ------
    InputError
        If several tickers are to be learned on engines, or without limit on entries; if there are fewer environments
        than tickers.
    """
    if config.environment == "engine":
        if config.entries_unlimited:
            raise InputError("learner.environment: must be simulator with entries_unlimited, was engine")
        if len(markets) > 1:
            raise InputError("learner.environment: must be simulator for several tickers, was engine")
        return engine_envs(markets[0], config.n_envs, reward=reward, seed=seed)
    if config.entries_unlimited:
        markets = [without_limits(market, ["max_entries_per_session"]) for market in markets]
    if len(markets) > 1:
        return TickerVecEnv(markets, config.n_envs, reward=reward, seed=seed)
    return SessionVecEnv(markets[0], config.n_envs, reward=reward, seed=seed)


def engine_envs(market: TrainingMarket, num_envs: int, *, reward: str | RewardConfig = "pnl", seed: int = 0) -> VecEnv:
    """``num_envs`` processes, each with a NautilusTrader ``BacktestEngine`` behind `EngineEnv`.

    Two orders of magnitude slower than the simulator, and independent of it.

    Parameters
    ----------
    market : TrainingMarket
        Copied into every process.
    num_envs : int
    reward
        As for `EngineEnv`.
    seed : int
        Environment ``i`` draws its episodes with ``seed + i``.
    """
    envs = SubprocVecEnv([partial(EngineEnv, market, reward=reward) for _ in range(num_envs)])
    envs.seed(seed)
    return VecMonitor(envs)
