"""All that a live session sees of the market: the traded bars, the bars of context streams, daily values of a file."""

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


class MarketDataFeeds:
    """The feeds of a session of one instrument, with the context that its policy reads.

    Parameters
    ----------
    core : DecisionCore
    parts : LiveServices
    bar_type : BarType
        Of the traded bars.
    receiver : MarketReceiver
    wall_ns : callable
        This machine's clock, UTC nanoseconds.

    Attributes
    ----------
    rows : ContextFeed
        Hands context to the core.
    traded : BarFeed
    context : ContextBars or None
        None where the policy reads no context.
    feeds : dict of BarType to BarFeed
    """

    def __init__(
        self,
        core: DecisionCore,
        parts: LiveServices,
        bar_type: BarType,
        receiver: MarketReceiver,
        wall_ns: Callable[[], int],
    ) -> None:
        (self._instrument,) = core.instruments
        self._journal, self._receiver = parts.journal, receiver
        self.context: ContextBars | None = None
        stored = stored_streams(core.plan, parts.context, parts.catalog)
        lasting = {name: _lasting(read, self._cannot_read) for name, read in stored.items()}
        self.rows = ContextFeed(core, bar_sources(parts.context), lasting, self._note)
        if parts.context:
            self.context = ContextBars(
                self.rows, core, parts.context, bar_type, parts.link, parts.patience, receiver, wall_ns, self._is_stale
            )
        self.traded = BarFeed(
            parts.link,
            self._instrument.calendar,
            bar_type,
            int(self._instrument.instrument.tick_raw),
            _warmup(core, parts.context, bar_type),
            parts.patience,
            parts.regular_hours,
            self.context or receiver,
            wall_ns,
        )
        self.feeds = {bar_type: self.traded, **(self.context.feeds if self.context is not None else {})}

    def continue_after(self) -> None:
        """Go on behind the bars that the core has from an earlier life of the session."""
        self.traded.continue_after(self._instrument.last_ns)
        if self.context is not None:
            self.context.continue_after()

    async def warm_up(self) -> None:
        """Push history, that of the context first.

        Raises
        ------
        rl_strategies.live.data.bar_feed.BlindError
            If history does not reach back far enough.
        """
        await self.traded.warm_up()
        if self.context is not None:
            await self.context.warm_up()

    def on_bar(self, bar: Bar) -> None:
        """Let its feed judge a bar of the broker."""
        (self.traded if self.context is None else self.feeds[bar.bar_type]).on_bar(bar)

    def look_around(self) -> None:
        """Raise what failed in the background; see whether daily values have been added."""
        self.traded.raise_failure()
        if self.context is not None:
            self.context.look_around()

    def stop(self) -> None:
        """Fetch nothing more."""
        self.traded.stop()
        if self.context is not None:
            self.context.stop()

    def age_s(self) -> float:
        """Seconds since the newest traded bar was due, or since one has waited for its context."""
        return max(self.traded.age_s(), self.context.age_s() if self.context is not None else 0.0)

    @property
    def arrived_ns(self) -> int:
        """Clock when the last thing arrived that the newest decision waited for."""
        return max(self.traded.arrived_ns, self.context.released_ns if self.context is not None else 0)

    @property
    def settled_ns(self) -> int:
        """Close of the last traded bar that everything has followed from; 0 while something is under way."""
        is_holding = self.context is not None and self.context.is_holding
        return 0 if is_holding or self.traded.is_filling else self.traded.considered_ns

    def _is_stale(self, close_ns: int) -> bool:
        return self.traded.is_stale(close_ns)

    def _note(self, name: str, ts_ns: int, row: NDArray) -> None:
        if self.context is not None:
            self.context.note_late(name, ts_ns)
        self._journal.context(name, ts_ns, row)

    def _cannot_read(self, reason: str) -> None:
        self._receiver.say("context", "", "unreadable", reason)


def _warmup(core: DecisionCore, sources: Sequence[ContextSource], bar_type: BarType) -> int:
    # Where the traded bars are a context stream too, that must be warm for all of the bars that features need.
    plan = core.plan
    if not isinstance(plan, JoinedPlan):
        return plan.warmup
    own = {source.name for source in sources if source.bar_type == str(bar_type)}
    bar_ns = bar_length_ns(str(bar_type))
    lags = {stream.name: -(-stream.lag_s * NS_PER_SECOND // bar_ns) for stream in plan.streams}
    streams = [plan.stream_plans[name].warmup + lags[name] for name in own]
    return max([plan.warmup, *(warmup + plan.cross.warmup - 1 for warmup in streams)])


def _lasting(read: Callable[[], StreamRows], warn: Callable[[str], None]) -> Callable[[], StreamRows]:
    # A file that cannot be read any more: the rows read before stand until they are too old.
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
