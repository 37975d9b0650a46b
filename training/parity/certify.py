"""Proof that the simulator equals the engine: random rules, bars and actions, played through both.

Each configuration is drawn from a seed: one instrument or a portfolio on one or two venues, bars with holes and thin
volume, shares below one dollar, context with and without lag, barriers, sizing, limits, slippage, reward, a contract
month that expires. Any difference at all is a divergence.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from catalogs.instruments.stored import TICK_BELOW_ONE_DOLLAR
from catalogs.sessions import has_extended_hours, session_calendar
from catalogs.synthetic import PlantedEdge, synthetic_sessions
from rl_strategies.decision.barriers import UNITS, BarrierConfig, Distance
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import (
    FeaturePlan,
    FeatureSpec,
    JoinedPlan,
    StreamRows,
    StreamSpec,
    default_plan,
    input_rows,
)
from rl_strategies.risk.config import RiskConfig
from training.envs.engine_env import EngineEnv
from training.envs.reward import REWARDS, RewardConfig
from training.envs.session_env import SessionEnv
from training.parity.compare import Comparison, Divergence, compare_tape
from training.simulator.market import TrainingMarket, build_portfolio_market

PORTFOLIO_SHARE = 0.4
CONTEXT_SHARE = 0.25
FIRST_DAY, LAST_DAY = np.datetime64("2025-01-06"), np.datetime64("2025-01-14")
BELOW_ONE_DOLLAR_SHARE = 0.15
EXPIRY_EVERY = 4  # configurations: in one of them a contract month expires
DAYS_BEFORE_EXPIRY, DAYS_AFTER_EXPIRY = 9, 4

Held = list[tuple[InstrumentSpec, BarSeries]]
Days = tuple[np.datetime64, np.datetime64]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `certify`.

    Attributes
    ----------
    configurations, portfolio_configurations, context_configurations, expiry_configurations : int
        All, those with several instruments, with context, and those played on a day on which a contract month expires;
        a configuration may be several of these.
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
        Real bars; every second configuration of one instrument uses one of them.
    progress : callable, optional
        Called with the number of finished configurations.
    """
    outcomes = []
    configurations = _configurations(instruments, recorded, episodes, most_instruments, seed)
    for number, (market, reward, random) in enumerate(configurations, start=1):
        tape = _tape(random, len(market.instruments))
        if number == 1:
            _compile(market)
        episode = _episode(random, market)
        with closing(EngineEnv(market, reward=reward)) as engine:
            comparison = compare_tape(market, engine, episode, tape, reward)
        is_expiry = episode in _expiry_episodes(market)
        outcomes.append(_Outcome(len(market.instruments) > 1, bool(market.context), is_expiry, comparison))
        if progress:
            progress(number)
    return _certificate(outcomes, seed)


class _Outcome(NamedTuple):
    is_portfolio: bool
    has_context: bool
    is_expiry: bool
    comparison: Comparison


def _certificate(outcomes: Sequence[_Outcome], seed: int) -> Certificate:
    comparisons = [outcome.comparison for outcome in outcomes]
    divergences = [comparison.divergence for comparison in comparisons if comparison.divergence is not None]
    steps = sum(comparison.steps for comparison in comparisons)
    return Certificate(
        configurations=len(outcomes),
        portfolio_configurations=sum(outcome.is_portfolio for outcome in outcomes),
        context_configurations=sum(outcome.has_context for outcome in outcomes),
        expiry_configurations=sum(outcome.is_expiry for outcome in outcomes),
        steps=steps,
        fills=sum(comparison.fills for comparison in comparisons),
        divergences=len(divergences),
        first_divergence=divergences[0] if divergences else None,
        steps_per_s_simulator=steps / sum(comparison.simulator_s for comparison in comparisons),
        steps_per_s_engine=steps / sum(comparison.engine_s for comparison in comparisons),
        seed=seed,
    )


