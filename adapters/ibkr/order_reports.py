"""What the gateway says about orders, as small frozen records, whatever NautilusTrader makes of it."""

import sys
from dataclasses import dataclass
from typing import Any, Protocol

from nautilus_trader.adapters.interactive_brokers.parsing.execution import timestring_to_timestamp

from adapters.ibkr.order_errors import Meaning

LARGEST_DOUBLE = sys.float_info.max
PENDING = -1.0


@dataclass(frozen=True)
class BrokerFill:
    """An execution as the broker reports it.

    Attributes
    ----------
    con_id : int
        The broker's number of the contract.
    trade_id : str
        Corrections differ after the last dot.
    order_ref : str
        Client order id of the sender; empty for orders made by hand.
    ts_ns : int
        UTC nanoseconds, whole seconds.
    units : int
        Signed.
    price : float
    client_id, order_id, perm_id : int
        Sender, the sender's number, the broker's number.
    """

    con_id: int
    trade_id: str
    order_ref: str
    ts_ns: int
    units: int
    price: float
    client_id: int = 0
    order_id: int = 0
    perm_id: int = 0


@dataclass(frozen=True)
class RestingOrder:
    """An order in the broker's list.

    Attributes
    ----------
    order_ref : str
        Client order id of the sender; empty for orders made by hand.
    order_id, client_id, perm_id : int
        The sender's number, the sender, the broker's number.
    kind : str
        ``"MKT"``, ``"STP"``, ``"LMT"``, ...
    units : int
        Signed size, filled units included.
    price : float
        Trigger or limit price, 0 for market orders.
    status : str
        ``"Submitted"``, ``"PreSubmitted"``, ``"Inactive"``, ...
    """

    order_ref: str
    order_id: int
    client_id: int
    perm_id: int
    kind: str
    units: int
    price: float
    status: str


@dataclass(frozen=True)
class BrokerState:
    """Position and listed orders of one contract at the broker, asked at one moment.

    Attributes
    ----------
    units : int
        Signed position of the account.
    orders : tuple of RestingOrder
    """

    units: int
    orders: tuple[RestingOrder, ...]


@dataclass(frozen=True)
class OrderStatus:
    """Status of an own order.

    Attributes
    ----------
    order_ref, status : str
    filled : int
        Units filled so far, unsigned.
    average_price : float
    why_held : str
        ``"locate"`` while securities are located.
    """

    order_ref: str
    status: str
    filled: int
    average_price: float
    why_held: str


@dataclass(frozen=True)
class OrderAnswer:
    """An error about an own order, or why it never left.

    Attributes
    ----------
    order_ref : str
    meaning : str
        One of `adapters.ibkr.order_errors.Meaning`.
    code : int
        0 where the broker never heard of the order.
    text : str
    """

    order_ref: str
    meaning: Meaning
    code: int
    text: str


class OrderListener(Protocol):
    """Who is told; always called in the event loop's thread."""

    def on_execution(self, fill: Any) -> None:
        """Take a `BrokerFill` of anybody's order in the contract."""

    def on_told(self, asked_ns: int) -> None:
        """Note that every execution is told that had happened when they were asked for."""

    def on_commission(self, trade_id: str, usd: float) -> None:
        """Take the commission of an execution."""

    def on_status(self, status: Any) -> None:
        """Take an `OrderStatus` of an own order."""

    def on_listed(self, order: Any) -> None:
        """Take a `RestingOrder` of an own order."""

    def on_answer(self, answer: Any) -> None:
        """Take an `OrderAnswer` of an own order."""


def known_commission(usd: float | None) -> float | None:
    """Commission where it is known: absent, -1 and the largest double stand for one that is not.

    Examples
    --------
    >>> known_commission(1.24), known_commission(-1.0), known_commission(1.7976931348623157e308), known_commission(None)
    (1.24, None, None, None)
    """
    if usd is None or usd != usd or usd == PENDING or abs(usd) >= LARGEST_DOUBLE:
        return None
    return float(usd)


def client_order_id(order_ref: str) -> str:
    """Client order id in an orderRef: NautilusTrader puts its order number behind a colon."""
    return order_ref.rsplit(":", 1)[0]


def fill_of(contract: Any, execution: Any) -> BrokerFill:
    """Record of an ``execDetails`` message."""
    sign = 1 if execution.side == "BOT" else -1
    return BrokerFill(
        con_id=int(contract.conId),
        trade_id=execution.execId,
        order_ref=client_order_id(execution.orderRef or ""),
        ts_ns=int(timestring_to_timestamp(execution.time).value),
        units=sign * int(execution.shares),
        price=float(execution.price),
        client_id=int(execution.clientId),
        order_id=int(execution.orderId),
        perm_id=int(execution.permId),
    )


def order_of(order: Any, status: str) -> RestingOrder:
    """Record of an ``openOrder`` message."""
    sign = 1 if order.action == "BUY" else -1
    price = order.auxPrice if order.orderType.startswith("STP") else order.lmtPrice
    return RestingOrder(
        order_ref=client_order_id(order.orderRef or ""),
        order_id=int(order.orderId),
        client_id=int(order.clientId),
        perm_id=int(order.permId),
        kind=order.orderType,
        units=sign * int(order.totalQuantity),
        price=0.0 if order.orderType == "MKT" else float(price),
        status=status,
    )
