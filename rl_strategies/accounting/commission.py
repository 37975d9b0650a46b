"""Commission in integer cents: a rate per unit with a minimum per order, as Interactive Brokers bills it.

The rate may be below a cent (0.005 USD per share). The minimum is charged once per order, so a partial fill costs what
it adds to the order's commission.
"""

from decimal import Decimal

from catalogs.compiled import kernel

MICROS_PER_CENT = 10_000


@kernel
def order_commission_cents(rate_micros, minimum_cents, units):  # type: ignore[no-untyped-def]
    """Commission of one order with ``units`` filled so far, rounded half up to the cent.

    Parameters
    ----------
    rate_micros : int64
        Rate per unit in millionths of a USD.
    minimum_cents : int64
        Minimum per order, in cents.
    units : int64
        Filled units, not negative.
    """
    if units == 0:
        return 0
    return max(minimum_cents, (rate_micros * units + MICROS_PER_CENT // 2) // MICROS_PER_CENT)


@kernel
def fill_commission_cents(rate_micros, minimum_cents, filled_before, units):  # type: ignore[no-untyped-def]
    """Commission of a fill of ``units`` more, after ``filled_before`` units of the order."""
    after = order_commission_cents(rate_micros, minimum_cents, filled_before + units)
    return after - order_commission_cents(rate_micros, minimum_cents, filled_before)


def to_micros(usd: Decimal) -> int:
    """An amount in millionths of a USD.

    Raises
    ------
    ValueError
        If the amount has more than six decimals.
    """
    micros = usd.scaleb(6)
    if micros != micros.to_integral_value():
        raise ValueError(f"a commission rate must have at most six decimals, was {usd}")
    return int(micros)
