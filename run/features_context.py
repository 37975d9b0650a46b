"""Context streams of a plan as the catalog has them: bars of an instrument, or daily values of a volatility index."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from catalogs.arrow import read_bars, stored_bar_types
from catalogs.context import context_path, read_context
from catalogs.instruments import resolve
from catalogs.sessions import session_calendar
from configs import instruments_path
from rl_strategies.features import StreamRows, StreamSpec, input_rows


class FoundStream(NamedTuple):
    """Rows of a stream and the hash of the data that they come from."""

    rows: StreamRows
    hash: str


def find_streams(catalog: Path, streams: Sequence[StreamSpec], bar: str) -> dict[str, FoundStream]:
    """The streams that a catalog has data of, by name.

    Parameters
    ----------
    catalog : Path
    streams : sequence of StreamSpec
        An index of the catalog's daily context file (VIX, VIX9D, VIX3M) by its symbol, any other by its instrument.
    bar : str
        Length of the bars, for example ``1-MINUTE``.
    """
    indices = _indices(catalog)
    ending = f"-{bar}-LAST-EXTERNAL"
    stored = {name.partition(".")[0]: name for name in stored_bar_types(catalog) if name.endswith(ending)}
    found = {}
    for stream in streams:
        if stream.name in indices:
            found[stream.name] = _index_rows(catalog, stream)
        elif stream.name in stored:
            found[stream.name] = _bar_rows(catalog, stream, stored[stream.name])
    return found


def _indices(catalog: Path) -> set[str]:
    path = context_path(catalog)
    return set(pq.read_table(path, columns=["symbol"])["symbol"].to_pylist()) if path.is_file() else set()


def _index_rows(catalog: Path, stream: StreamSpec) -> FoundStream:
    series = read_context(catalog, stream.name)
    prices = {"open": series.open, "high": series.high, "low": series.low, "close": series.close}
    nothing = np.full(len(series.ts_ns), np.nan)
    rows = np.column_stack([prices.get(column, nothing) for column in stream.plan().columns])
    digest = hashlib.sha256(series.ts_ns.tobytes() + rows.tobytes()).hexdigest()
    return FoundStream(StreamRows(series.ts_ns, rows), digest)


def _bar_rows(catalog: Path, stream: StreamSpec, bar_type: str) -> FoundStream:
    spec, bars = resolve(stream.name, instruments_path()), read_bars(catalog, bar_type)
    rows = input_rows(bars, session_calendar(spec.calendar), stream.plan().columns)
    return FoundStream(StreamRows(bars.ts_ns, rows), bars.hash)
