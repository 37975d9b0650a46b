"""Context on its way into the decision core: bars that are followed for features alone, values from a catalog's file.

Nothing here trades. Bars are handed over as they close; stored rows as time reaches them, so that a backtest cannot
look ahead, and live reads the same file again when it has grown.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from catalogs.context import context_path, read_context
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from rl_strategies.decision import DecisionCore
from rl_strategies.features import LiveRows, StreamRows, StreamSpec, context_streams
from rl_strategies.manifest import ContextSource

_NEVER_NS = np.iinfo(np.int64).max


class ContextFeed:
    """Feeds the context streams of a decision core.

    Parameters
    ----------
    core : DecisionCore
    sources : sequence of ContextSource
        Streams that are made of bars.
    stored : mapping of str to callable
        For every other stream what gives all of its rows that are known by now.

    Attributes
    ----------
    bar_types : tuple of str
        Bars to follow.

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
    ) -> None:
        self._core = core
        streams = {stream.name: stream for stream in context_streams(core.plan)}
        self._bars = {s.bar_type: _BarStream(s, streams[s.name]) for s in sources if s.name in streams and s.bar_type}
        self._stored = {name: _StoredStream(read) for name, read in (stored or {}).items() if name in streams}
        self.bar_types = tuple(self._bars)
        fed = {stream.name for stream in self._bars.values()} | self._stored.keys()
        if fed != streams.keys():
            missing = ", ".join(sorted(streams.keys() - fed))
            raise InputError(f"context streams must each have a source, {missing} had none")

    def reset(self) -> None:
        """Hand all stored rows over again, from the first."""
        for stored in self._stored.values():
            stored.next_ns = 0

    def refresh(self) -> None:
        """Look whether more rows are stored by now."""
        for stored in self._stored.values():
            stored.read()

    def catch_up(self, ts_ns: int) -> None:
        """Hand over every stored row that was known at ``ts_ns``; called before the bars of that time."""
        for name, stored in self._stored.items():
            if stored.next_ns > ts_ns:
                continue
            rows = stored.rows
            first, stop = np.searchsorted(rows.ts_ns, (self._core.context_ns(name), ts_ns), side="right")
            for row in range(first, stop):
                self._core.push_context(name, int(rows.ts_ns[row]), rows.rows[row])
            stored.next_ns = int(rows.ts_ns[stop]) if stop < len(rows.ts_ns) else _NEVER_NS

    def take_bar(self, bar_type: str, ts_ns: int, raw_prices: Sequence[int], volume: int) -> None:
        """Hand over a closed bar; one that its stream has passed already changes nothing.

        Parameters
        ----------
        bar_type : str
        ts_ns : int
        raw_prices : sequence of 4 ints
            Open, high, low, close in NautilusTrader's fixed point.
        volume : int
        """
        stream = self._bars.get(bar_type)
        if stream is not None:
            self._core.push_context(stream.name, ts_ns, stream.row(ts_ns, raw_prices, volume))


class _BarStream:
    def __init__(self, source: ContextSource, stream: StreamSpec) -> None:
        if source.instrument is None:
            raise InputError(f"context stream {source.name} must name the instrument of {source.bar_type}, named none")
        self.name = source.name
        self._tick_raw = int(source.instrument.tick_raw)
        calendar = session_calendar(source.instrument.calendar)
        self._rows = LiveRows(calendar, stream.plan().columns, tick_raw=self._tick_raw)

    def row(self, ts_ns: int, raw_prices: Sequence[int], volume: int) -> np.ndarray:
        open_, high, low, close = (raw // self._tick_raw for raw in raw_prices)
        return self._rows.push(ts_ns, open_, high, low, close, volume)


class _StoredStream:
    def __init__(self, read: Callable[[], StreamRows]) -> None:
        self._read = read
        self.read()

    def read(self) -> None:
        self.rows = self._read()
        self.next_ns = 0


def catalog_feed(core: DecisionCore, sources: Sequence[ContextSource], catalog: Path | None) -> ContextFeed:
    """Feed of a bundle's core: bars as they come, daily values from the catalog's context file.

    Raises
    ------
    InputError
        If a source has no bars and there is no catalog, or the catalog lacks the series.
    """
    stored = {}
    daily = {source.name for source in sources if source.bar_type is None}
    for stream in context_streams(core.plan):
        if stream.name in daily:
            if catalog is None:
                raise InputError(f"context stream {stream.name} needs a catalog with its daily values, had none")
            stored[stream.name] = partial(daily_rows, catalog, stream)
    return ContextFeed(core, [source for source in sources if source.bar_type is not None], stored)


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
    # The time of the last change is a key, so that a file that has grown is read again.
    series = read_context(catalog, symbol)
    prices = {"open": series.open, "high": series.high, "low": series.low, "close": series.close}
    nothing = np.full(len(series.ts_ns), np.nan)
    return StreamRows(series.ts_ns, np.column_stack([prices.get(column, nothing) for column in columns]))
