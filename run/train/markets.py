"""Builds the markets of an experiment or a bundle from the catalog: for training, validation and evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_minutes, bar_type_of
from catalogs.instruments.specification import InstrumentSpec, resolve_stored
from catalogs.instruments.stored import stored_instruments, stored_spec
from catalogs.sessions import SessionCalendar, has_extended_hours, session_calendar
from catalogs.storage.arrow import read_bars
from catalogs.synthetic.null_markets import mirrored, shuffled_blocks
from configs import instruments_path
from configs.schema import DateRange, Experiment
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.features import DataAtHand, FeaturePlan, JoinedPlan, StreamSpec, context_streams
from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.policy.policies import BatchPolicy
from run.features.context import FoundStream, find_streams
from run.train.front_month import front_days
from training.envs.ticker_env import require_equal_observations
from training.learning.model_selection import Validate
from training.simulator.lanes import rollout
from training.simulator.market import (
    TrainingMarket,
    build_market,
    build_portfolio_market,
    constant_features,
    prune,
    with_plan,
)
from training.simulator.validation_folds import common_days, fold_days, split_folds


@dataclass(frozen=True)
class ExperimentMarkets:
    """Markets of an experiment: one of a portfolio, else one per ticker.

    Attributes
    ----------
    train : tuple of TrainingMarket
    validate : tuple of TrainingMarket
        Empty without validation.
    context : tuple of ContextSource
        Sources of the streams that the features read.
    """

    train: tuple[TrainingMarket, ...]
    validate: tuple[TrainingMarket, ...]
    context: tuple[ContextSource, ...]


@dataclass(frozen=True)
class _Data:
    held: list[tuple[InstrumentSpec, BarSeries]]
    found: dict[str, FoundStream]

    def market(self, experiment: Experiment, plan: FeaturePlan | JoinedPlan, window: DateRange) -> TrainingMarket:
        context = {name: stream.rows for name, stream in self.found.items()}
        rules = (experiment.trading, experiment.execution)
        return build_portfolio_market(self.held, plan, *rules, start=window.start, end=window.end, context=context)


def experiment_markets(experiment: Experiment, catalog: Path) -> ExperimentMarkets:
    """Markets to train and validate on; no bar after their last day is read.

    Raises
    ------
    InputError
        If the catalog lacks data, a date range has no session, or a feature is constant over the training sessions.
    """
    learned, validate, sources = [], [], tuple[ContextSource, ...]()
    for names in experiment.markets:
        market, kept_out, sources = _split(experiment, names, catalog)
        learned.append(market)
        validate += [] if kept_out is None else [kept_out]
    if experiment.has_folds:
        learned, validate = _folded(experiment, learned)
    train = [part for market in learned for part in (market, *_augmented(experiment, market))]
    if experiment.pruning is not None:
        require_equal_observations(train)
        plan = prune(train, experiment.pruning)
        train, validate = ([with_plan(market, plan) for market in markets] for markets in (train, validate))
    for market in train:
        _require_variation(market)
        _require_volume(market)
    return ExperimentMarkets(tuple(train), tuple(validate), sources)


def bundle_market(
    bundle: Bundle, experiment: Experiment, catalog: Path, window: DateRange, ticker: str | None = None
) -> TrainingMarket:
    """Market of a bundle's instruments, or of another ticker, with the bundle's features and rules.

    Raises
    ------
    InputError
        If the catalog has no tradable session in the range, or lacks data that the features read.
    """
    specs = bundle.instruments if ticker is None else (_resolved(ticker, catalog, window.end),)
    data = _read(specs, experiment.bar, catalog, window.end, context_streams(bundle.plan))
    for _, bars in data.held:
        if not bars.volume_known and _reads_volume(bundle.plan):
            raise InputError(f"bundle {bundle.id} needs volume; {bars.bar_type} in this catalog has none")
    for source in bundle.context:
        found = data.found.get(source.name)
        if found is None or found.source.bar_type != source.bar_type:
            wanted = source.bar_type or f"daily values of {source.name}"
            has = "nothing" if found is None else found.source.bar_type or "daily values"
            raise InputError(f"bundle {bundle.id} needs {wanted} as context, this catalog has {has}")
    return data.market(experiment, bundle.plan, _front_window(specs, catalog, window))


def last_close_ns(calendar: SessionCalendar, day: date) -> int:
    """Close of the last session up to and including ``day``, UTC nanoseconds."""
    index = int(np.searchsorted(calendar.session_date, np.datetime64(day), side="right")) - 1
    if index < 0:
        raise InputError(f"{day} is before the first session of calendar {calendar.name}, {calendar.session_date[0]}")
    return int(calendar.close_ns[index])


def validator(markets: tuple[TrainingMarket, ...]) -> Validate | None:
    """Net PnL in USD of every validation day, the mean over the tickers that trade on it; None without any market."""
    days = [market.session_dates for market in markets]

    def validate(fresh: Callable[[], BatchPolicy]) -> NDArray[np.float64]:
        pnl = np.concatenate([session_pnl(market, fresh()) for market in markets])
        _, of_day = np.unique(np.concatenate(days), return_inverse=True)
        return np.bincount(of_day, pnl) / np.bincount(of_day)

    return validate if markets else None


def session_pnl(market: TrainingMarket, policy: BatchPolicy) -> NDArray[np.float64]:
    """Net PnL in USD of every session, each from the starting balance; float64[sessions]."""
    lanes = rollout(market, lambda observed, begun, at: policy.act_batch(observed, begun), range(len(market)), 0)
    return lanes.equity - market.starting_usd


def _split(
    experiment: Experiment, names: Sequence[str], catalog: Path
) -> tuple[TrainingMarket, TrainingMarket | None, tuple[ContextSource, ...]]:
    window, kept_out = experiment.train, experiment.validate
    last = max(window.end, kept_out.end) if isinstance(kept_out, DateRange) else window.end
    specs = [_resolved(name, catalog, last) for name in names]
    data = _read(specs, experiment.bar, catalog, last, experiment.context_parts.streams)
    plan = experiment.plan(_at_hand(data), data.found.keys())
    sources = tuple(data.found[stream.name].source for stream in context_streams(plan))
    learned = data.market(experiment, plan, _front_window(specs, catalog, window))
    if kept_out is None or experiment.has_folds:
        return learned, None, sources
    if isinstance(kept_out, DateRange):
        return learned, data.market(experiment, plan, _front_window(specs, catalog, kept_out)), sources
    dates = learned.session_dates
    cut = len(dates) - max(1, round(kept_out * len(dates)))
    if cut < 1:
        raise InputError(f"validate must leave a session for training, there is {len(dates)} in all")
    first, later = DateRange(window.start, dates[cut - 1].item()), DateRange(dates[cut].item(), window.end)
    halves = [data.market(experiment, plan, _front_window(specs, catalog, part)) for part in (first, later)]
    return halves[0], halves[1], sources


def _folded(
    experiment: Experiment, markets: Sequence[TrainingMarket]
) -> tuple[list[TrainingMarket], list[TrainingMarket]]:
    # The same days for all tickers, or one's training days would be another's fold.
    assert isinstance(experiment.validate, float)
    days = fold_days(common_days(markets), experiment.validate, experiment.validation_folds)
    parts = [split_folds(market, days) for market in markets]
    return [learned for learned, _ in parts], [kept_out for _, kept_out in parts]


def _augmented(experiment: Experiment, market: TrainingMarket) -> list[TrainingMarket]:
    if not experiment.augment:
        return []
    # Made of no bar after the training sessions, so that nothing of the validation sessions is learned.
    first, last = market.session_dates[0].item(), market.session_dates[-1].item()
    until_ns = last_close_ns(market.calendar, last)
    bars = market.bars.slice(0, int(np.searchsorted(market.bars.ts_ns, until_ns, side="right")))
    if experiment.has_folds:
        bars = _without_folds(bars, market)
    made = [
        mirrored(bars) if kind == "mirrored" else shuffled_blocks(bars, market.calendar, experiment.seed)
        for kind in experiment.augment
    ]
    rules = (market.trading, market.execution)
    return [build_market(each, market.instrument, market.plan, *rules, start=first, end=last) for each in made]


def _without_folds(bars: BarSeries, market: TrainingMarket) -> BarSeries:
    # Bars of the training sessions, and of those before that warm the features up.
    days = market.calendar.session_date[market.calendar.locate(bars.ts_ns)]
    kept = (days < market.session_dates[0]) | np.isin(days, market.session_dates)
    columns = ("ts_ns", "open", "high", "low", "close", "volume")
    return replace(bars, **{column: getattr(bars, column)[kept] for column in columns})


def _resolved(name: str, catalog: Path, last: date) -> InstrumentSpec:
    return stored_spec(catalog, resolve_stored(name, instruments_path(), stored_instruments(catalog), last))


def _read(specs: Sequence[InstrumentSpec], bar: str, catalog: Path, last: date, streams: Sequence[StreamSpec]) -> _Data:
    ends = [last_close_ns(session_calendar(spec.calendar), last) for spec in specs]
    held = [
        (spec, read_bars(catalog, bar_type_of(spec, bar), end_ns=end_ns))
        for spec, end_ns in zip(specs, ends, strict=True)
    ]
    return _Data(held, find_streams(catalog, streams, bar, max(ends)))


def _at_hand(data: _Data) -> DataAtHand:
    return DataAtHand(
        volume_known=all(bars.volume_known for _, bars in data.held),
        extended_hours=any(has_extended_hours(spec.calendar) for spec, _ in data.held),
        bar_minutes=bar_minutes(data.held[0][1].bar_type),
    )


def _front_window(specs: Sequence[InstrumentSpec], catalog: Path, window: DateRange) -> DateRange:
    parts = [front_days(spec, catalog, window.start, window.end) for spec in specs]
    start, end = max(part[0] for part in parts), min(part[1] for part in parts)
    if end < start:
        names = ", ".join(spec.instrument_id for spec in specs)
        raise InputError(f"{names} are never front months on the same day from {window.start} to {window.end}")
    return DateRange(start, end)


def _reads_volume(plan: FeaturePlan | JoinedPlan) -> bool:
    own = plan.primary.needs if isinstance(plan, JoinedPlan) else {}
    return "volume" in frozenset().union(*plan.needs.values(), *own.values())


def _require_volume(market: TrainingMarket) -> None:
    # The overlay refuses an entry of more than a quarter of the bar's volume, so such a policy would never trade.
    units = market.trading.units
    if market.trading.risk_budget_usd:
        units = 1
    for spec, bars in zip(market.instruments, market.series, strict=True):
        largest = int(bars.volume.max())
        if units > max(1, largest // 4):
            known = "is at most" if bars.volume_known else "is unknown, stored instead is at most"
            raise InputError(
                f"trading.units must be at most a quarter of a bar's volume, was {units}; the volume of "
                f"{spec.instrument_id} {known} {largest}, so no entry would be granted: lower trading.units, or import "
                f"with --assume-volume {4 * units} or more"
            )


def _require_variation(market: TrainingMarket) -> None:
    constant = constant_features(market)
    if constant:
        names = ", ".join(spec.instrument_id for spec in market.instruments)
        raise InputError(
            f"{names}: constant features in the training sessions: {', '.join(constant)}; "
            "remove them from `features:`, extend `train:`, or set `pruning: {}`"
        )
