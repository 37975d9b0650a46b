"""What a live session requests from the broker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the emergency flatten reads the configuration without NautilusTrader
    from nautilus_trader.model.data import Bar, BarType

NS = 1_000_000_000


class RestingOrder(Protocol):
    """An order that works at the broker; see `adapters.ibkr.broker_link.RestingOrder`."""

    @property
    def order_ref(self) -> str:
        """Client order id of the order; empty where it was sent by hand."""

    @property
    def kind(self) -> str:
        """``"MKT"``, ``"STP"``, ``"LMT"``."""

    @property
    def units(self) -> int:
        """Signed units left to fill."""


class BrokerState(Protocol):
    """Position and orders of the instrument at the broker, at one moment."""

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
        """The broker's id of the fill."""

    @property
    def order_ref(self) -> str:
        """Client order id of the order; empty where it was sent by hand."""

    @property
    def ts_ns(self) -> int:
        """Time of the fill, UTC nanoseconds."""

    @property
    def units(self) -> int:
        """Signed units filled."""

    @property
    def price(self) -> float:
        """Price per unit."""

    @property
    def commission_usd(self) -> float:
        """Commission of this fill."""


class BrokerLink(Protocol):
    """Requests that a live session makes of the broker; `adapters.ibkr.broker_link.BrokerLink` answers them."""

    def is_connected(self) -> bool:
        """Whether orders would reach the broker."""

    def has_data(self) -> bool:
        """Whether market data can be trusted."""

    def wire_ns(self, client_order_id: str) -> int | None:
        """Clock when an order was written to the socket."""

    @property
    def clock_drift_s(self) -> float | None:
        """This machine's clock less the broker's; None while unknown."""

    def request_time(self) -> None:
        """Request the broker's time; the answer moves `clock_drift_s`."""

    def drop_requests(self) -> None:
        """Forget the requests that were open when the connection was lost: they are never answered."""

    def disconnect(self) -> None:
        """Close a connection that no longer answers; a new one follows."""

    async def broker_state(self) -> BrokerState | None:
        """Position and orders; None where there is no answer."""

    async def executions(self) -> Sequence[BrokerFill] | None:
        """Today's fills, oldest first; None where there is no answer."""

    async def bars(self, bar_type: "BarType", end_ns: int, days: int, regular_hours: bool) -> "Sequence[Bar]":
        """History, stamped with opens; empty where nothing came."""

    def cancel_unanswered(self, client_order_id: str) -> None:
        """Cancel an order of the session that the broker has not acknowledged, sent or not."""

    def cancel(self, order: Any) -> None:
        """Cancel an order that the session did not send."""
