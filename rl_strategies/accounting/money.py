"""Realised PnL of a fill in integer cents, rounded as NautilusTrader rounds."""

import numpy as np

from catalogs.compiled import kernel


@kernel
def money_cents(usd):  # type: ignore[no-untyped-def]
    """USD to cents, rounded half away from zero as by NautilusTrader's ``Money``."""
    scaled = abs(usd * 100.0)
    cents = np.int64(np.floor(scaled))
    if scaled - cents >= 0.5:
        cents += 1
    return cents if usd >= 0.0 else -cents


@kernel
def realized_cents(held, average_price, units, price, multiplier):  # type: ignore[no-untyped-def]
    """Cents that a fill of signed ``units`` at ``price`` realises on ``held`` units; 0 if it opens or adds.

    The order of the multiplications is NautilusTrader's (``Position._calculate_pnl``), so the last bit agrees.
    """
    if held == 0 or (held > 0) == (units > 0):
        return np.int64(0)
    points = price - average_price if held > 0 else average_price - price
    return money_cents(float(min(abs(units), abs(held))) * multiplier * points)
