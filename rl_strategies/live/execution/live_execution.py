"""Orders of one instrument at a real broker, right whatever the order, delay, repetition or absence of its answers.

- An entry leaves as one bracket: the broker holds its stop before it can fill the entry.
- What happened is learnt from the broker's own messages, and is the session's if the order is; everything else is
  foreign and is never traded, closed, cancelled or counted.
- A fill counts once, from the first that is heard of it.
- What is sent to close never exceeds what is held, and is never naked; see `Exit`.
- A reversal enters only when nothing of the old side may fill any more.
"""

from typing import Any

import msgspec

from rl_strategies.accounting.record import FillReason
from rl_strategies.decision.barriers import barrier_ticks, unit_code
from rl_strategies.decision.core import Review
from rl_strategies.live.execution.broker_word import BrokerWord
from rl_strategies.live.execution.exit import Exit
from rl_strategies.live.execution.fills import execution_name
from rl_strategies.live.execution.own_orders import NS, OwnOrder, is_of
from rl_strategies.live.execution.reported_execution import ANSWER_S, GRACE_S, ReportedExecution
from rl_strategies.live.journal.session_journal import BARRIERS, TAKE_PROFIT, Role

AGREE_S = 10.0  # wait at most so long for a position that agrees
MOST_ROUNDS = 8  # the next message or poll goes on
NAKED_S = 3.0  # a stop is placed again at the latest so long after its end, though it may have filled unheard
PARTIAL_S = 3.0  # an entry that has filled in part for longer is cancelled
RESIZE_S = 1.0  # the broker has so long to reduce orders of a group itself


