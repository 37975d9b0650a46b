"""Proof that the simulator equals the engine: random rules, bars and actions, played through both.

Each configuration is drawn from a seed: one instrument or a portfolio on one or two venues, bars with holes and thin
volume, shares below one dollar, context with and without lag, barriers, sizing, limits, slippage of every kind, reward,
a contract month that expires. Recorded bars are taken from all over what a catalog holds. Any difference at all is a
divergence.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec
import numpy as np

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.decision.slippage import SlippageConfig
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv
from training.parity.compare import Comparison, Divergence, compare_tape
from training.parity.configurations import configurations, episode_of, expiry_episodes, tape_of
from training.simulator.market import TrainingMarket


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `certify`.

    Attributes
    ----------
    configurations, portfolio_configurations, context_configurations, expiry_configurations : int
        All, those with several instruments, with context, and those played on a day on which a contract month expires;
        a configuration may be several of these.
    slippage_configurations : dict of str to int
        Configurations by kind of slippage: ``every fill`` for ``slippage_ticks``, or ``ticks``, ``bps``, ``spreads``.
    recorded_configurations : int
        Those played on recorded bars.
    recorded_days : tuple of str
        Earliest and latest day played on recorded bars; empty without.
    steps, fills : int
    divergences : int
        Configurations in which anything differed.
    first_divergence : Divergence or None
    steps_per_s_simulator, steps_per_s_engine : float
        Of a single environment, one step at a time.
    seed : int
    """

    configurations: int
    portfolio_configurations: int
    context_configurations: int
    expiry_configurations: int
    slippage_configurations: dict[str, int]
    recorded_configurations: int
    recorded_days: tuple[str, ...]
    steps: int
    fills: int
    divergences: int
    first_divergence: Divergence | None
    steps_per_s_simulator: float
    steps_per_s_engine: float
    seed: int


def certify(
    instruments: Sequence[InstrumentSpec],
    *,
    episodes: int,
    most_instruments: int,
    seed: int,
    recorded: Sequence[tuple[InstrumentSpec, BarSeries]] = (),
    progress: Callable[[int], None] | None = None,
) -> Certificate:
    """Draw ``episodes`` configurations and compare simulator and engine in each.

    Parameters
    ----------
    instruments : sequence of InstrumentSpec
        Instruments of the synthetic bars; portfolios are drawn from them. The contract months among them also expire.
    episodes : int
        Configurations, one episode each.
    most_instruments : int
        Largest portfolio.
    seed : int
    recorded : sequence of (InstrumentSpec, BarSeries)
        Real bars; the configurations of one instrument are played on parts of them, spread evenly over all of them.
    progress : callable, optional
        Called with the number of finished configurations.
    """
    outcomes = []
    drawn = configurations(instruments, recorded, episodes, most_instruments, seed)
    for number, (market, reward, random, is_recorded) in enumerate(drawn, start=1):
        tape = tape_of(random, len(market.instruments))
        if number == 1:
            _compile(market)
        episode = episode_of(random, market)
        with closing(EngineEnv(market, reward=reward)) as engine:
            comparison = compare_tape(market, engine, episode, tape, reward)
        outcomes.append(_outcome(market, episode, is_recorded, comparison))
        if progress:
            progress(number)
    return _certificate(outcomes, seed)


class _Outcome(NamedTuple):
    is_portfolio: bool
    has_context: bool
    is_expiry: bool
    slippage: str
    recorded_day: str
    comparison: Comparison


def _outcome(market: TrainingMarket, episode: int, is_recorded: bool, comparison: Comparison) -> _Outcome:
    return _Outcome(
        len(market.instruments) > 1,
        bool(market.context),
        episode in expiry_episodes(market),
        _kind(market.execution.slippage),
        str(market.session_dates[episode]) if is_recorded else "",
        comparison,
    )


def _kind(slippage: SlippageConfig | None) -> str:
    if slippage is None:
        return "every fill"
    return "ticks" if slippage.ticks is not None else "bps" if slippage.bps is not None else "spreads"


def _certificate(outcomes: Sequence[_Outcome], seed: int) -> Certificate:
    comparisons = [outcome.comparison for outcome in outcomes]
    divergences = [comparison.divergence for comparison in comparisons if comparison.divergence is not None]
    steps = sum(comparison.steps for comparison in comparisons)
    recorded = sorted(outcome.recorded_day for outcome in outcomes if outcome.recorded_day)
    return Certificate(
        configurations=len(outcomes),
        portfolio_configurations=sum(outcome.is_portfolio for outcome in outcomes),
        context_configurations=sum(outcome.has_context for outcome in outcomes),
        expiry_configurations=sum(outcome.is_expiry for outcome in outcomes),
        slippage_configurations=dict(Counter(outcome.slippage for outcome in outcomes)),
        recorded_configurations=len(recorded),
        recorded_days=(recorded[0], recorded[-1]) if recorded else (),
        steps=steps,
        fills=sum(comparison.fills for comparison in comparisons),
        divergences=len(divergences),
        first_divergence=divergences[0] if divergences else None,
        steps_per_s_simulator=steps / sum(comparison.simulator_s for comparison in comparisons),
        steps_per_s_engine=steps / sum(comparison.engine_s for comparison in comparisons),
        seed=seed,
    )


def _compile(market: TrainingMarket) -> None:
    # Before the first timing.
    env = SessionEnv(market)
    env.reset(options={"episode": 0})
    env.step(np.ones(len(market.instruments), np.int64))
