"""The promise of the simulator: the same fills, refusals, observations, rewards and balances as the real engine."""

from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from nautilus_trader.backtest.config import BacktestDataConfig, BacktestEngineConfig, BacktestRunConfig
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.data import BarType

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance
from configs import instruments_path
from rl_strategies.accounting.record import Fill
from rl_strategies.backtest.engine import ORDER_RATE
from rl_strategies.backtest.venue import venue_configs
from rl_strategies.decision.barriers import BarrierConfig, Distance
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.decision.slippage import SlippageConfig
from rl_strategies.features import default_plan
from rl_strategies.risk.config import RiskConfig
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from tests.training.conftest import market_of, synthetic_bars, thinned, with_holes
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv
from training.parity.certify import certify
from training.parity.compare import compare_tape
from training.simulator.market import TrainingMarket, build_portfolio_market

TICKS = Distance(3, "ticks")
DEFAULT = default_plan(volume_known=True, extended_hours=True)
CASES = {
    "next open": (
        TradingConfig(100, BarrierConfig(TICKS, Distance(1.5, "atr"), 12), RiskConfig(0, 5)),
        ExecutionConfig(fill="next_open"),
    ),
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


def assert_equal_fills(market: TrainingMarket, episodes: int, seed: int, switch: float = 0.3) -> int:
    """Play random actions through both environments; returns the number of fills."""
    random, fills = np.random.default_rng(seed), 0
    count = len(market.instruments)
    with closing(EngineEnv(market)) as engine:
        for episode in random.choice(len(market), min(episodes, len(market)), replace=False):
            comparison = compare_tape(market, engine, int(episode), persistent_actions(random, count, switch))
            assert comparison.divergence is None
            fills += comparison.fills
    return fills


def persistent_actions(random: np.random.Generator, instruments: int, switch: float) -> np.ndarray:
    """Actions that change with probability ``switch``; int64[1500, instruments]."""
    tape, action = np.empty((1500, instruments), np.int64), np.ones(instruments, np.int64)
    for step in range(len(tape)):
        action = np.where(random.random(instruments) < switch, random.integers(0, 3, instruments), action)
        tape[step] = action
    return tape


@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_engine(case: str, spy: tuple) -> None:
    trading, execution = CASES[case]
    assert assert_equal_fills(market_of(*spy, trading, execution), 2, seed=1) > 50


def test_thin_volume_walks_the_book_as_the_engine_does(spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(5, BarrierConfig(Distance(4, "ticks"), Distance(4, "ticks"), 10), RiskConfig(0, 1))
    market = market_of(instrument, thinned(bars, 3), trading)
    assert assert_equal_fills(market, 3, seed=2) > 200


def test_missing_bars_and_sessions_that_break_off(spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(1, BarrierConfig(Distance(1, "atr"), Distance(1, "atr"), 30), RiskConfig(0, 1))
    market = market_of(instrument, with_holes(bars, 4), trading)
    assert (market.arrays.episodes["closing"] < 0).any(), "the case needs a session without a bar at the closing time"
    assert assert_equal_fills(market, 4, seed=3) > 100


def test_futures_session_of_23_hours() -> None:
    instrument, bars = synthetic_bars("MESH5", "2025-01-07", "2025-01-10", seed=8)
    assert assert_equal_fills(market_of(instrument, bars), 1, seed=5, switch=0.1) > 30


def test_real_week(shared_data: Path) -> None:
    market = market_of(
        resolve("SPY", instruments_path()), real_spy(shared_data), start=pd.Timestamp("2024-04-08").date()
    )
    assert len(market) == 5
    assert assert_equal_fills(market, 5, seed=6, switch=0.1) > 100


def test_chance_slippage_from_the_shared_stream(spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(5, BarrierConfig(TICKS, TICKS, 10), RiskConfig(0, 1))
    execution = ExecutionConfig(slippage_probability=0.4, slippage_seed=3)
    market = market_of(instrument, thinned(bars, 3), trading, execution)
    assert assert_equal_fills(market, 2, seed=4) > 200


def test_every_limit_at_once_over_two_venues() -> None:
    held = [
        synthetic_bars("SPY", "2025-01-06", "2025-01-14", seed=1),
        synthetic_bars("MESH5", "2025-01-06", "2025-01-14", seed=2),
        synthetic_bars("QQQ", "2025-01-06", "2025-01-14", seed=3),
    ]
    held = [(instrument, with_holes(bars, place, 0.03)) for place, (instrument, bars) in enumerate(held)]
    risk = RiskConfig(
        max_entries_per_session=30,
        minimum_hold_bars=2,
        max_gross_exposure=1.2,
        max_net_exposure=0.9,
        max_concentration=0.5,
        max_leverage=1.1,
        max_daily_drawdown=0.004,
    )
    trading = TradingConfig(50, BarrierConfig(Distance(2, "atr"), Distance(3, "atr"), 20), risk, risk_budget_usd=40.0)
    market = build_portfolio_market(held, DEFAULT, trading, ExecutionConfig())
    assert assert_equal_fills(market, 2, seed=5, switch=0.05) > 15


def test_portfolio_at_the_next_open_with_missing_bars() -> None:
    held = [synthetic_bars(name, "2025-01-06", "2025-01-14", seed=place) for place, name in enumerate(("SPY", "QQQ"))]
    held = [(instrument, with_holes(bars, place, 0.2)) for place, (instrument, bars) in enumerate(held)]
    trading = TradingConfig(10, BarrierConfig(Distance(1, "atr"), Distance(1, "atr"), 20), RiskConfig(0, 1))
    plan = default_plan(volume_known=True, extended_hours=False)
    market = build_portfolio_market(held, plan, trading, ExecutionConfig(0, fill="next_open"))
    assert assert_equal_fills(market, 2, seed=3, switch=0.3) > 200


def test_next_open_needs_whole_bars(spy: tuple) -> None:
    instrument, bars = spy
    five = replace(bars, bar_type=bars.bar_type.replace("-1-MINUTE-", "-5-MINUTE-"))
    with pytest.raises(InputError, match="must be a whole number of bars, was 7 with bars of 5 minutes"):
        market_of(instrument, five, TradingConfig(risk=RiskConfig(0, 7)), ExecutionConfig(fill="next_open"))


def test_ruin_ends_the_episode_in_both(spy: tuple) -> None:
    risk = RiskConfig(0, 5, 0, 0, ruin=0.9995)
    market = market_of(*spy, TradingConfig(100, BarrierConfig(None, None, 0), risk))
    assert assert_equal_fills(market, 3, seed=8) > 10
    env = SessionEnv(market)
    env.reset(options={"episode": 0})
    over, step = False, 0
    while not over:
        _, _, over, _, told = env.step(step % 3)
        step += 1
    assert told["ruined"]
    assert told["fills"][0][-1].reason == "ruin"


def test_ruin_halts_by_what_the_closing_cost(spy: tuple) -> None:
    # The account is ruined at a loss of 50 USD, and closing it costs more than the 20 that are left up to the limit.
    risk = RiskConfig(0, 5, max_daily_drawdown=0.0007, ruin=0.9995)
    trading = TradingConfig(300, BarrierConfig(None, None, 0), risk, mask_actions=True)
    market = market_of(*spy, trading, ExecutionConfig(slippage=SlippageConfig(ticks=8)))
    assert assert_equal_fills(market, 4, seed=8) > 8


TABLE = {"SPY.EQUS": [(0, 7.0), (30, 2.0), (60, 1.0)]}
SLIPPAGES = {
    "ticks": SlippageConfig(ticks=3),
    "part of a tick, drawn": SlippageConfig(ticks=1.4, rounding="drawn", probability=0.7, seed=3),
    "basis points": SlippageConfig(bps=1.7),
    "spread by time of day": SlippageConfig(spreads=TABLE),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("kind", SLIPPAGES)
@pytest.mark.parametrize("fill", ["same_close", "next_open"])
def test_slippage_of_every_kind_on_thin_volume(kind: str, fill: str, spy: tuple) -> None:
    instrument, bars = spy
    trading = TradingConfig(5, BarrierConfig(TICKS, TICKS, 10), RiskConfig(0, 1))
    execution = ExecutionConfig(slippage=SLIPPAGES[kind], fill=fill)  # type: ignore[arg-type]
    assert assert_equal_fills(market_of(instrument, thinned(bars, 3), trading, execution), 1, seed=4) > 100


def test_drawn_slippage_over_two_venues() -> None:
    held = [
        synthetic_bars("SPY", "2025-01-06", "2025-01-14", 1),
        synthetic_bars("MESH5", "2025-01-06", "2025-01-14", 2),
    ]
    trading = TradingConfig(5, BarrierConfig(Distance(2, "atr"), Distance(3, "atr"), 20), RiskConfig(0, 5))
    slippage = SlippageConfig(spreads={"SPY.EQUS": [(0, 3.0)], "MES.XCME": [(0, 1.0), (500, 2.0)]}, rounding="drawn")
    market = build_portfolio_market(held, DEFAULT, trading, ExecutionConfig(slippage=slippage))
    assert assert_equal_fills(market, 1, seed=5, switch=0.05) > 20


def test_certify_plays_days_from_all_over_recorded_bars() -> None:
    # Another year and another bar length than those of the synthetic configurations.
    spec, minutes = synthetic_bars("SPY", "2023-03-01", "2023-08-31", seed=3)
    kept = np.arange(4, len(minutes), 5)
    columns = ("ts_ns", "open", "high", "low", "close", "volume")
    bars = replace(
        minutes,
        bar_type=minutes.bar_type.replace("-1-MINUTE-", "-5-MINUTE-"),
        **{column: getattr(minutes, column)[kept] for column in columns},
    )
    found = certify([spec], episodes=6, most_instruments=1, seed=7, recorded=[(spec, bars)])
    assert (found.divergences, found.first_divergence, found.recorded_configurations) == (0, None, 6)
    first, last = found.recorded_days
    assert first < "2023-05-01"
    assert last > "2023-07-15"


def real_portfolio(folder: Path, symbols: list[str]) -> list[tuple[InstrumentSpec, BarSeries]]:
    """Two weeks and a half of shares in October 2015, prices rounded to the cent."""
    frame = pd.read_parquet(folder / "us30_1min_201510_201602.parquet")
    frame = frame[frame["ts_event"] < "2015-10-24"]
    instruments = [resolve(symbol, instruments_path()) for symbol in symbols]
    return [(spec, series_of(frame[frame["symbol"] == spec.instrument_id.split(".")[0]], spec)) for spec in instruments]


def test_real_week_of_ten_tickers(shared_data: Path) -> None:
    held = real_portfolio(shared_data, ["AAPL", "MSFT", "NVDA", "JPM", "XOM", "WMT", "BA", "GE", "DIS", "PFE"])
    trading = TradingConfig(100, BarrierConfig(time_limit_bars=30), RiskConfig(max_gross_exposure=1.0))
    market = build_portfolio_market(
        held,
        default_plan(volume_known=True, extended_hours=False),
        trading,
        ExecutionConfig(slippage=SlippageConfig(bps=2.5, rounding="drawn", probability=0.8, seed=9)),
        start=date(2015, 10, 19),
    )
    assert len(market) == 5
    assert assert_equal_fills(market, 5, seed=9, switch=0.05) > 200
    tape = persistent_actions(np.random.default_rng(10), 10, 0.05)
    simulated = play_all_episodes(SessionEnv(market), tape)
    assert node_fills(market, tape) == simulated


def play_all_episodes(env: SessionEnv, tape: np.ndarray) -> list[list[Fill]]:
    """Fills of all episodes, one after another on one account, by instrument."""
    fills: list[list[Fill]] = [[] for _ in env.market.instruments]
    balance, steps = env.market.execution.starting_cents, 0
    for episode in range(len(env.market)):
        env.reset(options={"episode": episode, "balance_cents": balance, "draws": 0})
        over = False
        while not over:
            _, _, over, _, told = env.step(tape[steps % len(tape)])
            steps += 1
        balance = told["balance_cents"]
        for all_of_it, made in zip(fills, told["fills"], strict=True):
            all_of_it += made
    return fills


class Tape:
    """A policy that plays a tape."""

    def __init__(self, tape: np.ndarray) -> None:
        self.tape, self.steps = tape, 0

    def reset(self) -> None:
        """The tape goes on."""

    def act(self, observation: np.ndarray) -> list[int]:
        """The next actions."""
        action = self.tape[self.steps % len(self.tape)]
        self.steps += 1
        return action.tolist()


def node_fills(market: TrainingMarket, tape: np.ndarray) -> list[list[Fill]]:
    """The same tape in a BacktestNode over a catalog of the same bars."""
    with TemporaryDirectory() as folder:
        catalog = Path(folder)
        for spec, bars in zip(market.instruments, market.series, strict=True):
            write_bars(catalog, spec, bars, synthetic_provenance(spec, bars, PlantedEdge(), 0))
        types = [bars.bar_type for bars in market.series]
        data = [
            BacktestDataConfig(
                catalog_path=folder,
                data_cls="nautilus_trader.model.data:Bar",
                instrument_id=spec.instrument_id,
                bar_types=[bars.bar_type],
            )
            for spec, bars in zip(market.instruments, market.series, strict=True)
        ]
        engine_config = BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
            run_analysis=False,
        )
        run = BacktestRunConfig(
            venues=venue_configs(market.instruments, market.execution),
            data=data,
            engine=engine_config,
            raise_exception=True,
            dispose_on_completion=False,
            end=market.close_ns(len(market) - 1),
        )
        node = BacktestNode([run])
        try:
            node.build()
            core = DecisionCore(market.instruments, market.plan, market.trading, market.execution)
            trade_from_ns = int(market.arrays.time_ns[market.arrays.episodes["first"][0]])
            config = RLStrategyConfig(bar_types=tuple(map(BarType.from_str, types)), trade_from_ns=trade_from_ns)
            strategy = RLStrategy(config, core=core, policy=Tape(tape))
            node.get_engine(run.id).add_strategy(strategy)
            node.run()
            return [list(made) for made in strategy.fills]
        finally:
            node.dispose()


def real_spy(folder: Path) -> BarSeries:
    """SPY from 26 March to 12 April 2024, prices rounded to the cent."""
    frame = pd.read_parquet(folder / "spy_1min_202403_202504.parquet")
    return series_of(frame[frame["ts_event"] < "2024-04-13"], resolve("SPY", instruments_path()))


def series_of(frame: pd.DataFrame, spec: InstrumentSpec) -> BarSeries:
    """Bars of a share from open-stamped rows, those of the regular session, prices rounded to the cent."""
    frame = frame.drop_duplicates("ts_event").sort_values("ts_event")
    close_ns = (frame["ts_event"] + pd.Timedelta(minutes=1)).dt.as_unit("ns").astype("int64").to_numpy()
    inside = session_calendar("NYSE").locate(close_ns) >= 0
    prices = np.rint(frame[["open", "high", "low", "close"]].to_numpy()[inside] * 100).astype(np.int64)
    return BarSeries(
        f"{spec.instrument_id}-1-MINUTE-LAST-EXTERNAL",
        close_ns[inside],
        prices[:, 0].copy(),
        prices.max(axis=1),
        prices.min(axis=1),
        prices[:, 3].copy(),
        frame["volume"].to_numpy()[inside].astype(np.int64),
        True,
        spec.tick_raw,
    )


@pytest.mark.parametrize("fill", ["same_close", "next_open"])
@pytest.mark.parametrize("stop", [TICKS, None])
def test_what_is_left_of_a_take_profit_meets_the_book_again_at_any_order(fill: str, stop: Distance | None) -> None:
    names = ("SPY", "MESH5", "QQQ", "AAPL", "MSFT")
    held = [synthetic_bars(name, "2025-01-06", "2025-01-14", seed=place) for place, name in enumerate(names)]
    held = [(spec, with_holes(thinned(bars, place), place, 0.05)) for place, (spec, bars) in enumerate(held)]
    trading = TradingConfig(6, BarrierConfig(stop, Distance(1, "ticks"), 20), RiskConfig(0, 5))
    execution = ExecutionConfig(0, fill=fill)  # type: ignore[arg-type]
    market = build_portfolio_market(held, DEFAULT, trading, execution)
    assert assert_equal_fills(market, 1, seed=4, switch=0.1) > 100
