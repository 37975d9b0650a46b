"""What a live session requests from the broker."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the emergency flatten reads the configuration without NautilusTrader
    from nautilus_trader.model.data import Bar, BarType

NS = 1_000_000_000


class RestingOrder(Protocol):
    """An order in the broker's list; see `adapters.ibkr.order_reports.RestingOrder`."""

    @property
    def order_ref(self) -> str:
        """Client order id of the order; empty where it was made by hand."""

    @property
    def client_id(self) -> int:
        """Sender."""

    @property
    def kind(self) -> str:
        """``"MKT"``, ``"STP"``, ``"LMT"``."""

    @property
    def units(self) -> int:
        """Signed size, filled units included."""

    @property
    def price(self) -> float:
        """Trigger or limit price."""

    @property
    def status(self) -> str:
        """``"Submitted"``, ``"PreSubmitted"``, ``"PendingCancel"``, ``"Inactive"``, ..."""


class BrokerState(Protocol):
    """Position and orders of an instrument at the broker, at one moment."""

    @property
    def units(self) -> int:
        """Signed position of the account."""

    @property
    def orders(self) -> Sequence[RestingOrder]:
        """Listed orders."""


class BrokerFill(Protocol):
    """An execution as the broker reports it."""

    @property
    def trade_id(self) -> str:
        """The broker's id; corrections differ after the last dot."""

    @property
    def order_ref(self) -> str:
        """Client order id of the order; empty where it was made by hand."""

    @property
    def ts_ns(self) -> int:
        """Time of the fill, UTC nanoseconds."""

    @property
    def units(self) -> int:
        """Signed units filled."""

    @property
    def price(self) -> float:
        """Price per unit."""


class OrderStatus(Protocol):
    """Status of an own order."""

    @property
    def order_ref(self) -> str:
        """Client order id."""

    @property
    def status(self) -> str:
        """As in `RestingOrder`, and ``"Filled"``, ``"Cancelled"``, ``"ApiCancelled"``."""

    @property
    def filled(self) -> int:
        """Units filled so far, unsigned."""

    @property
    def average_price(self) -> float:
        """Mean price of these."""

    @property
    def why_held(self) -> str:
        """``"locate"`` while securities are located."""


class OrderAnswer(Protocol):
    """An error about an own order, or why it never left."""

    @property
    def order_ref(self) -> str:
        """Client order id."""

    @property
    def meaning(self) -> str:
        """See `adapters.ibkr.order_errors.MEANINGS`."""

    @property
    def code(self) -> int:
        """Error code; 0 where the broker never heard of the order."""

    @property
    def text(self) -> str:
        """The broker's words, or why the order was not sent."""


class OrderListener(Protocol):
    """Is told what the broker says of orders, as it comes."""

    def on_execution(self, fill: BrokerFill) -> None:
        """Take an execution of anybody's order in the contract, any number of times."""

    def on_told(self, asked_ns: int) -> None:
        """Note that every execution is told that had happened when they were asked for, UTC nanoseconds."""

    def on_commission(self, trade_id: str, usd: float) -> None:
        """Take the commission of an execution."""

    def on_status(self, status: OrderStatus) -> None:
        """Take the status of an own order."""

    def on_listed(self, order: RestingOrder) -> None:
        """Take an own order as the broker lists it."""

    def on_answer(self, answer: OrderAnswer) -> None:
        """Take an error about an own order."""


class BrokerLink(Protocol):
    """Requests that a live session makes of the broker; `adapters.ibkr.broker_link.BrokerLink` answers them.

    Attributes
    ----------
    failure : Exception or None
        Error while a message of the broker was taken.
    """

    failure: Exception | None

    def is_connected(self) -> bool:
        """Whether orders would reach the broker."""

    @property
    def losses(self) -> int:
        """How often the connection or the gateway's own servers were lost, however shortly."""

    def is_behind(self) -> bool:
        """Whether messages of the broker wait unread: an answer may be among them."""

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

    def listen(self, instrument_id: str, listener: OrderListener) -> None:
        """Tell a listener from now on what the broker says of orders, and of executions in this contract."""

    async def broker_state(self, instrument_id: str) -> BrokerState | None:
        """Position and the orders of this client; None where there is no answer."""

    async def everybody(self, instrument_id: str) -> BrokerState | None:
        """Position and the orders of every client and those made by hand; None where there is no answer."""

    async def executions(self, instrument_id: str) -> Sequence[BrokerFill] | None:
        """Today's executions, of which the listener has heard; None where there is no answer."""

    def request_executions(self, instrument_id: str, since_ns: int, known: Collection[str]) -> None:
        """Ask for the executions since a time; the listener hears of them and then that all are told."""

    async def bars(self, bar_type: "BarType", end_ns: int, days: int, regular_hours: bool) -> "Sequence[Bar]":
        """History, stamped with opens; empty where it was refused, `TimeoutError` where no answer came in time."""

    def cancel(self, client_order_id: str) -> None:
        """Cancel an own order; one that has not been sent yet is not sent any more."""

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        """Change size and price of an own order that works; False where it cannot be sent now."""
