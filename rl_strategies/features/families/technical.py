"""Classic indicators on closed bars, with TA-Lib's seeds and definitions.

They run over the bars as they come, through the night and over sessions, as charts and TA-Lib do: the first
bar of a session returns the overnight gap. Moving averages enter as a distance to the price, so that no
output grows with the price level; those in price units (`sma`, `ema`, `atr`, `standard_deviation`) are for
wiring into other features.
"""

import math

from rl_strategies.features.kernel import Params, Part, Window, feature
from rl_strategies.features.primitives import State, ema_push, log_ratio, memory_rows, safe_ratio, wilder_push

# Equal prices leave a standard deviation of rounding errors (1e-16 of the price); one tick in a window leaves
# 1e-6.
FLAT = 1e-9


def _ema_warmup(p: Params) -> int:
    return int(p["n"]) + memory_rows(2.0 / (p["n"] + 1))


def _wilder_warmup(p: Params) -> int:
    return int(p["n"]) + memory_rows(1.0 / p["n"])


def _macd_warmup(p: Params) -> int:
    slow = max(p["fast"], p["slow"])
    return int(slow) + memory_rows(2.0 / (slow + 1)) + int(p["signal"]) + memory_rows(2.0 / (p["signal"] + 1))


@feature(parts={"before": Window("lag", "close", "n")})
def log_return(s: State, close: float, before: float, n: int = 1) -> float:
    """Log return over ``n`` bars.

    ``ln(close / close n bars ago)``, unitless; warm-up n + 1 rows. NaN unless both prices are positive.
    """
    return log_ratio(close, before)


@feature()
def log_level(s: State, close: float) -> float:
    """Natural logarithm of a price or an index.

    ``ln(close)``; warm-up 1 row. NaN unless it is positive.
    """
    return log_ratio(close, 1.0)


@feature(parts={"before": Window("lag", "close", 1)})
def true_range(s: State, high: float, low: float, before: float) -> float:
    """True range, in price units.

    ``max(high - low, |high - close before|, |low - close before|)``, so gaps count; warm-up 2 rows. TA-Lib ``TRANGE``;
    Wilder (1978).
    """
    return max(high - low, max(abs(high - before), abs(low - before)))


@feature()
def bar_range(s: State, high: float, low: float) -> float:
    """Range of the bar, in price units.

    ``high - low``; warm-up 1 row.
    """
    return high - low


@feature(parts={"average": Window("mean", "close", "n")})
def sma(s: State, average: float, n: int = 20) -> float:
    """Simple moving average, in the input's units.

    Mean of the last ``n`` values; warm-up n rows. TA-Lib ``SMA``.
    """
    return average


@feature(state=2, warmup=_ema_warmup)
def ema(s: State, close: float, n: int = 20) -> float:
    """Exponential moving average, in the input's units.

    Weight ``2 / (n + 1)``, seeded with the mean of the first ``n`` values; finite after n rows, free of its
    seed after the warm-up. TA-Lib ``EMA``.
    """
    return ema_push(s, n, close)


@feature(parts={"deviation": Window("deviation", "close", "n")})
def standard_deviation(s: State, deviation: float, n: int = 20) -> float:
    """Population standard deviation, in the input's units.

    Over the last ``n`` values, divided by n; warm-up n rows. TA-Lib ``STDDEV``.
    """
    return deviation


@feature(parts={"average": Window("mean", "close", "n")})
def sma_distance(s: State, close: float, average: float, n: int = 20) -> float:
    """Distance of the price from its simple moving average.

    ``close / SMA(n) - 1``, unitless; warm-up n rows.
    """
    return safe_ratio(close, average) - 1.0


@feature(state=2, warmup=_ema_warmup)
def ema_distance(s: State, close: float, n: int = 20) -> float:
    """Distance of the price from its exponential moving average.

    ``close / EMA(n) - 1``, unitless; finite after n rows, free of its seed after the warm-up.
    """
    return safe_ratio(close, ema_push(s, n, close)) - 1.0


