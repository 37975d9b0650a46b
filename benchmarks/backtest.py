"""Bars per second of the NautilusTrader engine with our strategy: staying flat, and trading a fixed tape of targets.

Flat is compared with a strategy that only receives bars. Trading, in the engine of `run.backtest.node`, is compared
with the same strategy in the default engine with default options (`rl_strategies.backtest.engine_setup` has both). The
network computes every bar in both, as in a real run.
"""

import gc
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
from nautilus_trader.backtest.config import FeeModelFactory, FillModelFactory
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.trading.strategy import Strategy
from numpy.typing import NDArray

from benchmarks.support.timing import interleaved
from benchmarks.support.trained import Trained, synthetic_market, train_briefly
from catalogs.instruments.specification import to_nautilus
from rl_strategies.backtest.engine import ORDER_RATE, bar_objects
from rl_strategies.backtest.engine_setup import LEAN_ENGINE, PLAIN_ENGINE, EngineSetup
from rl_strategies.backtest.venue import venue_configs
from rl_strategies.decision.actions import ACTIONS, FLAT
from rl_strategies.decision.core import DecisionCore
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from training.simulator.market import TrainingMarket

BARS_BETWEEN_TARGETS = 10
REPEATS = 5


class EmptyStrategy(Strategy):
    """Receives the bars."""

    def __init__(self, bar_type: BarType) -> None:
        super().__init__()
        self._bar_type = bar_type

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_bars(self._bar_type)


class TapePolicy:
    """Runs the network and then returns the next target of the tape.

    Parameters
    ----------
    policy : OnnxPolicy
    targets : int64[n]
        Repeated when used up.
    """

    def __init__(self, policy: OnnxPolicy, targets: NDArray[np.int64]) -> None:
        self._policy, self._targets = policy, cycle(targets.tolist())

    def reset(self) -> None:
        """Reset the network."""
        self._policy.reset()

    def act(self, observation: NDArray[np.float32]) -> int:
        """The next target of the tape."""
        self._policy.act(observation)
        return next(self._targets)


def measure(seed: int) -> dict[str, float]:
    """Ratios of bars per second, and the orders that the trading run sends."""
    trained = train_briefly(synthetic_market(seed, "2025-01-24"), seed)
    tape = np.random.default_rng(seed).integers(ACTIONS, size=10_007).repeat(BARS_BETWEEN_TARGETS)
    flat = np.full(1, FLAT)
    fills: dict[str, int] = {}

    def run(name: str, strategy: Callable[[], Any], setup: EngineSetup = LEAN_ENGINE) -> Callable[[], None]:
        # Engines run once: the clock sees only `run`, so each is built while the one before has been timed.
        def call() -> None:
            engine = engines[name].pop()
            engine.run()
            fills[name] = engine.kernel.cache.orders_closed_count()
            engine.dispose()

        with setup.building():
            engines[name] = [_engine(trained.market, strategy(), setup) for _ in range(REPEATS + 1)]
        return call

    engines: dict[str, list[BacktestEngine]] = {}
    bar_type = BarType.from_str(trained.market.bars.bar_type)
    runs = {
        "empty": run("empty", lambda: EmptyStrategy(bar_type)),
        "flat": run("flat", lambda: _strategy(trained, flat)),
        "trading": run("trading", lambda: _strategy(trained, tape)),
        "default": run("default", lambda: _strategy(trained, tape, PLAIN_ENGINE), PLAIN_ENGINE),
    }
    gc.collect()
    gc.freeze()  # a real process holds one engine, not two dozen for the collector to walk through
    seconds = interleaved(runs, REPEATS)
    gc.unfreeze()
    bars = len(trained.market.bars)
    if fills["trading"] != fills["default"]:
        raise RuntimeError(f"both trading runs must send the same orders, sent {fills}")
    return {
        "flat_vs_empty_strategy": seconds["empty"] / seconds["flat"],
        "trading_vs_default": seconds["default"] / seconds["trading"],
        "bars_per_s": bars / seconds["flat"],
        "bars_per_s_trading": bars / seconds["trading"],
        "bars_per_s_empty_strategy": bars / seconds["empty"],
        "orders": float(fills["trading"]),
        "bars": float(bars),
    }


def _strategy(trained: Trained, targets: NDArray[np.int64], setup: EngineSetup = LEAN_ENGINE) -> RLStrategy:
    market = trained.market
    config = RLStrategyConfig(bar_types=(BarType.from_str(market.bars.bar_type),), **setup.strategy_options)
    core = DecisionCore([market.instrument], market.plan, market.trading, market.execution)
    return RLStrategy(config, core=core, policy=TapePolicy(trained.policy, targets))


def _engine(market: TrainingMarket, strategy: Strategy, setup: EngineSetup) -> BacktestEngine:
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
            portfolio=setup.portfolio,
            run_analysis=not setup.is_lean,
        )
    )
    (venue,) = venue_configs([market.instrument], market.execution)
    engine.add_venue(
        venue=Venue(venue.name),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money.from_str(balance) for balance in venue.starting_balances],
        fill_model=FillModelFactory.create(venue.fill_model),
        fee_model=FeeModelFactory.create(venue.fee_model),
        bar_adaptive_high_low_ordering=venue.bar_adaptive_high_low_ordering,
    )
    instrument = to_nautilus(market.instrument)
    engine.add_instrument(instrument)
    engine.add_data(bar_objects(market.bars, instrument))
    setup.finish(engine)
    engine.add_strategy(strategy)
    return engine
