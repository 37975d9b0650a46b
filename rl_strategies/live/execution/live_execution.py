"""Orders of one instrument at a real broker, whose answers may come late, twice, or for orders that others sent.

Four rules differ from `OrderExecution`, where the venue answers at once:

- A fill counts once, by the broker's id of it.
- Every fill of an entry gets barriers of its own at once, so that a partly filled entry is protected.
- The orders around one fill form a group in which the broker lets each reduce the others, so that a stop and an exit
  never both fill.
- A reversal enters only when the old side is closed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nautilus_trader.model.enums import OrderSide, OrderStatus
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import ClientOrderId

from rl_strategies.accounting.record import Fill, FillReason
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.execution import KINDS, ExecutionHost, OrderExecution
from rl_strategies.live.broker.link import NS
from rl_strategies.live.journal.session_journal import BARRIERS, TAKE_PROFIT, FillRow, OrderRow, Role
from rl_strategies.live.services import LiveServices

_UNANSWERED = (OrderStatus.INITIALIZED, OrderStatus.SUBMITTED)
ANSWER_S = 3.0  # an order without an answer for longer is looked up at the broker
_ROLES: dict[FillReason, Role] = {"entry": "entry", "stop_loss": "stop", "take_profit": TAKE_PROFIT}


@dataclass(frozen=True)
class IncomingFill:
    """A fill from an event or from the broker's list of executions.

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
    """The strategy behind a `LiveExecution`; `rl_strategies.live.strategy.LiveStrategy` is one."""

    clock: Any

    def cancel_order(self, order: Any) -> None:
        """Cancel an order that works at the broker."""

    def may_open(self) -> bool:
        """Whether a position may be opened now."""

    def on_order(self, row: OrderRow) -> None:
        """Called with every order once it is on disk, right before it is sent."""

    def on_fill(self) -> None:
        """Called when a fill is on disk and its position and barriers are done."""