@feature(parts={"before": Window("lag", "close", 1)}, state=4, warmup=_wilder_warmup)
def rsi(s: State, close: float, before: float, n: int = 14) -> float:
    """Relative strength index, 0 to 1.

    Wilder's average gain over average gain plus average loss; 0.5 while the price has not moved at all.
    Finite after n + 1 rows, free of its seed after the warm-up. TA-Lib ``RSI`` / 100; Wilder, New Concepts in
    Technical Trading Systems (1978).
    """
    change = close - before
    gain = wilder_push(s[0:2], n, change if change > 0.0 else 0.0)
    loss = wilder_push(s[2:4], n, -change if change < 0.0 else 0.0)
    if math.isnan(gain):
        return math.nan
    return gain / (gain + loss) if gain + loss > 0.0 else 0.5


@feature(parts={"reach": Part(true_range)}, state=2, warmup=_wilder_warmup)
def atr(s: State, reach: float, n: int = 14) -> float:
    """Average true range, in price units.

    Wilder's average of the `true_range`, which begins with the second bar. Finite after n + 1 rows, free of its seed
    after the warm-up. TA-Lib ``ATR``; Wilder (1978).
    """
    return wilder_push(s, n, reach)


@feature(outputs=("line", "signal", "histogram"), state=7, warmup=_macd_warmup)
def macd(s: State, close: float, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[float, float, float]:
    """Moving average convergence divergence, over the price.

    ``EMA(fast) - EMA(slow)``, its ``EMA(signal)`` and their difference, each divided by the close: unitless.
    Both averages start together, the fast one seeded with the last ``fast`` closes before, as TA-Lib ``MACD``
    does. Finite after slow + signal - 1 rows, free of its seeds after the warm-up.
    """
    s[0] += 1.0
    quick = ema_push(s[1:3], fast, close) if s[0] > slow - fast else math.nan
    line = quick - ema_push(s[3:5], slow, close)
    if math.isnan(line):
        return math.nan, math.nan, math.nan
    average = ema_push(s[5:7], signal, line)
    return safe_ratio(line, close), safe_ratio(average, close), safe_ratio(line - average, close)


@feature(
    parts={"middle": Window("mean", "close", "n"), "deviation": Window("deviation", "close", "n")},
    outputs=("percent_b", "bandwidth"),
)
def bollinger(
    s: State, close: float, middle: float, deviation: float, n: int = 20, width: float = 2.0
) -> tuple[float, float]:
    """Bollinger %b and bandwidth.

    Bands are ``SMA(n) ± width * population standard deviation``. %b is 0 at the lower band and 1 at the upper
    (0.5 where the bands meet); bandwidth is ``(upper - lower) / SMA(n)``. Unitless, warm-up n rows. TA-Lib
    ``BBANDS``; Bollinger on Bollinger Bands (2001).
    """
    reach = width * deviation
    percent_b = (close - (middle - reach)) / (2.0 * reach) if reach > FLAT * abs(middle) else 0.5
    return percent_b, safe_ratio(2.0 * reach, middle)


@feature(parts={"change": Part(log_return, {"n": 1}), "deviation": Window("deviation", "change", "n")})
def realised_volatility(s: State, deviation: float, n: int = 30) -> float:
    """Realised volatility of one-bar log returns.

    Population standard deviation of the last ``n`` log returns, per bar and not annualised; warm-up n + 1
    rows.
    """
    return deviation


@feature()
def ratio(s: State, numerator: float, denominator: float) -> float:
    """One column over another.

    ``numerator / denominator``; NaN where the denominator is zero. For example the ATR over the close.
    """
    return safe_ratio(numerator, denominator)


@feature()
def value(s: State, x: float) -> float:
    """One column as it is, such as what a context stream says.

    ``x``; warm-up 1 row.
    """
    return x
