"""The rest of TA-Lib's classics: stochastics, channels, directional movement, money flow, further averages.

Definitions and seeds are TA-Lib's, scaled to 0…1 or -1…1 instead of percent. Where there is nothing to measure (no
range, no volume) the value is the neutral one that each docstring names.
"""

import math

from rl_strategies.features.families.technical import true_range
from rl_strategies.features.kernel import Params, Part, Window, feature
from rl_strategies.features.primitives import SAME_PRICE, State, ema_push, memory_rows, safe_ratio, sign, wilder_push

FAMILY = "technical"


def _ema_rows(p: Params, stages: int) -> int:
    return stages * (int(p["n"]) + memory_rows(2.0 / (p["n"] + 1)))


@feature(parts={"top": Window("highest", "high", "n"), "bottom": Window("lowest", "low", "n")})
def channel_position(s: State, close: float, top: float, bottom: float, n: int = 20) -> float:
    """Place of the price in its Donchian channel, 0 at the lowest low and 1 at the highest high.

    ``(close - lowest) / (highest - lowest)`` over ``n`` bars; 0.5 where they have no range. Warm-up n rows. TA-Lib
    ``WILLR`` / 100 + 1.
    """
    return (close - bottom) / (top - bottom) if top > bottom else 0.5


@feature(
    parts={
        "fast": Part(channel_position, {"n": "n"}),
        "slow": Window("mean", "fast", "k"),
        "signal": Window("mean", "slow", "d"),
    },
    outputs=("k", "d"),
)
def stochastic(s: State, slow: float, signal: float, n: int = 14, k: int = 3, d: int = 3) -> tuple[float, float]:
    """Slow stochastic oscillator, 0 to 1.

    ``SMA(k)`` of `channel_position` over ``n`` bars, and its ``SMA(d)``; 0.5 where the ``n`` bars have no range.
    Warm-up n + k + d - 2 rows. TA-Lib ``STOCH`` / 100.
    """
    return slow, signal


@feature()
def typical_price(s: State, high: float, low: float, close: float) -> float:
    """Typical price of the bar.

    ``(high + low + close) / 3``; warm-up 1 row. TA-Lib ``TYPPRICE``.
    """
    return (high + low + close) / 3.0


@feature(
    parts={
        "typical": Part(typical_price),
        "average": Window("mean", "typical", "n"),
        "deviation": Window("mean_deviation", "typical", "n"),
    }
)
def cci(s: State, typical: float, average: float, deviation: float, n: int = 20) -> float:
    """Commodity channel index, in its own units over 100.

    ``(typical - SMA(n)) / (0.015 * mean absolute deviation) / 100`` of the `typical_price`; 0 where all are equal.
    Warm-up n rows. TA-Lib ``CCI`` / 100.
    """
    return (typical - average) / (1.5 * deviation) if deviation > 1e-9 * abs(average) else 0.0


@feature(
    parts={
        "high_before": Window("lag", "high", 1),
        "low_before": Window("lag", "low", 1),
        "reach": Part(true_range),
    },
    outputs=("plus_di", "minus_di", "adx"),
    state=6,
    warmup=lambda p: 2 * (p["n"] + memory_rows(1.0 / p["n"])),
)
def directional_movement(
    s: State, high: float, low: float, high_before: float, low_before: float, reach: float, n: int = 14
) -> tuple[float, float, float]:
    """Directional indicators and their average index, 0 to 1.

    Wilder sums of the upward and downward movement of the extremes over that of the true range; of two equal movements
    neither counts. The index averages ``|+DI - -DI| / (+DI + -DI)``. TA-Lib ``PLUS_DI``, ``MINUS_DI`` and ``ADX`` / 100
    over prices in whole ticks, with its seeds: sums of n - 1 bars, mean of the first n. Finite after n + 1 and 2n rows,
    free of the seeds after the warm-up. Wilder (1978).
    """
    s[0] += 1.0
    up, down, same = high - high_before, low_before - low, SAME_PRICE * high
    keep = 1.0 if s[0] < n else (n - 1.0) / n
    s[1] = s[1] * keep + (up if up > 0.0 and up - down > same else 0.0)
    s[2] = s[2] * keep + (down if down > 0.0 and down - up > same else 0.0)
    s[3] = s[3] * keep + reach
    if s[0] < n:
        return math.nan, math.nan, math.nan
    plus, minus = (s[1] / s[3], s[2] / s[3]) if s[3] > 0.0 else (0.0, 0.0)
    index = abs(plus - minus) / (plus + minus) if plus + minus > 0.0 else 0.0
    return plus, minus, wilder_push(s[4:6], n, index)


@feature(
    parts={"high_age": Window("highest_age", "high", "n"), "low_age": Window("lowest_age", "low", "n")},
    outputs=("up", "down"),
)
def aroon(s: State, high_age: float, low_age: float, n: int = 14) -> tuple[float, float]:
    """Aroon up and down, 0 to 1: how recent the highest high and the lowest low are.

    ``1 - age / n`` of the extreme of the last n + 1 bars, the latest one where several are equal. Warm-up n + 1 rows.
    TA-Lib ``AROON`` / 100; Chande (1995).
    """
    return 1.0 - high_age / n, 1.0 - low_age / n


@feature(
    parts={"typical": Part(typical_price), "before": Window("lag", "typical", 1)},
    outputs=("up", "down"),
)
def money_flow(s: State, typical: float, before: float, volume: float) -> tuple[float, float]:
    """Money traded in a bar whose typical price rose, and in one whose typical price fell.

    `typical_price` times volume, and 0 for the other; warm-up 2 rows.
    """
    money, same = typical * volume, 1e-12 * typical  # equal sums of prices differ in their last bit
    return money if typical - before > same else 0.0, money if before - typical > same else 0.0


