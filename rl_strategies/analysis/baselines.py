"""What doing nothing clever would have made: the yardstick beside every result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.accounting.commission import order_commission_cents, to_micros
from rl_strategies.accounting.record import InstrumentRecord, RunRecord


@dataclass(frozen=True)
class BuyAndHold:
    """Bought at the first close, sold at the last; it holds overnight, which an intraday policy does not.

    Attributes
    ----------
    units : tuple of int
        Of each instrument.
    pnl_usd : float
        After all commissions.
    commission_usd : float
        Both orders of every instrument together.
    equity_usd : float64[t]
        Account at each of the record's times: an instrument's first bar pays one commission, the last time the other.
    """

    units: tuple[int, ...]
    pnl_usd: float
    commission_usd: float
    equity_usd: NDArray[np.float64]


def buy_and_hold(record: RunRecord, units: int | None = None) -> BuyAndHold:
    """Long each instrument over the record's window: units × (last close − first close) × multiplier − commissions.

    Parameters
    ----------
    record : RunRecord
    units : int, optional
        Of every instrument. What the run itself held on average while it held it (rounded, at least 1) where not
        given, so that both carry a like amount of risk while invested.

    Raises
    ------
    InputError
        If an instrument has no bars or units are not positive.
    """
    held, pnl, paid, equity = [], 0.0, 0.0, np.full(len(record.ts_ns), record.starting_balance_usd)
    for leg in record.legs:
        instrument = leg.instrument
        if len(leg.bars) == 0:
            raise InputError(f"buy and hold of {instrument.instrument_id} needs bars, was an empty window")
        own = typical_units(leg) if units is None else units
        if own < 1:
            raise InputError(f"buy and hold needs at least 1 unit, was {own}")
        minimum_cents = int(instrument.commission_minimum * 100)
        commission = order_commission_cents(to_micros(instrument.commission_per_unit), minimum_cents, own) / 100
        moved_usd = (leg.bars.close - leg.bars.close[0]) * (own * float(instrument.tick_value_usd))
        equity += record.at_times(leg, moved_usd - commission)
        equity[-1] -= commission
        held.append(own)
        paid += 2 * commission
        pnl += float(moved_usd[-1]) - 2 * commission
    return BuyAndHold(tuple(held), pnl, paid, equity)


def typical_units(leg: InstrumentRecord) -> int:
    """Mean size of the position while there was one, rounded, at least 1."""
    held = np.abs(leg.position_units[leg.position_units != 0])
    return max(1, round(float(held.mean()))) if len(held) else 1
