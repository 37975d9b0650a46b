"""Implied volatility as context: its level, how unusual it is, and the slope of its term structure.

Level and z-score run on the index's own rows, daily or intraday; term-structure ratios compare two streams after the
as-of join (9-day over 1-month, 1-month over 3-month). A daily value is known only after that day's close.
"""

from rl_strategies.features.families.technical import log_level
from rl_strategies.features.kernel import Part, Window, feature
from rl_strategies.features.primitives import State, log_ratio

PERCENT = 100.0


@feature()
def implied_volatility(s: State, close: float) -> float:
    """Level of a volatility index as a yearly fraction.

    ``index / 100``; warm-up 1 row.
    """
    return close / PERCENT


@feature(
    parts={
        "level": Part(log_level),
        "average": Window("mean", "level", "n"),
        "deviation": Window("deviation", "level", "n"),
    }
)
def implied_volatility_z(s: State, level: float, average: float, deviation: float, n: int = 60) -> float:
    """Log of a volatility index in standard deviations from its recent mean.

    Z-score of ``ln(index)`` over the index's last ``n`` rows, days or bars as its source has them; 0 where all are
    equal. Warm-up n rows of the stream; NaN unless the index is positive.
    """
    return (level - average) / deviation if deviation > 1e-9 else 0.0


@feature()
def term_structure(s: State, near: float, far: float) -> float:
    """Slope of the volatility term structure as a log ratio.

    ``ln(near / far)``: below 0 in calm markets, above 0 in stress. Warm-up 1 row; NaN unless both are positive.
    """
    return log_ratio(near, far)
