"""Orders of one instrument: from a reviewed target to the venue, and from the venue's events back to the position.

Barriers are laid on the entry's fill, from the fill price. What the venue says is the only source of the position.
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
from rl_strategies.decision.instrument import InstrumentCore

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

    cache: Any
    order_factory: Any
    core: DecisionCore

    def submit_order(self, order: Any) -> None:
        """Send an order."""

    def cancel_all_orders(self, instrument_id: InstrumentId) -> None:
        """Cancel everything that works for an instrument."""

    def count(self, reason: str) -> None:
        """Count a refusal."""


class OrderExecution:
    """Sends and follows the orders of one instrument on behalf of the strategy.

    Parameters
    ----------
    strategy : ExecutionHost
    k : int
        Place of the instrument in the policy's order.
    core : InstrumentCore

    Attributes
    ----------
    fills : list of Fill
    """

    def __init__(self, strategy: ExecutionHost, k: int, core: InstrumentCore) -> None:
        self._strategy = strategy
        self._k = k
        self._core = core
        self._tick_raw = int(core.instrument.tick_raw)
        self.reset()

    def reset(self) -> None:
        """Forget all orders."""
        self.fills: list[Fill] = []
        self._sent: dict[ClientOrderId, tuple[Any, FillReason]] = {}  # orders and why
        self._unanswered: list[Any] = []  # orders that the venue may owe an answer to
        self._entry_id: ClientOrderId | None = None
        self._stop_id: ClientOrderId | None = None
        self._waiting: Review | None = None
        self._market_ticks = 0

    def open(self, instrument_id: InstrumentId) -> None:
        """Look the instrument up before the first order."""
        self._instrument_id = instrument_id
        self._instrument = self._strategy.cache.instrument(instrument_id)
        if self._instrument is None:
            raise ValueError(f"the cache must hold {instrument_id}, found no such instrument")

    def take_bar(self, bar: Bar) -> np.datetime64:
        """Hand a bar to the core; returns its trading day."""
        tick_raw = self._tick_raw
        return self._core.on_bar(
            bar.ts_event,
            bar.open.raw // tick_raw,
            bar.high.raw // tick_raw,
            bar.low.raw // tick_raw,
            bar.close.raw // tick_raw,
            round(bar.volume.as_double()),  # whole units; the double of an exact integer may fall just short of it
        )

    def wait(self, answer: Review) -> None:
        """Keep a change of side for the next opening trade, in place of what waited before."""
        self._waiting = answer if answer.side != self._core.side else None

    def on_open(self, tick: TradeTick) -> None:
        """Send what waited."""
        answer, self._waiting = self._waiting, None
        if answer is not None:
            self._market_ticks = tick.price.raw // self._tick_raw
            self._change_side(answer)

    def pursue(self, answer: Review) -> None:
        """Send the orders that lead from the held side to the answer's, on the close just seen."""
        self._market_ticks = self._core.close_ticks
        self._change_side(answer)

    def _change_side(self, answer: Review) -> None:
        side = self._core.side
        if answer.side == side:
            return
        if side != 0:
            wish: FillReason = "reverse" if answer.side != 0 else "signal"
            self.close_position(_EXIT_REASONS.get(answer.reason, wish))
        if answer.side != 0:
            self._enter(answer)

    def _enter(self, answer: Review) -> None:
        order = self._market_order(answer.side, answer.units)
        self._entry_id = order.client_order_id
        self._submit(order, "entry")

    def _market_order(self, side: int, units: int, group: str = "", reduce_only: bool = False) -> Any:
        return self._strategy.order_factory.market(
            self._instrument_id,
            _order_side(side),
            Quantity.from_int(units),
            reduce_only=reduce_only,
            tags=self._tags(group),
        )

    def _tags(self, group: str) -> list[str] | None:
        """What a venue wants to be told beside the order; the simulated one nothing."""

    def end_session(self, event: Any) -> None:
        """The closing alert."""
        self.close_position("end_of_session")

    def close_position(self, reason: FillReason) -> None:
        """Take everything from the venue and close what is held."""
        self._strategy.cancel_all_orders(self._instrument_id)
        self._entry_id = None
        self._waiting = None
        units = self._core.units
        if units != 0:
            self._submit(self._market_order(-self._core.side, abs(units), reduce_only=True), reason)

    def is_in_flight(self) -> bool:
        """Whether the venue owes an answer: an order not acknowledged, or a market order without its fill.

        Unknown is not flat. A barrier on its way out is no such doubt: it can only reduce.
        """
        if self._unanswered:
            self._unanswered = [order for order in self._unanswered if _is_owed(order)]
        return bool(self._unanswered)

    def on_filled(self, event: OrderFilled) -> None:
        """Move the position; lay the barriers around a complete entry; clear the market once flat."""
        units = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        price_ticks = event.last_px.raw // self._tick_raw
        commission_cents = round(event.commission.as_double() * 100)
        self._strategy.core.on_fill(self._k, units, price_ticks, commission_cents)
        order, reason = self._sent[event.client_order_id]
        kind, trigger = KINDS[event.order_type], self._trigger_ticks(order)
        self.fills.append(Fill(event.ts_event, units, price_ticks, commission_cents, kind, trigger, reason))
        if event.client_order_id == self._entry_id and order.is_closed:
            self._entry_id = None
            self._lay_barriers(price_ticks, abs(self._core.units))
        elif self._core.units == 0 and self._strategy.cache.orders_open_count(None, self._instrument_id):
            self._strategy.cancel_all_orders(self._instrument_id)

    def on_refused(self, client_order_id: ClientOrderId, reason: str) -> None:
        """Leave at once when the stop is refused; count everything else."""
        self._strategy.count(f"venue: {reason}")
        if client_order_id == self._stop_id:
            self.close_position("protection_lost")

    def _submit(self, order: Any, reason: FillReason, group: str = "") -> None:
        self._sent[order.client_order_id] = (order, reason)
        self._unanswered = [*filter(_is_owed, self._unanswered), order]
        self._strategy.submit_order(order)

    def _lay_barriers(self, entry_ticks: int, units: int, group: str = "") -> None:
        factory = self._strategy.order_factory
        exit_side = _order_side(-self._core.side)
        quantity, tags = Quantity.from_int(units), self._tags(group)
        stop = self._core.lay_barrier("stop", entry_ticks, self._market_ticks)
        target = self._core.lay_barrier("target", entry_ticks, self._market_ticks)
        if stop:
            order = factory.stop_market(
                self._instrument_id, exit_side, quantity, self._price(stop), reduce_only=True, tags=tags
            )
            self._stop_id = order.client_order_id
            self._submit(order, "stop_loss", group)
        if target:
            order = factory.limit(
                self._instrument_id, exit_side, quantity, self._price(target), reduce_only=True, tags=tags
            )
            self._submit(order, "take_profit", group)

    def _price(self, ticks: int) -> Price:
        return Price.from_raw(ticks * self._tick_raw, self._instrument.price_precision)

    def _trigger_ticks(self, order: Any) -> int:
        if order.order_type == OrderType.STOP_MARKET:
            return int(order.trigger_price.raw // self._tick_raw)
        return int(order.price.raw // self._tick_raw) if order.order_type == OrderType.LIMIT else 0


def _is_owed(order: Any) -> bool:
    status = order.status
    return status == OrderStatus.SUBMITTED or (order.order_type == OrderType.MARKET and order.is_open)


def _order_side(side: int) -> OrderSide:
    return OrderSide.BUY if side > 0 else OrderSide.SELL
