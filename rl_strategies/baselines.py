"""What doing nothing clever would have made: the yardstick beside every result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.commission import order_commission_cents, to_micros
from rl_strategies.telemetry import RunRecord


@dataclass(frozen=True)
class BuyAndHold:
    """Bought at the first close, sold at the last; it holds overnight, which an intraday policy does not.

    Attributes
    ----------
    units : int
    pnl_usd : float
        After both commissions.
    commission_usd : float
        Both orders together.
    equity_usd : float64[n]
        Account at every bar's close: the first pays one commission, the last the other.
    """

    units: int
    pnl_usd: float
    commission_usd: float
    equity_usd: NDArray[np.float64]


def buy_and_hold(record: RunRecord, units: int | None = None) -> BuyAndHold:
    """Long ``units`` over the record's window: units × (last close − first close) × multiplier − commissions.

    Parameters
    ----------
    record : RunRecord
    units : int, optional
        What the run itself held on average while it held anything (rounded, at least 1) where not given, so
        that both carry a like amount of risk while invested.

    Raises
    ------
    InputError
        If the record has no bars or units are not positive.
    """
    if len(record.bars) == 0:
        raise InputError(f"buy and hold of {record.instrument.instrument_id} needs bars, was an empty window")
    units = typical_units(record) if units is None else units
    if units < 1:
        raise InputError(f"buy and hold needs at least 1 unit, was {units}")
    instrument = record.instrument
    minimum_cents = int(instrument.commission_minimum * 100)
    commission = order_commission_cents(to_micros(instrument.commission_per_unit), minimum_cents, units) / 100
    moved_ticks = record.bars.close - record.bars.close[0]
    moved_usd = moved_ticks * (units * float(instrument.tick_value_usd))
    equity = record.starting_balance_usd + moved_usd - commission
    equity[-1] -= commission
    return BuyAndHold(units, float(moved_usd[-1]) - 2 * commission, 2 * commission, equity)


def typical_units(record: RunRecord) -> int:
    """Mean size of the position while there was one, rounded, at least 1."""
    held = np.abs(record.position_units[record.position_units != 0])
    return max(1, round(float(held.mean()))) if len(held) else 1
