"""Buy and hold, the baseline beside every result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.accounting.commission import order_commission_cents, to_micros
from rl_strategies.accounting.record import InstrumentRecord, RunRecord


@dataclass(frozen=True)
class BuyAndHold:
    """Bought at the first close, sold at the last. It holds overnight, which an intraday policy does not.

    Attributes
    ----------
    units : tuple of int
        Units of each instrument.
    pnl_usd : float
        After all commissions.
    commission_usd : float
        Commission of both orders of every instrument.
    equity_usd : float64[t]
        Equity at each of the record's times. An instrument's first bar pays the entry's commission, the last time the
        exit's.
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
        Units of every instrument. Default: the run's own average position while it had one (rounded, at least 1), so
        that both carry a similar risk while invested.

    Raises
    ------
    InputError
        If an instrument has no bars or units are not positive.
    """
    held, pnl, paid, equity = [], 0.0, 0.0, np.full(len(record.ts_ns), record.starting_balance_usd)
    for leg in record.legs:
        instrument = leg.instrument
        if len(leg.bars) == 0:
            raise InputError(f"buy and hold of {instrument.instrument_id} needs at least one bar, had none")
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
    """Mean size of an instrument's position while held, rounded, at least 1."""
    held = np.abs(leg.position_units[leg.position_units != 0])
    return max(1, round(float(held.mean()))) if len(held) else 1
