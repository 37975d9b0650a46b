"""Opening trades: fills at the open of the next bar, for ``fill: next_open``.

The engine receives a bar at its close. So a replay adds one trade per bar: a moment after the bar's opening time, at
its open, for a quarter of its volume, which is the size of the bar's own ticks. The strategy sends waiting orders when
it sees that trade.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.objects import Price, Quantity

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from rl_strategies.decision.rules import NS_PER_MINUTE, ExecutionConfig, TradingConfig

AFTER_OPEN_NS = 1_000_000  # later than any decision on the bar before


def opening_lead_ns(series: Sequence[BarSeries], trading: TradingConfig, execution: ExecutionConfig) -> int:
    """Time from a bar's opening trade to its close, nanoseconds; 0 if orders do not wait for the open.

    Raises
    ------
    InputError
        If bars differ in length, or positions must be flat inside a bar: an order could then be filled by the opening
        trade of a bar that closes after the session.
    """
    if execution.fill != "next_open":
        return 0
    lengths = {bar_length_ns(bars.bar_type) for bars in series}
    if len(lengths) > 1:
        raise InputError(f"fill next_open needs bars of one length, had {sorted(lengths)} ns")
    (length,) = lengths
    flatten = trading.risk.flatten_before_close_minutes
    if (flatten * NS_PER_MINUTE) % length:
        raise InputError(
            "with fill next_open, flatten_before_close_minutes must be a whole number of bars, "
            f"was {flatten} with bars of {length // NS_PER_MINUTE} minutes"
        )
    return length - AFTER_OPEN_NS


def opening_trades(bars: BarSeries, instrument: Any, lead_ns: int) -> list[TradeTick]:
    """One opening trade per bar, as engine data."""
    quarter = np.maximum(1, bars.volume // 4)
    raw, precision = int(bars.tick_raw), instrument.price_precision
    return [
        TradeTick(
            instrument.id,
            Price.from_raw(int(open_) * raw, precision),
            Quantity.from_int(int(size)),
            AggressorSide.NO_AGGRESSOR,
            TradeId("O"),
            int(ts_ns) - lead_ns,
            int(ts_ns) - lead_ns,
        )
        for ts_ns, open_, size in zip(bars.ts_ns, bars.open, quarter, strict=True)
    ]
