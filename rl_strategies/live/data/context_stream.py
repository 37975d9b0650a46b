"""One context stream of a live session: its bars, judged as the traded ones are, are passed to the core."""

from collections.abc import Callable
from typing import Protocol

from nautilus_trader.model.data import Bar, BarType

from catalogs.errors import InputError
from catalogs.sessions import has_extended_hours, session_calendar
from rl_strategies.decision.context_feed import ContextFeed
from rl_strategies.features import StreamSpec
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource
from rl_strategies.live.data.bar_feed import BarFeed
from rl_strategies.live.journal.session_journal import BarSource
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import Events, StreamEvents


class StreamOwner(Protocol):
    """What waits for the bars of a stream."""

    def release(self) -> None:
        """Push the traded bars that need not wait any longer; called after every bar of the stream."""


class ContextStream:
    """A context stream of bars, and the receiver of their feed.

    Parameters
    ----------
    source : ContextSource
    spec : StreamSpec
    context : ContextFeed
        Passes its rows to the core.
    services : LiveServices
    owner : StreamOwner
    events : Events
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    name : str
    lag_ns : int
    feed : BarFeed
    answered_ns : int
        Time up to which history has confirmed that no bar is missing.

    Raises
    ------
    InputError
        If the source has no bars.
    """

    def __init__(
        self,
        source: ContextSource,
        spec: StreamSpec,
        context: ContextFeed,
        services: LiveServices,
        owner: StreamOwner,
        events: Events,
        wall_ns: Callable[[], int],
    ) -> None:
        if source.instrument is None or source.bar_type is None:
            raise InputError(f"context stream {source.name} has no bars")
        self.name, self.lag_ns = source.name, spec.lag_s * NS_PER_SECOND
        self.answered_ns = 0
        self._context, self._owner, self._bar_type = context, owner, source.bar_type
        self._calendar = session_calendar(source.instrument.calendar)
        self.feed = BarFeed(
            services.link,
            self._calendar,
            BarType.from_str(source.bar_type),
            int(source.instrument.tick_raw),
            spec.plan().warmup,
            services.timeouts,
            not has_extended_hours(source.instrument.calendar),
            self,
            StreamEvents(events, source.name),
            wall_ns,
        )

    def due_ns(self, ts_ns: int) -> int:
        """Close of the newest bar of the stream that a traded bar with close ``ts_ns`` may use."""
        bar_ns = self.feed.bar_ns
        return self.feed.due_ns(ts_ns - -(-self.lag_ns // bar_ns) * bar_ns)

    def is_open(self, ts_ns: int) -> bool:
        """Whether the stream's exchange trades, or has just closed, at ``ts_ns``."""
        return self._calendar.contains(ts_ns)

    def push(self, bar: Bar, source: BarSource) -> None:
        """Pass a bar to the core."""
        prices = (bar.open.raw, bar.high.raw, bar.low.raw, bar.close.raw)
        self._context.take_bar(self._bar_type, bar.ts_event, prices, int(bar.volume))
        self._owner.release()

    def consider(self, ts_ns: int) -> None:
        """Do nothing: no decision follows from a context bar."""
