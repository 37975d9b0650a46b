"""Keeps what a live session holds protected, and closes what may not be held any longer."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.broker.link import NS
from rl_strategies.live.instrument import LiveInstrument
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import Events

log = logging.getLogger(__name__)


class Protection:
    """Runs beside the strategy, so that no failure of bars, features or policy leaves a position without a stop.

    Every instrument has a task of its own: none waits for an answer about another.

    Parameters
    ----------
    core : DecisionCore
    services : LiveServices
    traded : sequence of LiveInstrument
    events : Events
    wall_ns, market_ns : callable
        This machine's clock and that of the bars, UTC nanoseconds.

    Attributes
    ----------
    ending : {"", "flatten", "hold"}
        How the session ends, once it does.
    has_begun : bool
        Whether the session may hold anything.
    failure : Exception or None
        The first that a round met; the rounds go on.
    """

    def __init__(
        self,
        core: DecisionCore,
        services: LiveServices,
        traded: Sequence[LiveInstrument],
        events: Events,
        wall_ns: Callable[[], int],
        market_ns: Callable[[], int],
    ) -> None:
        self._core, self._traded, self._events = core, traded, events
        self._timeouts, self._monitor = services.timeouts, services.monitor
        self._wall_ns, self._market_ns = wall_ns, market_ns
        self.ending: Literal["", "flatten", "hold"] = ""
        self.has_begun = False
        self.failure: Exception | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Look at what is held again and again, from now on."""
        self.has_begun = True
        for k, each in enumerate(self._traded):
            task = self._tasks.get(each.name)
            if task is None or task.done():
                self._tasks[each.name] = asyncio.get_running_loop().create_task(self._keep(k))

    def stop(self) -> None:
        """Look no more; a position stays with its barriers at the broker."""
        for task in self._tasks.values():
            task.cancel()

    async def wind_down(self, flatten: bool, timeout_s: float = 60.0) -> bool:
        """End in order: decide nothing more and, if wanted, close everything. Returns whether that is done.

        Parameters
        ----------
        flatten : bool
            False leaves a position to its barriers at the broker.
        timeout_s : float
        """
        self.ending = "flatten" if flatten else "hold"
        self._events.report("session", "trading", "ending", self.ending)
        if not flatten:
            return True
        until_ns = self._wall_ns() + int(timeout_s * NS)
        while self._wall_ns() < until_ns:
            if self._is_left():
                return True
            await asyncio.sleep(self._timeouts.poll_s)
        return False

    def _is_left(self) -> bool:
        """Whether the broker has confirmed that the session has neither position nor order."""
        return all(bool(each.is_flat) and each.execution.units == 0 for each in self._traded)

    def is_protected(self) -> bool:
        """Whether every unit held has a stop at the broker, as far as is known."""
        return all(each.execution.is_protected for each in self._traded)

    def is_known(self) -> bool:
        """Whether the broker's positions and orders are the session's."""
        return all(each.reconciler.known for each in self._traded)

    async def leave(self, patience_s: float) -> bool:
        """Leave the market after a halt, however often the broker refuses; returns whether that is done.

        It is given up where the broker cannot be reached for ``patience_s``, and where the position is protected and
        the session has been over for as long.

        Parameters
        ----------
        patience_s : float
        """
        self.ending = "flatten"
        return await self._pursue(self._is_left, patience_s, gives_up_protected=True)

    async def protect(self, patience_s: float) -> bool:
        """Wait until what is held has its stop at the broker, or is closed; returns whether that is so.

        Parameters
        ----------
        patience_s : float
            It is given up where the broker cannot be reached for so long.
        """
        if not self.has_begun:
            return True
        return await self._pursue(lambda: self.is_known() and self.is_protected(), patience_s)

    async def _pursue(self, is_done: Callable[[], bool], patience_s: float, gives_up_protected: bool = False) -> bool:
        self.start()
        reached_ns = held_ns = open_ns = self._wall_ns()
        while not is_done():
            now_ns, is_held = self._wall_ns(), any(each.execution.units for each in self._traded)
            reached_ns = now_ns if all(each.reconciler.is_connected for each in self._traded) else reached_ns
            held_ns = now_ns if is_held else held_ns
            # A replayed market's time is not this machine's.
            open_ns = now_ns if self._market_ns() < self._core.last_flat_ns else open_ns
            # Once flat, the broker is given time to say so.
            is_settled = is_held or now_ns - held_ns > patience_s * NS
            is_over = now_ns - open_ns > patience_s * NS
            is_given_up = gives_up_protected and is_over and self.is_protected() and is_settled
            if is_given_up or now_ns - reached_ns > patience_s * NS:
                return False
            await asyncio.sleep(self._timeouts.poll_s)
        return True

    async def _keep(self, k: int) -> None:
        """Protect and close what is held of an instrument, whatever else fails; ends with the strategy alone."""
        execution, reconciler = self._traded[k].execution, self._traded[k].reconciler
        while True:
            try:
                reconciler.check_connection()
                await reconciler.reconcile()
                execution.poll()
                self._enforce(k)
            except Exception as error:  # the next round must come
                log.exception("protection")
                self.failure = self.failure or error
            await asyncio.sleep(self._timeouts.poll_s)

    def enforce(self) -> None:
        """Close what may not be held any longer, as often as it takes."""
        for k in range(len(self._traded)):
            self._enforce(k)

    def _enforce(self, k: int) -> None:
        execution = self._traded[k].execution
        if not self._traded[k].reconciler.is_connected or execution.is_closing:
            return
        if execution.units == 0 and not execution.book.fillable("entry"):
            return
        flat_ns = self._core.flat_ns(k)
        if self._monitor.level in ("flatten", "halted"):
            execution.close_position("risk_halt")
        elif self.ending == "flatten" or (flat_ns and self._market_ns() > flat_ns):
            execution.close_position("end_of_session")
