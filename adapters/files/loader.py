"""Bars of files of any known format as Arrow tables of one schema."""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.errors import SourceError
from adapters.files.columns import PUBLISHER, Columns
from adapters.files.formats import GENERIC, Format
from adapters.files.publishers import chosen, combined_bars
from adapters.files.sources import RawFile, ReadOptions, read_raw
from adapters.files.timestamps import names_zone, to_utc_ns

# Time as the file stamps it, open or close of the bar, UTC nanoseconds; NaN where a number is missing.
BAR_SCHEMA = pa.schema(
    [pa.field("ts_ns", pa.int64(), nullable=False)]
    + [pa.field(name, pa.float64(), nullable=False) for name in ("open", "high", "low", "close", "volume")]
)

DBN_SUFFIXES = (".dbn", ".dbn.zst")  # read by adapters.databento, whose package is slow to import

_PUBLISHED = np.dtype(
    [("publisher_id", np.int64), ("ts_event", np.int64)]
    + [(name, np.float64) for name in ("open", "high", "low", "close", "volume")]
)
_UNDEFINED = 9.2e18  # Databento writes the largest 64-bit integer where there is no price
_SMALLEST_WHOLE = 1e5  # a hundredth of a cent in units of 1e-9


@dataclass(frozen=True)
class FileBars:
    """Bars of one symbol in one file.

    Attributes
    ----------
    path : Path
    sha256 : str
        Hash of the file's bytes.
    table : pyarrow.Table
        Of `BAR_SCHEMA`, in the order of the file.
    symbol : str
        Symbol in the file; empty if it names none.
    columns : Columns
        Columns that were read.
    format : Format
    stamp : {"open", "close", ""}
        End of a bar that the times mark; empty if the format does not fix it.
    time_zone : str
        Zone that was taken for times that name none; empty if all name one.
    divisor : float
        What prices were divided by; 1 for nothing.
    publishers : tuple of str
        Publishers that the bars are from; empty if the file does not say.
    combined : int
        Times at which bars of several publishers became one.
    """

    path: Path
    sha256: str
    table: pa.Table
    symbol: str
    columns: Columns
    format: Format = GENERIC
    stamp: Literal["open", "close", ""] = ""
    time_zone: str = ""
    divisor: float = 1.0
    publishers: tuple[str, ...] = ()
    combined: int = 0


def load_bars(path: Path, *, time_zone: str | None = None, symbol: str | None = None) -> FileBars:
    """Read the bars of one symbol from a file; see `read_file`.

    Raises
    ------
    SourceError
        As `read_file`; or if the file has several symbols and none is named.
    """
    parts = read_file(path, ReadOptions(time_zone=time_zone), None if symbol is None else (symbol,))
    if len(parts) > 1:
        held = [part.symbol for part in parts]
        raise SourceError(f"{path.name} holds {len(parts)} symbols ({_some(held)}): choose one with --symbol")
    return parts[0]


def read_file(path: Path, options: ReadOptions, symbols: Collection[str] | None = None) -> list[FileBars]:
    """Read the bars of a file, those of every symbol apart.

    Parameters
    ----------
    path : Path
        Text (``.csv``, ``.txt``, ``.tsv``; also compressed with gzip, zstandard or bzip2, or alone in a ``.zip``),
        ``.parquet`` or ``.json``.
    options : ReadOptions
    symbols : collection of str, optional
        Which to read, spelled as the file does. Default: all.

    Returns
    -------
    list of FileBars
        In order of the symbols.

    Raises
    ------
    SourceError
        If the file is missing, empty, of another kind or unreadable; if columns are missing or hold something
        else than numbers and times; if a row has no symbol, or the file not the ones named; if prices are whole
        numbers in some rows of an encoded file only; if times name no zone and none is given; or as
        `adapters.files.publishers` refuses.
    """
    with path.open("rb") if path.is_file() else nullcontext() as file:
        sha256 = "" if file is None else hashlib.file_digest(file, "sha256").hexdigest()
    parts = _by_symbol(read_raw(path, options), symbols, path.name)
    held = [_brought_in(part, symbol, path, sha256, options) for symbol, part in parts]
    pa.default_memory_pool().release_unused()
    return held


def _by_symbol(raw: RawFile, wanted: Collection[str] | None, source: str) -> Iterator[tuple[str, RawFile]]:
    if not len(raw.table):
        raise SourceError(f"{source} is empty: no bars")
    if raw.columns.symbol is None:
        if wanted is not None and set(wanted) != {raw.symbol}:
            named = ", ".join(sorted(wanted))
            held = f"only {raw.symbol}" if raw.symbol else "no symbol column"
            raise SourceError(f"{source} has {held} to choose {named!r} from")
        yield raw.symbol, raw
        return
    names, code = _coded(raw.table[raw.columns.symbol])
    raw = replace(raw, table=raw.table.drop_columns([raw.columns.symbol]))
    yield from _parts(raw, names, code, wanted, source)


