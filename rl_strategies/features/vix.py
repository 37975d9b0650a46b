"""Implied volatility as context: its level, how unusual it is, and the slope of its term structure.

Level and z-score run on the index's own rows, daily or intraday; term-structure ratios compare two streams after the
as-of join (9-day over 1-month, 1-month over 3-month). A daily value is known only after that day's close.
"""

import math

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import State, log_ratio, ring_mean, ring_push, ring_size, ring_std

PERCENT = 100.0


@feature()
def implied_volatility(s: State, close: float) -> float:
    """Level of a volatility index as a yearly fraction.

    ``index / 100``; warm-up 1 row.
    """
    return close / PERCENT


@feature(state=lambda p: ring_size(p["n"]), warmup=lambda p: p["n"])
def implied_volatility_z(s: State, close: float, n: int = 60) -> float:
    """Log of a volatility index in standard deviations from its recent mean.

    Z-score of ``ln(index)`` over the index's last ``n`` rows, days or bars as its source has them; 0 where all are
    equal. Warm-up n rows of the stream; NaN unless the index is positive.
    """
    level = log_ratio(close, 1.0)
    if math.isnan(level) or not ring_push(s, n, level):
        return math.nan
    mean = ring_mean(s, n)
    deviation = ring_std(s, n, mean)
    return (level - mean) / deviation if deviation > 1e-9 else 0.0


@feature()
def term_structure(s: State, near: float, far: float) -> float:
    """Slope of the volatility term structure as a log ratio.

    ``ln(near / far)``: below 0 in calm markets, above 0 in stress. Warm-up 1 row; NaN unless both are positive.
    """
    return log_ratio(near, far)
