"""Compares the broker's position and orders with the session's, again and again, and acts where they differ.

NautilusTrader does not compare again after a reconnect, and takes silence for flat. Here the broker decides: until both
agree nothing is opened, a position without a stop is closed, orders without a position are cancelled, and a difference
that stays halts the session.
"""

import asyncio
from collections.abc import Callable

from rl_strategies.live.broker.link import NS, BrokerFill, BrokerState
from rl_strategies.live.execution.comparison import Comparison, Difference, compare
from rl_strategies.live.execution.live_execution import IncomingFill, LiveExecution
from rl_strategies.live.journal.rebuild import BEGUN
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import Events

UNANSWERED_REQUESTS = 2  # before a connection counts as dead
SETTLE_S = 1.0  # a difference must be seen twice, so far apart, before it is acted upon


class NotOursError(RuntimeError):
    """The account holds positions or orders from outside the session; one line that says what to do."""


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
        Whether the broker last showed neither position nor order; None before its first answer.
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
        self._unanswered = 0
        self._wants_fills = False
        self._suspect: Difference | None = None
        self._suspected_ns = 0

    def request_fills(self) -> None:
        """Request the broker's fills before the next comparison: events of some may have been missed."""
        self._wants_fills = True

    def check_connection(self) -> None:
        """Notice that the connection was lost or restored; the position is unknown after either."""
        is_connected = self._link.is_connected()
        if is_connected == self.is_connected:
            return
        old, new = ("up", "down") if self.is_connected else ("down", "up")
        self.is_connected = is_connected
        if is_connected:
            self._link.drop_requests()
        self._events.report("connection", old, new)
        self._doubt("the connection was lost")
        self._wants_fills = True
        self._asked_ns = 0

    async def claim(self) -> None:
        """Begin a session on a flat account; fills from before are never applied.

        Raises
        ------
        NotOursError
            If the broker holds a position or orders of the instrument.
        """
        # In this order: a fill between the two answers shows in the position.
        while (before := await self._link.executions()) is None or (broker := await self._link.broker_state()) is None:
            await asyncio.sleep(self._timeouts.poll_s)
        if broker.units or broker.orders:
            raise NotOursError(
                f"account already holds {broker.units:+d} {self._execution.instrument_id} and {len(broker.orders)} "
                f"orders from outside this session: run `{self._flatten_command}`, or close them by hand"
            )
        foreign = [fill.trade_id for fill in before]
        self._execution.ignore_fills(foreign)
        self._events.report(BEGUN, reason=" ".join(foreign))
        self.is_connected = self.known = True

    async def reconcile(self) -> None:
        """Compare with the broker, if it is time to, and act where it differs."""
        now_ns = self._wall_ns()
        is_calm = self.known and not self._wants_fills
        wait_s = self._timeouts.reconcile_s if is_calm else self._timeouts.poll_s
        if not self.is_connected or now_ns - self._asked_ns < wait_s * NS:
            return
        if self._execution.is_in_flight():
            if not self._execution.is_overdue(now_ns):
                return
            self._wants_fills = True
        self._asked_ns = now_ns
        if self._wants_fills and not await self.apply_missed_fills():
            return
        before = self._execution.changes
        broker = await self._link.broker_state()
        if broker is None:
            self._note_silence("the broker did not report its position")
            return
        self._unanswered = 0
        if before != self._execution.changes:
            return  # the answer is outdated
        for name in self._execution.drop_unknown({order.order_ref for order in broker.orders}, now_ns):
            self._events.report("order", "", "gone", f"{name}: the broker does not show it")
        if not self._execution.is_in_flight():
            self._apply(broker)

    async def apply_missed_fills(self) -> bool:
        """Apply fills whose events were missed; False where the broker did not answer."""
        self._wants_fills = False  # before the request: one that is wanted meanwhile must be another
        executions = await self._link.executions()
        if executions is None:
            self._wants_fills = True
            self._note_silence("the broker did not report its fills")
            return False
        for fill in executions:
            if self._execution.apply_fill(self._incoming(fill), late=True):
                self._events.report("fill", "", "found", f"{fill.units:+d} filled while nobody listened")
        return True

    def _incoming(self, fill: BrokerFill) -> IncomingFill:
        ticks, cents = round(fill.price / self._execution.tick_size), round(fill.commission_usd * 100)
        return IncomingFill(fill.trade_id, fill.order_ref, fill.ts_ns, fill.units, ticks, cents)

    def _apply(self, broker: BrokerState) -> None:
        execution = self._execution
        self.is_flat = broker.units == 0 and not broker.orders
        found = compare(broker, execution.units, execution.orders, execution.groups, execution.wants_stop)
        if found.difference is not None:
            self._doubt(found.description)
            self._act(found)
            return
        self._suspect = None
        if not self.known:
            self.known = True
            self._events.report("broker", "unknown", "known", "position and orders agree")

    def _act(self, found: Comparison) -> None:
        now_ns = self._wall_ns()
        if found.difference != self._suspect:
            self._suspect, self._suspected_ns = found.difference, now_ns
        seconds = (now_ns - self._suspected_ns) / NS
        if found.difference == "position":
            self._wants_fills = True
            if seconds > self._timeouts.resolve_s:
                self._halt(f"{found.description} for {seconds:.0f} s; run `{self._flatten_command}`")
        elif seconds >= SETTLE_S and found.difference in ("naked", "oversized"):
            self._suspect = None
            self._events.report("protection", "", "lost", found.description)
            self._execution.close_position("protection_lost")
        elif seconds >= SETTLE_S:
            self._suspect = None
            self._events.report("orders", "", "cancelled", found.description)
            for order in found.orphans:
                self._link.cancel(order)

    def _note_silence(self, reason: str) -> None:
        self._doubt(reason)
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_REQUESTS and self._link.is_connected():
            self._unanswered = 0
            self._events.report("connection", "up", "hung up", f"{UNANSWERED_REQUESTS} requests were not answered")
            self._link.disconnect()

    def _doubt(self, reason: str) -> None:
        if self.known:
            self.known = False
            self._events.report("broker", "known", "unknown", reason)
