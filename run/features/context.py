"""Context streams found in the catalog: bars of an instrument, or daily values of a volatility index."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from catalogs.daily_values import context_path
from catalogs.instruments.bar_types import instrument_id_of
from catalogs.instruments.identifiers import symbol_of
from catalogs.instruments.specification import resolve
from catalogs.instruments.stored import stored_spec
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import read_bars, stored_bar_types
from configs import instruments_path
from rl_strategies.decision.context_feed import daily_rows
from rl_strategies.features import StreamRows, StreamSpec, input_rows
from rl_strategies.features.plans.streams import ContextSource
from run.day import day_of


class FoundStream(NamedTuple):
    """Rows of a stream, the hash of their data, and its source."""

    rows: StreamRows
    hash: str
    source: ContextSource


def find_streams(
    catalog: Path, streams: Sequence[StreamSpec], bar: str, end_ns: int | None = None
) -> dict[str, FoundStream]:
    """Streams that a catalog has data for, by name.

    Parameters
    ----------
    catalog : Path
    streams : sequence of StreamSpec
        Named by the symbol of a daily index (VIX, VIX9D, VIX3M) or by an instrument, as `stream_name` does.
    bar : str
        Bar length, for example ``1-MINUTE``.
    end_ns : int, optional
        Later rows are not read.

    Returns
    -------
    dict of str to FoundStream
        Without streams whose features read the volume if the bars have none.
    """
    indices = _indices(catalog)
    ending = f"-{bar}-LAST-EXTERNAL"
    stored = {stream_name(name): name for name in stored_bar_types(catalog) if name.endswith(ending)}
    found = {}
    for stream in streams:
        if stream.name in indices:
            found[stream.name] = _index_rows(catalog, stream, end_ns)
        elif stream.name in stored:
            bars = _bar_rows(catalog, stream, stored[stream.name], end_ns)
            found |= {} if bars is None else {stream.name: bars}
    return found


def stream_name(bar_type: str) -> str:
    """Name of the stream that follows a bar type's instrument: its symbol, with ``BRK_B`` for ``BRK.B``.

    Examples
    --------
    >>> stream_name("SPY.EQUS-1-MINUTE-LAST-EXTERNAL"), stream_name("BRK.B.EQUS-1-MINUTE-LAST-EXTERNAL")
    ('SPY', 'BRK_B')
    """
    return symbol_of(instrument_id_of(bar_type)).replace(".", "_")


def _indices(catalog: Path) -> set[str]:
    path = context_path(catalog)
    return set(pq.read_table(path, columns=["symbol"])["symbol"].to_pylist()) if path.is_file() else set()


def _index_rows(catalog: Path, stream: StreamSpec, end_ns: int | None) -> FoundStream:
    rows = daily_rows(catalog, stream)
    stop = len(rows.ts_ns) if end_ns is None else int(np.searchsorted(rows.ts_ns, end_ns, side="right"))
    rows = StreamRows(rows.ts_ns[:stop], rows.rows[:stop])
    digest = hashlib.sha256(rows.ts_ns.tobytes() + rows.rows.tobytes()).hexdigest()
    return FoundStream(rows, digest, ContextSource(name=stream.name))


def _bar_rows(catalog: Path, stream: StreamSpec, bar_type: str, end_ns: int | None) -> FoundStream | None:
    bars, plan = read_bars(catalog, bar_type, end_ns=end_ns), stream.plan()
    named = resolve(instrument_id_of(bar_type), instruments_path(), day_of(int(bars.ts_ns[-1])))
    spec = stored_spec(catalog, named)
    if not bars.volume_known and "volume" in frozenset().union(*plan.needs.values()):
        return None
    rows = input_rows(bars, session_calendar(spec.calendar), plan.columns)
    source = ContextSource(name=stream.name, instrument=spec, bar_type=bar_type)
    return FoundStream(StreamRows(bars.ts_ns, rows), bars.hash, source)
