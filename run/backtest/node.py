"""Runs a bundle in NautilusTrader's BacktestNode over a window of the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import ImportableStrategyConfig, LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.identifiers import InstrumentId, Venue
from numpy.typing import NDArray

from catalogs.instruments.bar_types import instrument_id_of
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from catalogs.storage.arrow import read_bars
from rl_strategies.accounting.record import Fill
from rl_strategies.backtest.engine import ORDER_RATE
from rl_strategies.backtest.engine_setup import EngineSetup, engine_setup
from rl_strategies.backtest.opening_trades import opening_lead_ns, opening_trades
from rl_strategies.backtest.venue import venue_configs
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.strategy import RLStrategy
from run.backtest.window import ReplayWindow


@dataclass(frozen=True)
class NodeRun:
    """What the strategy did with K instruments.

    Attributes
    ----------
    fills : tuple of tuple of Fill
        Fills of each instrument.
    refusals : dict of str to int
    balance_cents : int
        Cash of the engine's account at the end, cents.
    observations : float32[decisions, n]
    actions : int64[decisions, K]
        Actions of every decision, in order.
    """

    fills: tuple[tuple[Fill, ...], ...]
    refusals: dict[str, int]
    balance_cents: int
    observations: NDArray[np.float32]
    actions: NDArray[np.int64]


def run_node(bundle: Bundle, catalog: Path, window: ReplayWindow, *, volume_known: bool) -> NodeRun:
    """Trade ``window`` of the catalog with the bundle.

    Raises
    ------
    RuntimeError
        If the node ends with an open position.
    """
    setup = engine_setup()
    config = _run_config(bundle, catalog, window, setup, volume_known)
    node = BacktestNode([config])
    try:
        with setup.building():
            node.build()
        engine = node.get_engine(config.id)
        setup.finish(engine)
        if bundle.execution.fill == "next_open":
            engine.add_data(_opening_trades(bundle, catalog, window))
        node.run()
        strategy: RLStrategy = engine.trader.strategies()[0]
        for core in strategy.core.instruments:
            if core.units != 0:
                raise RuntimeError(
                    f"the backtest must end flat, held {core.units} units of {core.instrument.instrument_id}"
                )
        return NodeRun(
            tuple(tuple(fills) for fills in strategy.fills),
            dict(strategy.refusals),
            balance_cents(engine, bundle.instruments, strategy.core.execution),
            np.array(strategy.observations, np.float32),
            np.array(strategy.actions, np.int64).reshape(-1, len(bundle.instruments)),
        )
    finally:
        node.dispose()


def balance_cents(engine: BacktestEngine, instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> int:
    """Starting balance plus the PnL of the accounts at all venues, cents."""
    venues = {InstrumentId.from_str(spec.instrument_id).venue for spec in instruments}
    balances = [engine.portfolio.account(venue).balance_total(USD).as_decimal() for venue in venues]
    return execution.starting_cents + sum(int(balance * 100) - execution.starting_cents for balance in balances)


def _opening_trades(bundle: Bundle, catalog: Path, window: ReplayWindow) -> list[TradeTick]:
    core = bundle.core()
    series = [
        read_bars(catalog, name, window.warm_from_ns, _end_ns(spec, window))
        for name, spec in zip(bundle.bar_types, bundle.instruments, strict=True)
    ]
    lead_ns = opening_lead_ns(series, core.trading, core.execution)
    return [
        trade
        for spec, bars in zip(bundle.instruments, series, strict=True)
        for trade in opening_trades(bars, to_nautilus(spec), lead_ns)
    ]


def _end_ns(spec: InstrumentSpec, window: ReplayWindow) -> int:
    return min(window.end_ns, spec.tradable_until_ns or window.end_ns)


def _run_config(
    bundle: Bundle, catalog: Path, window: ReplayWindow, setup: EngineSetup, volume_known: bool
) -> BacktestRunConfig:
    execution = bundle.execution
    strategy = ImportableStrategyConfig(
        strategy_path="rl_strategies.strategy:RLStrategy",
        config_path="rl_strategies.strategy:RLStrategyConfig",
        config={
            "bar_types": list(bundle.bar_types),
            "bundle_path": str(bundle.path.resolve()),
            "volume_known": volume_known,
            "trade_from_ns": window.trade_from_ns,
            "wait_for_open": execution.fill == "next_open",
            "context_catalog": str(catalog.resolve()),
            "record_observations": True,
            **setup.strategy_options,
        },
    )
    traded = zip(bundle.bar_types, bundle.instruments, strict=True)
    ends_ns = {bar_type: _end_ns(spec, window) for bar_type, spec in traded}
    for source in bundle.context:
        if source.bar_type is not None:
            ends_ns.setdefault(source.bar_type, window.end_ns)
    data = [
        BacktestDataConfig(
            catalog_path=str(catalog.resolve()),
            data_cls="nautilus_trader.model.data:Bar",
            instrument_id=instrument_id_of(bar_type),
            bar_types=[bar_type],
            start_time=window.warm_from_ns,
            end_time=end_ns,
        )
        for bar_type, end_ns in ends_ns.items()
    ]
    return BacktestRunConfig(
        venues=_venues(bundle, execution),
        data=data,
        engine=BacktestEngineConfig(
            strategies=[strategy],
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
            portfolio=setup.portfolio,
            run_analysis=False,
        ),
        raise_exception=True,
        dispose_on_completion=False,
        start=window.warm_from_ns,
        end=window.end_ns,
    )


def _venues(bundle: Bundle, execution: ExecutionConfig) -> list[BacktestVenueConfig]:
    traded = venue_configs(bundle.instruments, execution)
    names = {Venue(venue.name) for venue in traded}
    followed = [source.instrument for source in bundle.context if source.instrument is not None]
    others = [spec for spec in followed if InstrumentId.from_str(spec.instrument_id).venue not in names]
    # The engine needs a venue for every bar; nothing is ordered there, so any execution rules do.
    return [*traded, *venue_configs(others, ExecutionConfig())]
