"""Which kind of market it is, told from the past alone: does it trend, is it wild.

Every measure forgets what lies outside its window; states are thresholds on measures, without memory of their own.
"""

import math

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import (
    State,
    exact_push,
    exact_size,
    log_ratio,
    ring_back,
    ring_mean,
    ring_oldest,
    ring_push,
    ring_rank,
    ring_size,
    ring_std,
    ring_succession,
    ring_variation,
)


@feature(
    outputs=("efficiency", "state"),
    state=lambda p: 1 + exact_size(p["n"]) + ring_size(p["n"]),
    warmup=lambda p: p["n"] + 1,
)
def trend_regime(s: State, close: float, n: int = 60, threshold: float = 0.3) -> tuple[float, float]:
    """Efficiency of the path, -1 (straight down) to 1 (straight up), and the trend state that it means.

    ``(close - close n bars ago) / Σ |change|``; 0 without movement. The state is 1 or -1 where its size is at least
    ``threshold``, else 0. Warm-up n + 1 rows. Kaufman, Smarter Trading (1995).
    """
    before, s[0] = s[0], close
    changes, closes = s[1 : n + 5], s[n + 5 :]
    old = ring_oldest(closes)
    ring_push(closes, n, close)
    if before == 0.0:
        return math.nan, math.nan
    path = exact_push(changes, n, abs(close - before))
    if changes[0] < n:
        return math.nan, math.nan
    efficiency = (close - old) / path if path > 0.0 else 0.0
    if abs(efficiency) < threshold:
        return efficiency, 0.0
    return efficiency, 1.0 if efficiency > 0.0 else -1.0


@feature(
    outputs=("ratio", "state"),
    state=lambda p: 1 + exact_size(p["fast"]) + exact_size(p["slow"]),
    warmup=lambda p: max(p["fast"], p["slow"]) + 1,
)
def volatility_regime(
    s: State, close: float, fast: int = 20, slow: int = 120, threshold: float = 0.25
) -> tuple[float, float]:
    """Recent against longer volatility as a log ratio, and the state that it means.

    ``ln(root mean square of the last fast log returns / that of the last slow ones)``; 0 without movement in either.
    The state is 1 (wild) above ``threshold``, -1 (calm) below minus it, else 0. Warm-up slow + 1 rows.
    """
    change = log_ratio(close, s[0])
    s[0] = close
    if math.isnan(change):
        return math.nan, math.nan
    recent, longer = s[1 : fast + 5], s[fast + 5 :]
    one = exact_push(recent, fast, change * change) / fast
    other = exact_push(longer, slow, change * change) / slow
    if recent[0] < fast or longer[0] < slow:
        return math.nan, math.nan
    ratio = 0.5 * math.log(one / other) if one > 0.0 and other > 0.0 else 0.0
    return ratio, (1.0 if ratio > threshold else 0.0) - (1.0 if ratio < -threshold else 0.0)


@feature(state=lambda p: ring_size(p["n"] + 1), warmup=lambda p: p["n"] + 1)
def variance_ratio(s: State, close: float, n: int = 120, q: int = 5) -> float:
    """Variance ratio less 1: above 0 returns follow each other, below 0 they turn back.

    ``variance of q-bar log returns / (q * variance of one-bar log returns) - 1`` over the last ``n`` bars, overlapping;
    0 without movement. ``q`` must be below ``n``. Warm-up n + 1 rows; NaN unless prices are positive. Lo and MacKinlay
    (1988).
    """
    level = log_ratio(close, 1.0)
    if math.isnan(level) or not ring_push(s, n + 1, level):
        return math.nan
    drift = (level - ring_back(s, n + 1, n)) / n
    single = ring_variation(s, n + 1, 1, drift) / n
    several = ring_variation(s, n + 1, q, q * drift) / (n + 1 - q) if q < n else 0.0
    return several / (q * single) - 1.0 if single > 1e-24 else 0.0


@feature(state=lambda p: ring_size(p["n"]), warmup=lambda p: p["n"] + 1)
def volatility_rank(s: State, high: float, low: float, n: int = 120) -> float:
    """Rank of the bar's range among the last ``n``, 0 to 1.

    Share of the ``n`` log ranges before that are smaller, equal ones counting half. Warm-up n + 1 rows; NaN unless
    prices are positive.
    """
    reach = log_ratio(high, low)
    if math.isnan(reach):
        return math.nan
    rank = ring_rank(s, n, reach) if s[0] >= n else math.nan
    ring_push(s, n, reach)
    return rank


@feature(state=lambda p: 1 + ring_size(p["n"]), warmup=lambda p: p["n"] + 1)
def return_autocorrelation(s: State, close: float, n: int = 60) -> float:
    """First autocorrelation of log returns over ``n`` bars, about -1 to 1.

    Above 0 moves go on, below 0 they turn; 0 without movement. Warm-up n + 1 rows.
    """
    change = log_ratio(close, s[0])
    s[0] = close
    if math.isnan(change) or not ring_push(s[1:], n, change):
        return math.nan
    mean = ring_mean(s[1:], n)
    deviation = ring_std(s[1:], n, mean)
    return ring_succession(s[1:], n, mean) / (n * deviation * deviation) if deviation > 1e-12 else 0.0
