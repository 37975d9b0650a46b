"""Holds the bars of several traded instruments until all bars of their time are known.

A backtest decides once on all bars of a moment. A broker sends them one after the other, some late, some never. So the
bars of a moment wait until every instrument's has arrived, or its history confirms that there is none: then nobody
traded, and the instrument is missing in the decision, as in a backtest. Where history does not answer either, the
others do not wait for ever: the instrument counts as missing, which is said, and its bar is used when it comes.
"""

import asyncio
import contextlib
import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nautilus_trader.model.data import Bar

from rl_strategies.live.broker.link import NS
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.bar_feed import RETRY_S, BarFeed, BarReceiver
from rl_strategies.live.data.context_bars import MarketReceiver
from rl_strategies.live.journal.rebuild import LATE
from rl_strategies.live.journal.session_journal import BarSource
from rl_strategies.live.session_events import Events


@dataclass
class _Moment:
    bars: dict[int, tuple[Bar, BarSource]] = field(default_factory=dict)
    since_s: float = field(default_factory=time.monotonic)
    is_news: bool = False


class _Lane:
    """Receives the bars of one instrument."""

    def __init__(self, owner: "PortfolioBars", k: int) -> None:
        self._owner, self.k = owner, k
        self.known_ns = 0  # every bar up to here has come, or there is none
        self.feed: BarFeed

    def push(self, bar: Bar, source: BarSource) -> None:
        self.known_ns = max(self.known_ns, bar.ts_event)
        self._owner.push(self.k, bar, source)

    def consider(self, ts_ns: int) -> None:
        self._owner.consider(self.k, ts_ns)

    def is_behind(self, ts_ns: int) -> bool:
        return self.known_ns < self.feed.due_ns(ts_ns)


