"""A journaled session in the backtest engine: NautilusTrader's BacktestEngine over the journal's own bars."""

from collections.abc import Sequence
from dataclasses import dataclass

from nautilus_trader.core.data import Data
from nautilus_trader.model.data import BarType

from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from rl_strategies.accounting.account import GRACE_NS
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
    fills : tuple of tuple of Fill
        Fills of every instrument.
    taken : list of dict of int to TakenDecision
        Decisions by the close that they were made on, UTC nanoseconds, for every instrument.
    left_out : tuple of int
        Closes on which a backtest decides and the session did not.
    """

    fills: tuple[tuple[Fill, ...], ...]
    taken: list[dict[int, TakenDecision]]
    left_out: tuple[int, ...]


def run_clock(sessions: Sequence[JournaledSession], core: DecisionCore, policy: OnnxPolicy) -> ClockRun:
    """Run the session's bars and decisions through a backtest engine.

    Parameters
    ----------
    sessions : sequence of JournaledSession
        The instruments of the session, in the policy's order.
    core : DecisionCore
        Core of the session's instruments, bundle and capital; reset first.
    policy : OnnxPolicy
        Reset first.
    """
    specs, waits = [each.instrument for each in core.instruments], core.execution.fill == "next_open"
    setup = engine_setup()
    with setup.building():
        engine = backtest_engine(specs, core.execution, fill_model(specs, core.execution))
    try:
        bar_types = tuple(BarType.from_str(each.bars.bar_type) for each in sessions)
        config = RLStrategyConfig(bar_types=bar_types, wait_for_open=waits, grace_ns=GRACE_NS, **setup.strategy_options)
        strategy = ReplayStrategy(config, core, policy, sessions)
        engine.add_strategy(strategy)
        lead_ns = opening_lead_ns([each.bars for each in sessions], core.trading, core.execution)
        for session, spec in zip(sessions, specs, strict=True):
            engine.add_data(_data(session, spec, lead_ns))
        # Fills after the last bar come from the closing alert, which needs no bar.
        lasts = [(int(each.bars.ts_ns[-1]), *(fill.row.ts_ns for fill in each.fills)) for each in sessions]
        engine.run(end=max(map(max, lasts)) + GRACE_NS)
        return ClockRun(tuple(map(tuple, strategy.fills)), strategy.taken, tuple(strategy.left_out))
    finally:
        engine.dispose()


def _data(session: JournaledSession, spec: InstrumentSpec, lead_ns: int) -> list[Data]:
    instrument = to_nautilus(spec)
    trades = opening_trades(session.bars, instrument, lead_ns) if lead_ns else []
    return [*bar_objects(session.bars, instrument), *trades]
