"""Market data of a live session: the traded bars, the bars of context streams, daily values of a file."""

from collections.abc import Callable, Sequence

from nautilus_trader.model.data import Bar, BarType
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from rl_strategies.decision.context_feed import ContextFeed, bar_sources, stored_streams
from rl_strategies.decision.core import DecisionCore
from rl_strategies.features import JoinedPlan, StreamRows
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource
from rl_strategies.live.data.bar_feed import BarFeed
from rl_strategies.live.data.context_bars import ContextBars, MarketReceiver
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import SessionEvents


class MarketDataFeeds:
    """Feeds of a session of one instrument, with the context that its policy reads.

    Parameters
    ----------
    core : DecisionCore
    services : LiveServices
    bar_type : BarType
        Type of the traded bars.
    receiver : MarketReceiver
    events : SessionEvents
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    context_feed : ContextFeed
        Passes context to the core.
    traded : BarFeed
    context : ContextBars or None
        None if the policy reads no context.
    feeds : dict of BarType to BarFeed
    """

    def __init__(
        self,
        core: DecisionCore,
        services: LiveServices,
        bar_type: BarType,
        receiver: MarketReceiver,
        events: SessionEvents,
        wall_ns: Callable[[], int],
    ) -> None:
        (self._instrument,) = core.instruments
        self._journal, self._events = services.journal, events
        self.context: ContextBars | None = None
        stored = stored_streams(core.plan, services.context, services.catalog)
        lasting = {name: _lasting(read, self._report_unreadable) for name, read in stored.items()}
        self.context_feed = ContextFeed(core, bar_sources(services.context), lasting, self._note)
        if services.context:
            self.context = ContextBars(
                self.context_feed, core, services, bar_type, receiver, events, wall_ns, self._is_stale
            )
        self.traded = BarFeed(
            services.link,
            self._instrument.calendar,
            bar_type,
            int(self._instrument.instrument.tick_raw),
            _warmup(core, services.context, bar_type),
            services.timeouts,
            services.regular_hours,
            self.context or receiver,
            events,
            wall_ns,
        )
        self.feeds = {bar_type: self.traded, **(self.context.feeds if self.context is not None else {})}

    def continue_after(self) -> None:
        """Continue after the bars that a resumed session's core knows."""
        self.traded.continue_after(self._instrument.last_ns)
        if self.context is not None:
            self.context.continue_after()

    async def warm_up(self) -> None:
        """Push history; the traded bars are held until the context's is there.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        await self.traded.warm_up()
        if self.context is not None:
            await self.context.warm_up()

    def on_bar(self, bar: Bar) -> None:
        """Pass a bar of the broker to its feed, which judges it."""
        (self.traded if self.context is None else self.feeds[bar.bar_type]).on_bar(bar)

    def poll(self) -> None:
        """Raise errors of the background tasks; read new daily values."""
        self.traded.raise_failure()
        if self.context is not None:
            self.context.poll()

    def stop(self) -> None:
        """Cancel the background tasks."""
        self.traded.stop()
        if self.context is not None:
            self.context.stop()

    def age_s(self) -> float:
        """Seconds since the newest traded bar was due, or since one has waited for its context."""
        return max(self.traded.age_s(), self.context.age_s() if self.context is not None else 0.0)

    @property
    def arrived_ns(self) -> int:
        """Clock when the last bar arrived that the newest decision waited for."""
        return max(self.traded.arrived_ns, self.context.released_ns if self.context is not None else 0)

    @property
    def settled_ns(self) -> int:
        """Close of the last traded bar that is completely processed; 0 while something is under way."""
        is_holding = self.context is not None and self.context.is_holding
        return 0 if is_holding or self.traded.is_filling else self.traded.considered_ns

    def _is_stale(self, close_ns: int) -> bool:
        return self.traded.is_stale(close_ns)

    def _note(self, name: str, ts_ns: int, row: NDArray) -> None:
        if self.context is not None:
            self.context.note_late(name, ts_ns)
        self._journal.context(name, ts_ns, row)

    def _report_unreadable(self, reason: str) -> None:
        self._events.report("context", "", "unreadable", reason)


def _warmup(core: DecisionCore, sources: Sequence[ContextSource], bar_type: BarType) -> int:
    # Where the traded bars are a context stream too, that stream must be warm for all bars that features need.
    plan = core.plan
    if not isinstance(plan, JoinedPlan):
        return plan.warmup
    own = {source.name for source in sources if source.bar_type == str(bar_type)}
    bar_ns = bar_length_ns(str(bar_type))
    lags = {stream.name: -(-stream.lag_s * NS_PER_SECOND // bar_ns) for stream in plan.streams}
    streams = [plan.stream_plans[name].warmup + lags[name] for name in own]
    return max([plan.warmup, *(warmup + plan.cross.warmup - 1 for warmup in streams)])


def _lasting(read: Callable[[], StreamRows], warn: Callable[[str], None]) -> Callable[[], StreamRows]:
    # When the file cannot be read any more, the rows read before are used until they are too old.
    kept, is_readable = read(), True

    def again() -> StreamRows:
        nonlocal kept, is_readable
        try:
            kept, is_readable = read(), True
        except InputError as error:
            if is_readable:
                warn(str(error))
            is_readable = False
        return kept

    return again