class LiveExecution(OrderExecution):
    """`OrderExecution` for a real broker.

    Parameters
    ----------
    host : LiveExecutionHost
    core : DecisionCore
    k : int
    services : LiveServices

    Attributes
    ----------
    orders : dict of str to OrderRow
        All orders of the session by client order id.
    trades : set of str
        Ids of the fills that have been applied.
    changes : int
        Number of order events so far: an answer of the broker that was requested before the newest one is outdated.
    """

    _host: LiveExecutionHost

    def __init__(self, host: LiveExecutionHost, core: DecisionCore, k: int, services: LiveServices) -> None:
        self._link, self._journal, self._order_tags = services.link, services.journal, services.order_tags
        super().__init__(host, core, k)

    def reset(self) -> None:
        """Forget all orders."""
        super().reset()
        self.orders: dict[str, OrderRow] = {}
        self.trades: set[str] = set()
        self.changes = 0
        self._held: dict[str, int] = {}  # units still held of every group
        self._open: dict[str, None] = {}  # orders sent and not known to be closed
        self._reversal: Review | None = None

    @property
    def instrument_id(self) -> str:
        """Id of the instrument."""
        return self._core.instrument.instrument_id

    @property
    def units(self) -> int:
        """Signed units that the session holds by its own fills."""
        return self._core.units

    @property
    def tick_size(self) -> float:
        """Tick size of the instrument, USD."""
        return float(self._core.instrument.tick_size)

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of orders around units that are still held."""
        return tuple(group for group, units in self._held.items() if units > 0)

    @property
    def wants_stop(self) -> bool:
        """Whether every position must have a stop at the broker."""
        return self._decision.trading.barriers.stop_loss is not None

    # Fills --------------------------------------------------------------------------------------------------------

    def on_filled(self, event: OrderFilled) -> None:
        """Apply a fill that the broker has just reported."""
        units = int(event.last_qty) if event.order_side == OrderSide.BUY else -int(event.last_qty)
        fill = IncomingFill(
            event.trade_id.value,
            event.client_order_id.value,
            event.ts_event,
            units,
            event.last_px.raw // self._tick_raw,
            round(event.commission.as_decimal() * 100),
        )
        self.apply_fill(fill)

    def apply_fill(self, fill: IncomingFill, *, late: bool = False) -> bool:
        """Apply a fill once: journal, position, barriers, then the host; False if it was known.

        Parameters
        ----------
        fill : IncomingFill
        late : bool
            Whether the fill happened while nobody listened. It gets no barriers: the market has moved on, and the
            reconciler closes a position that has no stop.
        """
        if fill.trade_id in self.trades:
            return False
        row = self._fill_row(fill, late)
        self._journal_fill(row)
        self._decision.on_fill(self._k, row.units, row.price_ticks, row.commission_cents)
        self._note_fill(row)
        if self._core.units == 0:
            self._held.clear()
            self._cancel_unanswered()
        if late:
            self._reversal = None
        elif row.role == "entry" and self._core.units != 0:
            self._protect(row)
        else:
            self._finish_reversal()
        self._host.on_fill()
        return True

    def _journal_fill(self, row: FillRow) -> None:
        self.changes += 1
        self._journal.fill(self.instrument_id, row)
        self._journal.flush()

    def _protect(self, row: FillRow) -> None:
        group = f"{row.client_order_id}-{len(self.trades)}"
        self._held[group] = abs(row.units)
        self._lay_barriers(row.price_ticks, abs(row.units), group)

    def ignore_fills(self, trade_ids: Sequence[str]) -> None:
        """Never apply these fills: they happened before the session began."""
        self.trades.update(trade_ids)

    def _note_fill(self, row: FillRow) -> None:
        self.trades.add(row.trade_id)
        kind, trigger = row.kind, row.trigger_ticks
        self.fills.append(Fill(row.ts_ns, row.units, row.price_ticks, row.commission_cents, kind, trigger, row.reason))
        order = self.orders.get(row.client_order_id)
        if order is not None and order.group in self._held:
            self._held[order.group] -= abs(row.units)

    def _fill_row(self, fill: IncomingFill, late: bool) -> FillRow:
        order = self.orders.get(fill.client_order_id)
        return FillRow(
            client_order_id=fill.client_order_id,
            trade_id=fill.trade_id,
            role=order.role if order else "external",
            kind=order.kind if order else "market",
            trigger_ticks=order.trigger_ticks if order else 0,
            reason=order.reason if order else "external",
            units=fill.units,
            price_ticks=fill.price_ticks,
            commission_cents=fill.commission_cents,
            market_ticks=self._market_ticks,
            ts_ns=fill.ts_ns,
            known_ns=self._host.clock.timestamp_ns(),
            late=late,
        )

    # Order events -------------------------------------------------------------------------------------------------

    def note_change(self) -> None:
        """Note an order event of any kind."""
        self.changes += 1

    def on_canceled(self) -> None:
        """Send the entry of a reversal if this was the last order that it waited for."""
        self._finish_reversal()

    def on_accepted(self, client_order_id: ClientOrderId) -> None:
        """Cancel a barrier that reached the broker after its position was closed."""
        order = self.orders.get(client_order_id.value)
        if order is not None and order.role in BARRIERS and self._held.get(order.group, 0) <= 0:
            self._host.cancel_order(self._host.cache.order(client_order_id))

    def on_refused(self, client_order_id: ClientOrderId, reason: str) -> None:
        """Close a position at once if its stop was refused; every refusal is counted."""
        self._host.count(f"venue: {reason}")
        order = self.orders.get(client_order_id.value)
        if order is not None and order.role == "exit":
            self._reversal = None
        # The stop of a closed position does not matter to the present one.
        if order is not None and order.role == "stop" and self._held.get(order.group, 0) > 0:
            self.close_position("protection_lost")

    # Leaving and reversing ----------------------------------------------------------------------------------------

    def close_position(self, reason: FillReason) -> None:
        """Close the position, each part within its group; the broker then cancels the group's barriers itself."""
        self._reversal = None
        if self._core.units == 0 or self._is_closing():
            return
        side, left = -self._core.side, abs(self._core.units)
        for group, held in [*self._held.items(), ("", left)]:
            # Fills of orders that others sent may have closed a part of a group.
            units = min(held, left)
            left -= units
            if units > 0:
                self._submit(self._market_order(side, units, group, reduce_only=True), reason, group)

    def _change_side(self, review: Review) -> None:
        # An earlier reversal that could not finish is void: it must not follow from a later fill.
        self._reversal = None
        if review.side != 0 and review.side == -self._core.side:
            self.close_position("reverse")
            self._reversal = review
        else:
            super()._change_side(review)

    def _finish_reversal(self) -> None:
        # After a barrier was faster, a closing order may still be on its way; entering now could double the position.
        if self._core.units != 0 or self._reversal is None or self._is_closing():
            return
        review, self._reversal = self._reversal, None
        if self._host.may_open():
            self._enter(review)
        else:
            self._host.count("reversal_not_permitted")

    def _cancel_unanswered(self) -> None:
        # The broker cancels what rests in a closed group, not what joins it afterwards.
        for row, status in self._working():
            if row.role in (*BARRIERS, "exit") and status in _UNANSWERED:
                self._link.cancel_unanswered(row.client_order_id)

    def _is_closing(self) -> bool:
        return any(row.role == "exit" for row, _ in self._working())

    # What the broker still has to answer --------------------------------------------------------------------------

    def is_in_flight(self) -> bool:
        """Whether an order is not acknowledged yet, or a market order not completely filled."""
        return any(_is_unanswered(row, status) for row, status in self._working())

    def is_overdue(self, now_ns: int) -> bool:
        """Whether there are unanswered orders and each was sent more than `ANSWER_S` ago: answers may be lost."""
        unanswered = [row for row, status in self._working() if _is_unanswered(row, status)]
        return bool(unanswered) and all(now_ns - row.sent_ns > ANSWER_S * NS for row in unanswered)

    def drop_unknown(self, resting: Collection[str], now_ns: int) -> list[str]:
        """Forget orders that the broker does not show: they are filled, refused, or never arrived.

        Parameters
        ----------
        resting : collection of str
            Client order ids of the orders that work at the broker, asked after its fills were applied.
        now_ns : int
            Orders sent less than `ANSWER_S` before may still be on their way.

        Returns
        -------
        list of str
            Client order ids of the forgotten orders.
        """
        late = [row for row, _ in self._working() if now_ns - row.sent_ns > ANSWER_S * NS]
        gone = [row.client_order_id for row in late if row.client_order_id not in resting]
        for name in gone:
            self._open.pop(name, None)
        return gone

    def _working(self) -> list[tuple[OrderRow, OrderStatus]]:
        found = []
        for name in list(self._open):
            order = self._host.cache.order(ClientOrderId(name))
            if order is None or order.is_closed:
                del self._open[name]
            else:
                found.append((self.orders[name], order.status))
        return found

    # Sending and resuming -----------------------------------------------------------------------------------------

    def restore(self, events: Sequence[OrderRow | FillRow]) -> None:
        """Restore orders and fills of a resumed session; the core's position includes these fills already."""
        units, self._market_ticks = 0, self._core.close_ticks
        for event in events:
            if isinstance(event, OrderRow):
                self._add_order(event)
                if event.role in BARRIERS:
                    self._held.setdefault(event.group, event.units)
            else:
                self._note_fill(event)
                units += event.units
                if units == 0:
                    self._held.clear()

    def _add_order(self, row: OrderRow) -> None:
        self.orders[row.client_order_id] = row
        self._open[row.client_order_id] = None

    def _tags(self, group: str) -> list[str] | None:
        return self._order_tags(group)

    def _submit(self, order: Any, reason: FillReason, group: str = "") -> None:
        row = OrderRow(
            client_order_id=order.client_order_id.value,
            instrument_id=self.instrument_id,
            role=_ROLES.get(reason, "exit"),
            side=1 if order.side == OrderSide.BUY else -1,
            units=int(order.quantity),
            kind=KINDS[order.order_type],
            trigger_ticks=self._trigger_ticks(order),
            reason=reason,
            group=group,
            decision_ns=self._core.last_ns,
            sent_ns=self._host.clock.timestamp_ns(),
        )
        self._add_order(row)
        self.changes += 1
        self._journal.order(row)
        self._journal.flush()
        self._host.on_order(row)
        super()._submit(order, reason, group)


def _is_unanswered(row: OrderRow, status: OrderStatus) -> bool:
    return row.kind == "market" or status in _UNANSWERED
