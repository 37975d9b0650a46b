"""Prices of a wrong scale: a whole file in another unit, or a level that breaks by a power of ten.

Vendors store prices as whole numbers (Databento in 1e-9 USD, LEAN in 1e-4), some files hold cents. Such a file is as
smooth as a right one, so a chart does not show it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec

BREAK_TOLERANCE = 1.25  # a jump within a quarter of a power of ten is one
LARGEST_PRICE = 2_000_000.0  # USD; the dearest US share has cost less than half of it, no future a tenth
DEAREST_SHARES = 100_000.0  # USD, from which on whole dollars are real prices
LEVEL_BARS = 5  # on both sides of a step, whose medians are the levels: a bad print that comes back is no step
SPLIT_FACTOR = 10  # the largest power of ten by which shares are split in practice

_JUDGED_FROM = 20  # different closes, below which their digits say nothing
_JUDGED = 20_000  # closes, evenly spread, are judged of longer files
_MOST = 0.9
_SMALLEST_BREAK = 10 / BREAK_TOLERANCE
_UNITS = (100.0, 1e4, 1e6, 1e9)


@dataclass(frozen=True)
class LevelBreak:
    """Row before which the price level broke, and the power of ten by which it did: 0.01 for a hundredth."""

    row: int
    factor: float


def check_scale(high: NDArray[np.float64], close: NDArray[np.float64], spec: InstrumentSpec) -> None:
    """Refuse the prices of a file that can only be in another unit than USD.

    Parameters
    ----------
    high, close : float64[n]
    spec : InstrumentSpec

    Raises
    ------
    InputError
        If prices are beyond `LARGEST_PRICE`; if nearly all closes are whole multiples of a hundred ticks or more; if
        most closes below a dollar are off the tick and on it times a power of ten; or if most closes of a future are
        off its tick.
    """
    tick, highest = float(spec.tick_size), float(high.max(initial=0.0))
    close = close[:: max(1, len(close) // _JUDGED)]
    if not len(close):
        return
    typical = float(np.median(close))
    is_judged = len(np.unique(close)) >= _JUDGED_FROM
    zeros = _common_zeros(close / tick) if is_judged else 0
    real = spec.kind == "equity" and zeros < 4 and DEAREST_SHARES <= typical <= LARGEST_PRICE
    if zeros >= 2 and not real:
        step = tick * 10**zeros
        raise InputError(_refusal(spec, typical, 10.0**zeros, f"nearly every close is a whole multiple of {step:,g}"))
    if highest > LARGEST_PRICE:
        factor = next((unit for unit in _UNITS if typical / unit < 10_000), _UNITS[-1])
        raise InputError(_refusal(spec, typical, factor, f"none costs more than {LARGEST_PRICE:,.0f} USD"))
    if is_judged:
        _check_tick(close, spec)


def level_breaks(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[LevelBreak]:
    """Where a price level breaks by about a power of ten.

    Parameters
    ----------
    before, after : float64[n]
        Last price before and first price after every step, positive.

    Returns
    -------
    list of LevelBreak
        ``row`` is the index of the step.

    Examples
    --------
    >>> level_breaks(np.array([600.0, 600.0, 600.0]), np.array([601.0, 6.02, 5_990_000.0]))
    [LevelBreak(row=1, factor=0.01), LevelBreak(row=2, factor=10000.0)]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = after / before
    found = []
    for row in np.flatnonzero((ratio > _SMALLEST_BREAK) | (ratio < 1 / _SMALLEST_BREAK)):
        size = np.log10(ratio[row])
        power = float(np.rint(size))
        if abs(size - power) < np.log10(BREAK_TOLERANCE):
            found.append(LevelBreak(int(row), 10.0**power))
    return found


def level_ratio(close: NDArray[np.float64] | NDArray[np.int64], row: int) -> float:
    """Price level after a row over the one up to it: medians of at most `LEVEL_BARS` closes.

    Parameters
    ----------
    close : array[n]
        Closing prices, in any unit.
    row : int
        Last row of the old level, less than n - 1.
    """
    before, after = close[max(0, row - LEVEL_BARS + 1) : row + 1], close[row + 1 : row + 1 + LEVEL_BARS]
    return float(np.median(after) / np.median(before))


def may_be_split(found: LevelBreak, spec: InstrumentSpec, *, between_sessions: bool) -> bool:
    """Whether a break of the level may be a split: of a share, by ten at most, between two sessions."""
    largest = max(found.factor, 1 / found.factor)
    return spec.kind == "equity" and between_sessions and largest <= SPLIT_FACTOR


def factor_text(factor: float) -> str:
    """A power of ten for people: ``"10,000"``, ``"1/100"``."""
    return f"{factor:,.0f}" if factor >= 1 else f"1/{1 / factor:,.0f}"


def _common_zeros(ticks: NDArray[np.float64]) -> int:
    whole = np.rint(ticks)
    on_tick = np.abs(ticks - whole) < 1e-6 * np.maximum(1.0, whole * 1e-6)
    for zeros in range(9, 1, -1):
        if np.mean(on_tick & (whole % 10**zeros == 0)) >= _MOST:
            return zeros
    return 0


def _check_tick(close: NDArray[np.float64], spec: InstrumentSpec) -> None:
    tick = float(spec.tick_size)
    off = 1 - _on_grid(close, tick)
    # A share's prices may be adjusted for splits and then have any number of decimals.
    if off <= 0.5 or (spec.kind == "equity" and float(np.median(close)) >= 1):
        return
    factor = next((unit for unit in (10.0, *_UNITS[:2]) if _on_grid(close * unit, max(tick, 0.01)) >= _MOST), None)
    share = f"{off:.0%} of the closes are off the tick of {spec.tick_size}"
    if factor is not None:
        raise InputError(_refusal(spec, float(np.median(close)), 1 / factor, share))
    if spec.kind == "future":
        raise InputError(
            f"prices of {spec.instrument_id} must be its own: {share}: adjusted prices, or another instrument's"
        )


def _on_grid(prices: NDArray[np.float64], tick: float) -> float:
    ticks = prices / tick
    return float(np.mean(np.abs(ticks - np.rint(ticks)) < 1e-6 * np.maximum(1.0, ticks * 1e-3)))


def _refusal(spec: InstrumentSpec, price: float, factor: float, why: str) -> str:
    return (
        f"prices of {spec.instrument_id} (such as {price:,.10g}) look like USD times {factor_text(factor)}: {why}; "
        "convert them, or name the file's format with --format"
    )
