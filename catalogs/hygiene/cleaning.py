"""Cleaning: from raw bars to sorted bars on the tick grid and inside sessions; every change is counted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import Self

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.hygiene.gaps import fill_gaps, note_islands
from catalogs.hygiene.report import RULES, Findings, QualityReport, iso_utc
from catalogs.hygiene.scale import check_scale, factor_text, level_breaks, level_ratio, may_be_split
from catalogs.hygiene.stamps import hours_off, misplaced
from catalogs.instruments.bar_types import bar_length_ns, bar_type_of
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import SessionCalendar, session_calendar

_HOUR_NS = 3600 * 10**9
_PRICES = ("open", "high", "low", "close")
_ODD_STEPS = 0.1  # of all, which show that bars are missing and not longer
_SPACING_NEEDS = 10  # bars, below which the usual distance says nothing
_IN_ORDER = 2 / 3  # of the bars that moved, at least, where the columns are named rightly
_LARGEST = 1e12  # of a price or a volume: far above any real one, far below what 128-bit storage holds
CENT = 0.01
_NO_VOLUME = -1.0  # what Interactive Brokers and others write where there is none
_PRE_MARKET_NS = 6 * _HOUR_NS


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
    stamp_is_said: bool = True,
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
    stamp_is_said : bool
        Whether a person said which end of a bar the times mark; if not, bars that look misplaced are refused.

    Returns
    -------
    CleanBars

    Raises
    ------
    InputError
        If no bar is left, sessions lie hours off, most bars are not ``bar`` apart or do not close on the clock, many
        have a price above their high or below their low, prices are in another unit than USD or break by a power of
        ten, or ``strict`` is set and a rule would change data.

    Notes
    -----
    Bars must close on the clock: 5-minute bars at minutes 0, 5, 10, …, bars of one or more hours on the hour. A bar
    that began before its session (09:00 to 10:00) holds trades from outside it if the source has bars of the hours
    before: then it is dropped, otherwise kept.
    """
    bar_ns = bar_length_ns(bar)
    findings = Findings(strict)
    calendar = session_calendar(spec.calendar)
    _check_spacing(raw.ts_ns, bar)
    _check_clock(raw.ts_ns, bar)
    _check_stamp(raw.ts_ns, calendar, bar_ns, findings, is_said=stamp_is_said)
    _check_order(raw, float(spec.tick_size))
    raw = _known_volume(raw)
    usable = _usable_rows(raw, float(spec.tick_size), bar_ns, calendar, findings)
    if not len(usable):
        raise InputError(_nothing_left(raw, findings, calendar))
    single = _one_bar_per_time(usable, findings)
    check_scale(single.high, single.close, spec)
    _check_level(single, spec, calendar, findings)
    series = BarSeries(
        bar_type=bar_type_of(spec, bar),
        ts_ns=single.ts_ns,
        volume=_units(single, assume_volume, findings),
        volume_known=not np.isnan(single.volume).any(),
        tick_raw=spec.tick_raw,
        **_ticks(single, spec, findings),
    )
    note_islands(series, calendar, bar_ns, findings)
    series, filled_ns = fill_gaps(series, calendar, bar_ns, findings)
    return CleanBars(series, filled_ns, findings.report(len(raw), len(series)))


def _check_spacing(ts_ns: NDArray[np.int64], bar: str) -> None:
    # np.unique hashes: for a million different times it takes twenty times as long as sorting them (numpy 2.5).
    steps = np.diff(np.sort(ts_ns))
    gaps, counts = np.unique(steps[steps > 0], return_counts=True)
    if counts.sum() < _SPACING_NEEDS:
        return
    usual_ns = int(gaps[np.argmax(counts)])
    bar_ns = bar_length_ns(bar)
    # A thin ticker's usual step may be two bars; a file of longer bars has no step that is not a multiple of it.
    is_thin = (gaps % bar_ns == 0).all() and counts[gaps % usual_ns != 0].sum() > _ODD_STEPS * counts.sum()
    if usual_ns != bar_ns and not is_thin:
        raise InputError(f"bars must be {bar} apart; most are {usual_ns / 60e9:g} minutes apart (see --bar)")