class LiveExecution(ReportedExecution):
    """`OrderExecution` for a real broker: what is sent, and when.

    Parameters
    ----------
    host : LiveExecutionHost
    core : DecisionCore
    k : int
    services : LiveServices
    """

    def reset(self) -> None:
        """Forget all orders."""
        super().reset()
        self._is_tending = self._tends_again = False
        self._word = BrokerWord()

    def on_told(self, asked_ns: int) -> None:
        """Note that every execution is told that had happened when they were asked for."""
        self._word.come(asked_ns, self._now_ns())
        self.tend()

    def has_word(self, since_ns: int) -> bool:
        """Whether every execution until ``since_ns`` was told, a moment ago; asks the broker where not."""
        now_ns = self._now_ns()
        is_fresh = self._word.is_fresh(since_ns, now_ns)
        if not is_fresh and self._word.wants(since_ns, now_ns):
            entry = "" if self._entry is None else self._entry.name
            names = [execution_name(row.trade_id)[0] for row in self.ledger.of_order(entry) if row.units]
            self._link.request_executions(self.instrument_id, self.ledger.began_ns(entry), names)
        return is_fresh

    @property
    def is_closing(self) -> bool:
        """Whether the position is being closed."""
        return self._exit is not None

    def tend(self) -> None:
        """Do what is next for position and orders as they are known now; called whenever either may have changed."""
        self._tends_again = True
        if self._is_tending:
            return  # what is sent may be answered before it is noted as sent
        self._is_tending = True
        try:
            for _ in range(MOST_ROUNDS):
                if self._tends_again:
                    self._tends_again = False
                    self._tend()
        finally:
            self._is_tending = False

    def _tend(self) -> None:
        now_ns = self._now_ns()
        if self.units == 0:
            self._tend_flat(now_ns)
        elif self._exit is not None:
            self._exit.tend(self, self._closable(), now_ns)
        else:
            self._tend_position(now_ns)

    def _tend_flat(self, now_ns: int) -> None:
        entries = self.book.fillable("entry")
        for entry in entries:
            # An entry must not fill without its stop.
            is_bare = any(stop.over for stop in self._stops(entry))
            is_lost = not entry.is_answered and now_ns - entry.row.sent_ns > ANSWER_S * NS
            if self._exit is not None or is_bare or is_lost:
                self.cancel(entry)
        for order in self.book.fillable("exit", *BARRIERS):
            # What is in a closed group is ended by the broker itself.
            is_waiting = any(is_of(order, entry) for entry in entries) and order.row.role != "exit"
            if not is_waiting and now_ns - self._flat_ns > GRACE_S * NS:
                self.cancel(order)
        if not entries:
            self._exit = None
            self._finish_reversal()

    def _stops(self, entry: OwnOrder) -> list[OwnOrder]:
        return [order for order in self._since_entry if order.row.role == "stop" and is_of(order, entry)]

    def _tend_position(self, now_ns: int) -> None:
        entry, side = self._entry, self._core.side
        if entry is None or entry.row.side != side:
            if not self.is_unsure:
                self.close_position("protection_lost")  # more was closed than was held
            return
        if entry.may_fill and entry.filled and now_ns - entry.moved_ns > PARTIAL_S * NS:
            self.cancel(entry)
        stops = self._stops(entry)
        if self.wants_stop and not any(stop.protects for stop in stops):
            if not self.is_unsure:
                self._regain_protection(stops, now_ns)
        elif not entry.may_fill:
            for order in self.book.fillable(*BARRIERS):
                self._fit(order, now_ns)

    def _regain_protection(self, stops: list[OwnOrder], now_ns: int) -> None:
        ended = max((stop.over_ns for stop in stops), default=0)
        if any(stop.is_leaving and stop.may_fill and not stop.held for stop in stops):
            return  # it works until its end is told; a second one beside it could open the other side
        is_refused = any(stop.over in ("refused", "inactive") or stop.held for stop in stops)
        if self._has_replaced and not is_refused and self.agreed_ns < ended and now_ns - ended < AGREE_S * NS:
            self._host.request_fills()  # who cancels it again and again, a flatten perhaps, may be closing too
        elif is_refused or self._has_replaced:
            self._host.warn(f"unprotected: {self.units:+d} without a stop, closing")
            self.close_position("protection_lost")
        elif (self.has_word(ended) and now_ns - ended > GRACE_S * NS) or now_ns - ended > NAKED_S * NS:
            self._has_replaced = True
            if not self.replace_stop():
                self.close_position("protection_lost")

    def replace_stop(self) -> bool:
        """Send a stop for what is held and has none; False where none can be sent now."""
        ticks = int(self._core.leg.stop_ticks)
        if not ticks or self.units == 0 or self._entry is None:
            return False
        name, group = self._tickets.new_name(), f"{self._entry.name}-{len(self.book.by_name)}"
        side, units = -self._core.side, abs(self.units)
        self._send([(self._tickets.stop(name, side, units, ticks, group), "stop_loss", group)])
        return self.book.by_name[name].may_fill

    def _fit(self, order: OwnOrder, now_ns: int) -> None:
        """Bring a barrier to the fill's price and to what is held."""
        if order.wanted is not None and now_ns - order.wanted_ns > ANSWER_S * NS:
            order.wanted = None
            self._host.request_fills()
        if not order.is_answered or order.wanted is not None or order.is_leaving:
            return
        leg = self._core.leg
        price = int(leg.stop_ticks if order.row.role == "stop" else leg.take_profit_ticks) or order.row.trigger_ticks
        size = order.filled + abs(self.units)
        shown = order.shown or (order.row.units, order.row.trigger_ticks)
        changed_ns = max(each.moved_ns for each in (order, self._entry) if each is not None)
        if shown[0] != size and now_ns - changed_ns <= RESIZE_S * NS:
            size = shown[0]
        if (size, price) == shown:
            return
        if order.is_fixed:
            if order.left > abs(self.units):
                self.close_position("protection_lost")  # it would open the other side
            return
        self._amend(order, size, price, now_ns)

    def _amend(self, order: OwnOrder, size: int, price: int, now_ns: int) -> None:
        row = msgspec.structs.replace(order.row, units=size, trigger_ticks=price)
        order.wanted, order.wanted_ns, order.row = (size, price), now_ns, row
        self.changes += 1
        self._journal.order(row)
        self._journal.flush()
        self._host.on_amended(row)
        if not self._link.amend(order.name, size, float(self._price(price))):
            order.wanted = None

    def _closable(self) -> int:
        held = abs(self.units)
        return held if self.most_to_close is None or self._is_outdated() else min(held, self.most_to_close)

    def _is_outdated(self) -> bool:
        """Whether executions told a moment ago contradict a list of positions that may be older than the entry.

        They do not know of a closing order that vanished: then the list decides.
        """
        if not self.shows_past or self._entry is None or self._exit is None or self._exit.lost_ns > self.agreed_ns:
            return False
        return self._word.is_fresh(self._entry.row.sent_ns, self._now_ns())

    def close_position(self, reason: FillReason) -> None:
        """Cancel what may still enter and close the position; see `Exit`."""
        self._reversal = None
        if self._exit is None and (self.units != 0 or self.book.fillable("entry")):
            self._exit = Exit(reason, self._now_ns())
        self.tend()

    def send_exit(self, units: int, group: str, reason: FillReason) -> OwnOrder:
        """Send a market order that closes so many units."""
        name = self._tickets.new_name()
        self._send([(self._tickets.market(name, -self._core.side, units, group), reason, group)])
        return self.book.by_name[name]

    def warn(self, message: str) -> None:
        """Alert a person."""
        self._host.warn(message)

    def _change_side(self, review: Review) -> None:
        # An earlier reversal that could not finish is void: it must not follow from a later fill.
        self._reversal = None
        if review.side != 0 and review.side == -self._core.side:
            self.close_position("reverse")
            self._reversal = review if self._exit is not None else None
        else:
            super()._change_side(review)

    def _finish_reversal(self) -> None:
        if self._reversal is None or self.book.open():
            return
        review, self._reversal = self._reversal, None
        if self._host.may_open():
            self._enter(review)
        else:
            self._host.count("reversal_not_permitted")

    def _enter(self, review: Review) -> None:
        if self._journal.problem:
            self._host.count("journal")
            return
        make, name, side, units = self._tickets, self._tickets.new_name(), review.side, review.units
        group = f"{name}-1"
        target, stop = (self._barrier(role, side) for role in (TAKE_PROFIT, "stop"))
        orders: list[tuple[Any, FillReason, str]] = [(make.market(name, side, units, closes=False), "entry", "")]
        if target:
            order = make.limit(make.new_name(), -side, units, target, group, parent=name)
            orders.append((order, "take_profit", group))
        if stop:
            # The last one transmits: where the stop is refused, nothing of the entry works.
            order = make.stop(make.new_name(), -side, units, stop, group, parent=name)
            orders.append((order, "stop_loss", group))
        self._send(orders)

    def _barrier(self, role: Role, side: int) -> int:
        """Price of a barrier before the fill is known: as for a fill at the close."""
        config = self._decision.trading.barriers
        distance, direction = (config.stop_loss, -side) if role == "stop" else (config.take_profit, side)
        if distance is None:
            return 0
        atr, close = float(self._core.leg.atr), self._market_ticks
        unit = unit_code(distance)
        return int(barrier_ticks(unit, distance.value, direction, close, close, self.tick_size, atr))
