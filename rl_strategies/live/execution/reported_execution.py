"""What a live session knows of its orders, fills and position: learnt from the broker's own messages.

What happened is the session's if the order is; everything else is foreign. A fill counts once, from the first that is
heard of it. An order may fill until it is known to be over.
"""

from collections.abc import Collection, Sequence
from typing import Any

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId

from rl_strategies.accounting.record import FillReason
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.execution import KINDS, OrderExecution
from rl_strategies.live.broker.link import BrokerFill, OrderAnswer, OrderStatus, RestingOrder
from rl_strategies.live.execution.execution_host import LiveExecutionHost
from rl_strategies.live.execution.exit import Exit
from rl_strategies.live.execution.fills import FillLedger
from rl_strategies.live.execution.foreign_trades import ClosedByOthers, ForeignTrades
from rl_strategies.live.execution.own_orders import NS, OwnOrder, OwnOrders, is_of
from rl_strategies.live.execution.tickets import Tickets
from rl_strategies.live.journal.rebuild import book_fill
from rl_strategies.live.journal.session_journal import BARRIERS, TAKE_PROFIT, FillRow, OrderRow, Role
from rl_strategies.live.services import LiveServices

ANSWER_S = 3.0  # an order without an answer for longer is looked up at the broker
GRACE_S = 0.5  # for the execution behind a status, and before a stop that ended is replaced
DEAF_S = 10.0  # after a lost connection, wait at most so long for the executions meanwhile
STAMP_NS = NS  # the broker stamps executions with whole seconds
_ROLES: dict[FillReason, Role] = {"entry": "entry", "stop_loss": "stop", "take_profit": TAKE_PROFIT}


