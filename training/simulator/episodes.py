"""Which trading days become episodes, and at which clock index each begins and ends."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import SessionCalendar
from rl_strategies.decision.rules import NS_PER_MINUTE, TradingConfig
from training.simulator.arrays import EPISODE
from training.simulator.clock_index import ClockIndex

Held = Sequence[tuple[InstrumentSpec, BarSeries]]


class Episodes(NamedTuple):
    """m trading days of K instruments.

    Attributes
    ----------
    episodes : `training.simulator.arrays.EPISODE`[m]
    open_ns, flat_ns : int64[m, K]
    days : datetime64[D][m]
    skipped : dict of str to int
        Trading days from ``start`` to ``end`` that are not episodes, by reason.
    """

    episodes: NDArray[np.void]
    open_ns: NDArray[np.int64]
    flat_ns: NDArray[np.int64]
    days: NDArray[np.datetime64]
    skipped: dict[str, int]


def choose_episodes(
    held: Held,
    clock: ClockIndex,
    warm_after: NDArray[np.int64],
    trading: TradingConfig,
    start: date | None,
    end: date | None,
) -> Episodes:
    """Trading days from ``start`` to ``end`` (inclusive) with warm features and at least one decision.

    Parameters
    ----------
    held : sequence of (InstrumentSpec, BarSeries)
    clock : ClockIndex
        Clock over their bars.
    warm_after : int64[K]
        Bars that each instrument needs before a day begins.
    trading : TradingConfig
    start, end : date, optional
    """
    day_of = _days(held, clock)
    first = np.flatnonzero(np.concatenate([[True], day_of[1:] != day_of[:-1]]))
    stop = np.append(first[1:], len(day_of))
    days = day_of[first]
    open_ns, flat_ns = _trading_hours(held, days, trading.risk.flatten_before_close_minutes)
    last_flat = flat_ns.max(axis=1)
    # Decisions end before the day's last closing time; the bars of that very time are still played.
    ends = np.minimum(np.searchsorted(clock.time_ns, last_flat), stop)
    closing = np.minimum(ends, len(day_of) - 1)
    has_closing = (ends < stop) & (clock.time_ns[closing] == last_flat)
    is_wanted, has_decision = _is_between(days, start, end), ends > first
    warm = (_bars_before(clock, first) >= warm_after).all(axis=1)
    chosen = np.flatnonzero(is_wanted & warm & has_decision)
    episodes = np.zeros(len(chosen), EPISODE)
    episodes["first"] = first[chosen]
    episodes["last"] = ends[chosen] - 1
    episodes["closing"] = np.where(has_closing, closing, -1)[chosen]
    skipped = {
        "features not warm": int((is_wanted & ~warm).sum()),
        "too few bars": int((is_wanted & warm & ~has_decision).sum()),
    }
    return Episodes(episodes, open_ns[chosen], flat_ns[chosen], days[chosen], skipped)


def _days(held: Held, clock: ClockIndex) -> NDArray[np.datetime64]:
    # The trading day of any bar that closed at that time; the calendars agree on it.
    day_of = np.empty(len(clock.time_ns), "datetime64[D]")
    for k, (spec, bars) in enumerate(held):
        calendar = spec.sessions
        present = clock.row[:, k] >= 0
        day_of[present] = calendar.session_date[calendar.locate(bars.ts_ns)]
    return day_of


def _trading_hours(
    held: Held, days: NDArray[np.datetime64], flatten_minutes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    hours = [_hours(spec.sessions, days, flatten_minutes * NS_PER_MINUTE) for spec, _ in held]
    open_ns, flat_ns = (np.stack(columns, axis=1) for columns in zip(*hours, strict=True))
    return open_ns, flat_ns


def _hours(
    calendar: SessionCalendar, days: NDArray[np.datetime64], flatten_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    index = np.minimum(np.searchsorted(calendar.session_date, days), len(calendar.session_date) - 1)
    has = calendar.session_date[index] == days
    return np.where(has, calendar.open_ns[index], 0), np.where(has, calendar.close_ns[index] - flatten_ns, 0)


def _bars_before(clock: ClockIndex, first: NDArray[np.int64]) -> NDArray[np.int64]:
    # Bars that each instrument had before each day, int64[days, K].
    counts = np.cumsum(clock.row >= 0, axis=0)
    return np.where(first[:, np.newaxis] > 0, counts[np.maximum(first - 1, 0)], 0)


def _is_between(dates: NDArray[np.datetime64], start: date | None, end: date | None) -> NDArray[np.bool_]:
    inside = np.ones(len(dates), bool)
    if start is not None:
        inside &= dates >= np.datetime64(start)
    if end is not None:
        inside &= dates <= np.datetime64(end)
    return inside
