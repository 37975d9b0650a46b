"""Cleaning: from raw bars to sorted bars on the tick grid and inside sessions; every change is counted."""

from dataclasses import dataclass, replace
from math import gcd
from typing import Self

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.hygiene.gaps import drop_islands, fill_gaps
from catalogs.hygiene.report import Findings, QualityReport, iso_utc
from catalogs.instruments.bar_types import bar_length_ns, bar_type_of
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import SessionCalendar, session_calendar

_HOUR_NS = 3600 * 10**9
_PRICES = ("open", "high", "low", "close")
_SPACING_NEEDS = 10  # bars, below which the usual distance says nothing
_LARGEST = 1e12  # of a price or a volume: far above any real one, far below what 128-bit storage holds


@dataclass(frozen=True)
class RawBars:
    """Bars as the source has them, in the order of the source.

    Attributes
    ----------
    ts_ns : int64[n]
        Close time, UTC nanoseconds.
    open, high, low, close, volume : float64[n]
        Prices in USD, volume in units; any of them may be NaN.
    """

    ts_ns: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ts_ns)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Self:
        """Rows by index or by mask, as copies."""
        return replace(self, **{name: column[rows] for name, column in vars(self).items()})


@dataclass(frozen=True)
class CleanBars:
    """Result of `clean`: the bars, the close times of bars that were filled in, and the report."""

    bars: BarSeries
    filled_ns: NDArray[np.int64]
    report: QualityReport


def clean(
    raw: RawBars,
    spec: InstrumentSpec,
    bar: str,
    *,
    assume_volume: int = 0,
    strict: bool = False,
) -> CleanBars:
    """Apply `catalogs.hygiene.report.RULES` to raw bars.

    Parameters
    ----------
    raw : RawBars
        Bars stamped with their close.
    spec : InstrumentSpec
        Supplies tick size and calendar.
    bar : str
        ``"1-MINUTE"``, ``"1-HOUR"``, …
    assume_volume : int
        Units stored where the volume is missing; if any is missing, the whole series counts as volume unknown.
    strict : bool
        Refuse instead of changing anything.

    Returns
    -------
    CleanBars

    Raises
    ------
    InputError
        If no bar is left, most bars are not ``bar`` apart, or ``strict`` is set and a rule would change data.

    Notes
    -----
    Bars must close on the clock: 5-minute bars at minutes 0, 5, 10, …, bars of one or more hours on the hour.
    """
    bar_ns = bar_length_ns(bar)
    findings = Findings(strict)
    calendar = session_calendar(spec.calendar)
    _check_spacing(raw.ts_ns, bar)
    usable = _usable_rows(raw, float(spec.tick_size), bar_ns, calendar, findings)
    if not len(usable):
        raise InputError(_nothing_left(raw, findings, calendar))
    single = _one_bar_per_time(usable, findings)
    series = BarSeries(
        bar_type=bar_type_of(spec, bar),
        ts_ns=single.ts_ns,
        volume=_units(single, assume_volume, findings),
        volume_known=not np.isnan(single.volume).any(),
        tick_raw=spec.tick_raw,
        **_ticks(single, float(spec.tick_size), findings),
    )
    series = drop_islands(series, calendar, bar_ns, findings)
    series, filled_ns = fill_gaps(series, calendar, bar_ns, findings)
    return CleanBars(series, filled_ns, findings.report(len(raw), len(series)))


def _check_spacing(ts_ns: NDArray[np.int64], bar: str) -> None:
    gaps, counts = np.unique(np.diff(np.unique(ts_ns)), return_counts=True)
    if counts.sum() < _SPACING_NEEDS:
        return
    usual_ns = int(gaps[np.argmax(counts)])
    if usual_ns != bar_length_ns(bar):
        raise InputError(f"bars must be {bar} apart; most are {usual_ns / 60e9:g} minutes apart (see --bar)")