def _configurations(
    instruments: Sequence[InstrumentSpec],
    recorded: Sequence[tuple[InstrumentSpec, BarSeries]],
    episodes: int,
    most_instruments: int,
    seed: int,
) -> Iterator[tuple[TrainingMarket, RewardConfig, np.random.Generator]]:
    # Portfolios and expiries have fixed numbers, so that their shares do not depend on luck.
    for number in range(episodes):
        random = np.random.default_rng([seed, number])
        portfolio = most_instruments > 1 and (number % 5) / 5 < PORTFOLIO_SHARE
        expiring = _expiring(random, instruments) if number % EXPIRY_EVERY == EXPIRY_EVERY - 1 else None
        days = (FIRST_DAY, LAST_DAY) if expiring is None else _days_around_expiry(expiring)
        alive = [spec for spec in instruments if spec.sessions.session_date[-1] >= days[1] or spec == expiring]
        if portfolio:
            held = _portfolio(random, alive, int(random.integers(2, most_instruments + 1)), days, expiring)
        elif expiring is not None:
            held = [_synthetic(random, expiring, days)]
        elif recorded and number % 2:
            held = [recorded[int(random.integers(len(recorded)))]]
        else:
            held = [_synthetic(random, alive[int(random.integers(len(alive)))], days)]
        execution = _execution(random, several_venues=len({_venue(spec) for spec, _ in held}) > 1)
        trading, reward = _trading(random), RewardConfig(str(random.choice(sorted(REWARDS))))
        plan, context = _with_context(random, _plan(held), alive, days)
        yield build_portfolio_market(held, plan, trading, execution, context=context), reward, random


def _compile(market: TrainingMarket) -> None:
    # Before the first timing.
    env = SessionEnv(market)
    env.reset(options={"episode": 0})
    env.step(np.ones(len(market.instruments), np.int64))


def _expiring(random: np.random.Generator, instruments: Sequence[InstrumentSpec]) -> InstrumentSpec | None:
    months = [spec for spec in instruments if spec.expiration_ns]
    return months[int(random.integers(len(months)))] if months else None


def _days_around_expiry(spec: InstrumentSpec) -> Days:
    day = spec.sessions.session_date[-1]
    return day - np.timedelta64(DAYS_BEFORE_EXPIRY, "D"), day + np.timedelta64(DAYS_AFTER_EXPIRY, "D")


def _expiry_episodes(market: TrainingMarket) -> list[int]:
    last_days = {spec.sessions.session_date[-1] for spec in market.instruments if spec.expiration_ns}
    return [episode for episode, day in enumerate(market.session_dates) if day in last_days]


def _episode(random: np.random.Generator, market: TrainingMarket) -> int:
    expiry = _expiry_episodes(market)
    return int(random.choice(expiry)) if expiry else int(random.integers(len(market)))


def _portfolio(
    random: np.random.Generator,
    instruments: Sequence[InstrumentSpec],
    count: int,
    days: Days,
    expiring: InstrumentSpec | None,
) -> Held:
    places = random.choice(len(instruments), min(count, len(instruments)), replace=False)
    chosen = [instruments[int(place)] for place in places]
    if expiring is not None and expiring not in chosen:
        chosen[-1] = expiring
    return [_synthetic(random, spec, days, holes=0.05) for spec in chosen]


def _synthetic(
    random: np.random.Generator, instrument: InstrumentSpec, days: Days, holes: float = 0.1
) -> tuple[InstrumentSpec, BarSeries]:
    start_ticks = float(random.uniform(20_000, 90_000))
    if instrument.kind == "equity" and random.random() < BELOW_ONE_DOLLAR_SHARE:
        # The walk must neither reach zero nor one dollar.
        instrument = msgspec.structs.replace(instrument, tick_size=TICK_BELOW_ONE_DOLLAR)
        start_ticks = float(random.uniform(4_000, 7_000))
    edge = PlantedEdge(noise_ticks=float(random.uniform(0.5, 8.0)), drift_ticks=float(random.uniform(0, 2)))
    made = synthetic_sessions(
        instrument,
        *days,
        seed=int(random.integers(2**31)),
        edge=edge,
        start_price=start_ticks * float(instrument.tick_size),
    )
    bars = made.bars
    if random.random() < 0.5:
        bars = replace(bars, volume=random.integers(0, int(random.integers(4, 3000)), len(bars)))
    if random.random() < 0.6:
        kept = random.random(len(bars)) > random.uniform(0, holes)
        columns = ("ts_ns", "open", "high", "low", "close", "volume")
        bars = replace(bars, **{column: getattr(bars, column)[kept] for column in columns})
    return instrument, bars


