"""Bars between catalog files and numpy: the bytes of ``ParquetDataCatalog``, without Bar objects.

A Bar object takes about 2.6 µs and 500 bytes; a year of minutes is 100,000 of them. These functions work on whole
columns instead. NautilusTrader reads the files that they write, and they read its files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.core.datetime import unix_nanos_to_iso8601
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.errors import InputError
from catalogs.hygiene.report import iso_utc
from catalogs.hygiene.scale import factor_text, level_breaks, may_be_split
from catalogs.instruments.bar_types import instrument_id_of
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from catalogs.instruments.stored import check_instrument, is_stored, stored_tick_raw
from catalogs.sessions import session_calendar
from catalogs.storage.fixed_point import ONE_RAW, WIDTH, decode, encode
from catalogs.storage.lock import publish, writing
from catalogs.storage.provenance import Provenance, encode_provenance, provenance_path, read_provenance

_PRICES = ("open", "high", "low", "close")
ROW_GROUP = 5_000  # what ParquetDataCatalog writes
_ENCODED = 20 * ROW_GROUP  # bars at a time
_NUMBER = pa.binary(WIDTH)


def bar_folder(catalog: Path, bar_type: str) -> Path:
    """Folder of the files of one bar type, as ``ParquetDataCatalog`` names it."""
    return catalog / "data" / "bar" / bar_type


def bar_files(catalog: Path, bar_type: str) -> list[Path]:
    """Files of one bar type, earliest first; empty if the catalog has none.

    Files overlap only while `catalogs.storage.consolidate` replaces several by one: then only the new one is listed.
    """
    spans = {path: interval(path) for path in bar_folder(catalog, bar_type).glob("[0-9]*.parquet")}
    # The widest first among files with the same start, so that a file inside another comes after it.
    ordered = sorted(spans, key=lambda path: (spans[path][0], -spans[path][1]))
    files: list[Path] = []
    for path in ordered:
        if not files or spans[path][1] > spans[files[-1]][1]:
            files.append(path)
    return files


def stored_bar_types(catalog: Path) -> list[str]:
    """Bar types that the catalog holds, sorted."""
    return sorted({path.parent.name for path in (catalog / "data" / "bar").glob("*/[0-9]*.parquet")})


@dataclass(frozen=True)
class Written:
    """Result of a write: whether the bars are new or extend stored ones, and how many were not stored before."""

    outcome: Literal["imported", "appended", "already imported"]
    new_rows: int


@dataclass(frozen=True)
class NewBars:
    """Bars to write: at least one, with their instrument and their provenance."""

    spec: InstrumentSpec
    bars: BarSeries
    provenance: Provenance


def write_bars(catalog: Path, spec: InstrumentSpec, bars: BarSeries, provenance: Provenance) -> Written:
    """Add bars of one type to a catalog; see `write_all`."""
    [written] = write_all(catalog, [NewBars(spec, bars, provenance)])
    return written


def write_all(catalog: Path, news: Sequence[NewBars]) -> list[Written]:
    """Add the bars that a catalog lacks, with their instruments and provenance: all of them or none.

    Bars that are stored already must be equal to the new ones; the rest is appended as new files. Importing the same
    export again changes nothing. One process writes at a time. A stored instrument stays as it is.

    Parameters
    ----------
    catalog : Path
        Folder of a ``ParquetDataCatalog``; made if missing.
    news : sequence of NewBars
        One for each bar type.

    Returns
    -------
    list of Written

    Raises
    ------
    InputError
        If there is nothing to write, the catalog is not a folder, a bar differs from the stored one of its time or
        lies in a gap of the stored bars, the stored instrument has another tick size or multiplier or is of another
        decade, or prices break by a power of ten against the stored bars beside them.
    """
    for new in news:
        if not len(new.bars):
            raise InputError(f"no bars of {new.bars.bar_type} to write")
    with writing(catalog) as staging:
        results = [_staged(catalog, staging, new) for new in news]
        if any(staging.iterdir()):
            publish(staging, catalog)
    return results


def _staged(catalog: Path, staging: Path, new: NewBars) -> Written:
    files = bar_files(catalog, new.bars.bar_type)
    check_instrument(catalog, new.spec)
    parts = _parts_to_store(catalog, new.bars, files)
    if not parts:
        return Written("already imported", 0)
    for part in parts:
        _check_level(catalog, new.spec, part)
    if not is_stored(catalog, new.spec.instrument_id):
        ParquetDataCatalog(staging).write_data([to_nautilus(new.spec)])
    for part in parts:
        _stage(staging, new.spec, part, new.provenance)
    return Written("appended" if files else "imported", sum(map(len, parts)))


def read_bars(catalog: Path, bar_type: str, start_ns: int | None = None, end_ns: int | None = None) -> BarSeries:
    """Read bars of one type from a catalog, over all its files.

    Parameters
    ----------
    catalog : Path
    bar_type : str
        For example ``"SPY.EQUS-1-MINUTE-LAST-EXTERNAL"``.
    start_ns, end_ns : int, optional
        First and last close time, inclusive, UTC nanoseconds. Default: everything.

    Returns
    -------
    BarSeries
        ``volume_known`` is False if it is for any file read; files without provenance count as known.

    Raises
    ------
    InputError
        If the catalog has no such bar type, no bar in the range, no instrument for it, the same time in two files, or
        prices off the instrument's tick grid.
    """
    files = bar_files(catalog, bar_type)
    if not files:
        known = ", ".join(stored_bar_types(catalog)) or "none"
        raise InputError(f"no bars of {bar_type} in catalog {catalog}; bar types there: {known}")
    first, last = start_ns or 0, np.iinfo(np.int64).max if end_ns is None else end_ns
    wanted = [path for path in files if _overlaps(interval(path), (first, last))]
    tick_raw = stored_tick_raw(catalog, instrument_id_of(bar_type))
    tables = [_read_rows(path, first, last) for path in wanted]
    table = pa.concat_tables(tables) if tables else pa.table({})
    if not len(table):
        span = f"{iso_utc(interval(files[0])[0])} to {iso_utc(interval(files[-1])[1])}"
        asked = f"{iso_utc(first)} to {'the end' if end_ns is None else iso_utc(end_ns)}"
        raise InputError(f"no bars of {bar_type} from {asked}; stored are {span}")
    columns = {name: decode(table[name], tick_raw, f"{name} of {bar_type}") for name in _PRICES}
    columns["volume"] = decode(table["volume"], ONE_RAW, f"volume of {bar_type}")
    columns["ts_ns"] = table["ts_event"].to_numpy().astype(np.int64)
    if (np.diff(columns["ts_ns"]) <= 0).any():
        raise InputError(f"bars of {bar_type} in catalog {catalog} must ascend in time without duplicates, but do not")
    records = [read_provenance(catalog, path) for path in wanted]
    volume_known = all(record is None or record.volume_known for record in records)
    return BarSeries(bar_type=bar_type, volume_known=volume_known, tick_raw=float(tick_raw), **columns)


def to_table(bars: BarSeries, spec: InstrumentSpec) -> pa.Table:
    """Arrow table of bars, equal to the one that ``ParquetDataCatalog`` makes from Bar objects."""
    tick_raw = int(spec.tick_raw)
    stamps = pa.array(bars.ts_ns.astype(np.uint64))
    columns = [encode(getattr(bars, name), tick_raw) for name in _PRICES]
    columns += [encode(bars.volume, ONE_RAW), stamps, stamps]
    fields = [pa.field(name, _NUMBER, nullable=False) for name in (*_PRICES, "volume")]
    fields += [pa.field(name, pa.uint64(), nullable=False) for name in ("ts_event", "ts_init")]
    metadata = {
        "bar_type": bars.bar_type,
        "instrument_id": spec.instrument_id,
        "price_precision": str(spec.price_precision),
        "size_precision": "0",
    }
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=metadata))


def file_name(first_ns: int, last_ns: int) -> str:
    """Name of a catalog file, as ``ParquetDataCatalog`` names it: first and last time of its rows."""
    stamps = [unix_nanos_to_iso8601(ts_ns).replace(":", "-").replace(".", "-") for ts_ns in (first_ns, last_ns)]
    return f"{stamps[0]}_{stamps[1]}.parquet"


def interval(path: Path) -> tuple[int, int]:
    """First and last close time of a catalog file, from its name; UTC nanoseconds."""
    first, last = (_parse_stamp(stamp) for stamp in path.stem.split("_"))
    return first, last


def _parse_stamp(stamp: str) -> int:
    day, _, clock = stamp.removesuffix("Z").partition("T")
    hour, minute, second, nanosecond = clock.split("-")
    moment = np.datetime64(f"{day}T{hour}:{minute}:{second}.{nanosecond}", "ns")
    return int(moment.astype(np.int64))


def _overlaps(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _stage(staging: Path, spec: InstrumentSpec, bars: BarSeries, provenance: Provenance) -> Path:
    first_ns, last_ns = int(bars.ts_ns[0]), int(bars.ts_ns[-1])
    data = bar_folder(staging, bars.bar_type) / file_name(first_ns, last_ns)
    own = msgspec.structs.replace(
        provenance,
        rows=len(bars),
        filled_ns=tuple(ts_ns for ts_ns in provenance.filled_ns if first_ns <= ts_ns <= last_ns),
        calendar_hash=session_calendar(provenance.calendar).hash_between(first_ns, last_ns),
    )
    record = provenance_path(staging, data)
    for path in (record, data):
        path.parent.mkdir(parents=True, exist_ok=True)
    record.write_bytes(encode_provenance(own))
    with pq.ParquetWriter(data, to_table(bars.slice(0, 0), spec).schema) as writer:
        for start in range(0, len(bars), _ENCODED):  # encoded, bars take twice their memory
            writer.write_table(to_table(bars.slice(start, start + _ENCODED), spec), row_group_size=ROW_GROUP)
    return data


def _parts_to_store(catalog: Path, bars: BarSeries, files: list[Path]) -> list[BarSeries]:
    parts, begin = [], 0
    for path in files:
        first_ns, last_ns = interval(path)
        first, stop = np.searchsorted(bars.ts_ns, (first_ns, last_ns + 1))
        if first < stop:
            stored = read_bars(catalog, bars.bar_type, first_ns, last_ns)
            _check_agreement(bars.slice(first, stop), stored, catalog)
        parts.append(bars.slice(begin, first))
        begin = stop
    parts.append(bars.slice(begin, len(bars)))
    return [part for part in parts if len(part)]


def _check_level(catalog: Path, spec: InstrumentSpec, part: BarSeries) -> None:
    # Against the nearest stored bar of the instrument on either side, of whatever length.
    first_ns, last_ns = int(part.ts_ns[0]), int(part.ts_ns[-1])
    edges = {(path.parent.name, ts_ns) for path in _instrument_files(catalog, spec) for ts_ns in interval(path)}
    before = max((edge for edge in edges if edge[1] < first_ns), key=lambda edge: edge[1], default=None)
    after = min((edge for edge in edges if edge[1] > last_ns), key=lambda edge: edge[1], default=None)
    for stored, row, here_ns in ((before, 0, first_ns), (after, -1, last_ns)):
        if stored is None:
            continue
        bar_type, ts_ns = stored
        other = read_bars(catalog, bar_type, ts_ns, ts_ns)
        there, here = (float(price_from_ticks(bars.close[i], bars.tick_raw)) for bars, i in ((other, 0), (part, row)))
        for found in level_breaks(np.array([there]), np.array([here])):
            if not may_be_split(found, spec, between_sessions=True):
                raise InputError(
                    f"prices of {spec.instrument_id} break by a factor of {factor_text(found.factor)} against catalog "
                    f"{catalog}: {here:,g} at {iso_utc(here_ns)}, stored is {there:,g} at {iso_utc(ts_ns)}; "
                    "convert the new bars, or use another catalog"
                )


def _instrument_files(catalog: Path, spec: InstrumentSpec) -> list[Path]:
    folders = (catalog / "data" / "bar").glob(f"{spec.instrument_id}-*")
    return [path for folder in folders for path in bar_files(catalog, folder.name)]


def _check_agreement(bars: BarSeries, stored: BarSeries, catalog: Path) -> None:
    rows = np.minimum(np.searchsorted(stored.ts_ns, bars.ts_ns), len(stored) - 1)
    known = stored.ts_ns[rows] == bars.ts_ns
    differs = ~known
    for name in (*_PRICES, "volume"):
        differs |= getattr(stored, name)[rows] != getattr(bars, name)
    if not differs.any():
        return
    row = int(np.argmax(differs))
    rule = "differ from the stored ones" if known[row] else "lie in a gap of the stored ones"
    raise InputError(
        f"bars of {bars.bar_type} {rule} in catalog {catalog}: {int(differs.sum())} in all, first at "
        f"{iso_utc(int(bars.ts_ns[row]))}; import the missing range alone or use another catalog"
    )


def _read_rows(path: Path, first_ns: int, last_ns: int) -> pa.Table:
    # Row groups of 5,000 bars carry their range, so one day out of years reads little more than that day.
    with pq.ParquetFile(path, memory_map=True) as file:
        stamp = file.schema_arrow.get_field_index("ts_event")
        groups = []
        for group in range(file.num_row_groups):
            span = file.metadata.row_group(group).column(stamp).statistics
            if span is None or _overlaps((span.min, span.max), (first_ns, last_ns)):
                groups.append(group)
        table = file.read_row_groups(groups, columns=[*_PRICES, "volume", "ts_event"])
    ts_ns = table["ts_event"].to_numpy()
    return table.filter(pa.array((ts_ns >= first_ns) & (ts_ns <= last_ns)))
