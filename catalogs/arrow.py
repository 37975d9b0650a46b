"""Catalog files to and from numpy: the bytes that ``ParquetDataCatalog`` writes and reads, without Bar objects.

A Bar object costs about 2.6 µs to make and 500 bytes to keep; a year of minutes is 100,000 of them. Both functions
work on whole columns instead. What they write, NautilusTrader reads, and the other way round.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.core.datetime import unix_nanos_to_iso8601
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalogs.bar_types import instrument_id_of
from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.fixed_point import ONE_RAW, WIDTH, decode, encode
from catalogs.instruments import InstrumentSpec, to_nautilus
from catalogs.provenance import Provenance, encode_provenance, provenance_path, read_provenance
from catalogs.quality import iso_utc

_PRICES = ("open", "high", "low", "close")
_ROW_GROUP = 5_000  # what ParquetDataCatalog writes
_NUMBER = pa.binary(WIDTH)


def bar_folder(catalog: Path, bar_type: str) -> Path:
    """Folder of the files of one bar type, as ``ParquetDataCatalog`` names it."""
    return catalog / "data" / "bar" / bar_type


def bar_files(catalog: Path, bar_type: str) -> list[Path]:
    """Files of one bar type, earliest first; empty if the catalog has none."""
    return sorted(bar_folder(catalog, bar_type).glob("[0-9]*.parquet"))


def stored_bar_types(catalog: Path) -> list[str]:
    """Bar types that the catalog holds, sorted."""
    return sorted({path.parent.name for path in (catalog / "data" / "bar").glob("*/[0-9]*.parquet")})


def write_bars(
    catalog: Path, spec: InstrumentSpec, bars: BarSeries, provenance: Provenance
) -> Literal["imported", "already imported"]:
    """Write bars, their instrument and their provenance into a catalog: all of it or nothing.

    Parameters
    ----------
    catalog : Path
        Folder of a ``ParquetDataCatalog``; made if missing.
    spec : InstrumentSpec
        Instrument of the bars.
    bars : BarSeries
        At least one bar.
    provenance : Provenance

    Returns
    -------
    {"imported", "already imported"}
        The latter if the catalog holds exactly these bars; then nothing is written.

    Raises
    ------
    InputError
        If there is nothing to write, the catalog is no folder, the range overlaps with stored bars that differ,
        or the stored instrument has another tick or multiplier.
    """
    if not len(bars):
        raise InputError(f"{bars.bar_type} must have at least one bar to write, was empty")
    if catalog.exists() and not catalog.is_dir():
        raise InputError(f"catalog must be a folder, was the file {catalog}")
    if _stored_already(catalog, bars):
        return "already imported"
    _check_instrument(catalog, spec)
    target = bar_folder(catalog, bars.bar_type) / file_name(int(bars.ts_ns[0]), int(bars.ts_ns[-1]))
    catalog.mkdir(parents=True, exist_ok=True)
    with _staging(catalog) as staging:
        ParquetDataCatalog(staging).write_data([to_nautilus(spec)])
        record = provenance_path(staging, target)
        record.parent.mkdir(parents=True)
        record.write_bytes(encode_provenance(provenance))
        data = staging / target.relative_to(catalog)
        data.parent.mkdir(parents=True)
        pq.write_table(to_table(bars, spec), data, row_group_size=_ROW_GROUP)
        # The bars come last: without them the other two say nothing.
        others = [path for path in staging.rglob("*") if path.is_file() and path != data]
        for path in (*others, data):
            final = catalog / path.relative_to(staging)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
    return "imported"


def read_bars(catalog: Path, bar_type: str, start_ns: int | None = None, end_ns: int | None = None) -> BarSeries:
    """Read bars of one type from a catalog, over all its files.

    Parameters
    ----------
    catalog : Path
    bar_type : str
        For example ``"SPY.EQUS-1-MINUTE-LAST-EXTERNAL"``.
    start_ns, end_ns : int, optional
        First and last close time wanted, both inclusive, UTC nanoseconds. Default: everything.

    Returns
    -------
    BarSeries
        ``volume_known`` is False if that is so for any file read; files without provenance count as known.

    Raises
    ------
    InputError
        If the catalog has no such bar type, no bar in the range, bars of one time in two files, no instrument
        for it, or prices off the instrument's tick.
    """
    files = bar_files(catalog, bar_type)
    if not files:
        known = ", ".join(stored_bar_types(catalog)) or "nothing"
        raise InputError(f"bar type must be one that catalog {catalog} holds ({known}), was {bar_type!r}")
    first, last = start_ns or 0, np.iinfo(np.int64).max if end_ns is None else end_ns
    wanted = [path for path in files if _overlaps(_interval(path), (first, last))]
    tick_raw = _stored_tick_raw(catalog, instrument_id_of(bar_type))
    tables = [_read_rows(path, first, last) for path in wanted]
    table = pa.concat_tables(tables) if tables else pa.table({})
    if not len(table):
        span = f"{iso_utc(_interval(files[0])[0])} to {iso_utc(_interval(files[-1])[1])}"
        asked = f"{iso_utc(first)} to {'the end' if end_ns is None else iso_utc(end_ns)}"
        raise InputError(f"range must meet the bars of {bar_type} ({span}), was {asked}")
    columns = {name: decode(table[name], tick_raw, f"{name} of {bar_type}") for name in _PRICES}
    columns["volume"] = decode(table["volume"], ONE_RAW, f"volume of {bar_type}")
    columns["ts_ns"] = table["ts_event"].to_numpy().astype(np.int64)
    if (np.diff(columns["ts_ns"]) <= 0).any():
        raise InputError(f"bars of {bar_type} in catalog {catalog} must ascend without duplicates, were not")
    records = [read_provenance(catalog, path) for path in wanted]
    volume_known = all(record is None or record.volume_known for record in records)
    return BarSeries(bar_type=bar_type, volume_known=volume_known, tick_raw=float(tick_raw), **columns)


def to_table(bars: BarSeries, spec: InstrumentSpec) -> pa.Table:
    """Arrow table of bars, equal to the one that ``ParquetDataCatalog`` makes of Bar objects."""
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
    """Name of a catalog file, as ``ParquetDataCatalog`` gives it: first and last time of its rows."""
    stamps = [unix_nanos_to_iso8601(ts_ns).replace(":", "-").replace(".", "-") for ts_ns in (first_ns, last_ns)]
    return f"{stamps[0]}_{stamps[1]}.parquet"


@contextmanager
def _staging(catalog: Path) -> Iterator[Path]:
    # Inside the catalog, so that it is the same file system and renaming is one step.
    with tempfile.TemporaryDirectory(dir=catalog, prefix=".import-") as folder:
        yield Path(folder)


def _interval(path: Path) -> tuple[int, int]:
    first, last = (_parse_stamp(stamp) for stamp in path.stem.split("_"))
    return first, last


def _parse_stamp(stamp: str) -> int:
    day, _, clock = stamp.removesuffix("Z").partition("T")
    hour, minute, second, nanosecond = clock.split("-")
    moment = np.datetime64(f"{day}T{hour}:{minute}:{second}.{nanosecond}", "ns")
    return int(moment.astype(np.int64))


def _overlaps(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _stored_already(catalog: Path, bars: BarSeries) -> bool:
    span = (int(bars.ts_ns[0]), int(bars.ts_ns[-1]))
    files = [path for path in bar_files(catalog, bars.bar_type) if _overlaps(_interval(path), span)]
    if not files:
        return False
    stored = read_bars(catalog, bars.bar_type, _interval(files[0])[0], _interval(files[-1])[1])
    rows = slice(*np.searchsorted(stored.ts_ns, (span[0], span[1] + 1)))
    columns = ("ts_ns", *_PRICES, "volume")
    if all(np.array_equal(getattr(stored, name)[rows], getattr(bars, name)) for name in columns):
        return True
    held = ", ".join(f"{iso_utc(first)} to {iso_utc(last)}" for first, last in map(_interval, files))
    raise InputError(
        f"bars of {bars.bar_type} must not overlap with others in catalog {catalog} ({held}), "
        f"was {iso_utc(span[0])} to {iso_utc(span[1])}; import the missing range alone or use another catalog"
    )


def _instrument_files(catalog: Path, instrument_id: str) -> list[Path]:
    return sorted(
        path
        for kind in ("futures_contract", "equity")
        for path in (catalog / "data" / kind / instrument_id).glob("*.parquet")
    )


def _check_instrument(catalog: Path, spec: InstrumentSpec) -> None:
    for path in _instrument_files(catalog, spec.instrument_id):
        [stored] = pq.read_table(path).to_pylist()
        terms = {"price_increment": str(spec.tick_size), "multiplier": str(spec.multiplier)}
        for name, value in terms.items():
            if name in stored and stored[name] != value:
                raise InputError(
                    f"{name} of {spec.instrument_id} must be {stored[name]} as in catalog {catalog}, was {value}"
                )


def _stored_tick_raw(catalog: Path, instrument_id: str) -> int:
    files = _instrument_files(catalog, instrument_id)
    if not files:
        raise InputError(f"catalog {catalog} must hold the instrument {instrument_id}, was missing")
    increment = pq.read_table(files[-1], columns=["price_increment"])["price_increment"][-1].as_py()
    whole, _, decimals = increment.partition(".")
    return int(whole + decimals.ljust(16, "0"))


def _read_rows(path: Path, first_ns: int, last_ns: int) -> pa.Table:
    # Row groups of 5,000 bars carry their range, so a day out of years reads a day.
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
