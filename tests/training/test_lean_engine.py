"""The lean engine trades as the default one does, its account goes the same way, and what it leaves out is left out."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from nautilus_trader.backtest.config import BacktestEngineConfig, FeeModelFactory
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.cache.cache import Cache
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.system import kernel
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from catalogs.plain import PLAIN_VARIABLE
from rl_strategies.backtest.engine import bar_objects
from rl_strategies.backtest.engine_setup import LEAN_ENGINE, PLAIN_ENGINE, EngineSetup, engine_setup
from rl_strategies.backtest.fill_models import fill_model
from rl_strategies.backtest.lean_engine import lean_engines
from rl_strategies.backtest.venue import venue_configs
from rl_strategies.decision.core import DecisionCore
from rl_strategies.strategy import RLStrategy, RLStrategyConfig
from tests.training.conftest import market_of
from training.simulator.market import TrainingMarket

VENUE = Venue("EQUS")


class Tape:
    """Says the same targets in every run."""

    def __init__(self) -> None:
        self.targets = iter(np.random.default_rng(3).integers(3, size=500).repeat(7).tolist())

    def reset(self) -> None:
        """Nothing is remembered."""

    def act(self, observation: NDArray[np.float32]) -> int:
        """The next target."""
        return next(self.targets)


def traded(market: TrainingMarket, setup: EngineSetup) -> tuple[Any, RLStrategy]:
    """The engine and the strategy after all bars."""
    core = DecisionCore([market.instrument], market.plan, market.trading, market.execution)
    bar_types = (BarType.from_str(market.bars.bar_type),)
    strategy = RLStrategy(RLStrategyConfig(bar_types=bar_types, **setup.strategy_options), core, Tape())
    config = BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True), portfolio=setup.portfolio, run_analysis=False
    )
    with setup.building():
        engine = BacktestEngine(config)
    setup.finish(engine)
    (venue,) = venue_configs([market.instrument], market.execution)
    engine.add_venue(
        Venue(venue.name), OmsType.NETTING, AccountType.MARGIN, [Money(100_000, USD)], base_currency=USD,
        fill_model=fill_model(market.instruments, market.execution), fee_model=FeeModelFactory.create(venue.fee_model),
        bar_adaptive_high_low_ordering=True,
    )  # fmt: skip
    shares = Equity.to_dict(to_nautilus(market.instrument))
    instrument = Equity.from_dict(shares | {"margin_init": "0.5", "margin_maint": "0.25"})
    engine.add_instrument(instrument)
    engine.add_data(bar_objects(market.bars, instrument))
    engine.add_strategy(strategy)
    engine.run()
    return engine, strategy


def account_states(engine: Any) -> list[Any]:
    """Time, balances and margins of the account wherever one of them changes."""
    states = [event.to_dict(event) for event in engine.portfolio.account(VENUE).events]
    changes = groupby(states, key=lambda state: (state["balances"], state["margins"]))
    return [(key, next(same)["ts_event"]) for key, same in changes]


def order_histories(engine: Any) -> list[Any]:
    """What became of every order, in the order of sending."""
    orders = sorted(engine.cache.orders(), key=lambda order: (order.ts_init, order.client_order_id.value))
    return [(order.client_order_id, [(type(event), event.ts_event) for event in order.events]) for order in orders]


def test_fills_and_balance_are_those_of_the_default_engine(spy: tuple[InstrumentSpec, BarSeries]) -> None:
    market = market_of(*spy)
    (default, expected), (lean, found) = (traded(market, setup) for setup in (PLAIN_ENGINE, LEAN_ENGINE))
    assert len(expected.fills[0]) > 100
    assert found.fills == expected.fills
    assert order_histories(lean) == order_histories(default)
    assert len(account_states(default)) > 100
    assert any(state.margins for state in default.portfolio.account(VENUE).events), "margins must have been booked"
    assert account_states(lean) == account_states(default)
    accounts = [engine.portfolio.account(VENUE) for engine in (default, lean)]
    assert accounts[0].balance_total(USD) == accounts[1].balance_total(USD) != Money(100_000, USD)
    assert accounts[0].commissions() == accounts[1].commissions() != {}
    instrument_id = to_nautilus(market.instrument).id
    assert default.cache.position_snapshot_ids(instrument_id), "what is left out must be something that is done"
    assert not lean.cache.position_snapshot_ids(instrument_id)
    assert len(default.portfolio.analyzer.realized_pnls()) > 10
    assert lean.portfolio.analyzer.realized_pnls() is None
    assert accounts[1].event_count < 0.6 * accounts[0].event_count
    for engine in (default, lean):
        engine.dispose()


def test_engines_built_later_are_as_before() -> None:
    with lean_engines():
        assert kernel.Cache is not Cache
        assert kernel.Portfolio is not Portfolio
    assert kernel.Cache is Cache
    assert kernel.Portfolio is Portfolio


def test_the_switch_chooses_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_setup() is LEAN_ENGINE
    monkeypatch.setenv(PLAIN_VARIABLE, "engine")
    assert engine_setup() is PLAIN_ENGINE
    with engine_setup().building():
        assert kernel.Cache is Cache
        assert kernel.Portfolio is Portfolio
