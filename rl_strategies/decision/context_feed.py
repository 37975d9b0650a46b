"""Context for the decision core: bars that only features read, and daily values from a catalog.

Bars are passed on as they close, stored rows when their time has come, so that a backtest cannot look ahead. Live reads
the same file again when it has grown.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogs.daily_values import context_path, read_context
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from rl_strategies.decision.core import DecisionCore
from rl_strategies.features import FeaturePlan, JoinedPlan, LiveRows, StreamRows, StreamSpec, context_streams
from rl_strategies.features.plans.streams import NS_PER_SECOND, ContextSource

Note = Callable[[str, int, NDArray[np.float64]], None]
_NEVER_NS = np.iinfo(np.int64).max


class ContextFeed:
    """Feeds the context streams of a decision core.

    Parameters
    ----------
    core : DecisionCore
    sources : sequence of ContextSource
        Sources of streams made of bars.
    stored : mapping of str to callable
        Reader of every other stream; returns all rows known by now.
    note : callable, optional
        Called with stream, time and row before the core takes the row in.

    Attributes
    ----------
    bar_types : tuple of str
        Bars to subscribe to.

    Raises
    ------
    InputError
        If a stream of the core's plan has no source.
    """

    def __init__(
        self,
        core: DecisionCore,
        sources: Sequence[ContextSource] = (),
        stored: Mapping[str, Callable[[], StreamRows]] | None = None,
        note: Note | None = None,
    ) -> None:
        self._core, self._note = core, note
        streams = {stream.name: stream for stream in context_streams(core.plan)}
        self._bars = {s.bar_type: _BarStream(s, streams[s.name]) for s in sources if s.name in streams and s.bar_type}
        self._stored = {
            name: _StoredStream(read, streams[name]) for name, read in (stored or {}).items() if name in streams
        }
        self.bar_types = tuple(self._bars)
        fed = {stream.name for stream in self._bars.values()} | self._stored.keys()
        if fed != streams.keys():
            missing = ", ".join(sorted(streams.keys() - fed))
            raise InputError(f"no source for context streams: {missing}")

    def reset(self) -> None:
        """Start over with the first stored row."""
        for stored in self._stored.values():
            stored.next_ns = 0

    def refresh(self) -> None:
        """Read stored rows again: there may be more by now."""
        for stored in self._stored.values():
            stored.read()

    def catch_up(self, ts_ns: int) -> None:
        """Pass on every stored row known at ``ts_ns``; called before the bars of that time.

        The first call skips rows that are older than the stream's warm-up.
        """
        for name, stored in self._stored.items():
            if stored.next_ns > ts_ns:
                continue
            rows, seen_ns = stored.rows, self._core.context_ns(name)
            first, stop = np.searchsorted(rows.ts_ns, (seen_ns, ts_ns), side="right")
            for row in range(first if seen_ns else stored.first_needed(ts_ns), stop):
                self._push(name, int(rows.ts_ns[row]), rows.rows[row])
            stored.next_ns = int(rows.ts_ns[stop]) if stop < len(rows.ts_ns) else _NEVER_NS

    def take_bar(self, bar_type: str, ts_ns: int, raw_prices: Sequence[int], volume: int) -> None:
        """Pass on a closed bar; a bar that is not newer than its stream changes nothing.

        Parameters
        ----------
        bar_type : str
        ts_ns : int
        raw_prices : sequence of 4 ints
            Open, high, low, close in NautilusTrader's fixed point.
        volume : int
        """
        stream = self._bars.get(bar_type)
        if stream is not None and ts_ns > self._core.context_ns(stream.name):
            self._push(stream.name, ts_ns, stream.row(ts_ns, raw_prices, volume))

    def _push(self, name: str, ts_ns: int, row: NDArray[np.float64]) -> None:
        if self._note is not None:
            self._note(name, ts_ns, row)
        self._core.push_context(name, ts_ns, row)


class _BarStream:
    def __init__(self, source: ContextSource, stream: StreamSpec) -> None:
        if source.instrument is None:
            raise InputError(f"context stream {source.name} must name the instrument of {source.bar_type}")
        self.name = source.name
        self._tick_raw = int(source.instrument.tick_raw)
        calendar = session_calendar(source.instrument.calendar)
        self._rows = LiveRows(calendar, stream.plan().columns, tick_raw=self._tick_raw)

    def row(self, ts_ns: int, raw_prices: Sequence[int], volume: int) -> np.ndarray:
        open_, high, low, close = (raw // self._tick_raw for raw in raw_prices)
        return self._rows.push(ts_ns, open_, high, low, close, volume)


class _StoredStream:
    def __init__(self, read: Callable[[], StreamRows], stream: StreamSpec) -> None:
        self._read = read
        self._lag_ns, self._warmup = stream.lag_s * NS_PER_SECOND, stream.plan().warmup
        self.read()

    def read(self) -> None:
        self.rows = self._read()
        self.next_ns = 0

    def first_needed(self, ts_ns: int) -> int:
        in_use = int(np.searchsorted(self.rows.ts_ns, ts_ns - self._lag_ns, side="right"))
        return max(in_use - self._warmup, 0)


def catalog_feed(core: DecisionCore, sources: Sequence[ContextSource], catalog: Path | None) -> ContextFeed:
    """Feed of a bundle's core: bars as they close, daily values from the catalog's context file.

    Raises
    ------
    InputError
        As in `stored_streams`.
    """
    return ContextFeed(core, bar_sources(sources), stored_streams(core.plan, sources, catalog))


def bar_sources(sources: Sequence[ContextSource]) -> list[ContextSource]:
    """Sources that are bars."""
    return [source for source in sources if source.bar_type is not None]


def stored_streams(
    plan: FeaturePlan | JoinedPlan, sources: Sequence[ContextSource], catalog: Path | None
) -> dict[str, Callable[[], StreamRows]]:
    """Readers of the plan's streams that are daily values of a catalog, by name.

    Raises
    ------
    InputError
        If a source has no bars and there is no catalog, or the catalog has no such series.
    """
    stored: dict[str, Callable[[], StreamRows]] = {}
    daily = {source.name for source in sources if source.bar_type is None}
    for stream in context_streams(plan):
        if stream.name in daily:
            if catalog is None:
                raise InputError(f"context stream {stream.name} needs a catalog with its daily values")
            stored[stream.name] = partial(daily_rows, catalog, stream)
    return stored


def daily_rows(catalog: Path, stream: StreamSpec) -> StreamRows:
    """Rows of a stream that is an index of the catalog's context file, such as VIX.

    Raises
    ------
    InputError
        If the catalog has no such series.
    """
    path = context_path(catalog)
    changed_ns = path.stat().st_mtime_ns if path.is_file() else 0
    return _daily_rows(catalog, stream.name, stream.plan().columns, changed_ns)


@lru_cache(maxsize=16)
def _daily_rows(catalog: Path, symbol: str, columns: tuple[str, ...], changed_ns: int) -> StreamRows:
    # The file's time of change is part of the key, so that a file that has grown is read again.
    series = read_context(catalog, symbol)
    prices = {"open": series.open, "high": series.high, "low": series.low, "close": series.close}
    nothing = np.full(len(series.ts_ns), np.nan)
    return StreamRows(series.ts_ns, np.column_stack([prices.get(column, nothing) for column in columns]))
