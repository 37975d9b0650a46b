"""Smart-money technique: related markets that should move together and do not.

The single-market measures run on each stream's own bars; the divergences compare two of them after the as-of join.
"""

import math

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import (
    State,
    log_ratio,
    ring_max,
    ring_min,
    ring_oldest,
    ring_push,
    ring_size,
    ring_std,
)


@feature(state=lambda p: 1 + ring_size(p["n"]) + ring_size(p["deviation"]), warmup=lambda p: p["n"] + p["deviation"])
def momentum(s: State, close: float, n: int = 10, deviation: int = 60) -> float:
    """Return over ``n`` bars in units of its own usual size.

    ``ln(close / close n bars ago) / (σ √n)``, σ the root mean square of the last ``deviation`` one-bar log returns; 0
    without movement. Comparable between markets. Warm-up n + deviation rows.
    """
    change = log_ratio(close, s[0])
    closes, changes = s[1 : 2 * n + 3], s[2 * n + 3 :]
    s[0] = close
    before = ring_oldest(closes) if closes[0] >= n else math.nan
    ring_push(closes, n, close)
    if math.isnan(change) or not ring_push(changes, deviation, change) or math.isnan(before):
        return math.nan
    size = ring_std(changes, deviation, 0.0)
    return log_ratio(close, before) / (size * math.sqrt(n)) if size > 0.0 else 0.0


@feature(
    outputs=("high", "low"),
    state=lambda p: 2 * ring_size(p["n"]),
    warmup=lambda p: p["n"] + 1,
)
def swing_break(s: State, high: float, low: float, n: int = 30) -> tuple[float, float]:
    """How far the bar goes beyond the extremes of the ``n`` bars before it, in shares of their range.

    ``(high - highest) / (highest - lowest)`` and ``(lowest - low) / (highest - lowest)``: positive for a new extreme, 0
    where there was no range. Warm-up n + 1 rows.
    """
    highs, lows = s[: 2 * n + 2], s[2 * n + 2 :]
    is_full = highs[0] >= n
    top, bottom = (ring_max(highs, n), ring_min(lows, n)) if is_full else (math.nan, math.nan)
    ring_push(highs, n, high)
    ring_push(lows, n, low)
    if not is_full:
        return math.nan, math.nan
    reach = top - bottom
    return ((high - top) / reach, (bottom - low) / reach) if reach > 0.0 else (0.0, 0.0)


@feature()
def divergence(s: State, one: float, other: float) -> float:
    """Difference of two like measures, such as the `momentum` of two markets.

    ``one - other``; warm-up 1 row.
    """
    return one - other


@feature()
def swing_divergence(s: State, one_high: float, one_low: float, other_high: float, other_low: float) -> float:
    """Swing divergence of two markets, from their `swing_break`: -1 bearish, 1 bullish.

    Bearish where exactly one of the two made a new high, bullish where exactly one made a new low, 0 for neither or
    both. Warm-up 1 row.
    """
    bearish = 1.0 if (one_high > 0.0) != (other_high > 0.0) else 0.0
    bullish = 1.0 if (one_low > 0.0) != (other_low > 0.0) else 0.0
    return bullish - bearish
