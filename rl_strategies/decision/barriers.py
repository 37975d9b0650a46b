"""Barriers of an entry: stop loss and take profit at the broker, time limit in the strategy.

Both prices are measured from the entry's fill price, once it is known: a barrier from an earlier price might already be
passed.
"""

import math
from typing import Literal

import msgspec

from catalogs.compiled import kernel

UNITS = ("ticks", "atr", "percent")
_TICKS, _ATR, _PERCENT = range(3)


class Distance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far a barrier lies from the entry.

    Attributes
    ----------
    value : float
        Distance, above zero.
    unit : {"ticks", "atr", "percent"}
        ``atr``: multiples of the average true range at the decision; ``percent``: percent of the entry price.
    """

    value: float
    unit: Literal["ticks", "atr", "percent"]

    def __post_init__(self) -> None:
        if not (self.value > 0 and math.isfinite(self.value)):
            raise ValueError(f"a barrier's distance must be above zero, was {self.value}")


class BarrierConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Barriers of every entry; None for no barrier.

    Attributes
    ----------
    stop_loss, take_profit : Distance or None
    time_limit_bars : int
        Bars after which the position is closed; 0 for no limit.
    """

    stop_loss: Distance | None = Distance(3.0, "atr")
    take_profit: Distance | None = Distance(4.0, "atr")
    time_limit_bars: int = 60

    def __post_init__(self) -> None:
        if self.time_limit_bars < 0:
            raise ValueError(f"time_limit_bars must not be negative, was {self.time_limit_bars}")


def unit_code(distance: Distance | None) -> int:
    """Unit of a distance as `barrier_ticks` takes it; -1 for no barrier."""
    return -1 if distance is None else UNITS.index(distance.unit)


@kernel
def barrier_ticks(unit, value, direction, fill_ticks, market_ticks, tick_size, atr):  # type: ignore[no-untyped-def]
    """Price of a barrier in ticks, at least one tick beyond fill, market and zero; 0 for no barrier.

    Parameters
    ----------
    unit : int
        `unit_code` of the distance.
    value : float
        Distance in that unit.
    direction : int
        1 for a barrier above the fill, -1 below.
    fill_ticks : int
        Fill price of the entry in ticks.
    market_ticks : int
        Last price: a venue rejects a stop in the market, as one tick from a slipped fill might be.
    tick_size, atr : float
        Tick size and average true range in price units.
    """
    if unit < 0:
        return 0
    if unit == _TICKS:
        distance = value
    elif unit == _ATR:
        distance = value * atr / tick_size
    else:
        distance = value / 100.0 * fill_ticks
    price = fill_ticks + direction * max(1, math.floor(distance + 0.5))
    beyond = market_ticks + direction
    return max(1, min(price, beyond) if direction < 0 else max(price, beyond))
