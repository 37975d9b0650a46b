"""The rest of TA-Lib's classics: stochastics, channels, directional movement, money flow, further averages.

Definitions and seeds are TA-Lib's, scaled to 0…1 or -1…1 instead of percent. Where there is nothing to measure (no
range, no volume) the value is the neutral one that each docstring names.
"""

import math

from numba.extending import register_jitable

from rl_strategies.features.kernel import Params, feature
from rl_strategies.features.primitives import (
    State,
    ema_push,
    exact_push,
    exact_size,
    memory_rows,
    newest_sum,
    ring_back,
    ring_deviation,
    ring_max,
    ring_mean,
    ring_min,
    ring_push,
    ring_ramp,
    ring_size,
    ring_std,
    ring_sum,
    safe_ratio,
    sign,
    total_push,
    total_size,
    true_range,
    wilder_push,
)

FAMILY = "technical"


def _window(p: Params) -> int:
    return int(p["n"])


def _ring(p: Params) -> int:
    return ring_size(p["n"])


def _ema_rows(p: Params, stages: int) -> int:
    return stages * (int(p["n"]) + memory_rows(2.0 / (p["n"] + 1)))


@register_jitable
def _pressure_share(pressure: State, ranges: State, slow: int, count: int) -> float:
    moved = newest_sum(ranges, slow, count)
    return newest_sum(pressure, slow, count) / moved if moved > 0.0 else 0.5


@feature(
    outputs=("k", "d"),
    state=lambda p: 2 * ring_size(p["n"]) + ring_size(p["k"]) + ring_size(p["d"]),
    warmup=lambda p: p["n"] + p["k"] + p["d"] - 2,
)
def stochastic(
    s: State, high: float, low: float, close: float, n: int = 14, k: int = 3, d: int = 3
) -> tuple[float, float]:
    """Slow stochastic oscillator, 0 to 1.

    ``SMA(k)`` of ``(close - lowest low) / (highest high - lowest low)`` over ``n`` bars, and its ``SMA(d)``; 0.5 where
    the ``n`` bars have no range. Warm-up n + k + d - 2 rows. TA-Lib ``STOCH`` / 100.
    """
    high_ring, low_ring = s[: 2 * n + 2], s[2 * n + 2 : 4 * n + 4]
    fast_ring, slow_ring = s[4 * n + 4 : 4 * n + 2 * k + 6], s[4 * n + 2 * k + 6 :]
    ring_push(high_ring, n, high)
    if not ring_push(low_ring, n, low):
        return math.nan, math.nan
    top, bottom = ring_max(high_ring, n), ring_min(low_ring, n)
    fast = (close - bottom) / (top - bottom) if top > bottom else 0.5
    if not ring_push(fast_ring, k, fast):
        return math.nan, math.nan
    slow = ring_mean(fast_ring, k)
    return slow, ring_mean(slow_ring, d) if ring_push(slow_ring, d, slow) else math.nan


@feature(state=lambda p: 2 * ring_size(p["n"]), warmup=_window)
def channel_position(s: State, high: float, low: float, close: float, n: int = 20) -> float:
    """Place of the price in its Donchian channel, 0 at the lowest low and 1 at the highest high.

    ``(close - lowest) / (highest - lowest)`` over ``n`` bars; 0.5 where they have no range. Warm-up n rows. TA-Lib
    ``WILLR`` / 100 + 1.
    """
    high_ring, low_ring = s[: 2 * n + 2], s[2 * n + 2 :]
    ring_push(high_ring, n, high)
    if not ring_push(low_ring, n, low):
        return math.nan
    top, bottom = ring_max(high_ring, n), ring_min(low_ring, n)
    return (close - bottom) / (top - bottom) if top > bottom else 0.5


@feature(state=_ring, warmup=_window)
def cci(s: State, high: float, low: float, close: float, n: int = 20) -> float:
    """Commodity channel index, in its own units over 100.

    ``(typical - SMA(n)) / (0.015 * mean absolute deviation) / 100`` of ``typical = (high + low + close) / 3``; 0 where
    all are equal. Warm-up n rows. TA-Lib ``CCI`` / 100.
    """
    typical = (high + low + close) / 3.0
    if not ring_push(s, n, typical):
        return math.nan
    mean = ring_mean(s, n)
    deviation = ring_deviation(s, n, mean)
    return (typical - mean) / (1.5 * deviation) if deviation > 1e-9 * abs(mean) else 0.0


