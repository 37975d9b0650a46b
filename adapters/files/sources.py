"""A file as its columns: which format it is of, and what reads it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.errors import SourceError
from adapters.files.columns import MEANINGS, Columns, find_columns
from adapters.files.formats import (
    EASTERN,
    GENERIC,
    Format,
    format_named,
    format_with_header,
    format_without_header,
)
from adapters.files.records import is_wide, read_json, read_wide
from adapters.files.text import COMPRESSED, SUFFIXES, Sheet, is_text, look, one_line, read_columns
from adapters.files.timestamps import DateOrder

_PARQUET = (".parquet", ".pq")
_JSON = (".json",)
_FEWEST = 3  # columns of a file with bars, of which it needs five
_LEAN_NAME = re.compile(r"(\d{8})_([a-z.]+)_\w+_trade\.csv", re.IGNORECASE)


@dataclass(frozen=True)
class ReadOptions:
    """What a user says of files; None where they are to show it themselves.

    Attributes
    ----------
    time_zone : str, optional
        IANA zone of times that name none.
    dates : {"mdy", "dmy", "ymd"}, optional
    format : str, optional
        Name in `adapters.files.formats.FORMATS`.
    columns : tuple of str, optional
        Meaning of the columns by position, of `adapters.files.columns.MEANINGS`, for files without names.
    publisher : str, optional
        Publisher to take where a file has several; by default their bars are combined.
    publisher_name : callable
        Name of a publisher by its number in the file.
    """

    time_zone: str | None = None
    dates: DateOrder | None = None
    format: str | None = None
    columns: tuple[str, ...] | None = None
    publisher: str | None = None
    publisher_name: Callable[[int], str] = str


@dataclass(frozen=True)
class RawFile:
    """A file's columns before they are brought into one schema.

    Attributes
    ----------
    table : pyarrow.Table
    columns : Columns
    format : Format
    whole : bool
        Prices are whole numbers of the format's encoding.
    symbol : str
        Symbol that the file's name tells; empty for none.
    """

    table: pa.Table
    columns: Columns
    format: Format
    whole: bool
    symbol: str = ""


def read_raw(path: Path, options: ReadOptions) -> RawFile:
    """Read a file's columns.

    Raises
    ------
    SourceError
        If the file is missing, empty, of another kind or unreadable, or columns are missing or not known.
    """
    if not path.is_file():
        raise SourceError(f"no file {path}")
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return _read_parquet(path, options)
    if suffix in _JSON:
        name, table = read_json(path)
        return RawFile(table, find_columns(table.column_names, path.name), format_named(name), whole=False)
    if is_text(path):
        return _read_text(path, options)
    known = ", ".join((*SUFFIXES, ".zip", *_PARQUET, *_JSON))
    raise SourceError(
        f"{path.name} must end in {known} (or text in {', '.join(COMPRESSED)}), was {suffix or 'without a suffix'}"
    )


def _read_text(path: Path, options: ReadOptions) -> RawFile:
    sheet = look(path)
    if not sheet.rows:
        raise SourceError(f"{path.name} is empty: no bars")
    if options.columns is None and is_wide(sheet.rows):
        table = read_wide(sheet)
        return RawFile(table, find_columns(table.column_names, path.name), format_named("yfinance"), whole=False)
    names, chosen, skip = _layout(sheet, options)
    names = _each_once(names)
    columns = find_columns(names, path.name)
    types: dict[str, pa.DataType] = dict.fromkeys(columns.numbers, pa.float64())
    sample = sheet.rows[skip:]
    types |= {name: _time_type(names.index(name), sample, len(columns.time)) for name in columns.time}
    if "milliseconds" in types:
        types["milliseconds"] = pa.int64()
    if columns.symbol is not None:
        types[columns.symbol] = pa.dictionary(pa.int32(), pa.string())
    if columns.publisher is not None:
        types[columns.publisher] = pa.int64()
    table = read_columns(sheet, names, skip, types)
    whole = chosen.whole_price != 1 and all(
        row[names.index(name)].isdigit() for row in sample for name in columns.prices.values() if row[names.index(name)]
    )
    raw = RawFile(table, columns, chosen, whole)
    return _with_lean_name(raw, sheet) if chosen.name.startswith("lean") else raw


def _layout(sheet: Sheet, options: ReadOptions) -> tuple[list[str], Format, int]:
    forced = None if options.format is None else format_named(options.format)
    name, first = sheet.path.name, sheet.rows[0]
    if options.columns is not None:
        if sheet.has_header:
            raise SourceError(f"{name} names its columns itself ({', '.join(first)}): leave --columns out")
        unknown = sorted(set(options.columns) - set(MEANINGS))
        if unknown or len(options.columns) != len(first):
            raise SourceError(
                f"--columns must say for each of the {len(first)} columns of {name} one of {', '.join(MEANINGS)}; "
                f"was {','.join(options.columns)}"
            )
        return list(options.columns), forced or GENERIC, 0
    if sheet.has_header and len(first) < _FEWEST:
        raise SourceError(
            f"{name} begins with {','.join(first)!r} instead of names of columns: delete the lines above them"
        )
    if sheet.has_header:
        return first, forced or format_with_header(first, sheet.rows[1:]), 1
    chosen = forced or format_without_header(first, sheet.separator)
    if chosen is None or len(first) > len(chosen.layout):
        raise SourceError(
            f"{name} begins with {','.join(first)!r} instead of names of columns, and is of no known format: say what "
            "they are, for example --columns date,time,open,high,low,close,volume"
        )
    if chosen.name == "ninjatrader" and forced is None and _no_volume(sheet):
        raise SourceError(
            f"{name} may be of NinjaTrader (times mark closes) or of HistData.com (opens, no volume): say "
            "--format ninjatrader or --format histdata"
        )
    return list(chosen.layout[: len(first)]), chosen, 0


def _no_volume(sheet: Sheet) -> bool:
    return all(row[-1] in ("0", "0.0") for row in sheet.rows)


def _time_type(column: int, sample: list[list[str]], of: int) -> pa.DataType:
    # Whole epochs are read as numbers, which is much faster.
    digits = of == 1 and bool(sample) and all(row[column].isdigit() for row in sample)
    longest = max((len(row[column]) for row in sample), default=0)
    return pa.int64() if digits and (longest >= 9 or longest < 8) else pa.string()


def _each_once(names: list[str]) -> list[str]:
    # TradingView writes one name for several plots.
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    count: dict[str, int] = {}
    unique = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        unique.append(name if count[name] == 1 else f"{name} ({count[name]})")
    return unique


def _with_lean_name(raw: RawFile, sheet: Sheet) -> RawFile:
    # Whole prices are those of shares, whose ticker and day only the file's name tells.
    found = _LEAN_NAME.fullmatch(sheet.inner_name)
    symbol = found[2] if found else Path(sheet.inner_name).stem
    own = replace(raw.format, zone=EASTERN if raw.whole else "", is_share=raw.whole)
    raw = replace(raw, format=own, symbol=symbol.upper() if raw.whole else "")
    if raw.format.name != "lean":
        return raw
    day = found[1] if found else sheet.path.name[:8]
    if not re.fullmatch(r"\d{8}", day):
        raise SourceError(f"{sheet.path.name} must be named as LEAN does (20131007_trade.zip): its times have no day")
    midnight = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}", "ns").astype(np.int64)
    local = raw.table["milliseconds"].to_numpy() * 10**6 + midnight
    at = raw.table.column_names.index("milliseconds")
    return replace(raw, table=raw.table.set_column(at, "milliseconds", pa.array(local, pa.timestamp("ns"))))


def _read_parquet(path: Path, options: ReadOptions) -> RawFile:
    try:
        schema = pq.read_schema(path)
        columns = find_columns(schema.names, path.name)
        wanted = [name for name in (columns.symbol, columns.publisher) if name is not None]
        table = pq.read_table(path, columns=[*columns.time, *columns.numbers, *wanted], partitioning=None)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path.name} is not a whole Parquet file: {one_line(error)}") from error
    chosen = format_with_header(schema.names, ()) if options.format is None else format_named(options.format)
    if options.columns is not None:
        raise SourceError(f"{path.name} names its columns itself: leave --columns out")
    whole = chosen.whole_price != 1 and all(
        pa.types.is_integer(schema.field(name).type) for name in columns.prices.values()
    )
    return RawFile(table, columns, chosen, whole)
