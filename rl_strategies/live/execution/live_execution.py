"""Orders of one instrument at a real broker: answers come late, twice, or from somebody else.

Four rules differ from `OrderExecution`, where the venue answers at once. Every execution counts once, by the broker's
own number of it. Every fill of an entry gets barriers of its own, at once, so that half an entry is protected. All
orders around one fill form a group in which the broker lets each reduce the others, so that a stop and an exit never
both fill. A reversal enters only when the old side is gone.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import ClientOrderId

from rl_strategies.accounting.record import Fill, FillReason
from rl_strategies.decision.core import Review
from rl_strategies.decision.instrument import InstrumentCore
from rl_strategies.execution import KINDS, ExecutionHost, OrderExecution
from rl_strategies.live.broker.link import NS
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, Role

_UNANSWERED = (OrderStatus.INITIALIZED, OrderStatus.SUBMITTED)
ANSWER_S = 3.0  # so long an answer may take before the broker is asked what became of an order
_ROLES: dict[FillReason, Role] = {"entry": "entry", "stop_loss": "stop", "take_profit": "target"}


@dataclass(frozen=True)
class IncomingFill:
    """An execution, whoever told of it.

    Attributes
    ----------
    trade_id, client_order_id : str
    ts_ns : int
    units : int
        Signed.
    price_ticks, commission_cents : int
    """

    trade_id: str
    client_order_id: str
    ts_ns: int
    units: int
    price_ticks: int
    commission_cents: int


class LiveExecutionHost(ExecutionHost, Protocol):
    """What `LiveExecution` needs of its strategy beside the sending; `rl_strategies.live.strategy.LiveStrategy`."""

    clock: Any

    def record_order(self, row: OrderRow) -> None:
        """Journal an order before it is sent."""

    def record_fill(self, instrument_id: str, row: FillRow) -> None:
        """Journal a fill before anything follows from it."""

    def after_fill(self) -> None:
        """Keep and publish what a fill changed."""

    def enter_reversed(self, execution: "LiveExecution", answer: Review) -> None:
        """Enter the new side of a reversal, if that is still allowed."""

    def withdraw(self, client_order_id: str) -> None:
        """Cancel an order that the broker has not answered."""

    def cancel_order(self, order: Any) -> None:
        """Cancel an order that works at the broker."""


class LiveExecution(OrderExecution):
    """`OrderExecution` for a real broker.

    Parameters
    ----------
    strategy : LiveExecutionHost
    k : int
    core : InstrumentCore
    tags : callable
        From an order's group to what the broker is told beside the order.

    Attributes
    ----------
    orders : dict of str to OrderRow
        Every order of the session by its client order id.
    trades : set of str
        Executions taken in.
    """

    _strategy: LiveExecutionHost

    def __init__(
        self, strategy: LiveExecutionHost, k: int, core: InstrumentCore, tags: Callable[[str], list[str]]
    ) -> None:
        super().__init__(strategy, k, core)
        self._order_tags = tags

    def reset(self) -> None:
        """Forget all orders."""
        super().reset()
        self.orders: dict[str, OrderRow] = {}
        self.trades: set[str] = set()
        self._held: dict[str, int] = {}  # units of every group that are still held
        self._open: dict[str, None] = {}  # sent and perhaps not closed
        self._reversal: Review | None = None

    @property
    def instrument_id(self) -> str:
        """Of the instrument."""
        return self._core.instrument.instrument_id

    @property
    def units(self) -> int:
        """Signed units that the session believes to hold."""
        return self._core.units

    @property
    def tick_size(self) -> float:
        """Of the instrument, USD."""
        return float(self._core.instrument.tick_size)

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of orders around units that are still held."""
        return tuple(group for group, units in self._held.items() if units > 0)

    @property
    def wants_stop(self) -> bool:
        """Whether every position must have a stop at the broker."""
        return self._strategy.core.trading.barriers.stop_loss is not None

    def close_position(self, reason: FillReason) -> None:
        """Close what is held, each part within its group; barriers go by the broker's own hand."""
        self._reversal = None
        if self._core.units == 0 or self._is_leaving():
            return
        side, left = -self._core.side, abs(self._core.units)
        for group, held in [*self._held.items(), ("", left)]:
            # Somebody else may have closed a part of a group.
            units = min(held, left)
            left -= units
            if units > 0:
                self._submit(self._market_order(side, units, group, reduce_only=True), reason, group)

    def on_filled(self, event: OrderFilled) -> None:
        """Take in an execution that the broker has just told of."""
        units = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        told = IncomingFill(
            event.trade_id.value,
            event.client_order_id.value,
            event.ts_event,
            units,
            event.last_px.raw // self._tick_raw,
            round(event.commission.as_decimal() * 100),
        )
        if self.take(told):
            self._strategy.after_fill()

    def take(self, told: IncomingFill, *, late: bool = False) -> bool:
        """Take in an execution once: journal, position, barriers; False if it was known.

        Parameters
        ----------
        told : IncomingFill
        late : bool
            It happened while nobody listened. No barriers are laid then: the market has moved on, and whoever finds a
            position without protection closes it.
        """
        if told.trade_id in self.trades:
            return False
        row = self._fill_row(told, late)
        self._strategy.record_fill(self._core.instrument.instrument_id, row)
        self._strategy.core.on_fill(self._k, row.units, row.price_ticks, row.commission_cents)
        self._note(row)
        if self._core.units == 0:
            self._held.clear()
            self._withdraw_unanswered()
        if late:
            self._reversal = None
            return True
        if row.role == "entry" and self._core.units != 0:
            group = f"{row.client_order_id}-{len(self.trades)}"
            self._held[group] = abs(row.units)
            self._lay_barriers(row.price_ticks, abs(row.units), group)
        else:
            self._flip()
        return True

    def disown(self, trade_ids: Sequence[str]) -> None:
        """Never take these executions in: they happened before the session began."""
        self.trades.update(trade_ids)

    def relearn(self, events: Sequence[OrderRow | FillRow]) -> None:
        """Know orders and executions of an earlier life of the session; the position has them in it already."""
        units, self._market_ticks = 0, self._core.close_ticks
        for event in events:
            if isinstance(event, OrderRow):
                self._know(event)
                if event.role in ("stop", "target"):
                    self._held.setdefault(event.group, event.units)
            else:
                self._note(event)
                units += event.units
                if units == 0:
                    self._held.clear()

    def _note(self, row: FillRow) -> None:
        self.trades.add(row.trade_id)
        kind, trigger = row.kind, row.trigger_ticks
        self.fills.append(Fill(row.ts_ns, row.units, row.price_ticks, row.commission_cents, kind, trigger, row.reason))
        order = self.orders.get(row.client_order_id)
        if order is not None and order.group in self._held:
            self._held[order.group] -= abs(row.units)

    def _know(self, row: OrderRow) -> None:
        self.orders[row.client_order_id] = row
        self._open[row.client_order_id] = None

    def _fill_row(self, told: IncomingFill, late: bool) -> FillRow:
        order = self.orders.get(told.client_order_id)
        return FillRow(
            client_order_id=told.client_order_id,
            trade_id=told.trade_id,
            role=order.role if order else "external",
            kind=order.kind if order else "market",
            trigger_ticks=order.trigger_ticks if order else 0,
            reason=order.reason if order else "external",
            units=told.units,
            price_ticks=told.price_ticks,
            commission_cents=told.commission_cents,
            market_ticks=self._market_ticks,
            ts_ns=told.ts_ns,
            known_ns=self._strategy.clock.timestamp_ns(),
            late=late,
        )

    def enter(self, answer: Review) -> None:
        """Send an entry."""
        self._enter(answer)

    def on_canceled(self) -> None:
        """An order is gone: perhaps the last one that a reversal waited for."""
        self._flip()

    def on_accepted(self, client_order_id: ClientOrderId) -> None:
        """Take back a barrier that reached the broker when what it should protect was gone."""
        order = self.orders.get(client_order_id.value)
        if order is not None and order.role in ("stop", "target") and self._held.get(order.group, 0) <= 0:
            self._strategy.cancel_order(self._strategy.cache.order(client_order_id))

    def on_refused(self, client_order_id: ClientOrderId, reason: str) -> None:
        """A position without its stop is closed at once; every other refusal is counted."""
        self._strategy.count(f"venue: {reason}")
        order = self.orders.get(client_order_id.value)
        if order is not None and order.role == "exit":
            self._reversal = None
        # A stop of a position that is gone says nothing about the present one.
        if order is not None and order.role == "stop" and self._held.get(order.group, 0) > 0:
            self.close_position("protection_lost")

    def _change_side(self, answer: Review) -> None:
        # What an earlier decision wanted to follow, and could not, does not follow from a later fill.
        self._reversal = None
        if answer.side != 0 and answer.side == -self._core.side:
            self.close_position("reverse")
            self._reversal = answer
        else:
            super()._change_side(answer)

    def is_in_flight(self) -> bool:
        """Whether the broker owes an answer: an order that it has not acknowledged, or a market order not filled."""
        return any(row.kind == "market" or status in _UNANSWERED for row, status in self._working())

    def is_overdue(self, now_ns: int) -> bool:
        """Whether every answer that the broker owes is late: it may be lost, and must be asked for."""
        owed = [row for row, status in self._working() if row.kind == "market" or status in _UNANSWERED]
        return bool(owed) and all(now_ns - row.sent_ns > ANSWER_S * NS for row in owed)

    def drop_unknown(self, resting: Collection[str], now_ns: int) -> list[str]:
        """Forget orders that the broker does not show: they are filled, refused, or never arrived.

        Parameters
        ----------
        resting : collection of str
            Client order ids of the orders that work at the broker, whose executions have been taken in.
        now_ns : int
            Orders sent less than `ANSWER_S` before may still be on their way.
        """
        late = [row for row, _ in self._working() if now_ns - row.sent_ns > ANSWER_S * NS]
        gone = [row.client_order_id for row in late if row.client_order_id not in resting]
        for name in gone:
            self._open.pop(name, None)
        return gone

    def _flip(self) -> None:
        # Where a barrier was faster, a closing order may still be on its way and open what nobody wants.
        if self._core.units == 0 and self._reversal is not None and not self._is_leaving():
            answer, self._reversal = self._reversal, None
            self._strategy.enter_reversed(self, answer)

    def _withdraw_unanswered(self) -> None:
        # A group that is over cancels what rests in it, not what joins it afterwards.
        for row, status in self._working():
            if row.role in ("stop", "target", "exit") and status in _UNANSWERED:
                self._strategy.withdraw(row.client_order_id)

    def _is_leaving(self) -> bool:
        return any(row.role == "exit" for row, _ in self._working())

    def _working(self) -> list[tuple[OrderRow, OrderStatus]]:
        found = []
        for name in list(self._open):
            order = self._strategy.cache.order(ClientOrderId(name))
            if order is None or order.is_closed:
                del self._open[name]
            else:
                found.append((self.orders[name], order.status))
        return found

    def _tags(self, group: str) -> list[str] | None:
        return self._order_tags(group)

    def _submit(self, order: Any, reason: FillReason, group: str = "") -> None:
        row = OrderRow(
            client_order_id=order.client_order_id.value,
            instrument_id=self._core.instrument.instrument_id,
            role=_ROLES.get(reason, "exit"),
            side=1 if order.side == OrderSide.BUY else -1,
            units=int(order.quantity),
            kind=KINDS[order.order_type],
            trigger_ticks=self._trigger_ticks(order),
            reason=reason,
            group=group,
            decision_ns=self._core.last_ns,
            sent_ns=self._strategy.clock.timestamp_ns(),
        )
        self._know(row)
        self._strategy.record_order(row)
        super()._submit(order, reason, group)