class ReportedExecution(OrderExecution):
    """Orders, fills and position of one instrument, as the broker's messages leave them.

    Parameters
    ----------
    host : LiveExecutionHost
    core : DecisionCore
    k : int
    services : LiveServices

    Attributes
    ----------
    book : OwnOrders
        All orders of the session.
    ledger : FillLedger
        All fills of the session.
    changes : int
        Number of messages about orders so far: an answer of the broker that was requested before the newest one is
        outdated.
    foreign : ForeignTrades
        What others trade in the contract.
    agreed_ns : int
        Clock when the broker's position last agreed with the session's.
    deaf_since_ns : int
        Clock since when fills may have been missed, because the connection was lost; 0 where none was.
    most_to_close : int or None
        Units that may be closed at most, where the broker shows less than the session holds; None where it agrees.
    shows_past : bool
        Whether the broker shows a position that the session held a while ago: its list may be from then.
    """

    _host: LiveExecutionHost

    def __init__(self, host: LiveExecutionHost, core: DecisionCore, k: int, services: LiveServices) -> None:
        self._link, self._journal, self._order_tags = services.link, services.journal, services.order_tags
        super().__init__(host, core, k)

    def reset(self) -> None:
        """Forget all orders."""
        super().reset()
        self.book = OwnOrders()
        self.ledger = FillLedger(self._core.instrument)
        self.foreign = ForeignTrades()
        self.changes = 0
        self.most_to_close: int | None = None
        self.shows_past = False
        self.agreed_ns = 0
        self.deaf_since_ns = 0
        self._entry: OwnOrder | None = None
        self._since_entry: list[OwnOrder] = []
        self._exit: Exit | None = None
        self._reversal: Review | None = None
        self._has_replaced = False
        self._flat_ns = 0

    def open(self, instrument_id: InstrumentId) -> None:
        """Look the instrument up; called before the first order."""
        super().open(instrument_id)
        host = self._host
        self._tickets = Tickets(host.order_factory, host.clock, instrument_id, self._price, self._order_tags)

    @property
    def instrument_id(self) -> str:
        """Id of the instrument."""
        return self._core.instrument.instrument_id

    @property
    def units(self) -> int:
        """Signed units that the session holds by its own fills."""
        return self._core.units

    @property
    def side(self) -> int:
        """Side that the session holds, -1, 0 or 1."""
        return self._core.side

    def _told_units(self, row: FillRow | None = None) -> int:
        """Signed units held once ``row`` is booked, with the fills whose executions are still to come."""
        if row is None:
            return self.units + self.book.to_come()
        return self.units + row.units + self.book.to_come(row.client_order_id, abs(row.units))

    @property
    def tick_size(self) -> float:
        """Tick size of the instrument, USD."""
        return float(self._core.instrument.tick_size)

    @property
    def wants_stop(self) -> bool:
        """Whether every position must have a stop at the broker."""
        return self._decision.trading.barriers.stop_loss is not None

    @property
    def is_protected(self) -> bool:
        """Whether every unit held has a stop at the broker, as far as is known."""
        stops = sum(order.left for order in self.book.fillable("stop") if order.protects and order.is_answered)
        return self.units == 0 or stops >= abs(self.units)

    @property
    def is_deaf(self) -> bool:
        """Whether fills may have been missed, and the broker is about to be asked."""
        return bool(self.deaf_since_ns) and self._now_ns() - self.deaf_since_ns < DEAF_S * NS

    @property
    def is_unsure(self) -> bool:
        """Whether the position is about to be known better: nothing is sent to close meanwhile."""
        return self.is_deaf or any(order.told > order.booked for order in self.book.open())

    def _now_ns(self) -> int:
        return int(self._host.clock.timestamp_ns())

    def on_execution(self, fill: BrokerFill) -> None:
        """Take an execution of anybody's order in the contract."""
        order = self.book.get(fill.order_ref)
        if order is not None and not self.foreign.knows(fill.trade_id):
            self._book(self.ledger.execution(fill, order.row, self._market_ticks, self._now_ns()))
        elif fill.trade_id not in self.ledger.rows and self.foreign.is_news(fill):
            self._take_foreign(fill)
        self.tend()

    def on_commission(self, trade_id: str, usd: float) -> None:
        """Take the commission of an execution."""
        self._book(self.ledger.commission(trade_id, usd))

    def on_status(self, status: OrderStatus) -> None:
        """Take the status of an own order."""
        order = self.book.get(status.order_ref)
        if order is not None:
            before = order.state
            order.take_status(status, self._now_ns())
            self.changes += order.state != before  # a list of open orders tells every status again
            self._after(order)

    def on_listed(self, order: RestingOrder) -> None:
        """Take an own order as the broker lists it."""
        own = self.book.get(order.order_ref)
        if own is not None:
            own.take_listed(order, self.tick_size, self._now_ns())
            self._after(own)

    def on_answer(self, answer: OrderAnswer) -> None:
        """Take an error about an own order."""
        order = self.book.get(answer.order_ref)
        if order is None:
            return
        self.changes += 1
        was_over = order.over
        if order.take_answer(answer, self._now_ns()):
            self._host.request_fills()
        if order.over in ("refused", "never_sent", "gone") and not was_over:
            text = f"{answer.text} ({answer.code})" if answer.code else answer.text
            self._host.count(f"venue: {answer.text}" if answer.code else f"not sent: {answer.text}")
            self._host.on_end(order, text)
            self._drop_unsent_family(order)
        self._after(order)

    def on_never_sent(self, client_order_id: str, reason: str) -> None:
        """Note that NautilusTrader kept an order back."""
        order = self.book.get(client_order_id)
        if order is not None and order.may_fill and self._link.wire_ns(client_order_id) is None:
            order.end("never_sent", self._now_ns())
            self._host.count(f"not sent: {reason}")
            self._host.on_end(order, reason)
            self._drop_unsent_family(order)
            self.tend()

    def _drop_unsent_family(self, order: OwnOrder) -> None:
        """Of a bracket that did not leave as a whole nothing works: its last order transmits it."""
        entry = order if order.row.role == "entry" else self._entry
        if order.over != "never_sent" or entry is None or not (order is entry or is_of(order, entry)):
            return
        for other in (entry, *self._since_entry):
            if (other is entry or is_of(other, entry)) and not other.is_answered and other.may_fill:
                other.end("never_sent", self._now_ns())
                self._host.on_end(other, "its bracket was not sent")

    def _after(self, order: OwnOrder) -> None:
        self.book.touch(order)
        if order.over == "refused" and order.row.role == "exit":
            self._reversal = None
        self.tend()

    def _book(self, row: FillRow | None) -> None:
        if row is not None:
            self._give_back(row)
            self._book_alone(row)
            self._give_back()

    def _book_alone(self, row: FillRow) -> None:
        self.changes += 1
        self.ledger.add(row)
        self._journal.fill(self.instrument_id, row)
        self._journal.flush()
        before = self.units
        book_fill(self._decision, self._k, row)
        self.fills[:] = self.ledger.fills()
        order = self.book.get(row.client_order_id)
        if order is not None:
            order.note_booked(self.ledger.filled(order.name), self._now_ns())
        if self.units * before <= 0:
            self._has_replaced, self._flat_ns = False, self._now_ns()
        self._host.on_fill(bool(row.units))

    def _take_foreign(self, fill: BrokerFill) -> None:
        """Others' trades are theirs, but what they close of the session's position is closed."""
        self.changes += 1
        units, closed = self.foreign.units_beyond(fill), 0
        if not self.foreign.knows(fill.trade_id) and self._may_close(fill):
            closed = min(units, -self._told_units(), key=abs)
            by_others = ClosedByOthers(fill.trade_id, fill.order_ref, fill.ts_ns, closed, fill.price)
            self._book(self.ledger.execution(by_others, None, self._market_ticks, self._now_ns()))
        self.foreign.add(fill, closed)
        self._host.on_foreign(fill.trade_id, units, self.foreign.units)

    def _may_close(self, fill: BrokerFill) -> bool:
        """Whether an execution of others is of the side and the time to have closed some of the position."""
        entry, held = self._entry, self._told_units()
        if entry is None or held * entry.row.side <= 0 or fill.units * held >= 0:
            return False
        return fill.ts_ns >= (self.ledger.began_ns(entry.name) or entry.row.sent_ns - STAMP_NS)

    def _give_back(self, coming: FillRow | None = None) -> None:
        if self._entry is not None:
            entry = self._entry.row
            for row in self.ledger.given_back(entry, -self._told_units(coming) * entry.side):
                self.foreign.hold(-row.units)
                self._book_alone(row)
                self._host.on_foreign("", -row.units, self.foreign.units)

    def poll(self) -> None:
        """Book fills that only a status told, once their executions had time to come, and do what is next."""
        now_ns = self._now_ns()
        for order in self.book.open():
            missing = order.told - order.booked
            if missing > 0 and now_ns - order.moved_ns > GRACE_S * NS:
                self.book_provisional(order, missing, round(order.told_price / self.tick_size))
        self.tend()

    def book_provisional(self, order: OwnOrder, units: int, ticks: int) -> None:
        """Book a fill whose execution is not known; it replaces the provisional one when it comes."""
        row = self.ledger.provisional(order.row, order.row.side * units, ticks, self._market_ticks, self._now_ns())
        self._book(row)
        self._host.request_fills()

    def cancel(self, order: OwnOrder) -> None:
        """Cancel an order, once until it is time to try again."""
        now_ns = self._now_ns()
        if order.may_cancel(now_ns):
            order.leave(now_ns)
            order.cancels += 1
            self.changes += 1
            self._link.cancel(order.name)

    def _send(self, orders: list[tuple[Any, FillReason, str]]) -> None:
        rows = [self._row(order, reason, group) for order, reason, group in orders]
        self.changes += 1
        for row in rows:
            self._add(row)
            self._journal.order(row)
        self._journal.flush()
        if rows[0].role == "entry" and self._journal.problem:
            for row in rows:
                self.book.by_name[row.client_order_id].end("never_sent", row.sent_ns)
            self._host.on_end(self.book.by_name[rows[0].client_order_id], self._journal.problem)
            return
        self._host.on_order(rows[0])
        if len(orders) == 1:
            self._host.submit_order(orders[0][0])
        else:
            self._host.submit_order_list(self._tickets.as_list([order for order, _, _ in orders]))

    def _add(self, row: OrderRow) -> None:
        added = self.book.add(row)
        if row.role == "entry":
            self._entry, self._since_entry = added, []
        elif added not in self._since_entry:
            self._since_entry.append(added)

    def _row(self, order: Any, reason: FillReason, group: str) -> OrderRow:
        return OrderRow(
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
            sent_ns=self._now_ns(),
        )

    def is_in_flight(self) -> bool:
        """Whether the position may be about to change: something is sent, changed, cancelled or closed unanswered."""
        if self._exit is not None or self._reversal is not None or self.book.unsettled():
            return True
        # Barriers of a closed position are about to end.
        return self.units == 0 and bool(self.book.fillable(*BARRIERS))

    def is_overdue(self, now_ns: int) -> bool:
        """Whether every answer that is waited for is overdue: it may be lost."""
        waits = [order.waits_since_ns() for order in self.book.unsettled()]
        return all(now_ns - since > ANSWER_S * NS for since in waits)

    def drop_unknown(self, resting: Collection[str], now_ns: int) -> list[str]:
        """Forget orders that the broker does not list: they are filled, refused, or never arrived.

        Parameters
        ----------
        resting : collection of str
            Client order ids of the orders that the broker lists, asked after its executions were told.
        now_ns : int
            Orders sent less than `ANSWER_S` before may still be on their way.

        Returns
        -------
        list of str
            Client order ids of the forgotten orders.
        """
        gone = []
        for order in self.book.fillable():
            if order.name not in resting and now_ns - max(order.row.sent_ns, order.moved_ns) > ANSWER_S * NS:
                order.end("gone", now_ns)
                gone.append(order.name)
        if gone:
            self.changes += 1
        return gone

    def note_listed(self, resting: Collection[str]) -> None:
        """Consider orders that the broker lists as working though they were thought to be over."""
        for name in resting:
            order = self.book.get(name)
            if order is not None and order.over and order.over != "filled" and order.filled < order.size:
                order.revive()
                self.book.touch(order)

    def explaining(self, units: int) -> OwnOrder | None:
        """The one order that explains a position which differs by so many signed units, if it filled unheard."""
        found = [order for order in self.book.fillable() if order.row.kind == "market"]
        return found[0] if len(found) == 1 and found[0].row.side * found[0].left == units else None

    def note_foreign_position(self, units: int) -> None:
        """Count units as others' that no execution explains."""
        self.foreign.hold(units)
        self._host.on_foreign("", units, self.foreign.units)

    @property
    def market_ticks(self) -> int:
        """Close of the bar that was decided on last."""
        return self._market_ticks

    def restore(self, events: Sequence[OrderRow | FillRow]) -> None:
        """Restore orders and fills of a resumed session; the core's position includes these fills already."""
        self._market_ticks = self._core.close_ticks
        for event in events:
            if isinstance(event, OrderRow):
                self._add(event)
            else:
                self.ledger.add(event)
        for order in self.book.by_name.values():
            order.note_booked(self.ledger.filled(order.name), 0)
        self.fills[:] = self.ledger.fills()

    def tend(self) -> None:
        """Do what is next for position and orders as they are known now."""
        raise NotImplementedError