@feature(
    outputs=("plus_di", "minus_di", "adx"),
    state=9,
    warmup=lambda p: 2 * (p["n"] + 1 + memory_rows(1.0 / p["n"])),
)
def directional_movement(s: State, high: float, low: float, close: float, n: int = 14) -> tuple[float, float, float]:
    """Directional indicators and their average index, 0 to 1.

    Wilder sums of the upward and downward movement of the extremes over that of the true range; the index averages
    ``|+DI - -DI| / (+DI + -DI)``. TA-Lib ``PLUS_DI``, ``MINUS_DI`` and ``ADX`` / 100, with its seeds: sums of n - 1
    bars, mean of the first n. Finite after n + 1 and 2n rows, free of the seeds after the warm-up. Wilder (1978).
    """
    s[0] += 1.0
    up, down, before = high - s[1], s[2] - low, s[3]
    s[1], s[2], s[3] = high, low, close
    if s[0] == 1.0:
        return math.nan, math.nan, math.nan
    keep = 1.0 if s[0] <= n else (n - 1.0) / n
    s[4] = s[4] * keep + (up if up > 0.0 and up > down else 0.0)
    s[5] = s[5] * keep + (down if down > 0.0 and down > up else 0.0)
    s[6] = s[6] * keep + true_range(high, low, before)
    if s[0] <= n:
        return math.nan, math.nan, math.nan
    plus, minus = (s[4] / s[6], s[5] / s[6]) if s[6] > 0.0 else (0.0, 0.0)
    index = abs(plus - minus) / (plus + minus) if plus + minus > 0.0 else 0.0
    return plus, minus, wilder_push(s[7:9], n, index)


@feature(outputs=("up", "down"), state=lambda p: 2 * ring_size(p["n"] + 1), warmup=lambda p: p["n"] + 1)
def aroon(s: State, high: float, low: float, n: int = 14) -> tuple[float, float]:
    """Aroon up and down, 0 to 1: how recent the highest high and the lowest low are.

    ``1 - age / n`` of the extreme of the last n + 1 bars, the latest one where several are equal. Warm-up n + 1 rows.
    TA-Lib ``AROON`` / 100; Chande (1995).
    """
    high_ring, low_ring = s[: 2 * n + 4], s[2 * n + 4 :]
    ring_push(high_ring, n + 1, high)
    if not ring_push(low_ring, n + 1, low):
        return math.nan, math.nan
    top, bottom = ring_max(high_ring, n + 1), ring_min(low_ring, n + 1)
    high_age, low_age = 0, 0
    while ring_back(high_ring, n + 1, high_age) != top:
        high_age += 1
    while ring_back(low_ring, n + 1, low_age) != bottom:
        low_age += 1
    return 1.0 - high_age / n, 1.0 - low_age / n


@feature(state=lambda p: 2 + 2 * ring_size(p["n"]), warmup=lambda p: p["n"] + 1)
def money_flow_index(s: State, high: float, low: float, close: float, volume: float, n: int = 14) -> float:
    """Money flow index, 0 to 1: the RSI's idea weighted by traded money.

    Money (typical price times volume) of the bars whose typical price rose, over that of those that rose or fell, in
    ``n`` bars; 0.5 where there was none. Warm-up n + 1 rows. TA-Lib ``MFI`` / 100.
    """
    up_ring, down_ring = s[2 : 2 * n + 4], s[2 * n + 4 :]
    typical = (high + low + close) / 3.0
    first, before = s[0] == 0.0, s[1]
    s[0], s[1] = 1.0, typical
    if first:
        return math.nan
    money, same = typical * volume, 1e-12 * typical  # equal sums of prices differ in their last bit
    ring_push(up_ring, n, money if typical - before > same else 0.0)
    if not ring_push(down_ring, n, money if before - typical > same else 0.0):
        return math.nan
    up, down = ring_sum(up_ring, n), ring_sum(down_ring, n)
    return up / (up + down) if up + down > 0.0 else 0.5


@feature(state=7, warmup=lambda p: _ema_rows(p, 3) + 1)
def trix(s: State, close: float, n: int = 15) -> float:
    """Rate of change of the triple exponential average, a fraction per bar.

    ``EMA(EMA(EMA(close))) / its value before - 1``; finite after 3n - 1 rows, free of its seeds after the warm-up.
    TA-Lib ``TRIX`` / 100.
    """
    value = close
    for stage in range(3):
        value = ema_push(s[2 * stage : 2 * stage + 2], n, value)
        if math.isnan(value):
            return math.nan
    before, s[6] = s[6], value
    return safe_ratio(value, before) - 1.0


