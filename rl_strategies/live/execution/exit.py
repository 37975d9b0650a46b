"""Leaving a position: never naked, never doubled.

The take profit is cancelled first: where the broker blocks within a group, an exit that joins a resting limit never
fills. Then a market order joins the group of the stop, so that either reduces the other. If the broker holds it back
all the same, exit and stop are cancelled, and once both are gone the exit is sent alone; so it is where an earlier exit
has ended the group. Never more than one closing order may fill at a time.
"""

from typing import Protocol

from rl_strategies.accounting.record import FillReason
from rl_strategies.live.execution.own_orders import NS, OwnOrder, OwnOrders
from rl_strategies.live.journal.session_journal import TAKE_PROFIT

CANCEL_S = 1.0  # wait for the take profit's end at most so long
FILL_S = 2.0  # a market order in a group that has not filled for so long is held back there
UNHEARD_S = 10.0  # executions that are asked for and not told for longer are done without
AGREE_S = 30.0  # after a closing order is lost, wait at most so long for a position that agrees
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # after refusals


class Desk(Protocol):
    """What an exit is carried out with; `LiveExecution` is one."""

    book: OwnOrders
    agreed_ns: int

    @property
    def is_unsure(self) -> bool:
        """Whether the position is about to be known better."""

    @property
    def side(self) -> int:
        """Side that is held."""

    def has_word(self, since_ns: int) -> bool:
        """Whether every execution until ``since_ns`` was told, a moment ago; asks the broker where not."""

    def cancel(self, order: OwnOrder) -> None:
        """Cancel an order, once until it is time to try again."""

    def send_exit(self, units: int, group: str, reason: FillReason) -> OwnOrder:
        """Send a market order that closes so many units."""

    def replace_stop(self) -> bool:
        """Send a stop for what is held and has none; False where none can be sent now."""

    def warn(self, message: str) -> None:
        """Alert a person."""


class Exit:
    """One closing of a position, from the decision until it is flat.

    Parameters
    ----------
    reason : str
        As in `rl_strategies.accounting.record.Fill`.
    now_ns : int

    Attributes
    ----------
    attempts : int
        Refused ones.
    lost_ns : int
        Clock when a closing order was found to have vanished; 0 for never.
    """

    def __init__(self, reason: FillReason, now_ns: int) -> None:
        self.reason = reason
        self.attempts = 0
        self._began_ns = self._since_ns = now_ns
        self._next_ns = 0
        self._sent: OwnOrder | None = None
        self._alone = False
        self.lost_ns = 0

    def tend(self, desk: Desk, units: int, now_ns: int) -> None:
        """Do what is next for closing ``units``, unsigned; 0 where nothing may be sent now."""
        for order in desk.book.fillable("entry", TAKE_PROFIT):
            desk.cancel(order)
        exits = desk.book.fillable("exit")
        if exits:
            for order in exits:
                self._watch(desk, order, now_ns)
            return
        self._note_end(desk, now_ns)
        is_heard = self._is_heard(desk, now_ns)
        stops = []
        for order in desk.book.fillable("stop"):
            if order.row.side == -desk.side:
                stops.append(order)
            else:
                desk.cancel(order)  # it would open
        # A group ends with the first order of it that fills, and an entry may fill further after that.
        self._alone |= any(desk.book.is_spent(stop.row.group) for stop in stops)
        if self._alone:
            for order in stops:
                desk.cancel(order)
            if any(not order.is_kept for order in stops):
                return
            if stops:  # they cannot be cancelled: nothing else may be sent beside them
                self._alone = False
                self._pause(now_ns)
        elif desk.book.fillable(TAKE_PROFIT) and now_ns - self._began_ns < CANCEL_S * NS:
            return
        if desk.agreed_ns < self.lost_ns and now_ns - self.lost_ns < AGREE_S * NS:
            return  # it may have filled unheard
        if units and now_ns >= self._next_ns and not desk.is_unsure and is_heard:
            group = next((stop.row.group for stop in stops), "")
            self._sent = desk.send_exit(units, group, self.reason)

    def _is_heard(self, desk: Desk, now_ns: int) -> bool:
        """Whether the broker has told of every fill before this attempt: messages may be lost."""
        if now_ns < self._next_ns or desk.has_word(self._since_ns):
            return True
        if now_ns - self._since_ns <= UNHEARD_S * NS:
            return False
        desk.warn(f"the broker has not told its executions for {UNHEARD_S:g} s: closing by the session's own count")
        return True

    def _pause(self, now_ns: int) -> None:
        self._next_ns = now_ns + int(PAUSES_S[min(self.attempts, len(PAUSES_S) - 1)] * NS)
        self.attempts += 1

    def _watch(self, desk: Desk, order: OwnOrder, now_ns: int) -> None:
        if now_ns - max(order.row.sent_ns, order.moved_ns) <= FILL_S * NS:
            return
        if not order.is_answered:
            desk.cancel(order)  # lost on the way: the answer says so
        elif order.row.group:
            self._alone = True
            desk.cancel(order)

    def _note_end(self, desk: Desk, now_ns: int) -> None:
        sent, self._sent = self._sent, None
        if sent is None or not sent.over or sent.over == "filled":
            return
        self._since_ns = now_ns
        if sent.over == "gone":
            self.lost_ns = sent.over_ns
        if sent.over in ("refused", "inactive", "never_sent"):
            self._pause(now_ns)
            self._alone = False
            is_covered = any(stop.protects for stop in desk.book.fillable("stop"))
            if not is_covered:
                desk.replace_stop()  # it may be refused too, which is known later
                desk.warn(f"unprotected: closing order refused {self.attempts} times, tried again and again")
