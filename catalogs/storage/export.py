"""Export of stored bars to CSV or Parquet: prices in USD, times in UTC."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.cache import written_aside
from catalogs.corporate_actions import read_splits, split_adjusted
from catalogs.errors import InputError
from catalogs.instruments.bar_types import instrument_id_of
from catalogs.instruments.identifiers import symbol_of
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import read_bars

SUFFIXES = (".csv", ".parquet")


def export_bars(
    catalog: Path,
    bar_type: str,
    out: Path,
    start_ns: int | None = None,
    end_ns: int | None = None,
    *,
    adjust_splits: bool = False,
) -> int:
    """Write stored bars to one CSV or Parquet file.

    Columns are ``ts_close`` (UTC), ``open, high, low, close`` (USD), ``volume`` (units; empty if unknown) and
    ``symbol`` (with the venue: a share and a future may have one ticker). ``data import FILE`` reads the file back to
    equal bars.

    Parameters
    ----------
    catalog : Path
    bar_type : str
    out : Path
        File that ends in ``.csv`` or ``.parquet``; replaced if it exists.
    start_ns, end_ns : int, optional
        First and last close time, inclusive; everything by default.
    adjust_splits : bool
        Apply the splits that the catalog has stored for the share.

    Returns
    -------
    int
        Bars written.

    Raises
    ------
    InputError
        If the suffix is another one; else as `catalogs.storage.arrow.read_bars`.
    """
    bars = read_bars(catalog, bar_type, start_ns, end_ns)
    if adjust_splits:
        symbol = symbol_of(instrument_id_of(bar_type))
        bars = split_adjusted(bars, read_splits(catalog, symbol), session_calendar("NYSE"))
    write_bar_file(bars, out)
    return len(bars)


def write_bar_file(bars: BarSeries, out: Path) -> None:
    """Write bars in memory to one CSV or Parquet file, as `export_bars` does.

    Raises
    ------
    InputError
        If the suffix is another one.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"export file must end in {' or '.join(SUFFIXES)}, was {out.name}")
    prices = {name: price_from_ticks(getattr(bars, name), bars.tick_raw) for name in ("open", "high", "low", "close")}
    symbol = pa.DictionaryArray.from_arrays(np.zeros(len(bars), np.int32), [instrument_id_of(bars.bar_type)])
    table = pa.table(
        {
            "ts_close": pa.array(bars.ts_ns, pa.timestamp("ns", "UTC")),
            **prices,
            "volume": pa.array(bars.volume, mask=np.full(len(bars), not bars.volume_known)),
            "symbol": symbol.dictionary_decode(),
        }
    )
    with written_aside(out) as aside:
        if out.suffix.lower() == ".csv":
            pacsv.write_csv(table, aside)
        else:
            pq.write_table(table, aside)