def _check_clock(ts_ns: NDArray[np.int64], bar: str) -> None:
    grid_ns = gcd(bar_length_ns(bar), _HOUR_NS)
    off = ts_ns % grid_ns != 0
    if len(ts_ns) < _SPACING_NEEDS or np.mean(off) <= 0.5:
        return
    minute = ts_ns[off][0] % _HOUR_NS / 60e9
    shorter = gcd(round(minute), 60)
    raise InputError(
        f"{bar} bars must close on the clock, every {grid_ns / 60e9:g} minutes from the full hour; most close at "
        f"minute {minute:g} of an hour: import {shorter}-MINUTE bars instead"
    )


def _check_stamp(
    ts_ns: NDArray[np.int64], calendar: SessionCalendar, bar_ns: int, findings: Findings, *, is_said: bool
) -> None:
    where = misplaced(ts_ns, calendar, bar_ns)
    if where and not is_said:
        marked = "closes" if where == "late" else "opens"
        raise InputError(
            f"most sessions look one bar {where}, as if the times marked bar {marked}: pass --stamp "
            f"{marked[:-1]}, or the other if you know it does"
        )
    if where:
        findings.add("misplaced", ts_ns[:1], len(ts_ns))
    off = hours_off(ts_ns, calendar, bar_ns)
    if off:
        raise InputError(
            f"most sessions begin and end {abs(off):g} hours {'late' if off > 0 else 'early'}: the times are of "
            "another zone than was said or the file says (--tz)"
        )


def _check_order(raw: RawBars, tick: float) -> None:
    # Single bars may be broken; where a third is, the columns are named wrongly, and what is left is wrong too.
    with np.errstate(invalid="ignore"):  # NaN compares as false
        top = np.fmax(raw.open, np.fmax(raw.low, raw.close))
        bottom = np.fmin(raw.open, np.fmin(raw.high, raw.close))
        moved = np.fmax(top, raw.high) > np.fmin(bottom, raw.low)
        beyond = (top > raw.high + tick / 2) | (bottom < raw.low - tick / 2)
    if beyond.sum() >= _SPACING_NEEDS and beyond.sum() > (1 - _IN_ORDER) * moved.sum():
        row = int(np.argmax(beyond))
        values = ", ".join(f"{name} {getattr(raw, name)[row]:g}" for name in _PRICES)
        raise InputError(
            f"high must be the highest and low the lowest of a bar's prices; {beyond.sum():,} of {len(raw):,} bars "
            f"have others ({values} at {iso_utc(int(raw.ts_ns[row]))}): "
            "are the columns in another order, see --columns?"
        )


def _known_volume(raw: RawBars) -> RawBars:
    # A column that is 0 throughout, or -1, says nothing about how much was traded.
    volume = np.where(raw.volume == _NO_VOLUME, np.nan, raw.volume)
    if not (volume > 0).any():
        volume = np.where(np.nan_to_num(volume) < 0, volume, np.nan)
    return replace(raw, volume=volume)


def _usable_rows(raw: RawBars, tick: float, bar_ns: int, calendar: SessionCalendar, findings: Findings) -> RawBars:
    usable = np.ones(len(raw), np.bool_)
    for rule, rows in _broken(raw, tick, bar_ns, calendar):
        findings.add(rule, raw.ts_ns[usable & rows])
        if RULES[rule][0] != "noted":
            usable &= ~rows
    return raw if usable.all() else raw.take(usable)


