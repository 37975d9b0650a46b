"""Holds the traded bars of a live session until the context of their time is known.

A backtest has all bars of a moment at once; a broker sends them one after the other. So a traded bar waits until every
context bar that it may use has arrived, or history confirms that there is none. While history does not answer, no bar
is processed and nothing is decided, as in a gap of the traded bars themselves.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nautilus_trader.model.data import Bar, BarType

from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.decision.core import DecisionCore
from rl_strategies.features import context_streams
from rl_strategies.features.plans.streams import NS_PER_SECOND
from rl_strategies.live.broker.link import NS
from rl_strategies.live.data.bar_feed import RETRY_S, BarFeed, BarReceiver
from rl_strategies.live.data.context_stream import ContextStream
from rl_strategies.live.journal.rebuild import LATE
from rl_strategies.live.journal.session_journal import BarSource
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import SessionEvents

REFRESH_S = 30.0  # between two checks for new daily values


class MarketReceiver(BarReceiver, Protocol):
    """What the traded bars of a session are for."""

    def skip(self, ts_ns: int, reason: str) -> None:
        """Do not decide on the bar pushed last."""


@dataclass
class _Held:
    bar: Bar
    source: BarSource
    since_s: float = field(default_factory=time.monotonic)
    is_news: bool = False


class ContextBars:
    """Follows the context streams' bars, and stands between the traded bars' feed and its receiver.

    Parameters
    ----------
    context : ContextFeed
    core : DecisionCore
    services : LiveServices
        Its context sources without bars, and the traded bars themselves, are not followed.
    traded : sequence of BarType
    receiver : MarketReceiver
    events : SessionEvents
    wall_ns : callable
        This machine's clock, UTC nanoseconds.
    is_stale : callable
        Takes a traded bar's close; whether it is too old by now to act upon.

    Attributes
    ----------
    feeds : dict of BarType to BarFeed
        Feeds of the streams.
    released_ns : int
        Clock when the last bar that had to wait was pushed.
    missing : tuple of str
        Streams that had no value for the last bar though their exchange was open.
    """

    def __init__(
        self,
        context: ContextFeed,
        core: DecisionCore,
        services: LiveServices,
        traded: Sequence[BarType],
        receiver: MarketReceiver,
        events: SessionEvents,
        wall_ns: Callable[[], int],
        is_stale: Callable[[int], bool],
    ) -> None:
        self._context, self._core, self._timeouts = context, core, services.timeouts
        self._receiver, self._events, self._wall_ns, self._is_stale = receiver, events, wall_ns, is_stale
        self._specs = {stream.name: stream for stream in context_streams(core.plan)}
        own = set(map(str, traded))
        followed = [s for s in services.context if s.bar_type in context.bar_types and s.bar_type not in own]
        self._streams = [
            ContextStream(s, self._specs[s.name], context, services, self, events, wall_ns) for s in followed
        ]
        self.feeds: Mapping[BarType, BarFeed] = {stream.feed.bar_type: stream.feed for stream in self._streams}
        self._held: deque[_Held] = deque()
        self._is_warm = False
        self._is_unanswered = False
        self._news = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._refreshed_ns = 0
        self.released_ns = 0
        self.missing: tuple[str, ...] = ()

    @property
    def is_holding(self) -> bool:
        """Whether a traded bar waits for its context."""
        return bool(self._held)

    def age_s(self) -> float:
        """Seconds since the close of the oldest traded bar that waits; 0 where none does or the past is replayed."""
        if not self._held or self._timeouts.clock == "bars":
            return 0.0
        return max(0.0, (self._wall_ns() - self._held[0].bar.ts_event) / NS)

    def continue_after(self) -> None:
        """Continue where a resumed session's core stopped."""
        for stream in self._streams:
            stream.feed.continue_after(self._core.context_ns(stream.name))

    async def warm_up(self) -> None:
        """Push the history of every stream, then the traded bars held so far.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        first_ns = self._held[0].bar.ts_event if self._held else self._last_ns()
        for stream in self._streams:
            await stream.feed.warm_up(first_ns - stream.lag_ns)
        self._is_warm = True
        while self._held:
            self._push_held(self._held.popleft())

    # The traded bars ----------------------------------------------------------------------------------------------

    def push(self, bar: Bar, source: BarSource) -> None:
        """Push a traded bar, or hold it until its context is known; called by its feed."""
        if self._is_warm and not self._held and not self._behind(bar.ts_event):
            self._receiver.push(bar, source)
            return
        self._held.append(_Held(bar, source))
        if self._is_warm and self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_task(self._wait_for_context())
            self._waiting.add_done_callback(self._ended)

    def consider(self, ts_ns: int) -> None:
        """Decide on the traded bar pushed last, once its context is known; called by its feed."""
        if self._held:
            self._held[-1].is_news = True
        else:
            self._note_missing(ts_ns)
            self._receiver.consider(ts_ns)

    def skip(self, ts_ns: int, reason: str) -> None:
        """Do not decide on the traded bars of that time; called where bars of other instruments came too late."""
        self._receiver.skip(ts_ns, reason)

    def release(self) -> None:
        """Push every traded bar whose context is known."""
        while self._is_warm and self._held and not self._behind(self._held[0].bar.ts_event):
            self._push_held(self._held.popleft())
            self._news.set()

    def _push_held(self, held: _Held) -> None:
        self._receiver.push(held.bar, held.source)
        if not held.is_news:
            return
        ts_ns = held.bar.ts_event
        self.released_ns = self._wall_ns()
        self._note_missing(ts_ns)
        if self._held or self._is_stale(ts_ns):
            self._receiver.skip(ts_ns, LATE)
        else:
            self._receiver.consider(ts_ns)

    # Waiting ------------------------------------------------------------------------------------------------------

    def _behind(self, ts_ns: int) -> list[ContextStream]:
        return [s for s in self._streams if max(self._core.context_ns(s.name), s.answered_ns) < s.due_ns(ts_ns)]

    async def _wait_for_context(self) -> None:
        try:
            while self._held:
                first = self._held[0]
                left_s = first.since_s + self._timeouts.context_s - time.monotonic()
                if left_s > 0:
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), left_s)
                elif not await self._fetch(first.bar.ts_event):
                    await asyncio.sleep(RETRY_S)
        finally:
            # Not in the done callback: a bar may arrive before it runs.
            self._waiting = None

    async def _fetch(self, ts_ns: int) -> bool:
        for stream in self._behind(ts_ns):
            if stream.feed.is_filling:
                return False
            due_ns = stream.due_ns(ts_ns)
            if not await stream.feed.fetch(due_ns):
                if not self._is_unanswered:
                    reason = f"{stream.name}: {stream.feed.no_answer}; nothing is decided until it does"
                    self._events.report("context", "", "unanswered", reason)
                self._is_unanswered = True
                return False
            stream.answered_ns = max(stream.answered_ns, due_ns)
        self._is_unanswered = False
        self.release()
        return True

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    # Checks -------------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Raise errors of the background tasks; read new daily values."""
        if self._failure is not None:
            raise self._failure
        for feed in self.feeds.values():
            feed.raise_failure()
        now_ns = self._wall_ns()
        if now_ns - self._refreshed_ns > REFRESH_S * NS:
            self._refreshed_ns = now_ns
            self._context.refresh()

    def stop(self) -> None:
        """Cancel the background tasks."""
        if self._waiting is not None:
            self._waiting.cancel()
        for feed in self.feeds.values():
            feed.stop()

    def note_late(self, name: str, ts_ns: int) -> None:
        """Report a row that comes after a traded bar that would have used it; called before the core sees it."""
        if self._is_warm and ts_ns + self._specs[name].lag_s * NS_PER_SECOND <= self._last_ns():
            reason = f"{name}: a row arrived after the bar that should have used it"
            self._events.report("context", "", "late", reason, known_ns=ts_ns)

    def _note_missing(self, ts_ns: int) -> None:
        followed = {stream.name: stream for stream in self._streams}
        lacking = dict.fromkeys(name for instrument in self._core.instruments for name in instrument.missing_context)
        # While its exchange is closed nothing is missing.
        missing = tuple(n for n in lacking if n not in followed or followed[n].is_open(ts_ns))
        for name in missing:
            if name not in self.missing:
                reason = f"{name}: no value younger than {self._specs[name].max_age_s} s"
                self._events.report("context", "known", "missing", reason)
                self._events.warn(f"context {reason}")
        for name in self.missing:
            if name not in missing:
                self._events.report("context", "missing", "known", name)
        self.missing = missing

    def _last_ns(self) -> int:
        return max(instrument.last_ns for instrument in self._core.instruments)
