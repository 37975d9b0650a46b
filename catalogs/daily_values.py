"""Daily context series such as VIX, each value stamped with the time at which it was known.

``<catalog>/context/vix.parquet`` holds one row per index and day: ``symbol`` (VIX, VIX9D, VIX3M), ``ts_ns`` (int64,
UTC nanoseconds: 16:15 in New York, after the index has closed), ``open, high, low, close`` (float64, index points),
``source``. Rows are sorted by symbol and time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalogs.cache import written_aside
from catalogs.errors import InputError

CONTEXT_SCHEMA = pa.schema(
    [("symbol", pa.string()), ("ts_ns", pa.int64())]
    + [(name, pa.float64()) for name in ("open", "high", "low", "close")]
    + [("source", pa.string())]
)
KNOWN_AT = time(16, 15)  # on half days the index closes at 13:15; later is safe, earlier would look ahead

_ZONE = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class ContextSeries:
    """One index: ``ts_ns`` int64[n] ascending, when each value was known; ``open, high, low, close`` float64[n]."""

    symbol: str
    ts_ns: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]


def context_path(catalog: Path, name: str = "vix") -> Path:
    """File of a family of context series: ``context/vix.parquet``."""
    return catalog / "context" / f"{name}.parquet"


def known_ns(day: date) -> int:
    """When the daily value of a day is known, UTC nanoseconds.

    Examples
    --------
    >>> str(np.datetime64(known_ns(date(2025, 7, 3)), "ns"))[:16]
    '2025-07-03T20:15'
    """
    return int(datetime.combine(day, KNOWN_AT, _ZONE).timestamp()) * 10**9


def unified(parts: Mapping[str, pa.Table]) -> pa.Table:
    """Merge several sources into one series: each day comes from the first source that has it.

    Parameters
    ----------
    parts : mapping of str to pyarrow.Table
        Tables by name of the source, best first: ``date, open, high, low, close``.

    Returns
    -------
    pyarrow.Table
        The same columns and ``source``, ascending.
    """
    days: dict[date, dict[str, object]] = {}
    for source, table in parts.items():
        for row in table.to_pylist():
            days.setdefault(row["date"], {**row, "source": source})
    return pa.Table.from_pylist([days[day] for day in sorted(days)])


def write_context(catalog: Path, series: Mapping[str, pa.Table], name: str = "vix") -> int:
    """Write context series, replacing stored ones of the same symbol; other symbols stay.

    Parameters
    ----------
    catalog : Path
    series : mapping of str to pyarrow.Table
        Tables by symbol, as `unified` returns them.
    name : str

    Returns
    -------
    int
        Rows in the file.
    """
    path = context_path(catalog, name)
    parts = []
    if path.is_file():
        stored = pq.read_table(path, partitioning=None)
        parts.append(stored.filter(pc.invert(pc.is_in(stored["symbol"], pa.array(list(series), pa.string())))))
    for symbol, table in series.items():
        stamps = [known_ns(day) for day in table["date"].to_pylist()]
        columns = [
            pa.array([symbol] * len(table)),
            pa.array(stamps),
            *(table[field] for field in CONTEXT_SCHEMA.names[2:]),
        ]
        parts.append(pa.Table.from_arrays(columns, schema=CONTEXT_SCHEMA))
    whole = pa.concat_tables(parts).sort_by([("symbol", "ascending"), ("ts_ns", "ascending")])
    with written_aside(path) as aside:
        pq.write_table(whole, aside)
    return len(whole)


def read_context(catalog: Path, symbol: str, name: str = "vix") -> ContextSeries:
    """One context series.

    Raises
    ------
    InputError
        If the catalog has no such series.
    """
    path = context_path(catalog, name)
    if not path.is_file():
        raise InputError(f"no daily values of {symbol} in catalog {catalog}: run `data fetch vix`")
    table = pq.read_table(path, filters=[("symbol", "==", symbol)], partitioning=None)
    if not len(table):
        raise InputError(f"no daily values of {symbol} in {path}")
    columns = {field: table[field].to_numpy() for field in ("ts_ns", "open", "high", "low", "close")}
    return ContextSeries(symbol=symbol, **columns)
