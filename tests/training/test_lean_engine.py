"""The lean engine trades as the default one does and keeps no copies of closed positions."""

from contextlib import nullcontext
from typing import Any

import numpy as np
from nautilus_trader.backtest.config import BacktestEngineConfig, FeeModelFactory
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.cache.cache import Cache
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.system import kernel
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.instruments import InstrumentSpec, to_nautilus
from rl_strategies.decision import DecisionCore
from rl_strategies.lean_engine import QUIET_STRATEGY, keep_no_statistics, lean_engines
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from rl_strategies.venue import stream_fill_model, venue_configs
from tests.training.conftest import market_of
from training.engine_env import bar_objects
from training.market import TrainingMarket


class Tape:
    """Says the same targets in every run."""

    def __init__(self) -> None:
        self.targets = iter(np.random.default_rng(3).integers(3, size=500).repeat(7).tolist())

    def reset(self) -> None:
        """Nothing is remembered."""

    def act(self, observation: NDArray[np.float32]) -> int:
        """The next target."""
        return next(self.targets)


def traded(market: TrainingMarket, *, lean: bool) -> tuple[Any, RLStrategy]:
    """The engine and the strategy after all bars."""
    core = DecisionCore([market.instrument], market.plan, market.trading, market.execution)
    bar_types = (BarType.from_str(market.bars.bar_type),)
    strategy = RLStrategy(RLStrategyConfig(bar_types=bar_types, **(QUIET_STRATEGY if lean else {})), core, Tape())
    with lean_engines() if lean else nullcontext():
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    if lean:
        keep_no_statistics(engine)
    (venue,) = venue_configs([market.instrument], market.execution)
    engine.add_venue(
        Venue(venue.name), OmsType.NETTING, AccountType.MARGIN, [Money(100_000, USD)], base_currency=USD,
        fill_model=stream_fill_model(market.execution), fee_model=FeeModelFactory.create(venue.fee_model),
        bar_adaptive_high_low_ordering=True,
    )  # fmt: skip
    instrument = to_nautilus(market.instrument)
    engine.add_instrument(instrument)
    engine.add_data(bar_objects(market.bars, instrument))
    engine.add_strategy(strategy)
    engine.run()
    return engine, strategy


def test_fills_and_balance_are_those_of_the_default_engine(spy: tuple[InstrumentSpec, BarSeries]) -> None:
    market = market_of(*spy)
    (default, expected), (lean, found) = (traded(market, lean=lean) for lean in (False, True))
    assert len(expected.fills[0]) > 100
    assert found.fills == expected.fills
    venue = Venue("EQUS")
    balances = [engine.portfolio.account(venue).balance_total(USD) for engine in (default, lean)]
    assert balances[0] == balances[1]
    assert balances[0] != Money(100_000, USD)
    instrument_id = to_nautilus(market.instrument).id
    assert default.cache.position_snapshot_ids(instrument_id), "what is left out must be something that is done"
    assert not lean.cache.position_snapshot_ids(instrument_id)
    assert len(default.portfolio.analyzer.realized_pnls()) > 10
    assert lean.portfolio.analyzer.realized_pnls() is None
    for engine in (default, lean):
        engine.dispose()


def test_engines_built_later_are_as_before() -> None:
    with lean_engines():
        assert kernel.Cache is not Cache
    assert kernel.Cache is Cache
