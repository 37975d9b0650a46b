"""The record of a run: its fills, and the account at every bar.

Simulator, engine and live session produce the same record, so one report and one comparison serve all of them.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec

OrderKind = Literal["market", "stop", "limit"]
FillReason = Literal[
    "entry",
    "signal",
    "reverse",
    "stop_loss",
    "take_profit",
    "time_limit",
    "end_of_session",
    "protection_lost",
    "risk_halt",
    "ruin",
    "external",
]
ORDER_KINDS: tuple[OrderKind, ...] = get_args(OrderKind)
FILL_REASONS: tuple[FillReason, ...] = get_args(FillReason)


@dataclass(frozen=True)
class Fill:
    """One fill of an order.

    Attributes
    ----------
    ts_ns : int
        Time of the fill, UTC nanoseconds; a fill inside a bar has the bar's close time.
    units : int
        Signed units: positive bought, negative sold.
    price_ticks : int
        Price in ticks.
    commission_cents : int
        Commission of this fill in US cents.
    kind : {"market", "stop", "limit"}
        Type of the order.
    trigger_ticks : int
        Stop trigger or limit price in ticks; 0 for market orders.
    reason : str
        Why the order was sent. ``signal``: the policy wants to be flat; ``reverse``: closes the old side of a flip
        (the new side is an ``entry``); ``protection_lost``: the stop was rejected; ``risk_halt``: a daily limit;
        ``ruin``: trading has ended for good; ``external``: not an order of this session.
    """

    ts_ns: int
    units: int
    price_ticks: int
    commission_cents: int
    kind: OrderKind
    trigger_ticks: int
    reason: FillReason


@dataclass(frozen=True)
class InstrumentRecord:
    """One instrument over one window of trading.

    Attributes
    ----------
    instrument : InstrumentSpec
    bars : BarSeries
        The n bars of the window.
    session_date : datetime64[D][n]
        Trading day of each bar.
    position_units : int64[n]
        Signed units held after the bar's close was acted upon.
    fills : tuple of Fill
        Fills in order of time.
    """

    instrument: InstrumentSpec
    bars: BarSeries
    session_date: NDArray[np.datetime64]
    position_units: NDArray[np.int64]
    fills: tuple[Fill, ...]

    @property
    def ticker(self) -> str:
        """Symbol without its venue."""
        return self.instrument.symbol


@dataclass(frozen=True)
class RunRecord:
    """An account that trades K instruments over one window.

    Attributes
    ----------
    legs : tuple of InstrumentRecord
    ts_ns : int64[t]
        Times at which a bar of any instrument closes.
    session_date : datetime64[D][t]
        Trading day of each time.
    equity_usd : float64[t]
        Cash plus open positions at their last closes, after all fills up to and at that time.
    starting_balance_usd : float
    refusals : dict of str to int
        Refused targets, counted by reason.
    """

    legs: tuple[InstrumentRecord, ...]
    ts_ns: NDArray[np.int64]
    session_date: NDArray[np.datetime64]
    equity_usd: NDArray[np.float64]
    starting_balance_usd: float
    refusals: dict[str, int]

    @property
    def fill_count(self) -> int:
        """Number of fills of all instruments."""
        return sum(len(leg.fills) for leg in self.legs)

    def at_times(self, leg: InstrumentRecord, values: NDArray[Any]) -> NDArray[Any]:
        """A column of an instrument's bars at the record's times: its value at the last bar, 0 before the first."""
        row = np.searchsorted(leg.bars.ts_ns, self.ts_ns, side="right") - 1
        return np.where(row >= 0, values[np.maximum(row, 0)], 0)

    @property
    def open_positions(self) -> NDArray[np.int64]:
        """Number of instruments held after each time, int64[t]."""
        held = [self.at_times(leg, leg.position_units) != 0 for leg in self.legs]
        return np.sum(held, axis=0, dtype=np.int64)