def _parts(
    raw: RawFile, names: list[str], code: NDArray[np.int64], wanted: Collection[str] | None, source: str
) -> Iterator[tuple[str, RawFile]]:
    if wanted is not None:
        missing = sorted(set(wanted) - set(names))
        if missing:
            raise SourceError(f"--symbol must be one that {source} holds ({_some(names)}), was {', '.join(missing)!r}")
    elif "" in names:
        row = int(np.argmax(code == names.index("")))
        raise SourceError(
            f"{source}: row {row + 1} has no symbol, others have ({_some(names)}): choose with --symbol, which leaves "
            "such rows out"
        )
    if len(names) == 1:
        yield names[0], raw
        return
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(len(names) + 1))
    for number in sorted(range(len(names)), key=names.__getitem__):
        if wanted is None or names[number] in wanted:
            rows = order[starts[number] : starts[number + 1]]
            yield names[number], replace(raw, table=raw.table.take(pa.array(rows)))


def _coded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    if len(whole.dictionary) == 1 and not whole.null_count:
        return [whole.dictionary[0].as_py().strip()], np.zeros(1, np.int64)
    names = ["" if name is None else str(name).strip() for name in whole.dictionary.to_pylist()]
    code = whole.indices.fill_null(len(names)).to_numpy().astype(np.int64)
    if (code == len(names)).any():
        names.append("")
    return _merged(names, code)


def _merged(names: list[str], code: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    # Values that differ in blanks only are one; values that no row has do not count.
    own = {name: number for number, name in enumerate(dict.fromkeys(names))}
    code = np.array([own[name] for name in names], np.int64)[code]
    present = np.unique(code)
    held = list(own)
    return [held[i] for i in present], np.searchsorted(present, code)


def _brought_in(raw: RawFile, symbol: str, path: Path, sha256: str, options: ReadOptions) -> FileBars:
    layout, columns, table = raw.format, raw.columns, raw.table
    time_zone = options.time_zone or layout.zone or None
    times = table[columns.time[0]]
    if len(columns.time) == 2:
        day, clock = (pc.utf8_trim_whitespace(table[name].cast(pa.string())) for name in columns.time)
        times = pc.binary_join_element_wise(day, clock, " ")
    if layout.local_epochs:
        utc_ns = to_utc_ns(times, None, path.name)
        times = pa.chunked_array([pa.array(utc_ns, pa.timestamp("ns"))])
    ts_ns = to_utc_ns(times, time_zone, path.name, dates=options.dates or layout.dates)
    prices, divisor = _prices(raw, path.name)
    volume = np.full(len(table), np.nan)
    if columns.volume and layout.volume_is_units:
        volume = np.sum([_floats(table, name, path.name) for name in columns.volume], axis=0)
    bars, publishers, combined = _one_bar_a_time(raw, [ts_ns, *prices, volume], options, path.name)
    own = symbol.removesuffix(layout.drop) if layout.drop else symbol
    return FileBars(
        path=path,
        sha256=sha256,
        table=pa.Table.from_arrays(list(map(pa.array, bars)), schema=BAR_SCHEMA),
        symbol=own,
        columns=columns,
        format=layout,
        stamp=layout.stamp,
        time_zone="" if names_zone(times) else time_zone or "",
        divisor=divisor,
        publishers=publishers,
        combined=combined,
    )


def _one_bar_a_time(
    raw: RawFile, columns: list[NDArray[Any]], options: ReadOptions, source: str
) -> tuple[list[NDArray[Any]], tuple[str, ...], int]:
    # Columns of the schema, those of several publishers made one; the publishers; and how many bars were combined.
    name = raw.columns.publisher
    if name is None:
        if options.publisher is not None:
            raise SourceError(f"{source} has no column {PUBLISHER} to choose {options.publisher!r} from")
        return columns, (), 0
    numbers = _floats(raw.table, name, source)
    if np.isnan(numbers).any():
        raise SourceError(f"{source}: row {int(np.argmax(np.isnan(numbers))) + 1} has no {name}")
    held = np.unique(numbers.astype(np.int64)).tolist()
    if len(held) < 2 and options.publisher is None:
        return columns, tuple(map(options.publisher_name, held)), 0
    rows = np.empty(len(numbers), _PUBLISHED)
    for field, values in zip(_PUBLISHED.names or (), (numbers, *columns), strict=True):
        rows[field] = values
    rows = chosen(rows, options.publisher, options.publisher_name, source)
    bars, combined = combined_bars(rows, source)
    names = tuple(map(options.publisher_name, np.unique(rows["publisher_id"]).tolist()))
    return [bars[field].copy() for field in (_PUBLISHED.names or ())[1:]], names, combined


def _prices(raw: RawFile, source: str) -> tuple[list[NDArray[np.float64]], float]:
    prices = [_floats(raw.table, name, source) for name in raw.columns.prices.values()]
    if not raw.whole:
        return prices, 1.0
    known = [np.where(price >= _UNDEFINED, np.nan, price) for price in prices]
    fraction = any((np.nan_to_num(price) % 1 != 0).any() for price in known)
    if fraction or (raw.format.name == "databento" and min(np.nanmin(price) for price in known) < _SMALLEST_WHOLE):
        raise SourceError(
            f"{source} holds prices in units of 1/{raw.format.whole_price:,.0f} and others in plain units: split it"
        )
    return [price / raw.format.whole_price for price in known], raw.format.whole_price


def _floats(raw: pa.Table, name: str, source: str) -> NDArray[np.float64]:
    try:
        return raw[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise SourceError(f"{source} must have numbers in column {name}, was {raw[name].type}") from None


def _some(names: Collection[str]) -> str:
    named = sorted(name for name in names if name)
    return ", ".join(named[:5]) + (", …" if len(named) > 5 else "")