@feature(outputs=("double", "triple"), state=6, warmup=lambda p: _ema_rows(p, 3))
def swift_ema_distance(s: State, close: float, n: int = 20) -> tuple[float, float]:
    """Distance of the price from its double and its triple exponential average.

    ``close / DEMA - 1`` and ``close / TEMA - 1``: averages with most of their delay taken off, ``2 e1 - e2`` and
    ``3 e1 - 3 e2 + e3``. Unitless; finite after 3n - 2 rows, free of seeds after the warm-up. TA-Lib ``DEMA`` and
    ``TEMA``.
    """
    one = ema_push(s[0:2], n, close)
    if math.isnan(one):
        return math.nan, math.nan
    two = ema_push(s[2:4], n, one)
    if math.isnan(two):
        return math.nan, math.nan
    double = safe_ratio(close, 2.0 * one - two) - 1.0
    return double, safe_ratio(close, 3.0 * one - 3.0 * two + ema_push(s[4:6], n, two)) - 1.0


@feature(outputs=("distance", "slope"), state=_ring, warmup=_window)
def weighted_average(s: State, close: float, n: int = 20) -> tuple[float, float]:
    """Distance of the price from its linearly weighted average, and the slope of the line through the closes.

    ``close / WMA(n) - 1``, and the least-squares slope per bar over the close; unitless. Warm-up n rows. TA-Lib
    ``WMA``, ``LINEARREG_SLOPE``.
    """
    if not ring_push(s, n, close):
        return math.nan, math.nan
    mean = ring_mean(s, n)
    ramp = ring_ramp(s, n, mean)  # of differences: no digits are lost to the price level
    slope = ramp / (n * (n * n - 1.0) / 12.0) if n > 1 else 0.0
    return safe_ratio(close, mean + ramp / (0.5 * n * (n + 1))) - 1.0, safe_ratio(slope, close)


@feature(state=lambda p: 1 + 2 * ring_size(p["slow"]), warmup=lambda p: p["slow"] + 1)
def ultimate_oscillator(
    s: State, high: float, low: float, close: float, fast: int = 7, middle: int = 14, slow: int = 28
) -> float:
    """Williams' ultimate oscillator, 0 to 1.

    Buying pressure over true range, summed over three windows and weighted 4 : 2 : 1; 0.5 for a window without range.
    None may be longer than ``slow``. Warm-up slow + 1 rows. TA-Lib ``ULTOSC`` / 100.
    """
    pressure, ranges = s[1 : 2 * slow + 3], s[2 * slow + 3 :]
    before, s[0] = s[0], close
    if before == 0.0:
        return math.nan
    ring_push(pressure, slow, close - min(low, before))
    if not ring_push(ranges, slow, true_range(high, low, before)):
        return math.nan
    return (
        4.0 * _pressure_share(pressure, ranges, slow, fast)
        + 2.0 * _pressure_share(pressure, ranges, slow, middle)
        + _pressure_share(pressure, ranges, slow, slow)
    ) / 7.0


@feature()
def balance_of_power(s: State, open: float, high: float, low: float, close: float) -> float:
    """Balance of power, -1 to 1: where in its range the bar went.

    ``(close - open) / (high - low)``; 0 for a bar without range. Warm-up 1 row. TA-Lib ``BOP``.
    """
    return (close - open) / (high - low) if high > low else 0.0


@feature(state=lambda p: exact_size(p["n"]) + total_size(p["n"]), warmup=_window)
def chaikin_money_flow(s: State, high: float, low: float, close: float, volume: float, n: int = 20) -> float:
    """Chaikin money flow, -1 to 1.

    Volume weighted by the close's place in the bar, ``((close - low) - (high - close)) / (high - low)``, over the
    volume of ``n`` bars; 0 without volume. Warm-up n rows.
    """
    flows, volumes = s[: n + 4], s[n + 4 :]
    place = ((close - low) - (high - close)) / (high - low) if high > low else 0.0
    flow, total = exact_push(flows, n, place * volume), total_push(volumes, n, volume)
    if volumes[0] < n:
        return math.nan
    return flow / total if total > 0.0 else 0.0


@feature(state=3, anchored=True)
def on_balance_volume(s: State, close: float, volume: float) -> float:
    """On-balance volume since the reset, in units traded.

    Volume of the bars that closed higher less that of those that closed lower, from the first bar's volume on. Known
    from the first row after a reset. TA-Lib ``OBV``.
    """
    s[2] += volume if s[0] == 0.0 else sign(close - s[1]) * volume
    s[0], s[1] = 1.0, close
    return s[2]


@feature(state=_ring, warmup=_window)
def z_score(s: State, close: float, n: int = 60) -> float:
    """Distance of a value from its mean in standard deviations.

    ``(x - mean) / population standard deviation`` over ``n`` rows; 0 where all are equal. Warm-up n rows.
    """
    if not ring_push(s, n, close):
        return math.nan
    mean = ring_mean(s, n)
    deviation = ring_std(s, n, mean)
    return (close - mean) / deviation if deviation > 1e-9 * abs(mean) else 0.0
