"""Markets for the tests of environments and training."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.sessions import has_extended_hours
from catalogs.synthetic import synthetic_sessions
from configs import instruments_path
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import default_plan
from training.simulator.market import TrainingMarket, build_market

MakeMarket = Callable[..., TrainingMarket]


def synthetic_bars(name: str, first: str, last: str, seed: int) -> tuple[InstrumentSpec, BarSeries]:
    """Synthetic one-minute bars of an instrument."""
    instrument = resolve(name, instruments_path())
    made = synthetic_sessions(instrument, np.datetime64(first), np.datetime64(last), seed=seed, start_price=500.0)
    return instrument, made.bars


def market_of(
    instrument: InstrumentSpec,
    bars: BarSeries,
    trading: TradingConfig | None = None,
    execution: ExecutionConfig | None = None,
    **window: Any,
) -> TrainingMarket:
    """Market with the default features."""
    plan = default_plan(volume_known=bars.volume_known, extended_hours=has_extended_hours(instrument.calendar))
    return build_market(bars, instrument, plan, trading or TradingConfig(), execution or ExecutionConfig(), **window)


def thinned(bars: BarSeries, seed: int) -> BarSeries:
    """The same bars with volumes from 0 to 40, so that orders walk the book."""
    return replace(bars, volume=np.random.default_rng(seed).integers(0, 40, len(bars)))


def with_holes(bars: BarSeries, seed: int, share: float = 0.2) -> BarSeries:
    """The same bars, some of them missing, session ends included."""
    kept = np.random.default_rng(seed).random(len(bars)) > share
    columns = ("ts_ns", "open", "high", "low", "close", "volume")
    return replace(bars, **{column: getattr(bars, column)[kept] for column in columns})


@pytest.fixture(scope="session")
def spy() -> tuple[InstrumentSpec, BarSeries]:
    """Nine synthetic sessions of an equity: four to warm up, the rest to trade; one of them a half day."""
    return synthetic_bars("SPY", "2024-11-21", "2024-12-05", seed=7)


@pytest.fixture(scope="session")
def spy_market(spy: tuple[InstrumentSpec, BarSeries]) -> TrainingMarket:
    """Market of `spy` under the default rules."""
    return market_of(*spy)
