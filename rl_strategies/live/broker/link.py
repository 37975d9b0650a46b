"""What a live session asks of the broker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the emergency flatten reads the configuration without NautilusTrader
    from nautilus_trader.model.data import Bar, BarType

NS = 1_000_000_000


class RestingOrder(Protocol):
    """An order that works at the broker; see `adapters.ibkr.broker_link.RestingOrder`."""

    @property
    def order_ref(self) -> str:
        """Client order id of whoever sent it."""

    @property
    def kind(self) -> str:
        """``"MKT"``, ``"STP"``, ``"LMT"``."""

    @property
    def units(self) -> int:
        """Signed, what is left to fill."""


class BrokerState(Protocol):
    """What the broker says of the instrument at one moment."""

    @property
    def units(self) -> int:
        """Signed position."""

    @property
    def orders(self) -> Sequence[RestingOrder]:
        """Working orders of every client."""


class BrokerFill(Protocol):
    """A fill as the broker reports it."""

    @property
    def trade_id(self) -> str:
        """The broker's number of it."""

    @property
    def order_ref(self) -> str:
        """Client order id of whoever sent the order."""

    @property
    def ts_ns(self) -> int:
        """UTC nanoseconds."""

    @property
    def units(self) -> int:
        """Signed."""

    @property
    def price(self) -> float:
        """Per unit."""

    @property
    def commission_usd(self) -> float:
        """Of this execution."""


class BrokerLink(Protocol):
    """The broker's own word; `adapters.ibkr.broker_link.BrokerLink` is one."""

    def is_connected(self) -> bool:
        """Whether orders would reach the broker."""

    def has_data(self) -> bool:
        """Whether market data can be trusted."""

    def wire_ns(self, client_order_id: str) -> int | None:
        """Clock when an order was written to the socket."""

    @property
    def clock_drift_s(self) -> float | None:
        """This machine's clock less the broker's; None while unknown."""

    def ask_time(self) -> None:
        """Ask for the broker's time."""

    def forget_questions(self) -> None:
        """Ask anew what was asked before the connection was lost."""

    def hang_up(self) -> None:
        """End a connection on which nobody answers; another is made."""

    async def truth(self) -> BrokerState | None:
        """Position and orders; None where there is no answer."""

    async def executions(self) -> Sequence[BrokerFill] | None:
        """Today's fills, oldest first; None where there is no answer."""

    async def bars(self, bar_type: "BarType", end_ns: int, days: int, regular_hours: bool) -> "Sequence[Bar]":
        """History, stamped with opens; empty where nothing came."""

    def withdraw(self, client_order_id: str) -> None:
        """Cancel an order of the node that has not been answered, sent or not."""

    def cancel(self, order: Any) -> None:
        """Cancel an order that the node does not know."""
