"""Orders of one instrument: from a reviewed target to the venue, and from the venue's fills back to the position.

Stop loss and take profit are sent when the entry is filled, at distances from the fill price. The position changes
with the venue's fills alone.
"""

from typing import Any, Protocol

import numpy as np
from nautilus_trader.model.data import Bar, TradeTick
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.objects import Price, Quantity

from rl_strategies.accounting.record import Fill, FillReason, OrderKind
from rl_strategies.decision.core import DecisionCore, Review

KINDS: dict[Any, OrderKind] = {
    OrderType.MARKET: "market",
    OrderType.STOP_MARKET: "stop",
    OrderType.LIMIT: "limit",
}
_EXIT_REASONS: dict[str, FillReason] = {
    "time_limit": "time_limit",
    "daily_loss": "risk_halt",
    "daily_drawdown": "risk_halt",
}


class ExecutionHost(Protocol):
    """The Nautilus strategy that orders are sent through; `rl_strategies.strategy.RLStrategy` is one."""

    @property
    def cache(self) -> Any:
        """NautilusTrader's cache."""

    @property
    def order_factory(self) -> Any:
        """NautilusTrader's order factory."""

    def submit_order(self, order: Any) -> None:
        """Send an order."""

    def cancel_all_orders(self, instrument_id: InstrumentId) -> None:
        """Cancel all working orders of an instrument."""

    def count(self, reason: str) -> None:
        """Count a refusal."""


