"""Bars as a broker sends them, and a broker that is asked for history."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity

from catalogs.sessions import session_calendar
from rl_strategies.live.broker.link import BrokerFill, BrokerLink, BrokerState

NYSE = session_calendar("NYSE")
MINUTE_NS = 60 * 10**9
BAR_TYPE = BarType.from_str("SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
TICK_RAW = Price.from_str("0.01").raw


def bar_at(open_ns: int, ticks: Sequence[int] = (50000, 50004, 49997, 50001), volume: int = 100) -> Bar:
    """A bar stamped with its open; prices in cents."""
    open_, high, low, close = (Price.from_raw(price * TICK_RAW, 2) for price in ticks)
    return Bar(BAR_TYPE, open_, high, low, close, Quantity.from_int(volume), open_ns, open_ns)


def sessions(first: str, last: str) -> list[Bar]:
    """A bar for every minute of the NYSE's sessions, stamped with its open."""
    rows = (NYSE.session_date >= np.datetime64(first)) & (NYSE.session_date <= np.datetime64(last))
    spans = zip(NYSE.open_ns[rows].tolist(), NYSE.close_ns[rows].tolist(), strict=True)
    return [bar_at(open_ns) for start, end in spans for open_ns in range(start, end, MINUTE_NS)]


def utc_ns(time: str) -> int:
    """Nanoseconds of a time like ``"2024-12-02T14:30"``."""
    return int(np.datetime64(time, "ns").astype(np.int64))


@dataclass
class ListLink(BrokerLink):
    """A broker whose history is a list of bars stamped with their opens.

    Attributes
    ----------
    market : list of Bar
        Everything that it knows, in order.
    refusals : int
        So many of the next questions get no answer.
    oldest_ns : int
        Answers reach no further back.
    """

    market: list[Bar] = field(default_factory=list)
    refusals: int = 0
    oldest_ns: int = 0
    data: bool = True
    asked: list[tuple[int, int]] = field(default_factory=list)
    listener: Any = None
    before_answer: Callable[[], None] = lambda: None

    async def bars(self, bar_type: BarType, end_ns: int, days: int, regular_hours: bool) -> list[Bar]:
        self.asked.append((end_ns, days))
        await asyncio.sleep(0)
        self.before_answer()
        if self.refusals:
            self.refusals -= 1
            return []
        first_ns = max(self.oldest_ns, end_ns - days * 1440 * MINUTE_NS)
        return [bar for bar in self.market if first_ns <= bar.ts_event < end_ns]

    def is_behind(self) -> bool:
        return False

    def has_data(self) -> bool:
        return self.data

    def is_connected(self) -> bool:
        return True

    def wire_ns(self, client_order_id: str) -> int | None:
        return None

    clock_drift_s = 0.0
    failure = None
    losses = 0

    def listen(self, instrument_id: str, listener: Any) -> None:
        self.listener = listener

    def request_executions(self, instrument_id: str, since_ns: int, known: Collection[str]) -> None:
        if self.listener is not None:
            self.listener.on_told(2**62)

    def request_time(self) -> None:
        pass

    async def broker_state(self, instrument_id: str) -> BrokerState | None:
        return None

    async def everybody(self, instrument_id: str) -> BrokerState | None:
        return await self.broker_state(instrument_id)

    async def executions(self, instrument_id: str) -> Sequence[BrokerFill] | None:
        return None

    def cancel(self, client_order_id: str) -> None:
        pass

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        return True
