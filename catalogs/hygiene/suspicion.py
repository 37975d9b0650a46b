"""Suspicious stored bars: prints far off, jumps that look like splits, sources that disagree."""

from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.hygiene.report import iso_utc
from catalogs.hygiene.scale import level_ratio
from catalogs.sessions import SessionCalendar

OUTLIER_RANGES = 15.0  # typical bar ranges of a session beyond which a print is an outlier
SPLIT_TOLERANCE = 0.06  # an open within 6 % of what a split would make of the last close
SPLIT_RATIOS = (1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50)
LEVEL_STEP = 1.5  # times the last close, from which on a lasting step is a break of the level
LARGEST_SHIFT = 3  # bars by which one source may be late against another


class Outlier(msgspec.Struct, frozen=True):
    """A bar that reaches far beyond its neighbours and comes back; ``percent`` of the price around it."""

    ts: str
    percent: float


class SplitSuspicion(msgspec.Struct, frozen=True):
    """A session that opens at a simple fraction of the last close; ``ratio`` above 1 for new shares per old one."""

    session_date: date
    ratio: float


class LevelStep(msgspec.Struct, frozen=True):
    """A step of the price that lasts; ``ratio`` of the prices after and before it."""

    ts: str
    ratio: float


class SourceComparison(msgspec.Struct, frozen=True):
    """Comparison of two series of one instrument.

    Attributes
    ----------
    other : str
        Bar type or catalog compared with.
    common, only_here, only_there : int
        Bars by their close time, within the range of both.
    differing_closes : int
        Common bars whose close differs by more than a tick.
    largest_difference_ticks : int
    shift_bars : int
        Bars by which this series is late against the other; 0 if their clocks agree.
    """

    other: str
    common: int
    only_here: int
    only_there: int
    differing_closes: int
    largest_difference_ticks: int
    shift_bars: int


def find_outliers(bars: BarSeries, session: NDArray[np.int64]) -> tuple[Outlier, ...]:
    """Bars that reach far beyond the closes before and after them, in typical bar ranges of their session.

    Parameters
    ----------
    bars : BarSeries
    session : int64[n]
        Session of every bar.

    Returns
    -------
    tuple of Outlier
        In order of time. A move that lasts is no outlier: the next close confirms it.

    Notes
    -----
    The typical range of a session is its median high minus low, at least a tick.
    """
    typical = np.ones(len(bars))
    for rows in np.split(np.arange(len(bars)), np.flatnonzero(np.diff(session)) + 1):
        typical[rows] = max(1.0, float(np.median(bars.high[rows] - bars.low[rows])))
    before, after = np.append(bars.close[:1], bars.close[:-1]), np.append(bars.close[1:], bars.close[-1:])
    above, below = bars.high - np.maximum(before, after), np.minimum(before, after) - bars.low
    away = np.where(above > below, above, -below)
    return tuple(
        Outlier(iso_utc(int(bars.ts_ns[i])), round(float(100 * away[i] / before[i]), 4))
        for i in np.flatnonzero(np.abs(away) > OUTLIER_RANGES * typical)
    )


def find_splits(bars: BarSeries, session: NDArray[np.int64], calendar: SessionCalendar) -> tuple[SplitSuspicion, ...]:
    """Sessions of a share that open at about 1/2, 1/3, … or 2, 3, … times the close of the session before.

    Parameters
    ----------
    bars : BarSeries
    session : int64[n]
    calendar : SessionCalendar

    Returns
    -------
    tuple of SplitSuspicion
        In order of time.
    """
    ratios = np.array([*SPLIT_RATIOS, *(1 / ratio for ratio in SPLIT_RATIOS)])
    found = []
    for row in np.flatnonzero(np.diff(session)) + 1:
        jump = bars.close[row - 1] / bars.open[row]
        nearest = float(ratios[np.argmin(np.abs(np.log(jump / ratios)))])
        if abs(jump / nearest - 1) < SPLIT_TOLERANCE:
            found.append(SplitSuspicion(calendar.session_date[session[row]].item(), round(nearest, 4)))
    return tuple(found)


def find_level_steps(bars: BarSeries) -> tuple[LevelStep, ...]:
    """Steps to a price level at least `LEVEL_STEP` times as high or as low, inside a session or over a gap.

    A part of another unit, an appended file of another instrument, or one adjusted for a split, begins so.

    Parameters
    ----------
    bars : BarSeries

    Returns
    -------
    tuple of LevelStep
        In order of time. A print that comes back is no step.
    """
    with np.errstate(divide="ignore"):
        size = np.abs(np.log(bars.open[1:] / bars.close[:-1]))
    rows = np.flatnonzero(size >= np.log(LEVEL_STEP))
    ratios = [(int(row) + 1, level_ratio(bars.close, int(row))) for row in rows]
    lasting = [(row, ratio) for row, ratio in ratios if abs(np.log(ratio)) >= np.log(LEVEL_STEP)]
    return tuple(LevelStep(iso_utc(int(bars.ts_ns[row])), round(ratio, 6)) for row, ratio in lasting)


def compare_sources(bars: BarSeries, other: BarSeries, name: str, bar_ns: int) -> SourceComparison:
    """Compare clocks and closes of two series of one instrument and bar length.

    Parameters
    ----------
    bars, other : BarSeries
        Series with the same tick size.
    name : str
        Name of the other series, for the result.
    bar_ns : int
        Length of a bar, nanoseconds.

    Returns
    -------
    SourceComparison
        Closes are compared at equal times, even if the clocks disagree.
    """
    start, end = max(bars.ts_ns[0], other.ts_ns[0]), min(bars.ts_ns[-1], other.ts_ns[-1])
    here, there = (_between(series, start, end) for series in (bars, other))
    _, i, j = np.intersect1d(here.ts_ns, there.ts_ns, assume_unique=True, return_indices=True)
    difference = np.abs(here.close[i] - there.close[j])
    return SourceComparison(
        other=name,
        common=len(i),
        only_here=len(here) - len(i),
        only_there=len(there) - len(j),
        differing_closes=int((difference > 1).sum()),
        largest_difference_ticks=int(difference.max(initial=0)),
        shift_bars=_shift(here, there, bar_ns),
    )


def _between(bars: BarSeries, start: int, end: int) -> BarSeries:
    first, stop = np.searchsorted(bars.ts_ns, (start, end + 1))
    return bars.slice(int(first), int(stop))


def _shift(here: BarSeries, there: BarSeries, bar_ns: int) -> int:
    # The lag at which the closes are most often equal; smallest first, so that a tie means no shift.
    best, shift = -1.0, 0
    for lag in sorted(range(-LARGEST_SHIFT, LARGEST_SHIFT + 1), key=abs):
        _, i, j = np.intersect1d(here.ts_ns - lag * bar_ns, there.ts_ns, assume_unique=True, return_indices=True)
        equal = float(np.mean(here.close[i] == there.close[j])) if len(i) else 0.0
        if equal > best + 0.05:
            best, shift = equal, lag
    return shift
