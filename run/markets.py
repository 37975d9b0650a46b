"""From an experiment and a catalog to the markets that are learned from, validated on and evaluated on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogs.arrow import read_bars
from catalogs.bar_types import bar_type_of
from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments import InstrumentSpec, resolve
from catalogs.sessions import SessionCalendar, has_extended_hours, session_calendar
from configs import instruments_path
from configs.schema import DateRange, Experiment
from rl_strategies.features import FeaturePlan
from rl_strategies.policy import BatchPolicy
from run.front_month import front_days
from training.lanes import walk
from training.market import TrainingMarket, build_market, constant_features
from training.validation import Validate


@dataclass(frozen=True)
class ExperimentMarkets:
    """Markets of an experiment, one per ticker.

    Attributes
    ----------
    train : tuple of TrainingMarket
    validate : tuple of TrainingMarket
        Empty without validation.
    """

    train: tuple[TrainingMarket, ...]
    validate: tuple[TrainingMarket, ...]


def experiment_markets(experiment: Experiment, catalog: Path) -> ExperimentMarkets:
    """Markets to learn from and to validate on; of the catalog no later bar is read than they need.

    Raises
    ------
    InputError
        If the catalog lacks the data, a window has no session, or a feature never varies over a training window.
    """
    train, validate = [], []
    for name in experiment.instruments:
        learned, kept_out = _split(experiment, name, catalog)
        constant = constant_features(learned)
        if constant:
            raise InputError(
                f"{learned.instrument.instrument_id}: features must vary over the training window, "
                f"{', '.join(constant)} did not; leave them out in `features:` or widen `train:`"
            )
        train.append(learned)
        validate += [] if kept_out is None else [kept_out]
    return ExperimentMarkets(tuple(train), tuple(validate))


def window_market(
    experiment: Experiment, plan: FeaturePlan, name: str, catalog: Path, window: DateRange
) -> TrainingMarket:
    """Market of one ticker over a window, with a bundle's features and under its experiment's rules.

    Raises
    ------
    InputError
        If the catalog has no tradable session in the window.
    """
    spec, bars = read_ticker(experiment, name, catalog, window.end)
    if not bars.volume_known and "volume" in set().union(*plan.needs.values()):
        raise InputError(f"{name}: the policy needs the volume of {bars.bar_type}, which this catalog does not know")
    start, end = front_days(spec, catalog, window.start, window.end)
    return build_market(bars, spec, plan, experiment.trading, experiment.execution, start=start, end=end)


def read_ticker(experiment: Experiment, name: str, catalog: Path, last: date) -> tuple[InstrumentSpec, BarSeries]:
    """Instrument and its bars up to the close of the trading day ``last``."""
    spec = resolve(name, instruments_path(), last)
    end_ns = last_close_ns(session_calendar(spec.calendar), last)
    return spec, read_bars(catalog, bar_type_of(spec, experiment.bar), end_ns=end_ns)


def last_close_ns(calendar: SessionCalendar, day: date) -> int:
    """Close of the last session up to and including ``day``, UTC nanoseconds."""
    index = int(np.searchsorted(calendar.session_date, np.datetime64(day), side="right")) - 1
    if index < 0:
        raise InputError(f"calendar {calendar.name} must reach back to {day}, begins {calendar.session_date[0]}")
    return int(calendar.close_ns[index])


def validator(markets: tuple[TrainingMarket, ...]) -> Validate | None:
    """Mean net PnL in USD per session over all markets; None without any."""

    def validate(fresh: Callable[[], BatchPolicy]) -> float:
        pnl = np.concatenate([session_pnl(market, fresh()) for market in markets])
        return float(pnl.mean())

    return validate if markets else None


def session_pnl(market: TrainingMarket, policy: BatchPolicy) -> NDArray[np.float64]:
    """Net PnL in USD of every session, each walked from the starting balance; float64[sessions]."""
    lanes = walk(market, lambda observed, begun, at: policy.act_batch(observed, begun), range(len(market)), 0)
    return lanes.equity - market.starting_usd


def _split(experiment: Experiment, name: str, catalog: Path) -> tuple[TrainingMarket, TrainingMarket | None]:
    window, kept_out = experiment.train, experiment.validate
    last = max(window.end, kept_out.end) if isinstance(kept_out, DateRange) else window.end
    spec, bars = read_ticker(experiment, name, catalog, last)
    window = DateRange(*front_days(spec, catalog, window.start, window.end))
    if isinstance(kept_out, DateRange):
        kept_out = DateRange(*front_days(spec, catalog, kept_out.start, kept_out.end))
    if kept_out is None:
        return _market(experiment, spec, bars, window), None
    if isinstance(kept_out, DateRange):
        return _market(experiment, spec, bars, window), _market(experiment, spec, bars, kept_out)
    dates = _market(experiment, spec, bars, window).session_dates
    cut = len(dates) - max(1, round(kept_out * len(dates)))
    if cut < 1:
        raise InputError(f"validate: must leave a session to learn from, there were {len(dates)}")
    learned = DateRange(window.start, dates[cut - 1].item())
    return _market(experiment, spec, bars, learned), _market(
        experiment, spec, bars, DateRange(dates[cut].item(), window.end)
    )


def _market(experiment: Experiment, spec: InstrumentSpec, bars: BarSeries, window: DateRange) -> TrainingMarket:
    plan = experiment.plan(volume_known=bars.volume_known, extended_hours=has_extended_hours(spec.calendar))
    return build_market(bars, spec, plan, experiment.trading, experiment.execution, start=window.start, end=window.end)
