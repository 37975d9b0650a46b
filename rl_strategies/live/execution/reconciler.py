"""Asks the broker, again and again, what it holds, and acts where that is not what the session believes.

NautilusTrader does not look again after a reconnect, and reads silence as flat. Here the broker's own word decides:
until it agrees nothing is opened, what is held without a stop is closed, what rests without reason is cancelled, and
what cannot be explained halts the session.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from rl_strategies.live.broker.link import NS, BrokerFill, BrokerLink, BrokerState
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.execution.comparison import Comparison, Difference, compare
from rl_strategies.live.execution.live_execution import IncomingFill, LiveExecution
from rl_strategies.live.journal.rebuild import BEGUN

UNANSWERED_QUESTIONS = 2  # before a connection counts as dead
SETTLE_S = 1.0  # what two looks at the broker must agree on before it is acted upon


class NotOursError(RuntimeError):
    """The account holds what this session did not buy; one line that says what to do."""


class Watched(Protocol):
    """The session that is watched."""

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Something worth writing down."""

    def after_fill(self) -> None:
        """An execution was taken in."""

    def halt(self, reason: str) -> None:
        """Only a person can go on from here."""


class Reconciler:
    """Compares the broker with one instrument's desk.

    Parameters
    ----------
    link : BrokerLink
    desk : LiveExecution
    patience : Timeouts
    session : Watched
    wall_ns : callable
        This machine's clock, UTC nanoseconds.
    flatten_command : str
        Command line that closes everything at this broker; named where a person must act.

    Attributes
    ----------
    known : bool
        Whether the broker's position and orders are what the session believes.
    is_connected : bool
    is_flat : bool or None
        Whether the broker showed neither position nor order when it was asked last.
    """

    def __init__(
        self,
        link: BrokerLink,
        desk: LiveExecution,
        patience: Timeouts,
        session: Watched,
        wall_ns: Callable[[], int],
        flatten_command: str,
    ) -> None:
        self._link, self._desk, self._patience, self._session = link, desk, patience, session
        self._wall_ns, self._flatten_command = wall_ns, flatten_command
        self.known = False
        self.is_connected = False
        self.is_flat: bool | None = None
        self._moves = 0
        self._asked_ns = 0
        self._unanswered = 0
        self._wants_executions = False
        self._suspect: Difference | None = None
        self._suspected_ns = 0

    def note_move(self) -> None:
        """Something happened to an order: an answer asked for before it is not to be believed."""
        self._moves += 1

    def want_executions(self) -> None:
        """Ask for executions before anything else: some may have passed unnoticed."""
        self._wants_executions = True

    def note_connection(self) -> None:
        """Notice that the connection went or came back."""
        is_connected = self._link.is_connected()
        if is_connected == self.is_connected:
            return
        old, new = ("up", "down") if self.is_connected else ("down", "up")
        self.is_connected = is_connected
        if is_connected:
            self._link.forget_questions()
        self._session.say("connection", old, new)
        self._doubt("the connection was lost")
        self._wants_executions = True
        self._asked_ns = 0

    async def claim(self) -> None:
        """Begin with a flat account; what was executed before is not the session's.

        Raises
        ------
        NotOursError
            If the broker holds a position or orders of the instrument.
        """
        # In this order: what is executed between the two questions is not flat any more.
        while (before := await self._link.executions()) is None or (truth := await self._link.truth()) is None:
            await asyncio.sleep(self._patience.watch_s)
        if truth.units or truth.orders:
            raise NotOursError(
                f"account already holds {truth.units:+d} {self._desk.instrument_id} and {len(truth.orders)} orders "
                f"from outside this session: run `{self._flatten_command}`, or close them by hand"
            )
        foreign = [told.trade_id for told in before]
        self._desk.disown(foreign)
        self._session.say(BEGUN, reason=" ".join(foreign))
        self.is_connected = self.known = True

    async def ask(self) -> None:
        """Ask what is held, if it is time to, and act upon the answer."""
        now_ns = self._wall_ns()
        is_calm = self.known and not self._wants_executions
        wait_s = self._patience.truth_s if is_calm else self._patience.watch_s
        if not self.is_connected or now_ns - self._asked_ns < wait_s * NS:
            return
        if self._desk.is_in_flight():
            if not self._desk.is_overdue(now_ns):
                return
            self._wants_executions = True
        self._asked_ns = now_ns
        if self._wants_executions and not await self.catch_up():
            return
        before = self._moves
        truth = await self._link.truth()
        if truth is None:
            self._note_silence("the broker did not say what it holds")
            return
        self._unanswered = 0
        if before != self._moves:
            return
        for name in self._desk.drop_unknown({order.order_ref for order in truth.orders}, now_ns):
            self._session.say("order", "", "gone", f"{name}: the broker does not show it")
        if not self._desk.is_in_flight():
            self._take(truth)

    async def catch_up(self) -> bool:
        """Take in executions that nobody told of; False where the broker did not answer."""
        self._wants_executions = False  # before the question: what is wanted while it is asked is another one
        executions = await self._link.executions()
        if executions is None:
            self._wants_executions = True
            self._note_silence("the broker did not say what it executed")
            return False
        for told in executions:
            if self._desk.take(self._executed(told), late=True):
                self._session.say("fill", "", "found", f"{told.units:+d} executed while nobody listened")
                self._session.after_fill()
        return True

    def _executed(self, told: BrokerFill) -> IncomingFill:
        ticks = round(told.price / self._desk.tick_size)
        return IncomingFill(
            told.trade_id, told.order_ref, told.ts_ns, told.units, ticks, round(told.commission_usd * 100)
        )

    def _take(self, truth: BrokerState) -> None:
        desk = self._desk
        self.is_flat = truth.units == 0 and not truth.orders
        found = compare(truth, desk.units, desk.orders, desk.groups, desk.wants_stop)
        if found.difference is not None:
            self._doubt(found.said)
            self._act(found)
            return
        self._suspect = None
        if not self.known:
            self.known = True
            self._session.say("broker", "unknown", "known", "position and orders agree")

    def _act(self, found: Comparison) -> None:
        now_ns = self._wall_ns()
        if found.difference != self._suspect:
            self._suspect, self._suspected_ns = found.difference, now_ns
        seconds = (now_ns - self._suspected_ns) / NS
        if found.difference == "position":
            self._wants_executions = True
            if seconds > self._patience.resolve_s:
                self._session.halt(f"{found.said} for {seconds:.0f} s; run `{self._flatten_command}`")
        elif seconds >= SETTLE_S and found.difference in ("naked", "oversized"):
            self._suspect = None
            self._session.say("protection", "", "lost", found.said)
            self._desk.close_position("protection_lost")
        elif seconds >= SETTLE_S:
            self._suspect = None
            self._session.say("orders", "", "cancelled", found.said)
            for order in found.orphans:
                self._link.cancel(order)

    def _note_silence(self, reason: str) -> None:
        self._doubt(reason)
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_QUESTIONS and self._link.is_connected():
            self._unanswered = 0
            self._session.say("connection", "up", "hung up", f"{UNANSWERED_QUESTIONS} questions were not answered")
            self._link.hang_up()

    def _doubt(self, reason: str) -> None:
        if self.known:
            self.known = False
            self._session.say("broker", "known", "unknown", reason)
