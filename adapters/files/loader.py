"""Bars from one CSV or Parquet file as an Arrow table of one schema."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from adapters.errors import SourceError
from adapters.files.columns import Columns, find_columns
from adapters.files.timestamps import to_utc_ns

# Time as the file stamps it, open or close of the bar, UTC nanoseconds; NaN where a number is missing.
BAR_SCHEMA = pa.schema(
    [pa.field("ts_ns", pa.int64(), nullable=False)]
    + [pa.field(name, pa.float64(), nullable=False) for name in ("open", "high", "low", "close", "volume")]
)

DBN_SUFFIXES = (".dbn", ".dbn.zst")  # read by adapters.databento, whose package is slow to import

_SUFFIXES = {".csv": ",", ".txt": ",", ".tsv": "\t", ".parquet": "", ".pq": ""}
_PARQUET = (".parquet", ".pq")


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
        Symbol in the file; empty if it has no symbol column.
    columns : Columns
        Columns that were read.
    """

    path: Path
    sha256: str
    table: pa.Table
    symbol: str
    columns: Columns


def load_bars(path: Path, *, time_zone: str | None = None, symbol: str | None = None) -> FileBars:
    """Read the bars of one symbol from a file.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.txt``, ``.tsv`` (first line: names of the columns; comma, semicolon or tab between values)
        or ``.parquet``.
    time_zone : str, optional
        IANA zone of times that name none.
    symbol : str, optional
        Which one to read where the file has several.

    Returns
    -------
    FileBars

    Raises
    ------
    SourceError
        If the file is missing, empty, of another kind or unreadable, if columns are missing or hold something
        else than numbers and times, if it has several symbols and none is named, or not the one named.
    """
    is_parquet = _kind(path) in _PARQUET
    columns = find_columns(_parquet_names(path) if is_parquet else _csv_names(path), path.name)
    raw = _read_parquet(path, columns) if is_parquet else _read_csv(path, columns)
    raw, found = _one_symbol(raw, columns.symbol, symbol, path.name)
    if not len(raw):
        raise SourceError(f"{path.name} is empty: no bars")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileBars(path, sha256, _in_schema(raw, columns, time_zone, path.name), found, columns)


def symbols_in(path: Path) -> list[str]:
    """Symbols that a file names, sorted; empty where it has no symbol column.

    Raises
    ------
    SourceError
        As `load_bars`, as far as the names of the columns and the symbols go.
    """
    is_parquet = _kind(path) in _PARQUET
    columns = find_columns(_parquet_names(path) if is_parquet else _csv_names(path), path.name)
    if columns.symbol is None:
        return []
    if is_parquet:
        values = pq.read_table(path, columns=[columns.symbol], partitioning=None)[columns.symbol].cast(pa.string())
    else:
        values = _read_csv(path, columns)[columns.symbol]
    return sorted(value for value in pc.unique(values).to_pylist() if value is not None)


def _kind(path: Path) -> str:
    if not path.is_file():
        raise SourceError(f"no file {path}")
    kind = path.suffix.lower()
    if kind not in _SUFFIXES:
        raise SourceError(f"{path.name} must end in {', '.join(_SUFFIXES)}, was {kind or 'without a suffix'}")
    return kind


def _read_csv(path: Path, columns: Columns) -> pa.Table:
    numbers = [*columns.prices.values(), *([columns.volume] if columns.volume else [])]
    texts = [*columns.time, *([columns.symbol] if columns.symbol else [])]
    types = {name: pa.float64() for name in numbers} | {name: pa.string() for name in texts}
    options = pacsv.ConvertOptions(
        column_types=types, include_columns=list(types), strings_can_be_null=True, quoted_strings_can_be_null=True
    )
    parse = pacsv.ParseOptions(delimiter=_delimiter(path))
    try:
        return pacsv.read_csv(path, convert_options=options, parse_options=parse)
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path.name} must be a table of numbers: {_one_line(error)}") from error


def _csv_names(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file, delimiter=_delimiter(path)), [])
    except UnicodeDecodeError:
        raise SourceError(f"{path.name} is not UTF-8 text") from None


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def _parquet_names(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path.name} is not a Parquet file: {_one_line(error)}") from error


def _read_parquet(path: Path, columns: Columns) -> pa.Table:
    optional = [name for name in (columns.volume, columns.symbol) if name is not None]
    try:
        return pq.read_table(path, columns=[*columns.time, *columns.prices.values(), *optional], partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path.name} is not a whole Parquet file: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _one_symbol(raw: pa.Table, column: str | None, symbol: str | None, source: str) -> tuple[pa.Table, str]:
    if column is None:
        if symbol is not None:
            raise SourceError(f"{source} has no symbol column to choose {symbol!r} from")
        return raw, ""
    values = raw[column].cast(pa.string())
    held = sorted(value for value in pc.unique(values).to_pylist() if value is not None)
    some = ", ".join(held[:5]) + (", …" if len(held) > 5 else "")
    if symbol is None:
        if len(held) > 1:
            raise SourceError(f"{source} holds {len(held)} symbols ({some}): choose one with --symbol")
        return raw, held[0] if held else ""
    if symbol not in held:
        raise SourceError(f"--symbol must be one that {source} holds ({some}), was {symbol!r}")
    return raw.filter(pc.equal(values, symbol)), symbol


def _in_schema(raw: pa.Table, columns: Columns, time_zone: str | None, source: str) -> pa.Table:
    times = raw[columns.time[0]]
    if len(columns.time) == 2:
        day, clock = (raw[name].cast(pa.string()) for name in columns.time)
        times = pc.binary_join_element_wise(day, clock, " ")
    ts_ns = to_utc_ns(times, time_zone, source)
    prices = [_floats(raw, name, source) for name in columns.prices.values()]
    volume = np.full(len(raw), np.nan) if columns.volume is None else _floats(raw, columns.volume, source)
    return pa.Table.from_arrays([pa.array(ts_ns), *(pa.array(x) for x in (*prices, volume))], schema=BAR_SCHEMA)


def _floats(raw: pa.Table, name: str, source: str) -> np.ndarray:
    try:
        return raw[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise SourceError(f"{source} must have numbers in column {name}, was {raw[name].type}") from None