def _usable_rows(raw: RawBars, tick: float, bar_ns: int, calendar: SessionCalendar, findings: Findings) -> RawBars:
    prices = np.stack([getattr(raw, name) for name in _PRICES])
    with np.errstate(invalid="ignore"):  # NaN compares as false, and the first rule finds it
        broken = {
            "price_missing": ~(prices < _LARGEST).all(axis=0),
            "volume_invalid": (raw.volume < 0) | (raw.volume > _LARGEST),
            "off_grid": raw.ts_ns % gcd(bar_ns, _HOUR_NS) != 0,
            "high_below_low": raw.high < raw.low,
            "price_not_positive": (np.rint(prices / tick) < 1).any(axis=0),
            "out_of_session": calendar.locate(raw.ts_ns) < 0,
        }
    usable = np.ones(len(raw), np.bool_)
    for rule, rows in broken.items():
        findings.add(rule, raw.ts_ns[usable & rows])
        usable &= ~rows
    return raw.take(usable)


def _nothing_left(raw: RawBars, findings: Findings, calendar: SessionCalendar) -> str:
    if not len(raw):
        return "the source has no bars"
    report = findings.report(len(raw), 0)
    counts = ", ".join(f"{finding.count} {finding.rule}" for finding in report.findings)
    span = f"{iso_utc(int(raw.ts_ns.min()))} to {iso_utc(int(raw.ts_ns.max()))}"
    return (
        f"no usable bar of the {calendar.name} sessions among {len(raw)} rows, {span}: {counts} "
        "(check the time zone and whether times mark open or close)"
    )


def _one_bar_per_time(raw: RawBars, findings: Findings) -> RawBars:
    earlier = np.flatnonzero(np.diff(raw.ts_ns) < 0) + 1
    findings.add("out_of_order", raw.ts_ns[earlier])
    ordered = raw.take(np.argsort(raw.ts_ns, kind="stable"))
    repeated = np.flatnonzero(np.diff(ordered.ts_ns) == 0)  # the next row has the same time
    if not len(repeated):
        return ordered
    same = np.ones(len(repeated), np.bool_)
    for name in (*_PRICES, "volume"):
        column = getattr(ordered, name)
        same &= (column[repeated] == column[repeated + 1]) | (
            np.isnan(column[repeated]) & np.isnan(column[repeated + 1])
        )
    findings.add("duplicate_identical", ordered.ts_ns[repeated[same]])
    findings.add("duplicate_conflicting", ordered.ts_ns[repeated[~same]])
    keep = np.ones(len(ordered), np.bool_)
    keep[repeated] = False  # the sort is stable, so the last row of a time is the last in the source
    return ordered.take(keep)


def _ticks(raw: RawBars, tick: float, findings: Findings) -> dict[str, NDArray[np.int64]]:
    high = np.maximum(raw.high, np.maximum(raw.open, raw.close))
    low = np.minimum(raw.low, np.minimum(raw.open, raw.close))
    findings.add("ohlc_widened", raw.ts_ns[(high != raw.high) | (low != raw.low)])
    prices = {"open": raw.open, "high": high, "low": low, "close": raw.close}
    # Rounding is monotone, so it keeps the order of open, high, low and close.
    rounded = {name: np.rint(price / tick) for name, price in prices.items()}
    # Division leaves an error near 1e-16 of the quotient; a millionth of a tick is far above that.
    off = [np.abs(prices[name] / tick - rounded[name]) > 1e-6 for name in prices]
    findings.add("off_tick", raw.ts_ns[np.any(off, axis=0)])
    return {name: price.astype(np.int64) for name, price in rounded.items()}


def _units(raw: RawBars, assume_volume: int, findings: Findings) -> NDArray[np.int64]:
    missing = np.isnan(raw.volume)
    findings.add("volume_unknown", raw.ts_ns[missing])
    whole = np.rint(raw.volume)
    findings.add("volume_rounded", raw.ts_ns[~missing & (whole != raw.volume)])
    return np.where(missing, assume_volume, whole).astype(np.int64)
