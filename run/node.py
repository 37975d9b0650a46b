"""A bundle replayed by the Nautilus BacktestNode over a window of the catalog."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
)
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import ImportableStrategyConfig, LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.identifiers import InstrumentId
from numpy.typing import NDArray

from catalogs.arrow import read_bars
from catalogs.instruments import to_nautilus
from rl_strategies.bundle import Bundle
from rl_strategies.opening import opening_lead_ns, opening_trades
from rl_strategies.strategy import RLStrategy, core_of
from rl_strategies.telemetry import Fill
from rl_strategies.venue import venue_configs
from training.engine_env import ORDER_RATE


@dataclass(frozen=True)
class NodeRun:
    """What the strategy did.

    Attributes
    ----------
    fills : tuple of Fill
    refusals : dict of str to int
    balance_cents : int
        Cash of the engine's account at the end.
    observations : float32[decisions, n]
    actions : int64[decisions]
        Of every decision, in order.
    """

    fills: tuple[Fill, ...]
    refusals: dict[str, int]
    balance_cents: int
    observations: NDArray[np.float32]
    actions: NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """Which bars the node is fed and from when on it trades; UTC nanoseconds.

    Attributes
    ----------
    warm_from_ns : int
        Close of the first bar that warms the features up.
    trade_from_ns : int
        Close of the first bar of the first session to be traded.
    last_bar_ns : int
        Close of the last bar.
    end_ns : int
        Close of the last session: the clock runs on to it, so that the closing alert of a session whose bars break off
        comes all the same.
    """

    warm_from_ns: int
    trade_from_ns: int
    last_bar_ns: int
    end_ns: int


def run_node(bundle: Bundle, catalog: Path, window: Window, *, volume_known: bool) -> NodeRun:
    """Trade ``window`` of the catalog with the bundle.

    Raises
    ------
    RuntimeError
        If the node ends with an open position.
    """
    config = _run_config(bundle, catalog, window, volume_known)
    node = BacktestNode([config])
    try:
        node.build()
        engine = node.get_engine(config.id)
        # One pandas concat per closed position doubles the cost of a run; the figures come from the fills.
        engine.portfolio.analyzer.record_trade = lambda *args, **kwargs: None
        if core_of(bundle).execution.fill == "next_open":
            engine.add_data(_opening_trades(bundle, catalog, window))
        node.run()
        strategy: RLStrategy = engine.trader.strategies()[0]
        venue = InstrumentId.from_str(bundle.instrument.instrument_id).venue
        balance = engine.portfolio.account(venue).balance_total(USD).as_decimal()
        if strategy.core.instruments[0].units != 0:
            raise RuntimeError(f"the backtest must end flat, held {strategy.core.instruments[0].units} units")
        return NodeRun(
            tuple(strategy.fills[0]),
            dict(strategy.refusals),
            int(balance * 100),
            np.array(strategy.observations, np.float32),
            np.array(strategy.actions, np.int64).reshape(-1),
        )
    finally:
        node.dispose()


def _opening_trades(bundle: Bundle, catalog: Path, window: Window) -> list[TradeTick]:
    core = core_of(bundle)
    bars = read_bars(catalog, bundle.bar_type, window.warm_from_ns, window.last_bar_ns)
    lead_ns = opening_lead_ns([bars], core.trading, core.execution)
    return opening_trades(bars, to_nautilus(bundle.instrument), lead_ns)


def _run_config(bundle: Bundle, catalog: Path, window: Window, volume_known: bool) -> BacktestRunConfig:
    strategy = ImportableStrategyConfig(
        strategy_path="rl_strategies.strategy:RLStrategy",
        config_path="rl_strategies.strategy:RLStrategyConfig",
        config={
            "bar_types": [bundle.bar_type],
            "bundle_path": str(bundle.path.resolve()),
            "volume_known": volume_known,
            "trade_from_ns": window.trade_from_ns,
            "wait_for_open": core_of(bundle).execution.fill == "next_open",
            "record_observations": True,
        },
    )
    data = BacktestDataConfig(
        catalog_path=str(catalog.resolve()),
        data_cls="nautilus_trader.model.data:Bar",
        instrument_id=bundle.instrument.instrument_id,
        bar_types=[bundle.bar_type],
        start_time=window.warm_from_ns,
        end_time=window.last_bar_ns,
    )
    return BacktestRunConfig(
        venues=venue_configs([bundle.instrument], core_of(bundle).execution),
        data=[data],
        engine=BacktestEngineConfig(
            strategies=[strategy],
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(max_order_submit_rate=ORDER_RATE, max_order_modify_rate=ORDER_RATE),
            run_analysis=False,
        ),
        raise_exception=True,
        dispose_on_completion=False,
        start=window.warm_from_ns,
        end=window.end_ns,
    )