@feature(
    parts={
        "flow": Part(money_flow),
        "risen": Window("total", "flow_up", "n"),
        "fallen": Window("total", "flow_down", "n"),
    }
)
def money_flow_index(s: State, risen: float, fallen: float, n: int = 14) -> float:
    """Money flow index, 0 to 1: the RSI's idea weighted by traded money.

    `money_flow` of the bars whose typical price rose, over that of those that rose or fell, in ``n`` bars; 0.5 where
    there was none. Warm-up n + 1 rows. TA-Lib ``MFI`` / 100.
    """
    return risen / (risen + fallen) if risen + fallen > 0.0 else 0.5


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


@feature(
    parts={"average": Window("mean", "close", "n"), "climb": Window("ramp", "close", "n")},
    outputs=("distance", "slope"),
)
def weighted_average(s: State, close: float, average: float, climb: float, n: int = 20) -> tuple[float, float]:
    """Distance of the price from its linearly weighted average, and the slope of the line through the closes.

    ``close / WMA(n) - 1``, and the least-squares slope per bar over the close; unitless. Warm-up n rows. TA-Lib
    ``WMA``, ``LINEARREG_SLOPE``.
    """
    slope = climb / (n * (n * n - 1.0) / 12.0) if n > 1 else 0.0
    return safe_ratio(close, average + climb / (0.5 * n * (n + 1))) - 1.0, safe_ratio(slope, close)


@feature(parts={"before": Window("lag", "close", 1)})
def buying_pressure(s: State, low: float, close: float, before: float) -> float:
    """How far the bar closed above the lower of its low and the close before, in price units.

    Warm-up 2 rows. Williams (1985).
    """
    return close - min(low, before)


@feature(
    parts={
        "pressure": Part(buying_pressure),
        "reach": Part(true_range),
        "pressure_fast": Window("total", "pressure", "fast"),
        "pressure_middle": Window("total", "pressure", "middle"),
        "pressure_slow": Window("total", "pressure", "slow"),
        "reach_fast": Window("total", "reach", "fast"),
        "reach_middle": Window("total", "reach", "middle"),
        "reach_slow": Window("total", "reach", "slow"),
    }
)
def ultimate_oscillator(
    s: State,
    pressure_fast: float,
    pressure_middle: float,
    pressure_slow: float,
    reach_fast: float,
    reach_middle: float,
    reach_slow: float,
    fast: int = 7,
    middle: int = 14,
    slow: int = 28,
) -> float:
    """Williams' ultimate oscillator, 0 to 1.

    `buying_pressure` over `true_range`, summed over three windows and weighted 4 : 2 : 1; 0.5 for a window without
    range. Warm-up slow + 1 rows. TA-Lib ``ULTOSC`` / 100.
    """
    one = pressure_fast / reach_fast if reach_fast > 0.0 else 0.5
    two = pressure_middle / reach_middle if reach_middle > 0.0 else 0.5
    three = pressure_slow / reach_slow if reach_slow > 0.0 else 0.5
    return (4.0 * one + 2.0 * two + three) / 7.0


@feature()
def balance_of_power(s: State, open: float, high: float, low: float, close: float) -> float:
    """Balance of power, -1 to 1: where in its range the bar went.

    ``(close - open) / (high - low)``; 0 for a bar without range. Warm-up 1 row. TA-Lib ``BOP``.
    """
    return (close - open) / (high - low) if high > low else 0.0


@feature()
def close_place(s: State, high: float, low: float, close: float) -> float:
    """Where in its range the bar closed, -1 at the low to 1 at the high.

    ``((close - low) - (high - close)) / (high - low)``; 0 for a bar without range. Warm-up 1 row.
    """
    return ((close - low) - (high - close)) / (high - low) if high > low else 0.0


@feature(parts={"place": Part(close_place)})
def placed_volume(s: State, place: float, volume: float) -> float:
    """Volume weighted by the `close_place`, in units traded.

    Warm-up 1 row. The flow of Chaikin's accumulation and distribution.
    """
    return place * volume


@feature(
    parts={
        "flow": Part(placed_volume),
        "net": Window("total", "flow", "n"),
        "traded": Window("total", "volume", "n"),
    }
)
def chaikin_money_flow(s: State, net: float, traded: float, n: int = 20) -> float:
    """Chaikin money flow, -1 to 1.

    `placed_volume` over the volume of ``n`` bars; 0 without volume. Warm-up n rows.
    """
    return net / traded if traded > 0.0 else 0.0


@feature(state=3, anchored=True)
def on_balance_volume(s: State, close: float, volume: float) -> float:
    """On-balance volume since the reset, in units traded.

    Volume of the bars that closed higher less that of those that closed lower, from the first bar's volume on. Known
    from the first row after a reset. TA-Lib ``OBV``.
    """
    s[2] += volume if s[0] == 0.0 else sign(close - s[1]) * volume
    s[0], s[1] = 1.0, close
    return s[2]


@feature(parts={"average": Window("mean", "close", "n"), "deviation": Window("deviation", "close", "n")})
def z_score(s: State, close: float, average: float, deviation: float, n: int = 60) -> float:
    """Distance of a value from its mean in standard deviations.

    ``(x - mean) / population standard deviation`` over ``n`` rows; 0 where all are equal. Warm-up n rows.
    """
    return (close - average) / deviation if deviation > 1e-9 * abs(average) else 0.0