def _plan(held: Held) -> FeaturePlan:
    return default_plan(
        volume_known=all(bars.volume_known for _, bars in held),
        extended_hours=any(has_extended_hours(spec.calendar) for spec, _ in held),
    )


def _with_context(
    random: np.random.Generator, plan: FeaturePlan, instruments: Sequence[InstrumentSpec], days: Days
) -> tuple[FeaturePlan | JoinedPlan, dict[str, StreamRows]]:
    if random.random() > CONTEXT_SHARE:
        return plan, {}
    spec, bars = _synthetic(random, instruments[int(random.integers(len(instruments)))], days, holes=0.4)
    momentum = FeatureSpec("momentum", "momentum", {"n": 5})
    # A maximum age of days bridges the other market's nights; its first rows come long before the first episode.
    stream = StreamSpec("OTHER", (momentum,), lag_s=int(random.choice([0, 0, 60])), max_age_s=5 * 86_400, fill=True)
    rows = input_rows(bars, session_calendar(spec.calendar), stream.plan().columns)
    cross = [FeatureSpec("value", "other", inputs={"x": "OTHER.momentum"})]
    return JoinedPlan(plan, [stream], cross), {"OTHER": StreamRows(bars.ts_ns, rows)}


def _venue(spec: InstrumentSpec) -> str:
    return spec.venue


def _trading(random: np.random.Generator) -> TradingConfig:
    def limit(low: float, high: float, chance: float = 0.3) -> float:
        return float(random.uniform(low, high)) if random.random() < chance else 0.0

    return TradingConfig(
        units=int(random.choice([1, 2, 3, 5, 10, 100])),
        barriers=BarrierConfig(_distance(random), _distance(random), int(random.choice([0, 1, 5, 30]))),
        risk=RiskConfig(
            max_entries_per_session=int(random.choice([0, 0, 3, 20])),
            flatten_before_close_minutes=int(random.choice([1, 5, 30])),
            no_trade_first_minutes=int(random.choice([0, 5])),
            no_trade_last_minutes=int(random.choice([0, 5, 40])),
            no_entry_before_expiry_minutes=int(random.choice([0, 60, 400, 3000])),
            minimum_hold_bars=int(random.choice([0, 0, 3])),
            max_gross_exposure=limit(0.05, 4.0, 0.6),
            max_net_exposure=limit(0.05, 2.0),
            max_concentration=limit(0.05, 1.0),
            max_leverage=limit(0.05, 2.0),
            max_daily_loss=limit(0.0001, 0.02),
            max_daily_drawdown=limit(0.0001, 0.02),
            ruin=limit(0.99, 0.9999, 0.1),
        ),
        risk_budget_usd=limit(1.0, 200.0),
        mask_actions=bool(random.random() < 0.3),
    )


def _distance(random: np.random.Generator) -> Distance | None:
    unit = str(random.choice([*UNITS, "none"]))
    scale = {"ticks": 20.0, "atr": 4.0, "percent": 0.3}
    return None if unit == "none" else Distance(float(random.uniform(0.05, 1.0)) * scale[unit], unit)  # type: ignore[arg-type]


def _execution(random: np.random.Generator, *, several_venues: bool) -> ExecutionConfig:
    by_chance = not several_venues and random.random() < 0.3
    return ExecutionConfig(
        slippage_ticks=int(random.integers(2)),  # type: ignore[arg-type]
        slippage_probability=float(random.uniform(0.1, 0.9)) if by_chance else 1.0,
        slippage_seed=int(random.integers(1000)),
        fill="next_open" if random.random() < 0.3 else "same_close",
        high_low_order="adaptive" if random.random() < 0.5 else "high_first",
        starting_balance_usd=Decimal(int(random.choice([1_000, 25_000, 100_000]))),
    )


def _tape(random: np.random.Generator, instruments: int) -> np.ndarray:
    # Actions that persist for a while, so that positions last long enough for every rule to apply.
    switch = random.uniform(0.02, 0.6)
    tape = np.empty((1500, instruments), np.int64)
    action = np.ones(instruments, np.int64)
    for step in range(len(tape)):
        drawn = random.random(instruments) < switch
        action = np.where(drawn, random.integers(0, 3, instruments), action)
        tape[step] = action
    return tape