class PortfolioBars:
    """Stands between the feeds of several traded instruments and the receiver of their bars.

    Parameters
    ----------
    count : int
        Number of instruments, in the policy's order.
    make_feed : callable
        Makes the feed of instrument ``k`` for a receiver.
    receiver : MarketReceiver
        Gets all bars of a moment, in the policy's order, then `consider` once.
    timeouts : Timeouts
    events : Events
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    feeds : tuple of BarFeed
    passed_ns : int
        Close of the last bars passed on; 0 before the first.
    released_ns : int
        Clock when the last bar arrived, or was given up, that these waited for.
    """

    def __init__(
        self,
        count: int,
        make_feed: Callable[[int, BarReceiver], BarFeed],
        receiver: MarketReceiver,
        timeouts: Timeouts,
        events: Events,
        wall_ns: Callable[[], int],
    ) -> None:
        self._receiver, self._timeouts, self._events, self._wall_ns = receiver, timeouts, events, wall_ns
        self._lanes = [_Lane(self, k) for k in range(count)]
        for lane in self._lanes:
            lane.feed = make_feed(lane.k, lane)
        self.feeds = tuple(lane.feed for lane in self._lanes)
        self._moments: dict[int, _Moment] = {}
        self._times: list[int] = []  # a heap
        self._is_warm = False
        self._news = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self.passed_ns = self.released_ns = 0

    @property
    def is_holding(self) -> bool:
        """Whether bars wait for those of other instruments."""
        return bool(self._times)

    def age_s(self) -> float:
        """Seconds since the close of the oldest bar that waits; 0 where none does or the past is replayed."""
        if not self._times or self._timeouts.clock == "bars":
            return 0.0
        return max(0.0, (self._wall_ns() - self._times[0]) / NS)

    def continue_after(self, last_ns: list[int]) -> None:
        """Continue where a resumed session's core stopped: close of the last bar of every instrument."""
        for lane, known_ns in zip(self._lanes, last_ns, strict=True):
            lane.known_ns = known_ns
            lane.feed.continue_after(known_ns)
        self.passed_ns = max(last_ns)

    async def warm_up(self) -> None:
        """Push the history of every instrument, in the order of time.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        for lane in self._lanes:
            await lane.feed.warm_up()
        self._is_warm = True
        self._release(self._wall_ns())

    def push(self, k: int, bar: Bar, source: BarSource) -> None:
        """Hold a bar of instrument ``k`` until all of its time are known; called by its feed."""
        ts_ns = bar.ts_event
        if self._is_warm and ts_ns <= self.passed_ns:
            reason = f"{bar.bar_type.instrument_id}: a bar came after the decision on its time"
            self._events.report("bars", "", "late", reason, close_ns=ts_ns)
            self._receiver.push(bar, source)
            return
        if ts_ns not in self._moments:
            self._moments[ts_ns] = _Moment()
            heapq.heappush(self._times, ts_ns)
        self._moments[ts_ns].bars[k] = bar, source
        if source != "live":  # one that is live is considered next
            self._release(self._wall_ns())

    def consider(self, k: int, ts_ns: int) -> None:
        """Decide on the bars of this time once all are known; called by the feed of instrument ``k``."""
        if ts_ns in self._moments:
            self._moments[ts_ns].is_news = True
        self._release(self._lanes[k].feed.arrived_ns)

    def _release(self, released_ns: int) -> None:
        if not self._is_warm:
            return
        while self._times and not self._behind(self._times[0]):
            ts_ns = heapq.heappop(self._times)
            self.released_ns = released_ns
            self._pass_on(ts_ns, self._moments.pop(ts_ns))
            self._news.set()
        if self._times and self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_task(self._wait())
            self._waiting.add_done_callback(self._ended)

    def _behind(self, ts_ns: int) -> list[_Lane]:
        return [lane for lane in self._lanes if lane.is_behind(ts_ns)]

    def _pass_on(self, ts_ns: int, moment: _Moment) -> None:
        for k in sorted(moment.bars):
            self._receiver.push(*moment.bars[k])
        self.passed_ns = ts_ns
        if not moment.is_news:
            return
        if self._times or self.feeds[0].is_stale(ts_ns):
            self._receiver.skip(ts_ns, LATE)
        else:
            self._receiver.consider(ts_ns)

    # Waiting ------------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        try:
            while self._times:
                ts_ns, since_s = self._times[0], self._moments[self._times[0]].since_s
                asks_s = since_s + self._timeouts.context_s
                left_s, until_s = asks_s - time.monotonic(), asks_s + self._timeouts.missing_s
                if left_s > 0:
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), left_s)
                elif not await self._ask(ts_ns, until_s) and time.monotonic() >= until_s:
                    self._give_up(ts_ns)
                elif self._behind(ts_ns):
                    await asyncio.sleep(min(RETRY_S, max(0.0, until_s - time.monotonic())))
                self._release(self._wall_ns())
        finally:
            # Not in the done callback: a bar may arrive before it runs.
            self._waiting = None

    async def _ask(self, ts_ns: int, until_s: float) -> bool:
        """Whether history has answered for every instrument that is behind."""
        try:
            async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                answers = await asyncio.gather(*(self._fetch(lane, ts_ns) for lane in self._behind(ts_ns)))
        except TimeoutError:
            return False
        return all(answers)

    async def _fetch(self, lane: _Lane, ts_ns: int) -> bool:
        due_ns = lane.feed.due_ns(ts_ns)
        if lane.feed.is_filling or not await lane.feed.fetch(due_ns):
            return False
        lane.known_ns = max(lane.known_ns, due_ns)
        return True

    def _give_up(self, ts_ns: int) -> None:
        for lane in self._behind(ts_ns):
            reason = f"{lane.feed.bar_type.instrument_id}: neither a bar nor an answer of its history; decided without"
            self._events.report("bars", "", "missing", reason, close_ns=ts_ns)
            lane.known_ns = lane.feed.due_ns(ts_ns)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._failure = self._failure or task.exception()

    # Checks -------------------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Raise errors of the background tasks; pass on bars that came too late to be considered."""
        if self._failure is not None:
            raise self._failure
        for feed in self.feeds:
            feed.raise_failure()
        self._release(self._wall_ns())

    def stop(self) -> None:
        """Cancel the background tasks."""
        if self._waiting is not None:
            self._waiting.cancel()
        for feed in self.feeds:
            feed.stop()
