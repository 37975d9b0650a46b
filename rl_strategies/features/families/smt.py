"""Smart-money technique: related markets that should move together and do not.

The single-market measures run on each stream's own bars; the divergences compare two of them after the as-of join.
"""

import math

from rl_strategies.features.families.regime import squared_return
from rl_strategies.features.families.technical import log_return
from rl_strategies.features.kernel import Part, Window, feature
from rl_strategies.features.primitives import State


@feature(
    parts={
        "whole": Part(log_return, {"n": "n"}),
        "square": Part(squared_return),
        "squares": Window("mean", "square", "deviation"),
    }
)
def momentum(s: State, whole: float, squares: float, n: int = 10, deviation: int = 60) -> float:
    """Return over ``n`` bars in units of its own usual size.

    ``ln(close / close n bars ago) / (σ √n)``, σ the root mean square of the last ``deviation`` one-bar log returns; 0
    without movement. Comparable between markets. Warm-up: the longer of n and deviation, and 1 row.
    """
    return whole / math.sqrt(squares * n) if squares > 0.0 else 0.0


@feature(
    parts={
        "top": Window("highest", "high", "n"),
        "bottom": Window("lowest", "low", "n"),
        "top_before": Window("lag", "top", 1),
        "bottom_before": Window("lag", "bottom", 1),
    },
    outputs=("high", "low"),
)
def swing_break(
    s: State, high: float, low: float, top_before: float, bottom_before: float, n: int = 30
) -> tuple[float, float]:
    """How far the bar goes beyond the extremes of the ``n`` bars before it, in shares of their range.

    ``(high - highest) / (highest - lowest)`` and ``(lowest - low) / (highest - lowest)``: positive for a new extreme, 0
    where there was no range. Warm-up n + 1 rows.
    """
    reach = top_before - bottom_before
    return ((high - top_before) / reach, (bottom_before - low) / reach) if reach > 0.0 else (0.0, 0.0)


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
