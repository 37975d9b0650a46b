"""The strategy behind a live execution."""

from typing import Any, Protocol

from rl_strategies.execution import ExecutionHost
from rl_strategies.live.execution.own_orders import OwnOrder
from rl_strategies.live.journal.session_journal import OrderRow


class LiveExecutionHost(ExecutionHost, Protocol):
    """The strategy behind a `LiveExecution`; `rl_strategies.live.strategy.LiveStrategy` is one."""

    @property
    def clock(self) -> Any:
        """NautilusTrader's clock."""

    def submit_order_list(self, order_list: Any) -> None:
        """Send orders together."""

    def may_open(self) -> bool:
        """Whether a position may be opened now."""

    def on_order(self, row: OrderRow) -> None:
        """Called with every order right before it is sent."""

    def on_fill(self, is_new: bool) -> None:
        """Called when a fill is booked, or what is known of one was amended."""

    def on_end(self, order: OwnOrder, text: str) -> None:
        """Called when an order was refused by the broker, was never sent, or is unknown to the broker."""

    def on_foreign(self, trade_id: str, units: int, held: int) -> None:
        """Called when others have traded signed ``units``; they hold ``held`` by now."""

    def on_amended(self, row: OrderRow) -> None:
        """Called when an order is about to be changed at the broker."""

    def request_fills(self) -> None:
        """Ask the broker for executions and orders soon."""

    def warn(self, message: str) -> None:
        """Alert a person."""
