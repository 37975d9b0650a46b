"""What a trading session publishes: fills as they happened and the account at every bar.

Simulator, engine and live session fill the same record, so one report and one comparison serve all of them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.instruments import InstrumentSpec

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
    """One execution.

    Attributes
    ----------
    ts_ns : int
        Execution time, UTC nanoseconds; intrabar fills carry their bar's close time.
    units : int
        Signed: positive bought, negative sold.
    price_ticks : int
        Execution price in ticks.
    commission_cents : int
        Commission of this execution in US cents.
    kind : {"market", "stop", "limit"}
        Order type that was filled.
    trigger_ticks : int
        Stop trigger or limit price in ticks; 0 for market orders.
    reason : str
        Why the order was sent. ``signal`` closes to flat at the policy's wish, ``reverse`` closes the old side of
        a flip (the new side is an ``entry``), ``protection_lost`` closes after a rejected stop,
        ``risk_halt`` at a daily limit, ``ruin`` for good, ``external`` by an order that the session did not send.
    """

    ts_ns: int
    units: int
    price_ticks: int
    commission_cents: int
    kind: OrderKind
    trigger_ticks: int
    reason: FillReason


@dataclass(frozen=True)
class RunRecord:
    """One instrument over one window of trading.

    Attributes
    ----------
    instrument : InstrumentSpec
    bars : BarSeries
        The n bars of the window.
    session_date : datetime64[D][n]
        Trading day of each bar.
    equity_usd : float64[n]
        Cash plus open position marked at the bar's close, after everything that happened up to and on that close.
    position_units : int64[n]
        Signed units held after the bar's close was acted upon.
    fills : tuple of Fill
        In order of execution.
    starting_balance_usd : float
    refusals : dict of str to int
        Targets that the risk overlay refused, counted by reason.
    """

    instrument: InstrumentSpec
    bars: BarSeries
    session_date: NDArray[np.datetime64]
    equity_usd: NDArray[np.float64]
    position_units: NDArray[np.int64]
    fills: tuple[Fill, ...]
    starting_balance_usd: float
    refusals: dict[str, int]
