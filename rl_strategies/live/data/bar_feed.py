"""The bars of a live session: history first, then each closed bar once and in order, without gaps."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from nautilus_trader.model.data import Bar, BarType

from catalogs.instruments.bar_types import bar_length_ns
from catalogs.sessions import SessionCalendar
from rl_strategies.live.broker.link import NS, BrokerLink
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.bar_filter import BarFilter
from rl_strategies.live.journal.session_journal import BarSource
from rl_strategies.live.session_events import Events

LONGEST_HISTORY_DAYS = 40
RETRY_S = 1.0
NO_HISTORY = "history did not answer"
LAGGING_ANSWERS = 3  # so many answers that lack the newest bar are retried; then there was no bar to fetch


class BlindError(RuntimeError):
    """There is not enough history to trade."""


class BarReceiver(Protocol):
    """What the bars of a feed are for."""

    def push(self, bar: Bar, source: BarSource) -> None:
        """Process the next closed bar, stamped with its close."""

    def consider(self, ts_ns: int) -> None:
        """Decide on the bar pushed last: it has just closed."""


class BarFeed:
    """Judges the bars that the broker sends, and fetches those that it left out.

    Parameters
    ----------
    link : BrokerLink
    calendar : SessionCalendar
    bar_type : BarType
    tick_raw : int
    warmup : int
        Number of bars that features need before the first decision.
    timeouts : Timeouts
    regular_hours : bool
        Whether bars are those of regular trading hours.
    receiver : BarReceiver
    events : Events
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    bar_type : BarType
    bar_ns : int
        Length of a bar.
    arrived_ns : int
        Clock when the newest bar arrived.
    heard_ns : int
        Clock when the last bar arrived that was not refused.
    considered_ns : int
        Close of the last bar that is completely processed.
    """

    def __init__(
        self,
        link: BrokerLink,
        calendar: SessionCalendar,
        bar_type: BarType,
        tick_raw: int,
        warmup: int,
        timeouts: Timeouts,
        regular_hours: bool,
        receiver: BarReceiver,
        events: Events,
        wall_ns: Callable[[], int],
    ) -> None:
        self._link, self._calendar, self.bar_type = link, calendar, bar_type
        self._warmup, self._timeouts, self._regular_hours = warmup, timeouts, regular_hours
        self._receiver, self._events, self._wall_ns = receiver, events, wall_ns
        self.bar_ns = bar_length_ns(str(bar_type))
        self._filter = BarFilter(self.bar_ns, tick_raw, timeouts.max_age_periods)
        self._waiting: list[Bar] = []
        self._filling: asyncio.Task[None] | None = None
        self._timed_out = ""  # what the last request said, where it had no answer in time
        self.arrived_ns = self.heard_ns = self.considered_ns = 0

    @property
    def last_ns(self) -> int:
        """Close of the last bar pushed; 0 before the first."""
        return self._filter.last_ns

    @property
    def is_filling(self) -> bool:
        """Whether a gap is being filled."""
        return self._filling is not None

    @property
    def no_answer(self) -> str:
        """Why history has not answered last."""
        return self._timed_out or NO_HISTORY

    def continue_after(self, last_ns: int) -> None:
        """Continue after ``last_ns``: a resumed session knows the bars up to there."""
        self._filter.last_ns = last_ns

    def now_ns(self, at_least_ns: int = 0) -> int:
        """Market time: the broker's clock by this machine's, or the last bar's close where the past is replayed."""
        if self._timeouts.clock == "bars":
            return max(self.last_ns, at_least_ns)
        return self._wall_ns() - round((self._link.clock_drift_s or 0.0) * NS)

    def is_open(self) -> bool:
        """Whether the exchange trades now."""
        now_ns = self.now_ns() if self._timeouts.clock == "wall" else self.last_ns + 1
        return self._calendar.contains(now_ns)

    def due_ns(self, ts_ns: int) -> int:
        """Close of the newest bar that may have closed by ``ts_ns``; that of the last session while there is none."""
        session = int(np.searchsorted(self._calendar.open_ns, ts_ns, side="left")) - 1
        return min(ts_ns, int(self._calendar.close_ns[session]))

    def age_s(self) -> float:
        """Seconds since the newest bar was due to be complete; 0 while the exchange is closed."""
        if self._timeouts.clock == "bars" or not self.is_open():
            return 0.0
        now_ns = self.now_ns()
        session = int(self._calendar.locate(np.array([now_ns], np.int64))[0])
        due_ns = max(self.last_ns, int(self._calendar.open_ns[session])) + self.bar_ns
        return max(0.0, (now_ns - due_ns) / NS)

    def is_silent(self) -> bool:
        """Whether no bar has arrived for too long; True starts the wait anew."""
        now_ns = self._wall_ns()
        if now_ns - self.heard_ns <= self._timeouts.silence_s * NS or not self.is_open():
            return False
        self.heard_ns = now_ns
        return True

    def is_stale(self, close_ns: int) -> bool:
        """Whether a bar that closed at ``close_ns`` is too old by now to act upon."""
        return self._filter.is_stale(close_ns, self.now_ns())

    async def warm_up(self, before_ns: int | None = None) -> None:
        """Push history: whole sessions, as a backtest warms up; in a resumed session the bars since it stopped.

        Parameters
        ----------
        before_ns : int, optional
            Time by which features must be warm; by default the open of the running session.

        Raises
        ------
        BlindError
            If history does not reach back far enough.
        """
        source: BarSource = "backfill" if self.last_ns else "warm-up"
        days = 1
        while True:
            bars = await self._history(self._wall_ns(), days)
            if not bars and not self._link.is_connected():
                await asyncio.sleep(RETRY_S)  # a lost connection says nothing of the history
                continue
            first = self._first_to_push(bars, before_ns)
            if first is not None:
                break
            if days >= LONGEST_HISTORY_DAYS:
                raise BlindError(f"{self.bar_type.instrument_id}: {self._why_short(len(bars), days)}")
            days = min(2 * days + 1, LONGEST_HISTORY_DAYS)
        for bar in bars[first:]:
            self._push(bar, source)
        self.considered_ns = self.last_ns  # history is not decided on
        self.heard_ns = self._wall_ns()

    def _why_short(self, bars: int, days: int) -> str:
        if self._timed_out:
            return (
                f"{self._timed_out}; gateway or machine may be overloaded, and `request_timeout_s` of the live "
                "configuration gives it longer"
            )
        if not bars:
            return (
                "history was refused or not answered; is the exchange's data subscribed to? NautilusTrader's log says"
            )
        return f"history must reach back {self._warmup} bars in whole sessions, has {bars} bars in {days} days"

    def on_bar(self, bar: Bar) -> None:
        """Judge a bar, stamped with its open; push it, or first fetch the bars missing before it."""
        self.arrived_ns = self._wall_ns()
        judged = self._filter.judge(bar, self.now_ns(bar.ts_event + self.bar_ns))
        verdict: str = judged.verdict
        if not self._link.has_data():
            # While a data farm is down the broker's client may complete a bar by itself, from half of its trades.
            verdict = "untrusted"
        elif not self._calendar.contains(judged.bar.ts_event):
            verdict = "outside"
        if verdict in ("next", "gap", "stale"):
            self.heard_ns = self.arrived_ns
        else:
            self._events.report("bar", "", "refused", verdict, open_ns=bar.ts_event)
            return
        if verdict == "next" and self._filling is None:
            self._push(judged.bar, "live")
            self._consider()
            return
        self._waiting.append(judged.bar)
        if self._filling is None:
            self._filling = asyncio.get_running_loop().create_task(self._fill())
            self._filling.add_done_callback(self._filled)

    async def fetch(self, until_ns: int) -> bool:
        """Push missing bars that closed by ``until_ns``; False where history did not answer."""
        missing = await self._between(self.last_ns, until_ns)
        for bar in missing or ():
            self._push_if_new(bar, "backfill")
        return missing is not None

    def raise_failure(self) -> None:
        """Raise an error that happened while a gap was filled."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Cancel a fetch that is under way."""
        if self._filling is not None:
            self._filling.cancel()

    _failure: BaseException | None = None

    def _filled(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._failure = task.exception()

    async def _fill(self) -> None:
        lags = 0
        try:
            while self._waiting:
                newest_ns = max(bar.ts_event for bar in self._waiting)
                missing = await self._between(self.last_ns, newest_ns)
                if missing is None:
                    self._events.report("bars", "", "missing", f"{self.no_answer}; nothing is decided until it does")
                    await asyncio.sleep(RETRY_S)
                elif lags < LAGGING_ANSWERS and (not missing or missing[-1].ts_event < newest_ns):
                    # History lacks the bar that has just arrived, so it may lack those before it too.
                    lags += 1
                    await asyncio.sleep(RETRY_S)
                else:
                    self._push_until(newest_ns, missing)
        finally:
            # Not in the done callback: a bar may arrive before it runs.
            self._filling = None

    def _push_until(self, newest_ns: int, missing: Sequence[Bar]) -> None:
        found = {bar.ts_event: bar for bar in missing}
        found |= {bar.ts_event: bar for bar in self._waiting if bar.ts_event <= newest_ns}
        self._waiting = sorted((bar for bar in self._waiting if bar.ts_event > newest_ns), key=lambda bar: bar.ts_event)
        for ts_ns in sorted(found):
            self._push_if_new(found[ts_ns], "live" if ts_ns == newest_ns else "backfill")
        # A bar that arrived meanwhile may have a gap before it too, and needs an answer of its own.
        while self._waiting and self._waiting[0].ts_event <= self.last_ns + self.bar_ns:
            self._push_if_new(self._waiting.pop(0), "live")
        if not self._waiting and not self.is_stale(self.last_ns):
            self._consider()

    def _push_if_new(self, bar: Bar, source: BarSource) -> None:
        # The bar may have arrived live while history was requested.
        if bar.ts_event > self.last_ns:
            self._push(bar, source)

    def _push(self, bar: Bar, source: BarSource) -> None:
        self._receiver.push(bar, source)
        self._filter.last_ns = bar.ts_event

    def _consider(self) -> None:
        self._receiver.consider(self.last_ns)
        self.considered_ns = self.last_ns

    async def _between(self, last_ns: int, end_ns: int) -> list[Bar] | None:
        days = 1
        while days <= LONGEST_HISTORY_DAYS:
            bars = await self._history(end_ns, days)
            if not bars:
                return None  # an empty answer means that the request failed, not that there were no bars
            if bars[0].ts_event <= last_ns:
                return [bar for bar in bars if last_ns < bar.ts_event <= end_ns]
            days = 2 * days + 1
        return None

    async def _history(self, end_ns: int, days: int) -> list[Bar]:
        self._timed_out = ""
        try:
            found = await self._link.bars(self.bar_type, end_ns, days, self._regular_hours)
        except TimeoutError as error:
            self._timed_out, found = str(error), []
        judged = [self._filter.judge(bar, end_ns) for bar in found]
        closed = {each.bar.ts_event: each.bar for each in judged if each.verdict not in ("corrupt", "unfinished")}
        times = np.array(sorted(closed), np.int64)
        inside = self._calendar.locate(times) >= 0
        return [closed[int(ts)] for ts in times[inside]]

    def _first_to_push(self, bars: Sequence[Bar], before_ns: int | None) -> int | None:
        closes = np.array([bar.ts_event for bar in bars], np.int64)
        if self.last_ns:
            known = int(np.searchsorted(closes, self.last_ns, side="right"))
            return known if known else None
        if not len(closes):
            return None
        opens, ends = self._calendar.open_ns, self._calendar.close_ns
        if before_ns is None:
            session = int(self._calendar.locate(closes[-1:])[0])
            before_ns = int(opens[session]) if closes[-1] < ends[session] else int(closes[-1])
        row = int(np.searchsorted(closes, before_ns, side="right")) - self._warmup
        if row < 0:
            return None
        warm_session = int(self._calendar.locate(closes[min(row, len(closes) - 1) :][:1])[0])
        start = int(np.searchsorted(closes, opens[warm_session], side="right"))
        # The oldest session of an answer may be incomplete.
        return start if start > 0 or self._warmup == 0 else None
