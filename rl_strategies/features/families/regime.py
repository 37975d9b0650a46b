"""Which kind of market it is, told from the past alone: does it trend, is it wild.

Every measure forgets what lies outside its window; states are thresholds on measures, without memory of their own.
"""

import math

from rl_strategies.features.families.technical import log_return
from rl_strategies.features.kernel import Part, Window, feature
from rl_strategies.features.primitives import SAME_PRICE, State, log_ratio

# Squares of equal returns leave rounding errors of this share of themselves where there is no variance.
NO_VARIANCE = 1e-12


@feature(parts={"before": Window("lag", "close", 1)})
def absolute_change(s: State, close: float, before: float) -> float:
    """Size of the price change, in price units.

    ``|close - close before|``; warm-up 2 rows.
    """
    return abs(close - before)


@feature(
    parts={
        "change": Part(absolute_change),
        "path": Window("total", "change", "n"),
        "before": Window("lag", "close", "n"),
    },
    outputs=("efficiency", "state"),
)
def trend_regime(
    s: State, close: float, path: float, before: float, n: int = 60, threshold: float = 0.3
) -> tuple[float, float]:
    """Efficiency of the path, -1 (straight down) to 1 (straight up), and the trend state that it means.

    ``(close - close n bars ago) / Σ |change|``; 0 without movement. The state is 1 or -1 where its size is at least
    ``threshold``, else 0. Warm-up n + 1 rows. Kaufman, Smarter Trading (1995).
    """
    efficiency = (close - before) / path if path > 0.0 else 0.0
    if abs(close - before) < threshold * path - SAME_PRICE * close or path == 0.0:
        return efficiency, 0.0
    return efficiency, 1.0 if efficiency > 0.0 else -1.0


@feature(parts={"change": Part(log_return, {"n": 1})})
def squared_return(s: State, change: float) -> float:
    """Square of the one-bar log return.

    Warm-up 2 rows; NaN unless prices are positive.
    """
    return change * change


@feature(
    parts={
        "square": Part(squared_return),
        "recent": Window("mean", "square", "fast"),
        "longer": Window("mean", "square", "slow"),
    },
    outputs=("ratio", "state"),
)
def volatility_regime(
    s: State, recent: float, longer: float, fast: int = 20, slow: int = 120, threshold: float = 0.25
) -> tuple[float, float]:
    """Recent against longer volatility as a log ratio, and the state that it means.

    ``ln(root mean square of the last fast log returns / that of the last slow ones)``; 0 without movement in either.
    The state is 1 (wild) above ``threshold``, -1 (calm) below minus it, else 0. Warm-up slow + 1 rows.
    """
    ratio = 0.5 * math.log(recent / longer) if recent > 0.0 and longer > 0.0 else 0.0
    return ratio, (1.0 if ratio > threshold else 0.0) - (1.0 if ratio < -threshold else 0.0)


@feature(parts={"change": Part(log_return, {"n": "n"})})
def squared_long_return(s: State, change: float, n: int = 5) -> float:
    """Square of the log return over ``n`` bars.

    Warm-up n + 1 rows; NaN unless prices are positive.
    """
    return change * change


@feature(
    parts={
        "whole": Part(log_return, {"n": "n"}),
        "change": Part(log_return, {"n": "q"}),
        "changes": Window("total", "change", lambda p: max(1, p["n"] - p["q"] + 1)),
        "square": Part(squared_return),
        "single": Window("mean", "square", "n"),
        "squares": Part(squared_long_return, {"n": "q"}),
        "several": Window("mean", "squares", lambda p: max(1, p["n"] - p["q"] + 1)),
    }
)
def variance_ratio(
    s: State, whole: float, changes: float, single: float, several: float, n: int = 120, q: int = 5
) -> float:
    """Variance ratio less 1: above 0 returns follow each other, below 0 they turn back.

    ``variance of q-bar log returns / (q * variance of one-bar log returns) - 1`` over the last ``n`` bars, overlapping;
    0 without movement. ``q`` must be below ``n``. Warm-up n + 1 rows; NaN unless prices are positive. Lo and MacKinlay
    (1988).
    """
    if q >= n:
        return 0.0
    drift = whole / n
    one = single - drift * drift
    over = several - 2.0 * q * drift * changes / (n - q + 1) + (q * drift) * (q * drift)
    return over / (q * one) - 1.0 if one > NO_VARIANCE * single else 0.0


@feature()
def log_range(s: State, high: float, low: float) -> float:
    """Range of the bar as a log ratio.

    ``ln(high / low)``; warm-up 1 row. NaN unless prices are positive.
    """
    return log_ratio(high, low)


@feature(parts={"reach": Part(log_range), "rank": Window("rank", "reach", "n")})
def volatility_rank(s: State, rank: float, n: int = 120) -> float:
    """Rank of the bar's range among the last ``n``, 0 to 1.

    Share of the ``n`` log ranges before that are smaller, equal ones counting half. Warm-up n + 1 rows; NaN unless
    prices are positive.
    """
    return rank


@feature(parts={"change": Part(log_return, {"n": 1}), "before": Window("lag", "change", 1)})
def return_product(s: State, change: float, before: float) -> float:
    """Product of two successive one-bar log returns: above 0 they went the same way.

    Warm-up 3 rows; NaN unless prices are positive.
    """
    return change * before


@feature(
    parts={
        "change": Part(log_return, {"n": 1}),
        "changes": Window("total", "change", "n"),
        "first": Window("lag", "change", lambda p: p["n"] - 1),
        "product": Part(return_product),
        "products": Window("total", "product", lambda p: max(1, p["n"] - 1)),
    }
)
def return_covariance(s: State, change: float, changes: float, first: float, products: float, n: int = 60) -> float:
    """Sum of the products of successive log returns' deviations from their mean, over ``n`` returns.

    Below 0 moves turn, above 0 they go on. Warm-up n + 1 rows; NaN unless prices are positive.
    """
    average = changes / n
    return products - average * (2.0 * changes - first - change) + (n - 1) * average * average if n > 1 else 0.0


@feature(
    parts={
        "covariance": Part(return_covariance, {"n": "n"}),
        "change": Part(log_return, {"n": 1}),
        "average": Window("mean", "change", "n"),
        "square": Part(squared_return),
        "squares": Window("mean", "square", "n"),
    }
)
def return_autocorrelation(s: State, covariance: float, average: float, squares: float, n: int = 60) -> float:
    """First autocorrelation of log returns over ``n`` bars, about -1 to 1.

    `return_covariance` over n times their variance. Above 0 moves go on, below 0 they turn; 0 without movement. Warm-up
    n + 1 rows.
    """
    variance = squares - average * average
    return covariance / (n * variance) if variance > NO_VARIANCE * squares else 0.0
