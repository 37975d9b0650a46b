"""Units of an entry: a fixed number, or what a risk budget affords at the present volatility."""

import math

from catalogs.compiled import kernel


@kernel
def entry_units(units, risk_budget_usd, atr, multiplier, tick_size):  # type: ignore[no-untyped-def]
    """Units of an entry; 0 where the budget does not afford one.

    Parameters
    ----------
    units : int
        Most units of an entry; its units where there is no budget.
    risk_budget_usd : float
        USD that one average true range may move the position; 0 for no budget.
    atr : float
        Average true range in price units; a market without range counts as one tick.
    multiplier, tick_size : float

    Examples
    --------
    >>> entry_units(5, 100.0, 4.0, 5.0, 0.25)  # 100 USD / (4 points × 5 USD)
    5
    >>> entry_units(9, 70.0, 4.0, 5.0, 0.25)
    3
    """
    if risk_budget_usd <= 0.0:
        return units
    return min(units, math.floor(risk_budget_usd / (max(atr, tick_size) * multiplier)))
