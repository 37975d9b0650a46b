"""NautilusTrader's ``BacktestEngine`` with this project's venues, for runs without a node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from nautilus_trader.backtest.config import FeeModelFactory
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import FillModel
from nautilus_trader.config import CacheConfig, LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from rl_strategies.backtest.engine_setup import engine_setup
from rl_strategies.backtest.fill_models import slippage_modules
from rl_strategies.backtest.venue import venue_configs
from rl_strategies.decision.rules import ExecutionConfig

ORDER_RATE = "1000000/00:00:01"  # the engine's default limit would throttle a simulated year


def backtest_engine(
    instruments: Sequence[InstrumentSpec], execution: ExecutionConfig, fill_model: FillModel
) -> BacktestEngine:
    """An engine with the venues of `rl_strategies.backtest.venue` and the instruments; no data, no strategy.

    Parameters
    ----------
    instruments : sequence of InstrumentSpec
    execution : ExecutionConfig
    fill_model : FillModel
        `rl_strategies.backtest.fill_models.fill_model`, for every venue; an object, because its position in the
        random stream can be set.
    """
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id=TraderId("TRAIN-001"),
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
            cache=CacheConfig(drop_instruments_on_reset=False),
            run_analysis=False,
        )
    )
    for venue in venue_configs(instruments, execution):
        engine.add_venue(
            venue=Venue(venue.name),
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=USD,
            starting_balances=[Money.from_str(balance) for balance in venue.starting_balances],
            fill_model=fill_model,
            modules=slippage_modules(execution),
            fee_model=FeeModelFactory.create(venue.fee_model),
            bar_adaptive_high_low_ordering=venue.bar_adaptive_high_low_ordering,
        )
    for instrument in instruments:
        engine.add_instrument(to_nautilus(instrument))
    engine_setup().finish(engine)
    return engine


def bar_objects(bars: BarSeries, instrument: Any) -> list[Bar]:
    """NautilusTrader ``Bar`` objects of a series."""
    prices = (price_from_ticks(column, bars.tick_raw) for column in (bars.open, bars.high, bars.low, bars.close))
    stamps = bars.ts_ns.astype(np.uint64)
    return Bar.from_raw_arrays_to_list(
        BarType.from_str(bars.bar_type),
        instrument.price_precision,
        instrument.size_precision,
        *prices,
        bars.volume.astype(np.float64),
        stamps,
        stamps,
    )
