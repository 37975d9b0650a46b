"""Steps per second of the training simulator, the real engine and two public environments, on the same bars.

Every environment shows 64 or more floats per step and takes random actions; all run in turn in one process. The peers,
gym-anytrading and gym-trading-env, step through arrays of closes without barriers, volume, sessions or commissions per
order, so the ratio flatters them. ``pip install 'rl-intraday[bench]'`` installs them.
"""

import os
import warnings
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd

from benchmarks.support.timing import interleaved
from catalogs.bars import BarSeries, price_from_ticks
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeatureSpec, build_plan
from rl_strategies.features.plans.sets import DEFAULT_SPECS
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv, SessionVecEnv
from training.simulator.market import TrainingMarket, build_portfolio_market

FIRST, LAST = np.datetime64("2024-11-21"), np.datetime64("2025-01-24")
TICKERS = ("SPY", "AAPL", "MSFT", "NVDA", "QQQ", "IWM", "XOM", "JPM", "WMT", "DIS")
WANTED_FLOATS = 64
REPEATS = 5
STEPS = {"n1": 4_000, "n64": 1_500, "n1024": 100, "n64_portfolio10": 150, "engine": 800, "peer": 4_000}


def measure(seed: int) -> dict[str, float]:
    """Medians of interleaved runs; CPU seconds of this process, one thread."""
    held = [(spec, _bars(spec, seed + place)) for place, spec in enumerate(map(_resolve, TICKERS))]
    single, portfolio = _market(held[:1]), _market(held)
    random = np.random.default_rng(seed)
    with closing(EngineEnv(single)) as engine:
        peers = _peers(held[0][1])
        runs: dict[str, Callable[[], object]] = {
            "n1": _stepping(SessionEnv(single), STEPS["n1"], random),
            "n64": _stepping_many(single, 64, STEPS["n64"], random),
            "n1024": _stepping_many(single, 1024, STEPS["n1024"], random),
            "n64_portfolio10": _stepping_many(portfolio, 64, STEPS["n64_portfolio10"], random),
            "engine": _stepping(engine, STEPS["engine"], random),
            **{name: _stepping(peer, STEPS["peer"], random) for name, peer in peers.items()},
        }
        seconds = interleaved(runs, REPEATS)
    envs = {"n64": 64, "n1024": 1024, "n64_portfolio10": 64}
    rates = {name: envs.get(name, 1) * STEPS.get(name, STEPS["peer"]) / spent for name, spent in seconds.items()}
    fastest = max(rates[name] for name in peers)
    return {
        "steps_per_s_n1": rates["n1"],
        "steps_per_s_n64": rates["n64"],
        "steps_per_s_n1024": rates["n1024"],
        "steps_per_s_n64_portfolio10": rates["n64_portfolio10"],
        "steps_per_s_engine_env": rates["engine"],
        **{f"steps_per_s_{name}": rates[name] for name in peers},
        "ratio_vs_fastest_peer": rates["n64"] / fastest,
        "ratio_vs_fastest_peer_n1": rates["n1"] / fastest,
        "ratio_vs_engine_env": rates["n64"] / rates["engine"],
        "bytes_per_bar": sum(array.nbytes for array in single.arrays) / len(single.bars),
        "observation_floats": float(len(single.observation_names)),
        "observation_floats_portfolio10": float(len(portfolio.observation_names)),
    }


def _resolve(ticker: str) -> InstrumentSpec:
    return resolve(ticker, instruments_path())


def _bars(spec: InstrumentSpec, seed: int) -> BarSeries:
    return synthetic_sessions(spec, FIRST, LAST, seed=seed, start_price=500.0).bars


def _market(held: list[tuple[InstrumentSpec, BarSeries]]) -> TrainingMarket:
    # The default features, and lagged returns up to the wanted number of floats.
    specs = [spec for spec in DEFAULT_SPECS if spec.kind != "regular_hours"]
    specs += [FeatureSpec("log_return", f"past_return_{n}", {"n": n}) for n in range(2, 2 + WANTED_FLOATS // 2 + 4)]
    plan = build_plan(specs, volume_known=True, extended_hours=False)
    return build_portfolio_market(held, plan, TradingConfig(), ExecutionConfig())


def _stepping(env: gym.Env, steps: int, random: np.random.Generator) -> Callable[[], object]:
    space = env.action_space
    actions = random.integers(0, int(getattr(space, "n", 2)), steps).tolist()

    def run() -> None:
        env.reset(seed=0)
        for action in actions:
            _, _, over, truncated, _ = env.step(action)
            if over or truncated:
                env.reset()

    return run


def _stepping_many(
    market: TrainingMarket, num_envs: int, steps: int, random: np.random.Generator
) -> Callable[[], object]:
    env = SessionVecEnv(market, num_envs)
    shape = (steps, num_envs) if len(market.instruments) == 1 else (steps, num_envs, len(market.instruments))
    actions = random.integers(0, 3, shape)

    def run() -> None:
        env.reset()
        for action in actions:
            env.step(action)

    return run


def _peers(bars: BarSeries) -> dict[str, gym.Env]:
    closes = price_from_ticks(bars.close, bars.tick_raw)
    with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing):
        warnings.simplefilter("ignore")  # both import packages that warn about their age
        try:
            import gym_trading_env.environments
            from gym_anytrading.envs import StocksEnv
        except ImportError as error:
            raise InputError(
                f"benchmark env needs gym-anytrading and gym-trading-env: pip install 'rl-intraday[bench]' ({error})"
            ) from error
        frame = _frame(bars, closes)
        window = WANTED_FLOATS // 2  # two features per bar of the window
        anytrading = StocksEnv(df=frame, window_size=window, frame_bound=(window, len(frame)))
        features = {f"feature_{n}": np.log(closes / np.roll(closes, n)) for n in range(1, WANTED_FLOATS + 1)}
        table: Any = pd.DataFrame({**frame.rename(columns=str.lower), **features}, index=frame.index).iloc[
            WANTED_FLOATS:
        ]
        trading = gym_trading_env.environments.TradingEnv(df=table, positions=[-1, 0, 1], verbose=0)
    return {"gym_anytrading": anytrading, "gym_trading_env": trading}


def _frame(bars: BarSeries, closes: np.ndarray) -> pd.DataFrame:
    columns = {name.title(): price_from_ticks(getattr(bars, name), bars.tick_raw) for name in ("open", "high", "low")}
    stamps = pd.to_datetime(bars.ts_ns)
    return pd.DataFrame({**columns, "Close": closes, "Volume": bars.volume.astype(float)}, index=stamps)
