"""Trades and quotes into the catalog, in the format of ``ParquetDataCatalog``, written as they stream in."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.hygiene.report import iso_utc
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from catalogs.instruments.stored import check_instrument
from catalogs.storage.arrow import ROW_GROUP, file_name, interval
from catalogs.storage.fixed_point import ONE_RAW, WIDTH, decode, encode
from catalogs.storage.lock import writing

TickKind = Literal["trades", "quotes"]

_FOLDERS: dict[TickKind, str] = {"trades": "trade_tick", "quotes": "quote_tick"}
_NUMBERS: dict[TickKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "trades": (("price",), ("size",)),
    "quotes": (("bid_price", "ask_price"), ("bid_size", "ask_size")),
}


@dataclass(frozen=True)
class TicksWritten:
    """Result of writing ticks: how many, and how many prices were off the tick grid and rounded."""

    outcome: Literal["imported", "already imported"]
    rows: int
    off_tick: int
    first: str
    last: str


def write_ticks(catalog: Path, spec: InstrumentSpec, kind: TickKind, tables: Iterable[pa.Table]) -> TicksWritten:
    """Write trades or quotes of one instrument; memory is bounded by one table.

    Parameters
    ----------
    catalog : Path
    spec : InstrumentSpec
    kind : {"trades", "quotes"}
    tables : iterable of pyarrow.Table
        In order of time. Columns ``ts_ns``, then ``price, size, side, id`` (side: 1 buyer, 2 seller, 0 neither) or
        ``bid_price, ask_price, bid_size, ask_size``; prices are integers of 1e-9 USD.

    Returns
    -------
    TicksWritten

    Raises
    ------
    InputError
        If there are none, times go backwards, a price is not positive, or different ticks are stored for that time.
    """
    folder = catalog / "data" / _FOLDERS[kind] / spec.instrument_id
    with writing(catalog) as staging:
        check_instrument(catalog, spec)
        aside = staging / "ticks.parquet"
        off_tick, first_ns, last_ns, rows = 0, 0, 0, 0
        with pq.ParquetWriter(aside, _schema(spec, kind)) as writer:
            for table in tables:
                if not len(table):
                    continue
                last_ns = _check_times(table["ts_ns"].to_numpy(), last_ns, spec.instrument_id)
                first_ns = first_ns or int(table["ts_ns"][0].as_py())
                encoded, rounded = _encoded(table, spec, kind)
                writer.write_table(encoded, row_group_size=ROW_GROUP)
                off_tick, rows = off_tick + rounded, rows + len(table)
        if not rows:
            raise InputError(f"no {kind} of {spec.instrument_id} to write")
        span = (iso_utc(first_ns), iso_utc(last_ns))
        target = folder / file_name(first_ns, last_ns)
        if _stored(folder, target, aside, first_ns, last_ns):
            return TicksWritten("already imported", rows, off_tick, *span)
        ParquetDataCatalog(staging).write_data([to_nautilus(spec)])
        for path in sorted((staging / "data").rglob("*.parquet")):
            final = catalog / path.relative_to(staging)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
        folder.mkdir(parents=True, exist_ok=True)
        aside.replace(target)
    return TicksWritten("imported", rows, off_tick, *span)


def _schema(spec: InstrumentSpec, kind: TickKind) -> pa.Schema:
    prices, sizes = _NUMBERS[kind]
    fields = [(name, pa.binary(WIDTH)) for name in (*prices, *sizes)]
    if kind == "trades":
        fields += [("aggressor_side", pa.uint8()), ("trade_id", pa.string())]
    fields += [("ts_event", pa.uint64()), ("ts_init", pa.uint64())]
    metadata = {
        "instrument_id": spec.instrument_id,
        "price_precision": str(spec.price_precision),
        "size_precision": "0",
    }
    return pa.schema([pa.field(name, kind_, nullable=False) for name, kind_ in fields], metadata=metadata)


def _encoded(table: pa.Table, spec: InstrumentSpec, kind: TickKind) -> tuple[pa.Table, int]:
    price_names, size_names = _NUMBERS[kind]
    tick_nano = int(spec.tick_size.scaleb(9))
    columns, off_tick = [], 0
    for name in price_names:
        nano = table[name].to_numpy()
        if (nano <= 0).any():
            raise InputError(f"{name} of {spec.instrument_id} must be positive, was {nano.min() / 1e9:g}")
        ticks = (nano + tick_nano // 2) // tick_nano
        off_tick += int((ticks * tick_nano != nano).sum())
        columns.append(encode(ticks, int(spec.tick_raw)))
    columns += [encode(table[name].to_numpy(), ONE_RAW) for name in size_names]
    if kind == "trades":
        columns += [table["side"].combine_chunks(), table["id"].combine_chunks()]
    stamps = pa.array(table["ts_ns"].to_numpy().astype(np.uint64))
    return pa.Table.from_arrays([*columns, stamps, stamps], schema=_schema(spec, kind)), off_tick


def _check_times(ts_ns: NDArray[np.int64], before_ns: int, name: str) -> int:
    if ts_ns[0] < before_ns or (np.diff(ts_ns) < 0).any():
        raise InputError(f"ticks of {name} must be in order of time, but go backwards")
    return int(ts_ns[-1])


def _stored(folder: Path, target: Path, aside: Path, first_ns: int, last_ns: int) -> bool:
    if target.exists() and pq.read_table(target, partitioning=None).equals(pq.read_table(aside, partitioning=None)):
        return True
    for path in folder.glob("[0-9]*.parquet"):
        begin, end = interval(path)
        if begin <= last_ns and first_ns <= end:
            raise InputError(
                f"ticks of {folder.name} from {iso_utc(first_ns)} to {iso_utc(last_ns)} overlap with stored ones "
                f"({iso_utc(begin)} to {iso_utc(end)})"
            )
    return False


def read_quotes(
    catalog: Path, spec: InstrumentSpec, start_ns: int | None = None, end_ns: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Times in UTC nanoseconds, bids and asks in ticks, of the quotes that the catalog holds.

    Raises
    ------
    InputError
        If there are none, or a price is off the instrument's tick.
    """
    folder = catalog / "data" / _FOLDERS["quotes"] / spec.instrument_id
    columns: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for path in sorted(folder.glob("[0-9]*.parquet")):
        table = pq.read_table(path, columns=["ts_event", "bid_price", "ask_price"], partitioning=None)
        columns[0].append(table["ts_event"].to_numpy().astype(np.int64))
        for place, name in ((1, "bid_price"), (2, "ask_price")):
            columns[place].append(decode(table[name], int(spec.tick_raw), f"{name} of {spec.instrument_id}"))
    if not columns[0]:
        raise InputError(f"catalog {catalog} has no quotes of {spec.instrument_id}")
    ts_ns, bid, ask = (np.concatenate(parts) for parts in columns)
    inside = (ts_ns >= (start_ns or 0)) & (ts_ns <= (end_ns or np.iinfo(np.int64).max))
    order = np.argsort(ts_ns[inside], kind="stable")
    return ts_ns[inside][order], bid[inside][order].astype(np.float64), ask[inside][order].astype(np.float64)
