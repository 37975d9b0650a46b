"""The random configurations of `training.parity.certify`: bars, rules, costs, and the actions played on them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import msgspec
import numpy as np

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_minutes
from catalogs.instruments.specification import InstrumentSpec
from catalogs.instruments.stored import TICK_BELOW_ONE_DOLLAR
from catalogs.sessions import has_extended_hours, session_calendar
from catalogs.spreads.table import BUCKET_MINUTES, spread_key
from catalogs.synthetic import PlantedEdge, synthetic_sessions
from rl_strategies.decision.barriers import UNITS, BarrierConfig, Distance
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.decision.slippage import SlippageConfig
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
from training.envs.reward import REWARDS, RewardConfig
from training.simulator.market import TrainingMarket, build_portfolio_market

PORTFOLIO_SHARE = 0.4
CONTEXT_SHARE = 0.25
FIRST_DAY, LAST_DAY = np.datetime64("2025-01-06"), np.datetime64("2025-01-14")
BELOW_ONE_DOLLAR_SHARE = 0.15
EXPIRY_EVERY = 4  # configurations: in one of them a contract month expires
DAYS_BEFORE_EXPIRY, DAYS_AFTER_EXPIRY = 9, 4
SLIPPAGE_SHARE = 0.6  # of the configurations, those with a `SlippageConfig`
RECORDED_BARS = 4_200  # beyond the warm-up: three sessions of a future
RECORDED_TRIES = 20

Held = list[tuple[InstrumentSpec, BarSeries]]
Recorded = Sequence[tuple[InstrumentSpec, BarSeries]]
Days = tuple[np.datetime64, np.datetime64]


def configurations(
    instruments: Sequence[InstrumentSpec],
    recorded: Recorded,
    episodes: int,
    most_instruments: int,
    seed: int,
) -> Iterator[tuple[TrainingMarket, RewardConfig, np.random.Generator, bool]]:
    """Markets with their rewards, the generator that drew each, and whether its bars are recorded ones.

    The parameters are those of `training.parity.certify.certify`.

    Raises
    ------
    InputError
        If no part of the recorded bars can be traded.
    """
    # Portfolios and expiries have fixed numbers, so that their shares do not depend on luck.
    played = sum(_plays_recorded(number, instruments, recorded, most_instruments) for number in range(episodes))
    so_far = 0
    for number in range(episodes):
        random = np.random.default_rng([seed, number])
        if _plays_recorded(number, instruments, recorded, most_instruments):
            share, so_far = (so_far + random.random()) / played, so_far + 1
            yield *_on_recorded(random, instruments, recorded, share), random, True
            continue
        expiring = _expiring(random, instruments) if number % EXPIRY_EVERY == EXPIRY_EVERY - 1 else None
        days = (FIRST_DAY, LAST_DAY) if expiring is None else _days_around_expiry(expiring)
        alive = [spec for spec in instruments if spec.sessions.session_date[-1] >= days[1] or spec == expiring]
        if _is_portfolio(number, most_instruments):
            held = _portfolio(random, alive, int(random.integers(2, most_instruments + 1)), days, expiring)
        else:
            chosen = expiring or alive[int(random.integers(len(alive)))]
            held = [_synthetic(random, chosen, days)]
        yield *_market(random, held, alive, days), random, False


def _is_portfolio(number: int, most_instruments: int) -> bool:
    return most_instruments > 1 and (number % 5) / 5 < PORTFOLIO_SHARE


def _plays_recorded(
    number: int, instruments: Sequence[InstrumentSpec], recorded: Sequence[object], most_instruments: int
) -> bool:
    expires = number % EXPIRY_EVERY == EXPIRY_EVERY - 1 and any(spec.expiration_ns for spec in instruments)
    return bool(recorded) and not expires and not _is_portfolio(number, most_instruments)


def _market(
    random: np.random.Generator, held: Held, instruments: Sequence[InstrumentSpec], days: Days
) -> tuple[TrainingMarket, RewardConfig]:
    execution = _execution(random, [spec for spec, _ in held])
    trading, reward = _trading(random), RewardConfig(str(random.choice(sorted(REWARDS))))
    if execution.fill == "next_open":
        trading = _flat_on_a_bar(trading, max(bar_minutes(bars.bar_type) for _, bars in held))
    plan, context = _with_context(random, _plan(held), instruments, days)
    return build_portfolio_market(held, plan, trading, execution, context=context), reward


def _on_recorded(
    random: np.random.Generator, instruments: Sequence[InstrumentSpec], recorded: Recorded, share: float
) -> tuple[TrainingMarket, RewardConfig]:
    # A part may have no session whose features are warm, because bars are missing; then another is drawn.
    for _ in range(RECORDED_TRIES):
        spec, part = _part(recorded, share)
        days = part.ts_ns[0].astype("datetime64[ns]"), part.ts_ns[-1].astype("datetime64[ns]")
        first, last = (day.astype("datetime64[D]") for day in days)
        alive = [each for each in instruments if each.sessions.session_date[-1] > last]
        try:
            return _market(random, [(spec, part)], alive, (first, last))
        except InputError as error:
            if "no tradable session" not in str(error):
                raise
            refused, share = error, float(random.random())
    raise InputError(f"no part of the recorded bars can be traded, at last: {refused}")


def _part(recorded: Recorded, share: float) -> tuple[InstrumentSpec, BarSeries]:
    # The bars at a share of all recorded bars, after as many as the features need to warm up.
    ends = np.cumsum([len(bars) for _, bars in recorded])
    at = min(int(share * ends[-1]), int(ends[-1]) - 1)
    which = int(np.searchsorted(ends, at, side="right"))
    spec, bars = recorded[which]
    wanted = _plan([(spec, bars)]).warmup + RECORDED_BARS
    middle = at - int(ends[which] - len(bars))
    begin = min(max(0, middle - wanted + RECORDED_BARS // 2), max(0, len(bars) - wanted))
    return spec, bars.slice(begin, min(len(bars), begin + wanted))


def _flat_on_a_bar(trading: TradingConfig, minutes: int) -> TradingConfig:
    flatten = -(-trading.risk.flatten_before_close_minutes // minutes) * minutes
    return msgspec.structs.replace(
        trading, risk=msgspec.structs.replace(trading.risk, flatten_before_close_minutes=flatten)
    )


def _expiring(random: np.random.Generator, instruments: Sequence[InstrumentSpec]) -> InstrumentSpec | None:
    months = [spec for spec in instruments if spec.expiration_ns]
    return months[int(random.integers(len(months)))] if months else None


def _days_around_expiry(spec: InstrumentSpec) -> Days:
    day = spec.sessions.session_date[-1]
    return day - np.timedelta64(DAYS_BEFORE_EXPIRY, "D"), day + np.timedelta64(DAYS_AFTER_EXPIRY, "D")


def expiry_episodes(market: TrainingMarket) -> list[int]:
    """Episodes on the last trading day of a contract month."""
    last_days = {spec.sessions.session_date[-1] for spec in market.instruments if spec.expiration_ns}
    return [episode for episode, day in enumerate(market.session_dates) if day in last_days]


def episode_of(random: np.random.Generator, market: TrainingMarket) -> int:
    """The episode to play: one on which a contract expires, if there is any."""
    expiry = expiry_episodes(market)
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


def _execution(random: np.random.Generator, specs: Sequence[InstrumentSpec]) -> ExecutionConfig:
    common = {
        "fill": "next_open" if random.random() < 0.3 else "same_close",
        "high_low_order": "adaptive" if random.random() < 0.5 else "high_first",
        "starting_balance_usd": Decimal(int(random.choice([1_000, 25_000, 100_000]))),
    }
    if random.random() < SLIPPAGE_SHARE:
        return ExecutionConfig(slippage=_slippage(random, specs), **common)  # type: ignore[arg-type]
    by_chance = len({spec.venue for spec in specs}) == 1 and random.random() < 0.3
    return ExecutionConfig(
        slippage_ticks=int(random.integers(2)),  # type: ignore[arg-type]
        slippage_probability=float(random.uniform(0.1, 0.9)) if by_chance else 1.0,
        slippage_seed=int(random.integers(1000)),
        **common,  # type: ignore[arg-type]
    )


def _slippage(random: np.random.Generator, specs: Sequence[InstrumentSpec]) -> SlippageConfig:
    most = float(random.choice([1.0, 4.0, 40.0]))
    amount: dict[str, object] = {
        "ticks": float(random.choice([random.uniform(0.0, most), random.integers(0, 1 + int(most))])),
        "bps": float(random.uniform(0.0, most)),
        "spreads": {spread_key(spec): _spreads(random, most) for spec in specs},
    }
    kind = str(random.choice(sorted(amount)))
    return SlippageConfig(
        **{kind: amount[kind]},  # type: ignore[arg-type]
        rounding="drawn" if random.random() < 0.5 else "up",
        probability=float(random.uniform(0.0, 1.0)) if random.random() < 0.3 else 1.0,
        seed=int(random.integers(2**40)),
    )


def _spreads(random: np.random.Generator, most: float) -> list[tuple[int, float]]:
    later = random.choice(np.arange(1, 24 * 60 // BUCKET_MINUTES), int(random.integers(0, 30)), replace=False)
    return [(int(place) * BUCKET_MINUTES, float(random.uniform(0.0, 2 * most))) for place in (0, *np.sort(later))]


def tape_of(random: np.random.Generator, instruments: int) -> np.ndarray:
    """Actions to play, int64[1500, instruments]."""
    # Actions that persist for a while, so that positions last long enough for every rule to apply.
    switch = random.uniform(0.02, 0.6)
    tape = np.empty((1500, instruments), np.int64)
    action = np.ones(instruments, np.int64)
    for step in range(len(tape)):
        drawn = random.random(instruments) < switch
        action = np.where(drawn, random.integers(0, 3, instruments), action)
        tape[step] = action
    return tape
