"""What a live session asks of the outside world, and the patience that it has with it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

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


class Truth(Protocol):
    """What the broker says of the instrument at one moment."""

    @property
    def units(self) -> int:
        """Signed position."""

    @property
    def orders(self) -> Sequence[RestingOrder]:
        """Working orders of every client."""


class Execution(Protocol):
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

    async def truth(self) -> Truth | None:
        """Position and orders; None where there is no answer."""

    async def executions(self) -> Sequence[Execution] | None:
        """Today's fills, oldest first; None where there is no answer."""

    async def bars(self, bar_type: "BarType", end_ns: int, days: int, regular_hours: bool) -> "Sequence[Bar]":
        """History, stamped with opens; empty where nothing came."""

    def withdraw(self, client_order_id: str) -> None:
        """Cancel an order of the node that has not been answered, sent or not."""

    def cancel(self, order: Any) -> None:
        """Cancel an order that the node does not know."""


class Patience(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a live session waits for what.

    Attributes
    ----------
    clock : {"wall", "bars"}
        What time it is: this machine's clock, or the close of the last bar, where a simulated gateway replays the
        past.
    max_age_periods : float
        A bar is not acted upon when so many bar lengths have passed since its open.
    watch_s : float
        Between two looks around.
    truth_s : float
        Between two questions to the broker what it holds.
    silence_s : float
        Without a bar while the market is open until bars are subscribed to again.
    context_s : float
        For the bar of a context stream after the traded bar that needs it, until history is asked.
    start_s : float
        Until a session must have begun, with history and the broker's word.
    resolve_s : float
        How long the broker's position may differ from the session's before it halts.
    """

    clock: Literal["wall", "bars"] = "wall"
    max_age_periods: float = 1.5
    watch_s: float = 0.25
    truth_s: float = 2.0
    silence_s: float = 150.0
    context_s: float = 6.0  # the broker sends a bar up to five seconds late
    start_s: float = 90.0
    resolve_s: float = 20.0

    def __post_init__(self) -> None:
        for name in ("max_age_periods", "watch_s", "truth_s", "silence_s", "context_s", "start_s", "resolve_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"patience.{name} must be above zero, was {getattr(self, name)}")
        if self.truth_s > 4:
            raise ValueError(f"patience.truth_s must be 4 or less, for a naked position's sake, was {self.truth_s}")
