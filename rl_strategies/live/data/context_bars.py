"""Context beside the traded bars of a live session: no traded bar is taken in before the context of its time is known.

A backtest has all bars of a moment at once; a broker sends them one after the other. So a traded bar waits until every
stream's bar that it may use has come, or history has said that there is none. While history does not answer, nothing is
taken in and nothing decided, as in a gap of the traded bars themselves.
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
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource
from rl_strategies.live.broker.link import NS, BrokerLink
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.bar_feed import RETRY_S, BarFeed, BarReceiver
from rl_strategies.live.data.context_stream import ContextStream
from rl_strategies.live.journal.rebuild import LATE
from rl_strategies.live.journal.session_journal import BarSource

REFRESH_S = 30.0  # between two looks whether daily values have been added


class MarketReceiver(BarReceiver, Protocol):
    """Who decides on the traded bars."""

    def skip(self, ts_ns: int, reason: str) -> None:
        """The bar pushed last is not decided on."""

    def warn(self, message: str) -> None:
        """Tell whoever watches of something that is wrong."""


@dataclass
class _Held:
    bar: Bar
    source: BarSource
    since_s: float = field(default_factory=time.monotonic)
    is_news: bool = False


class ContextBars:
    """Follows the bars of the context streams, and stands between the traded bars' feed and their receiver.

    Parameters
    ----------
    context : ContextFeed
    core : DecisionCore
        Of one instrument.
    sources : sequence of ContextSource
        Of the streams; those without bars, and the traded bars themselves, are not followed.
    traded : BarType
    link : BrokerLink
    patience : Timeouts
    receiver : MarketReceiver
    wall_ns : callable
        This machine's clock, UTC nanoseconds.
    is_stale : callable
        Whether a traded bar with that close is too old by now to act upon.

    Attributes
    ----------
    feeds : dict of BarType to BarFeed
        Of the streams.
    released_ns : int
        Clock when the last bar that had to wait was handed on.
    missing : tuple of str
        Streams that had nothing to say of the last bar, though they should.
    """

    def __init__(
        self,
        context: ContextFeed,
        core: DecisionCore,
        sources: Sequence[ContextSource],
        traded: BarType,
        link: BrokerLink,
        patience: Timeouts,
        receiver: MarketReceiver,
        wall_ns: Callable[[], int],
        is_stale: Callable[[int], bool],
    ) -> None:
        self._context, self._core, self._patience = context, core, patience
        self._receiver, self._wall_ns, self._is_stale = receiver, wall_ns, is_stale
        self._specs = {stream.name: stream for stream in context_streams(core.plan)}
        followed = [s for s in sources if s.bar_type in context.bar_types and s.bar_type != str(traded)]
        self._streams = [
            ContextStream(s, self._specs[s.name], context, link, patience, self, wall_ns) for s in followed
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
        if not self._held or self._patience.clock == "bars":
            return 0.0
        return max(0.0, (self._wall_ns() - self._held[0].bar.ts_event) / NS)

    def continue_after(self) -> None:
        """The core has been brought to where an earlier life of the session stopped."""
        for stream in self._streams:
            stream.feed.continue_after(self._core.context_ns(stream.name))

    async def warm_up(self) -> None:
        """Push history of every stream, then the traded bars that have been pushed so far.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        (instrument,) = self._core.instruments
        first_ns = self._held[0].bar.ts_event if self._held else instrument.last_ns
        for stream in self._streams:
            await stream.feed.warm_up(first_ns - stream.lag_ns)
        self._is_warm = True
        while self._held:
            self._hand_on(self._held.popleft())

    # The traded bars ----------------------------------------------------------------------------------------------

    def push(self, bar: Bar, source: BarSource) -> None:
        """Hand a traded bar on, or keep it until its context is there; called by its feed."""
        if self._is_warm and not self._held and not self._behind(bar.ts_event):
            self._receiver.push(bar, source)
            return
        self._held.append(_Held(bar, source))
        if self._is_warm and self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_task(self._await_context())
            self._waiting.add_done_callback(self._ended)

    def consider(self, ts_ns: int) -> None:
        """The traded bar pushed last is news; called by its feed."""
        if self._held:
            self._held[-1].is_news = True
        else:
            self._note_missing(ts_ns)
            self._receiver.consider(ts_ns)

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Something worth writing down; called by the traded bars' feed."""
        self._receiver.say(what, old, new, reason, **more)

    def release(self) -> None:
        """Hand on every traded bar whose context is there."""
        while self._is_warm and self._held and not self._behind(self._held[0].bar.ts_event):
            self._hand_on(self._held.popleft())
            self._news.set()

    def _hand_on(self, held: _Held) -> None:
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

    async def _await_context(self) -> None:
        try:
            while self._held:
                first = self._held[0]
                left_s = first.since_s + self._patience.context_s - time.monotonic()
                if left_s > 0:
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), left_s)
                elif not await self._ask(first.bar.ts_event):
                    await asyncio.sleep(RETRY_S)
        finally:
            # Here and not when the task is over: a bar may arrive in between.
            self._waiting = None

    async def _ask(self, ts_ns: int) -> bool:
        for stream in self._behind(ts_ns):
            if stream.feed.is_filling:
                return False
            due_ns = stream.due_ns(ts_ns)
            if not await stream.feed.ask(due_ns):
                if not self._is_unanswered:
                    reason = f"{stream.name}: history did not answer; nothing is decided until it does"
                    self._receiver.say("context", "", "unanswered", reason)
                self._is_unanswered = True
                return False
            stream.answered_ns = max(stream.answered_ns, due_ns)
        self._is_unanswered = False
        self.release()
        return True

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    # Looking around -----------------------------------------------------------------------------------------------

    def look_around(self) -> None:
        """Raise what failed in the background, and see whether daily values have been added."""
        if self._failure is not None:
            raise self._failure
        for feed in self.feeds.values():
            feed.raise_failure()
        now_ns = self._wall_ns()
        if now_ns - self._refreshed_ns > REFRESH_S * NS:
            self._refreshed_ns = now_ns
            self._context.refresh()

    def stop(self) -> None:
        """Wait for nothing more."""
        if self._waiting is not None:
            self._waiting.cancel()
        for feed in self.feeds.values():
            feed.stop()

    def note_late(self, name: str, ts_ns: int) -> None:
        """Say so where a row comes after a traded bar that would have used it; called before it is taken in."""
        (instrument,) = self._core.instruments
        if self._is_warm and ts_ns + self._specs[name].lag_s * NS_PER_SECOND <= instrument.last_ns:
            reason = f"{name}: a row was not there for a bar that should have seen it"
            self._receiver.say("context", "", "late", reason, known_ns=ts_ns)

    def _note_missing(self, ts_ns: int) -> None:
        (instrument,) = self._core.instruments
        followed = {stream.name: stream for stream in self._streams}
        # Where its exchange is closed there is nothing to miss.
        missing = tuple(n for n in instrument.missing_context if n not in followed or followed[n].is_open(ts_ns))
        for name in missing:
            if name not in self.missing:
                reason = f"{name}: nothing younger than {self._specs[name].max_age_s} s"
                self._receiver.say("context", "known", "missing", reason)
                self._receiver.warn(f"context {reason}")
        for name in self.missing:
            if name not in missing:
                self._receiver.say("context", "missing", "known", name)
        self.missing = missing
