"""One context stream of a live session: its bars, judged as the traded ones are, on their way into the core."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from nautilus_trader.model.data import Bar, BarType

from catalogs.errors import InputError
from catalogs.sessions import has_extended_hours, session_calendar
from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.features import StreamSpec
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource
from rl_strategies.live.broker.link import BrokerLink
from rl_strategies.live.broker.timeouts import Timeouts
from rl_strategies.live.data.bar_feed import BarFeed
from rl_strategies.live.journal.session_journal import BarSource


class StreamOwner(Protocol):
    """Who waits for the bars of a stream."""

    def release(self) -> None:
        """A row has been taken in."""

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Something worth writing down."""


class ContextStream:
    """A context stream that is made of bars, and the receiver of their feed.

    Parameters
    ----------
    source : ContextSource
    spec : StreamSpec
    context : ContextFeed
        Hands its rows to the core.
    link : BrokerLink
    patience : Timeouts
    owner : StreamOwner
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    name : str
    lag_ns : int
    feed : BarFeed
    answered_ns : int
        History has said that up to here there is no bar but those taken in.

    Raises
    ------
    InputError
        If the source is not one of bars.
    """

    def __init__(
        self,
        source: ContextSource,
        spec: StreamSpec,
        context: ContextFeed,
        link: BrokerLink,
        patience: Timeouts,
        owner: StreamOwner,
        wall_ns: Callable[[], int],
    ) -> None:
        if source.instrument is None or source.bar_type is None:
            raise InputError(f"context stream {source.name} must be made of bars, was not")
        self.name, self.lag_ns = source.name, spec.lag_s * NS_PER_SECOND
        self.answered_ns = 0
        self._context, self._owner, self._bar_type = context, owner, source.bar_type
        self._calendar = session_calendar(source.instrument.calendar)
        self.feed = BarFeed(
            link,
            self._calendar,
            BarType.from_str(source.bar_type),
            int(source.instrument.tick_raw),
            spec.plan().warmup,
            patience,
            not has_extended_hours(source.instrument.calendar),
            self,
            wall_ns,
        )

    def due_ns(self, ts_ns: int) -> int:
        """Close of the newest bar that a traded bar with that close may use."""
        bar_ns = self.feed.bar_ns
        newest_ns = ts_ns - -(-self.lag_ns // bar_ns) * bar_ns
        session = int(np.searchsorted(self._calendar.open_ns, newest_ns, side="left")) - 1
        return min(newest_ns, int(self._calendar.close_ns[session]))

    def is_open(self, ts_ns: int) -> bool:
        """Whether the stream's exchange trades, or has just closed, at a time."""
        return bool(self._calendar.locate(np.array([ts_ns], np.int64))[0] >= 0)

    def push(self, bar: Bar, source: BarSource) -> None:
        """Hand a bar to the core."""
        prices = (bar.open.raw, bar.high.raw, bar.low.raw, bar.close.raw)
        self._context.take_bar(self._bar_type, bar.ts_event, prices, int(bar.volume))
        self._owner.release()

    def consider(self, ts_ns: int) -> None:
        """Nothing is decided on a stream."""

    def say(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Something worth writing down, of this stream."""
        # Where a traded instrument's night must be seen, bars come from outside the stream's hours too.
        if reason != "outside":
            self._owner.say(what, old, new, f"{self.name}: {reason}", **more)
