"""Compares the broker's word with the session's, again and again.

NautilusTrader does not compare again after a reconnect, and takes silence for flat. Here the broker's executions and
its list of the session's orders decide; positions, which may be seconds old and hold what others trade, only confirm.
Until they do, nothing is opened.
"""

import asyncio
from collections.abc import Callable

from rl_strategies.live.broker.link import NS, BrokerState
from rl_strategies.live.execution.live_execution import LiveExecution
from rl_strategies.live.execution.own_orders import WORKING
from rl_strategies.live.journal.rebuild import BEGUN
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import Events

UNANSWERED_REQUESTS = 2  # before a connection counts as dead
SILENT_S = 60.0  # a connection that answers, but never for the position, counts as dead after so long
SETTLE_S = 1.0  # a difference must be seen twice, so far apart, before it is acted upon
LAG_S = 6.0  # positions are up to 5 s old
PAST_S = 60.0  # positions as the session held them so long ago are taken for an old list, and are waited for
SESSION_PREFIX = "O-"  # begins the client order ids of sessions


class NotOursError(RuntimeError):
    """The account holds positions or a sibling's orders; one line that says what to do."""


class Reconciler:
    """Compares the broker with one instrument's execution.

    Parameters
    ----------
    services : LiveServices
    execution : LiveExecution
    events : Events
    halt : callable
        Halts the session for a reason; only a person can let it trade again.
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    known : bool
        Whether the broker's position and orders are the session's.
    is_connected : bool
    is_flat : bool or None
        Whether the session last had neither position nor order by the broker's word; None before its first answer.
    """

    def __init__(
        self,
        services: LiveServices,
        execution: LiveExecution,
        events: Events,
        halt: Callable[[str], None],
        wall_ns: Callable[[], int],
    ) -> None:
        self._link, self._timeouts = services.link, services.timeouts
        self._flatten_command = services.flatten_command
        self._execution, self._events, self._halt, self._wall_ns = execution, events, halt, wall_ns
        self.known = False
        self.is_connected = False
        self.is_flat: bool | None = None
        self._asked_ns = 0
        self._losses = 0
        self._unanswered = 0
        self._silent_since_ns = 0
        self._wants_fills = False
        self._difference = 0
        self._differs_since_ns = 0
        self._suspects: set[str] = set()

    def request_fills(self) -> None:
        """Request the broker's executions before the next comparison: some may have been missed."""
        self._wants_fills = True

    def check_connection(self) -> None:
        """Notice that the connection was lost or restored, or both; the position is unknown after either."""
        is_connected, losses = self._link.is_connected(), self._link.losses
        if is_connected == self.is_connected and (not is_connected or losses == self._losses):
            return
        old, new = ("up" if self.is_connected else "down"), ("up" if is_connected else "down")
        self._losses = losses
        self.is_connected, self._unanswered, self._silent_since_ns = is_connected, 0, 0
        if is_connected:
            self._link.drop_requests()
        self._events.report("connection", old, new, "lost and restored" if old == new else "")
        self._doubt("the connection was lost")
        self._wants_fills = True
        self._asked_ns = 0
        self._execution.deaf_since_ns = self._wall_ns()

    async def claim(self) -> None:
        """Begin a session where the account holds nothing of the instrument; fills from before are never counted.

        Orders made by hand and those of other programs are no reason not to begin.

        Raises
        ------
        NotOursError
            If the account holds a position in the instrument, or orders of another session work in it.
        """
        name = self._execution.instrument_id
        # In this order: a fill between the two answers shows in the position.
        while (before := await self._link.executions(name)) is None or (
            broker := await self._link.everybody(name)
        ) is None:
            await asyncio.sleep(self._timeouts.poll_s)
        if broker.units:
            raise NotOursError(
                f"account already holds {broker.units:+d} {name} from outside this session: "
                "close it by hand, or trade on another account"
            )
        siblings = [order for order in broker.orders if order.order_ref.startswith(SESSION_PREFIX)]
        if siblings:
            raise NotOursError(
                f"{len(siblings)} orders of another session work in {name} (client {siblings[0].client_id}): "
                "end it first"
            )
        foreign = [fill.trade_id for fill in before]
        self._execution.foreign.ignore(foreign)
        self._events.report(BEGUN, reason=" ".join(foreign))
        self._losses = self._link.losses
        self.is_connected = self.known = True

    async def reconcile(self) -> None:
        """Compare with the broker, if it is time to, and act where it differs."""
        now_ns = self._wall_ns()
        is_calm = self.known and not self._wants_fills
        wait_s = self._timeouts.reconcile_s if is_calm else self._timeouts.poll_s
        if not self.is_connected or now_ns - self._asked_ns < wait_s * NS:
            return
        if self._execution.is_in_flight():
            if not self._execution.is_overdue(now_ns) and not self._execution.is_deaf:
                return
            self._wants_fills = True
        self._asked_ns = now_ns
        if self._wants_fills and not await self.apply_missed_fills():
            return
        before = self._execution.changes
        broker = await self._link.broker_state(self._execution.instrument_id)
        if broker is None:
            self._silent_since_ns = self._silent_since_ns or now_ns
            self._note_silence("the broker did not report its position")
            self._wants_fills = True  # the answer to that, or its absence, says whether the connection is dead
            return
        self._unanswered = self._silent_since_ns = 0
        if before == self._execution.changes:  # otherwise the answer is outdated
            self._apply(broker)

    async def apply_missed_fills(self) -> bool:
        """Let the broker tell today's executions again; False where it did not answer."""
        self._wants_fills = False  # before the request: one that is wanted meanwhile must be another
        before = len(self._execution.fills)
        if await self._link.executions(self._execution.instrument_id) is None:
            self._wants_fills = True
            self._note_silence("the broker did not report its fills")
            return False
        self._execution.deaf_since_ns = 0
        if not self._silent_since_ns or self._wall_ns() - self._silent_since_ns < SILENT_S * NS:
            self._unanswered = 0
        for fill in self._execution.fills[before:]:
            self._events.report("fill", "", "found", f"{fill.units:+d} filled while nobody listened")
        return True

    def _apply(self, broker: BrokerState) -> None:
        execution, now_ns = self._execution, self._wall_ns()
        working = {order.order_ref for order in broker.orders if order.status in WORKING}
        self._revive(working)
        difference = broker.units - execution.units - execution.foreign.units
        explaining = execution.explaining(difference) if difference else None
        kept = working if explaining is None else working | {explaining.name}
        for name in execution.drop_unknown(kept, now_ns):
            self._events.report("order", "", "gone", f"{name}: the broker does not list it")
        for name in execution.book.keep_listed(working, now_ns):
            self._events.report(
                "order", "", "not cancelled", f"{name}: its cancel was not confirmed, it counts as working"
            )
            execution.warn(f"{name} cannot be cancelled: it may still fill, nothing is opened or closed against it")
        self.is_flat = difference == 0 and execution.units == 0 and not execution.book.fillable()
        if difference:
            self._act(difference, broker.units, now_ns)
        else:
            self._agree()
        execution.poll()

    def _revive(self, working: set[str]) -> None:
        # Seen twice: the first list may be older than the end of the order.
        self._execution.note_listed(working & self._suspects)
        book = self._execution.book
        self._suspects = {name for name in working if (order := book.get(name)) is not None and order.over}

    def _agree(self) -> None:
        execution = self._execution
        self._difference, execution.most_to_close, execution.agreed_ns = 0, None, self._wall_ns()
        execution.shows_past = False
        if execution.units and execution.wants_stop and not execution.is_protected:
            self._doubt(f"{execution.units:+d} held without a complete stop")
        elif not self.known and not execution.is_in_flight():
            self.known = True
            self._events.report("broker", "unknown", "known", "position and orders agree")

    def _act(self, difference: int, broker_units: int, now_ns: int) -> None:
        execution = self._execution
        held = execution.units + execution.foreign.units
        self._doubt(f"the broker holds {broker_units} units, the session {held}")
        if difference != self._difference:
            self._difference, self._differs_since_ns = difference, now_ns
        self._wants_fills = True
        seconds = (now_ns - self._differs_since_ns) / NS
        past = execution.ledger.positions_since(execution.units, now_ns - round(PAST_S * NS))
        execution.shows_past = broker_units - execution.foreign.units in past
        # An old list explains itself: an order that seems to have filled by it may not have.
        order = None if execution.shows_past else execution.explaining(difference)
        if order is not None and seconds >= SETTLE_S:
            self._events.report("fill", "", "found", f"{difference:+d} by the broker's position alone")
            execution.book_provisional(order, abs(difference), execution.market_ticks)
        elif seconds > self._timeouts.resolve_s and not execution.shows_past:
            self._give_up(difference, broker_units, held, seconds)
        elif seconds > LAG_S:
            execution.most_to_close = max(0, execution.side * (broker_units - execution.foreign.units))

    def _give_up(self, difference: int, broker_units: int, held: int, seconds: float) -> None:
        execution = self._execution
        if difference * execution.units >= 0 and not execution.book.fillable("entry", "exit"):
            execution.note_foreign_position(difference)
            return
        text = f"the broker holds {broker_units} units, the session {held}"
        self._halt(f"{text} for {seconds:.0f} s; run `{self._flatten_command}`")

    def _note_silence(self, reason: str) -> None:
        self._doubt(reason)
        self._unanswered += 1
        # A long history before it delays an answer: that is no dead connection.
        if self._unanswered >= UNANSWERED_REQUESTS and self._link.is_connected() and not self._link.is_behind():
            self._unanswered = 0
            self._events.report("connection", "up", "hung up", f"{UNANSWERED_REQUESTS} requests were not answered")
            self._link.disconnect()

    def _doubt(self, reason: str) -> None:
        if self.known:
            self.known = False
            self._events.report("broker", "known", "unknown", reason)
