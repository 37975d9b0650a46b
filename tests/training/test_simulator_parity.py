"""The promise of the simulator: the same fills, refusals, observations, rewards and balances as the real engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalogs.bars import BarSeries
from catalogs.instruments import resolve
from catalogs.sessions import session_calendar
from configs import instruments_path
from rl_strategies.barriers import BarrierConfig, Distance
from rl_strategies.risk.config import RiskConfig
from rl_strategies.rules import ExecutionConfig, TradingConfig
from tests.training.conftest import market_of, synthetic_bars, thinned, with_holes
from training.engine_env import EngineEnv
from training.env import SessionEnv
from training.market import TrainingMarket

TICKS = Distance(3, "ticks")
CASES = {
    "no barriers": (TradingConfig(100, BarrierConfig(None, None, 0), RiskConfig(0, 5)), ExecutionConfig(0)),
    "atr barriers, time limit": (TradingConfig(100, BarrierConfig(time_limit_bars=7)), ExecutionConfig(1)),
    "tight ticks, both inside most bars, fixed order": (
        TradingConfig(3, BarrierConfig(Distance(2, "ticks"), TICKS, 10)),
        ExecutionConfig(0, high_low_order="high_first"),
    ),
    "percent": (
        TradingConfig(7, BarrierConfig(Distance(0.05, "percent"), Distance(0.05, "percent"), 0), RiskConfig(0, 1)),
        ExecutionConfig(1),
    ),
    "stop alone": (TradingConfig(1, BarrierConfig(TICKS, None, 0), RiskConfig(30, 30)), ExecutionConfig(1)),
    "target alone": (TradingConfig(1, BarrierConfig(None, TICKS, 0), RiskConfig(30, 30)), ExecutionConfig(1)),
}


def assert_equal_walk(market: TrainingMarket, episodes: int, seed: int, switch: float = 0.3) -> int:
    """Walk random actions through both environments; returns the number of fills."""
    random, fills = np.random.default_rng(seed), 0
    fast = SessionEnv(market)
    with closing_engine(market) as slow:
        for episode in random.choice(len(market), min(episodes, len(market)), replace=False):
            options = {"episode": int(episode)}
            seen, told = fast.reset(options=options)
            engine_seen, engine_told = slow.reset(options=options)
            over, action = False, 1
            while True:
                assert seen.tobytes() == engine_seen.tobytes()
                assert told == engine_told
                if over:
                    break
                if random.random() < switch:
                    action = int(random.integers(3))
                seen, reward, over, _, told = fast.step(action)
                engine_seen, engine_reward, engine_over, _, engine_told = slow.step(action)
                assert (reward, over) == (engine_reward, engine_over)
            fills += sum(len(made) for made in told["fills"])
    return fills


@contextmanager
def closing_engine(market: TrainingMarket) -> Iterator[EngineEnv]:
    """An engine environment that is disposed of."""
    env = EngineEnv(market)
    try:
        yield env
    finally:
        env.close()


@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_engine(case: str, spy: tuple) -> None:
    trading, execution = CASES[case]
    assert assert_equal_walk(market_of(*spy, trading, execution), 2, seed=1) > 50


def test_thin_volume_walks_the_book_as_the_engine_does(spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(5, BarrierConfig(Distance(4, "ticks"), Distance(4, "ticks"), 10), RiskConfig(0, 1))
    market = market_of(instrument, thinned(bars, 3), trading)
    assert assert_equal_walk(market, 3, seed=2) > 200


def test_missing_bars_and_sessions_that_break_off(spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(1, BarrierConfig(Distance(1, "atr"), Distance(1, "atr"), 30), RiskConfig(0, 1))
    market = market_of(instrument, with_holes(bars, 4), trading)
    assert (market.world.episodes["closing"] < 0).any(), "the case needs a session without a bar at the closing time"
    assert assert_equal_walk(market, 4, seed=3) > 100


def test_futures_session_of_23_hours() -> None:
    instrument, bars = synthetic_bars("MESH5", "2025-01-07", "2025-01-10", seed=8)
    assert assert_equal_walk(market_of(instrument, bars), 1, seed=5, switch=0.1) > 30


def test_real_week(shared_data: Path) -> None:
    market = market_of(
        resolve("SPY", instruments_path()), real_spy(shared_data), start=pd.Timestamp("2024-04-08").date()
    )
    assert len(market) == 5
    assert assert_equal_walk(market, 5, seed=6, switch=0.1) > 100


def real_spy(folder: Path) -> BarSeries:
    """SPY from 26 March to 12 April 2024, prices rounded to the cent."""
    frame = pd.read_parquet(folder / "spy_1min_202403_202504.parquet")
    frame = frame[frame["ts_event"] < "2024-04-13"]
    close_ns = (frame["ts_event"] + pd.Timedelta(minutes=1)).dt.as_unit("ns").astype("int64").to_numpy()
    inside = session_calendar("NYSE").locate(close_ns) >= 0
    ticks = {
        name: np.rint(frame[name].to_numpy()[inside] * 100).astype(np.int64)
        for name in ("open", "high", "low", "close")
    }
    volume = frame["volume"].to_numpy()[inside].astype(np.int64)
    return BarSeries(
        "SPY.EQUS-1-MINUTE-LAST-EXTERNAL", close_ns[inside], volume=volume, volume_known=True, tick_raw=1e14, **ticks
    )