def _broken(
    raw: RawBars, tick: float, bar_ns: int, calendar: SessionCalendar
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    missing, positive = np.zeros(len(raw), np.bool_), np.ones(len(raw), np.bool_)
    for name in _PRICES:
        price = getattr(raw, name)
        with np.errstate(invalid="ignore"):  # NaN compares as false, and the first rule finds it
            missing |= ~(price < _LARGEST)
            positive &= price > tick / 2  # nearer to the first tick than to zero
    yield "price_missing", missing
    yield "volume_invalid", (raw.volume < 0) | (raw.volume > _LARGEST)
    yield "off_grid", raw.ts_ns % gcd(bar_ns, _HOUR_NS) != 0
    yield "high_below_low", raw.high < raw.low
    yield "price_not_positive", ~positive
    yield "out_of_session", calendar.locate(raw.ts_ns) < 0
    straddling, mixed = _straddling(raw.ts_ns, bar_ns, calendar)
    yield "straddles_open" if mixed else "partial_bar", straddling


def _straddling(ts_ns: NDArray[np.int64], bar_ns: int, calendar: SessionCalendar) -> tuple[NDArray[np.bool_], bool]:
    # Rows that began before the session in which they closed; and whether the file has trades from there.
    session = calendar.locate(ts_ns)
    rows = (session >= 0) & (ts_ns - bar_ns < calendar.open_ns[np.maximum(session, 0)])
    if not rows.any():
        return rows, False
    following = np.minimum(np.searchsorted(calendar.open_ns, ts_ns, side="left"), len(calendar) - 1)
    before = (session < 0) & (calendar.open_ns[following] - ts_ns <= _PRE_MARKET_NS)
    reaches_back = calendar.locate(ts_ns[rows] - bar_ns + 1) >= 0
    return rows, bool(before.any() or reaches_back.any())


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
    ordered = raw.take(np.argsort(raw.ts_ns, kind="stable")) if len(earlier) else raw
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


def _check_level(raw: RawBars, spec: InstrumentSpec, calendar: SessionCalendar, findings: Findings) -> None:
    steps = level_breaks(raw.close[:-1], raw.open[1:])
    breaks = [each for each in steps if level_breaks(np.ones(1), np.array([level_ratio(raw.close, each.row)]))]
    if not breaks:
        return
    session = calendar.locate(raw.ts_ns)
    for each in breaks:
        row = each.row + 1
        if not may_be_split(each, spec, between_sessions=bool(session[each.row] != session[row])):
            raise InputError(
                f"prices of {spec.instrument_id} break by a factor of {factor_text(each.factor)} at "
                f"{iso_utc(int(raw.ts_ns[row]))}, from {raw.close[each.row]:,g} to {raw.open[row]:,g}: "
                "convert one part, and import again"
            )
    findings.add("level_break", raw.ts_ns[[each.row + 1 for each in breaks]])


def _ticks(raw: RawBars, spec: InstrumentSpec, findings: Findings) -> dict[str, NDArray[np.int64]]:
    tick = float(spec.tick_size)
    high = np.maximum(raw.high, np.maximum(raw.open, raw.close))
    low = np.minimum(raw.low, np.minimum(raw.open, raw.close))
    findings.add("ohlc_widened", raw.ts_ns[(high != raw.high) | (low != raw.low)])
    ticks, off = {}, np.zeros(len(raw), np.bool_)
    for name, price in {"open": raw.open, "high": high, "low": low, "close": raw.close}.items():
        exact = price / tick
        # Rounding is monotone, so it keeps the order of open, high, low and close.
        rounded = np.rint(exact)
        # Division leaves an error near 1e-16 of the quotient; a millionth of a tick is far above that.
        off |= np.abs(exact - rounded) > 1e-6
        ticks[name] = rounded.astype(np.int64)
    rows = np.flatnonzero(off)
    on_tape = _as_on_the_tape(np.stack([column[rows] for column in (raw.open, high, low, raw.close)]), spec)
    findings.add("off_tick", raw.ts_ns[rows[~on_tape]])
    findings.add("between_ticks", raw.ts_ns[rows[on_tape]])
    return ticks


def _as_on_the_tape(prices: NDArray[np.float64], spec: InstrumentSpec) -> NDArray[np.bool_]:
    # The tape reports trades of US shares between two ticks, at midpoints or a fraction better for small orders, with
    # up to six decimals; more are of adjusted prices. Below a dollar a cent is no small thing.
    if spec.kind != "equity":
        return np.zeros(prices.shape[1], np.bool_)
    millionths = prices * 1e6
    exact = (np.abs(millionths - np.rint(millionths)) < 1e-3).all(axis=0)
    return exact & ((prices >= 1).all(axis=0) | (float(spec.tick_size) < CENT))


def _units(raw: RawBars, assume_volume: int, findings: Findings) -> NDArray[np.int64]:
    missing = np.isnan(raw.volume)
    findings.add("volume_unknown", raw.ts_ns[missing])
    whole = np.rint(raw.volume)
    findings.add("volume_rounded", raw.ts_ns[~missing & (whole != raw.volume)])
    return np.where(missing, assume_volume, whole).astype(np.int64)
