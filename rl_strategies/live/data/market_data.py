"""Market data of a live session: the traded bars, the bars of context streams, daily values of a file."""

from collections.abc import Callable, Sequence

from nautilus_trader.model.data import Bar, BarType
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.sessions import has_extended_hours
from rl_strategies.decision.context_feed import ContextFeed, bar_sources, stored_streams
from rl_strategies.decision.core import DecisionCore
from rl_strategies.features import JoinedPlan, StreamRows
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource
from rl_strategies.live.data.bar_feed import BarFeed, BarReceiver
from rl_strategies.live.data.context_bars import ContextBars, MarketReceiver
from rl_strategies.live.data.portfolio_bars import PortfolioBars
from rl_strategies.live.services import LiveServices
from rl_strategies.live.session_events import SessionEvents


class MarketDataFeeds:
    """Feeds of a session's instruments, with the context that its policy reads.

    Parameters
    ----------
    core : DecisionCore
    services : LiveServices
    bar_types : sequence of BarType
        Types of the traded bars, in the policy's order.
    receiver : MarketReceiver
    events : SessionEvents
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    context_feed : ContextFeed
        Passes context to the core.
    traded : tuple of BarFeed
        In the policy's order.
    portfolio : PortfolioBars or None
        None with one instrument.
    context : ContextBars or None
        None if the policy reads no context.
    feeds : dict of BarType to BarFeed
    """

    def __init__(
        self,
        core: DecisionCore,
        services: LiveServices,
        bar_types: Sequence[BarType],
        receiver: MarketReceiver,
        events: SessionEvents,
        wall_ns: Callable[[], int],
    ) -> None:
        self._core, self._bar_types, self._services = core, tuple(bar_types), services
        self._events, self._wall_ns = events, wall_ns
        self.context: ContextBars | None = None
        stored = stored_streams(core.plan, services.context, services.catalog)
        lasting = {name: _lasting(read, self._report_unreadable) for name, read in stored.items()}
        self.context_feed = ContextFeed(core, bar_sources(services.context), lasting, self._note)
        if services.context:
            self.context = ContextBars(
                self.context_feed, core, services, bar_types, receiver, events, wall_ns, self._is_stale
            )
        inner: MarketReceiver = self.context or receiver
        self.portfolio: PortfolioBars | None = None
        if len(self._bar_types) == 1:
            self.traded: tuple[BarFeed, ...] = (self._feed(0, inner),)
        else:
            self.portfolio = PortfolioBars(len(self._bar_types), self._feed, inner, services.timeouts, events, wall_ns)
            self.traded = self.portfolio.feeds
        followed = self.context.feeds if self.context is not None else {}
        self.feeds = {**dict(zip(self._bar_types, self.traded, strict=True)), **followed}
        self._only = self.traded[0] if len(self.feeds) == 1 else None

    def _feed(self, k: int, receiver: BarReceiver) -> BarFeed:
        instrument, bar_type = self._core.instruments[k], self._bar_types[k]
        return BarFeed(
            self._services.link,
            instrument.calendar,
            bar_type,
            int(instrument.instrument.tick_raw),
            _warmup(self._core, self._services.context, bar_type),
            self._services.timeouts,
            not has_extended_hours(instrument.instrument.calendar),
            receiver,
            self._events,
            self._wall_ns,
        )

    def continue_after(self) -> None:
        """Continue after the bars that a resumed session's core knows."""
        last_ns = [instrument.last_ns for instrument in self._core.instruments]
        if self.portfolio is not None:
            self.portfolio.continue_after(last_ns)
        else:
            self.traded[0].continue_after(last_ns[0])
        if self.context is not None:
            self.context.continue_after()

    async def warm_up(self) -> None:
        """Push history; the traded bars are held until the context's is there.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        await (self.portfolio or self.traded[0]).warm_up()
        if self.context is not None:
            await self.context.warm_up()

    def on_bar(self, bar: Bar) -> None:
        """Pass a bar of the broker to its feed, which judges it."""
        (self._only or self.feeds[bar.bar_type]).on_bar(bar)

    def poll(self) -> None:
        """Raise errors of the background tasks; read new daily values."""
        if self.portfolio is not None:
            self.portfolio.poll()
        else:
            self.traded[0].raise_failure()
        if self.context is not None:
            self.context.poll()

    def stop(self) -> None:
        """Cancel the background tasks."""
        (self.portfolio or self.traded[0]).stop()
        if self.context is not None:
            self.context.stop()

    def now_ns(self) -> int:
        """Market time; where the past is replayed, the close of the last bars that were passed on."""
        if self.portfolio is not None and self._services.timeouts.clock == "bars":
            return self.portfolio.passed_ns
        return self.traded[0].now_ns()

    def age_s(self) -> float:
        """Seconds since the newest traded bar was due, or since one has waited for others or its context."""
        waits = [each.age_s() for each in (self.portfolio, self.context) if each is not None]
        return max([feed.age_s() for feed in self.traded] + waits)

    @property
    def arrived_ns(self) -> int:
        """Clock when the last bar arrived that the newest decision waited for."""
        waited = self.context.released_ns if self.context is not None else 0
        return max(self.portfolio.released_ns if self.portfolio is not None else self.traded[0].arrived_ns, waited)

    @property
    def settled_ns(self) -> int:
        """Close of the last traded bars that are completely processed; 0 while something is under way."""
        if any(each.is_holding for each in (self.portfolio, self.context) if each is not None):
            return 0
        if any(feed.is_filling for feed in self.traded):
            return 0
        return self.portfolio.passed_ns if self.portfolio is not None else self.traded[0].considered_ns

    def _is_stale(self, close_ns: int) -> bool:
        return self.traded[0].is_stale(close_ns)

    def _note(self, name: str, ts_ns: int, row: NDArray) -> None:
        if self.context is not None:
            self.context.note_late(name, ts_ns)
        self._services.journal.context(name, ts_ns, row)

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