class OrderExecution:
    """Sends and follows the orders of one instrument on behalf of the strategy.

    Parameters
    ----------
    host : ExecutionHost
    core : DecisionCore
    k : int
        Place of the instrument in the policy's order.

    Attributes
    ----------
    fills : list of Fill
    """

    def __init__(self, host: ExecutionHost, core: DecisionCore, k: int) -> None:
        self._host = host
        self._decision, self._k = core, k
        self._core = core.instruments[k]
        self._tick_raw = int(self._core.instrument.tick_raw)
        self.reset()

    def reset(self) -> None:
        """Forget all orders."""
        self.fills: list[Fill] = []
        self._sent: dict[ClientOrderId, tuple[Any, FillReason]] = {}  # orders with their reasons
        self._unanswered: list[Any] = []  # orders not known to be acknowledged or filled
        self._entry_id: ClientOrderId | None = None
        self._stop_id: ClientOrderId | None = None
        self._waiting: Review | None = None
        self._market_ticks = 0

    def open(self, instrument_id: InstrumentId) -> None:
        """Look the instrument up; called before the first order."""
        self._instrument_id = instrument_id
        self._instrument = self._host.cache.instrument(instrument_id)
        if self._instrument is None:
            raise ValueError(f"the cache has no instrument {instrument_id}")
        step = self._instrument.price_increment
        if self._tick_raw % step.raw:
            own = self._core.instrument.tick_size
            raise ValueError(f"tick of {instrument_id} must be a multiple of the venue's {step}, was {own}")

    def take_bar(self, bar: Bar) -> np.datetime64:
        """Pass a bar to the core; returns its trading day."""
        tick_raw = self._tick_raw
        return self._core.on_bar(
            bar.ts_event,
            bar.open.raw // tick_raw,
            bar.high.raw // tick_raw,
            bar.low.raw // tick_raw,
            bar.close.raw // tick_raw,
            round(bar.volume.as_double()),  # whole units; the double of an exact integer may fall just short of it
        )

    def execute_at_open(self, review: Review) -> None:
        """Keep a change of side for the next opening trade; it replaces one that still waits."""
        self._waiting = review if review.side != self._core.side else None

    def on_open(self, tick: TradeTick) -> None:
        """Send the orders that waited for the opening trade."""
        review, self._waiting = self._waiting, None
        if review is not None:
            self._market_ticks = tick.price.raw // self._tick_raw
            self._change_side(review)

    def execute(self, review: Review) -> None:
        """Send the orders that lead from the held side to the reviewed one, on the close just seen."""
        self._market_ticks = self._core.close_ticks
        self._change_side(review)

    def _change_side(self, review: Review) -> None:
        side = self._core.side
        if review.side == side:
            return
        if side != 0:
            by_policy: FillReason = "reverse" if review.side != 0 else "signal"
            self.close_position(_EXIT_REASONS.get(review.reason, by_policy))
        if review.side != 0:
            self._enter(review)

    def _enter(self, review: Review) -> None:
        order = self._market_order(review.side, review.units)
        self._entry_id = order.client_order_id
        self._submit(order, "entry")

    def _market_order(self, side: int, units: int, group: str = "", reduce_only: bool = False) -> Any:
        return self._host.order_factory.market(
            self._instrument_id,
            _order_side(side),
            Quantity.from_int(units),
            reduce_only=reduce_only,
            tags=self._tags(group),
        )

    def _tags(self, group: str) -> list[str] | None:
        """Tags of an order; the simulated venue needs none."""

    def end_session(self, event: Any) -> None:
        """Close before the session ends; called by a time alert."""
        self.close_position("end_of_session")

    def close_position(self, reason: FillReason) -> None:
        """Cancel all working orders and close the position."""
        self._host.cancel_all_orders(self._instrument_id)
        self._entry_id = None
        self._waiting = None
        units = self._core.units
        if units != 0:
            self._submit(self._market_order(-self._core.side, abs(units), reduce_only=True), reason)

    def is_in_flight(self) -> bool:
        """Whether an order is not acknowledged yet, or a market order not completely filled.

        The position is then not known. A barrier that is being cancelled does not count: it can only reduce.
        """
        if self._unanswered:
            self._unanswered = [order for order in self._unanswered if _is_unanswered(order)]
        return bool(self._unanswered)

    def on_filled(self, event: OrderFilled) -> None:
        """Update the position; send the barriers of a complete entry; cancel all orders once flat."""
        units = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        price_ticks = event.last_px.raw // self._tick_raw
        commission_cents = round(event.commission.as_double() * 100)
        self._decision.on_fill(self._k, units, price_ticks, commission_cents)
        order, reason = self._sent[event.client_order_id]
        kind, trigger = KINDS[event.order_type], self._trigger_ticks(order)
        self.fills.append(Fill(event.ts_event, units, price_ticks, commission_cents, kind, trigger, reason))
        if event.client_order_id == self._entry_id and order.is_closed:
            self._entry_id = None
            self._lay_barriers(price_ticks, abs(self._core.units))
        elif self._core.units == 0 and self._host.cache.orders_open_count(None, self._instrument_id):
            self._host.cancel_all_orders(self._instrument_id)

    def on_refused(self, client_order_id: ClientOrderId, reason: str) -> None:
        """Close the position at once if its stop was refused; every refusal is counted."""
        self._host.count(f"venue: {reason}")
        if client_order_id == self._stop_id:
            self.close_position("protection_lost")

    def _submit(self, order: Any, reason: FillReason, group: str = "") -> None:
        self._sent[order.client_order_id] = (order, reason)
        self._unanswered = [*filter(_is_unanswered, self._unanswered), order]
        self._host.submit_order(order)

    def _lay_barriers(self, entry_ticks: int, units: int, group: str = "") -> None:
        factory = self._host.order_factory
        exit_side = _order_side(-self._core.side)
        quantity, tags = Quantity.from_int(units), self._tags(group)
        stop = self._core.lay_barrier("stop_loss", entry_ticks, self._market_ticks)
        take_profit = self._core.lay_barrier("take_profit", entry_ticks, self._market_ticks)
        if stop:
            order = factory.stop_market(
                self._instrument_id, exit_side, quantity, self._price(stop), reduce_only=True, tags=tags
            )
            self._stop_id = order.client_order_id
            self._submit(order, "stop_loss", group)
        if take_profit:
            order = factory.limit(
                self._instrument_id, exit_side, quantity, self._price(take_profit), reduce_only=True, tags=tags
            )
            self._submit(order, "take_profit", group)

    def _price(self, ticks: int) -> Price:
        return Price.from_raw(ticks * self._tick_raw, self._instrument.price_precision)

    def _trigger_ticks(self, order: Any) -> int:
        if order.order_type == OrderType.STOP_MARKET:
            return int(order.trigger_price.raw // self._tick_raw)
        return int(order.price.raw // self._tick_raw) if order.order_type == OrderType.LIMIT else 0


def _is_unanswered(order: Any) -> bool:
    status = order.status
    return status == OrderStatus.SUBMITTED or (order.order_type == OrderType.MARKET and order.is_open)


def _order_side(side: int) -> OrderSide:
    return OrderSide.BUY if side > 0 else OrderSide.SELL
