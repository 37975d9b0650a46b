"""A journaled session in the backtest engine: NautilusTrader's BacktestEngine over the journal's own bars."""

from dataclasses import dataclass

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import BarType

from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from rl_strategies.accounting.record import Fill
from rl_strategies.backtest.engine import backtest_engine, bar_objects
from rl_strategies.backtest.engine_setup import engine_setup
from rl_strategies.backtest.fill_models import fill_model
from rl_strategies.backtest.opening_trades import opening_lead_ns, opening_trades
from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.replay.session import JournaledSession
from rl_strategies.live.replay.strategy import ReplayStrategy, TakenDecision
from rl_strategies.policy.policies import OnnxPolicy
from rl_strategies.strategy import RLStrategyConfig


@dataclass(frozen=True)
class ClockRun:
    """Result of the session's decisions in the backtest engine.

    Attributes
    ----------
    fills : tuple of Fill
    taken : dict of int to TakenDecision
        Decisions by the close that they were made on, UTC nanoseconds.
    left_out : tuple of int
        Closes on which a backtest decides and the session did not.
    """

    fills: tuple[Fill, ...]
    taken: dict[int, TakenDecision]
    left_out: tuple[int, ...]


def run_clock(session: JournaledSession, core: DecisionCore, policy: OnnxPolicy) -> ClockRun:
    """Run the session's bars and decisions through a backtest engine.

    Parameters
    ----------
    session : JournaledSession
    core : DecisionCore
        Core of the session's instrument, bundle and capital; reset first.
    policy : OnnxPolicy
        Reset first.
    """
    (instrument,) = core.instruments
    spec, waits = instrument.instrument, core.execution.fill == "next_open"
    setup = engine_setup()
    with setup.building():
        engine = backtest_engine([spec], core.execution, fill_model([spec], core.execution))
    try:
        bar_types = (BarType.from_str(session.bars.bar_type),)
        config = RLStrategyConfig(bar_types=bar_types, wait_for_open=waits, **setup.strategy_options)
        strategy = ReplayStrategy(config, core, policy, session)
        engine.add_strategy(strategy)
        engine.add_data(_data(session, core, spec))
        # Fills after the last bar come from the closing alert, which needs no bar.
        last_ns = max([int(session.bars.ts_ns[-1]), *(fill.row.ts_ns for fill in session.fills)])
        engine.run(end=last_ns)
        return ClockRun(tuple(strategy.fills[0]), strategy.taken, tuple(strategy.left_out))
    finally:
        engine.dispose()


def _data(session: JournaledSession, core: DecisionCore, spec: InstrumentSpec) -> list[Data]:
    instrument = to_nautilus(spec)
    lead_ns = opening_lead_ns([session.bars], core.trading, core.execution)
    trades = opening_trades(session.bars, instrument, lead_ns) if lead_ns else []
    return [*bar_objects(session.bars, instrument), *trades]
