"""What is traded: one specification per instrument, and the NautilusTrader object made from it."""

from decimal import Decimal
from typing import Literal

import msgspec


class InstrumentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contract terms that shape orders, fees and sessions.

    Attributes
    ----------
    instrument_id : str
        Symbol and venue, for example ``"ESU5.XCME"`` or ``"SPY.EQUS"``.
    kind : {"future", "equity"}
    tick_size : Decimal
        Smallest price step, USD.
    multiplier : int
        USD per point of price per unit; 1 for shares.
    commission_per_unit : Decimal
        USD per contract or share and side.
    commission_minimum : Decimal
        USD per order; 0 where there is none.
    calendar : {"NYSE", "CME Globex Equity"}
    margin_initial, margin_maintenance : Decimal
        USD per unit for futures; 0 for shares.
    """

    instrument_id: str
    kind: Literal["future", "equity"]
    tick_size: Decimal
    multiplier: int
    commission_per_unit: Decimal
    commission_minimum: Decimal
    calendar: Literal["NYSE", "CME Globex Equity"]
    margin_initial: Decimal = Decimal(0)
    margin_maintenance: Decimal = Decimal(0)

    @property
    def tick_raw(self) -> float:
        """Tick size in units of 1e-16, as `catalogs.bars.price_from_ticks` takes it."""
        return float(int(self.tick_size.scaleb(16)))

    @property
    def tick_value_usd(self) -> Decimal:
        """USD that one tick is worth for one unit."""
        return self.tick_size * self.multiplier
