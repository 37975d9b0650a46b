"""``rl-intraday data spreads``: a table of spreads by instrument and time of day, for ``execution: {slippage: …}``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from adapters.errors import SourceError
from adapters.files.timestamps import to_utc_ns
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_type_of, instrument_id_of
from catalogs.instruments.identifiers import symbol_of
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.stored import stored_instruments, stored_spec
from catalogs.spreads.estimates import SpreadBucket, SpreadMethod, spread_rows, spreads_from_bars, spreads_from_quotes
from catalogs.spreads.table import SpreadRows, spread_key, write_spreads
from catalogs.storage.arrow import read_bars, stored_bar_types
from catalogs.storage.ticks import read_quotes
from configs import instruments_path
from run.console import print_json, print_result
from run.day import DAY_NS, day_of, midnight_ns
from run.options import existing_catalog

TIMES = ("ts_event", "ts_recv", "timestamp", "time", "datetime", "date")
BIDS = ("bid", "bid_price", "bid_px_00", "bidprice", "best_bid")
ASKS = ("ask", "ask_price", "ask_px_00", "askprice", "best_ask")


@dataclass(frozen=True)
class Window:
    """UTC nanoseconds, both ends included; None for open ends."""

    start_ns: int | None
    end_ns: int | None


def run_spreads(
    *,
    instruments: Sequence[str],
    method: SpreadMethod,
    quotes: Path | None,
    tz: str | None,
    bar: str,
    minutes: int,
    start: datetime | None,
    end: datetime | None,
    out: Path | None,
    catalog: Path,
    as_json: bool,
) -> None:
    """Measure or estimate spreads and write them as a table.

    The options are those of the verb; see `run.data.commands.spreads`.
    """
    if quotes is not None and len(instruments) > 1:
        raise InputError(f"--quotes is a file of one instrument, {len(instruments)} were named")
    window = Window(
        None if start is None else midnight_ns(start.date()), None if end is None else midnight_ns(end.date()) + DAY_NS
    )
    found: dict[str, list[SpreadBucket]] = {}
    for spec in _named(existing_catalog(catalog), instruments):
        if quotes is not None:
            buckets = _from_file(quotes, tz, spec, minutes, window)
        elif method == "quotes":
            buckets = _from_catalog(catalog, spec, minutes, window)
        else:
            buckets = _from_bars(catalog, spec, bar, method, minutes, window)
        if spread_key(spec) in found:
            raise InputError(
                f"{spread_key(spec)} is named twice: a table holds one set of rows for all contract months"
            )
        found[spread_key(spec)] = buckets
    used = f"quotes of {quotes.name}" if quotes is not None else method
    if out is not None:
        table: dict[str, SpreadRows] = {name: spread_rows(buckets) for name, buckets in found.items()}
        write_spreads(out, table, (f"spreads by {used}, every {minutes} minutes of the session",))
    if as_json:
        print_json({"method": used, "file": None if out is None else str(out), "spreads": msgspec.to_builtins(found)})
    else:
        _print(found, used, out)


def _named(catalog: Path, instruments: Sequence[str]) -> list[InstrumentSpec]:
    held = stored_instruments(catalog)
    chosen = []
    for name in instruments:
        fitting = [each for each in held if name in (each, symbol_of(each))]
        if len(fitting) != 1:
            raise InputError(
                f"instrument must be one that the catalog holds, {', '.join(held) or 'none'}; was {name!r}"
            )
        last_ns = max((int(read_bars(catalog, t).ts_ns[-1]) for t in _bar_types(catalog, fitting[0])), default=None)
        day = None if last_ns is None else day_of(last_ns)
        chosen.append(stored_spec(catalog, resolve(fitting[0], instruments_path(), day)))
    return chosen


def _bar_types(catalog: Path, instrument_id: str) -> list[str]:
    return [each for each in stored_bar_types(catalog) if instrument_id_of(each) == instrument_id]


def _from_bars(
    catalog: Path, spec: InstrumentSpec, bar: str, method: SpreadMethod, minutes: int, window: Window
) -> list[SpreadBucket]:
    bar_type = bar_type_of(spec, bar)
    if bar_type not in stored_bar_types(catalog):
        has = ", ".join(_bar_types(catalog, spec.instrument_id)) or "none"
        raise InputError(f"no {bar} bars of {spec.instrument_id} in catalog {catalog}, has {has}")
    return spreads_from_bars(
        read_bars(catalog, bar_type, window.start_ns, window.end_ns), spec.sessions, method, minutes
    )


def _from_catalog(catalog: Path, spec: InstrumentSpec, minutes: int, window: Window) -> list[SpreadBucket]:
    ts_ns, bid, ask = read_quotes(catalog, spec, window.start_ns, window.end_ns)
    return spreads_from_quotes(ts_ns, bid, ask, spec.sessions, minutes, f"quotes of {spec.instrument_id}")


def _from_file(path: Path, tz: str | None, spec: InstrumentSpec, minutes: int, window: Window) -> list[SpreadBucket]:
    table = _read(path)
    try:
        ts_ns = to_utc_ns(_column(table, TIMES, path), tz, path.name)
    except SourceError as error:
        raise InputError(str(error)) from error
    tick = float(spec.tick_size)
    bid, ask = (_numbers(_column(table, names, path), path) / tick for names in (BIDS, ASKS))
    order = np.argsort(ts_ns, kind="stable")
    inside = (ts_ns >= (window.start_ns or 0)) & (ts_ns <= (window.end_ns or np.iinfo(np.int64).max))
    order = order[inside[order]]
    return spreads_from_quotes(ts_ns[order], bid[order], ask[order], spec.sessions, minutes, path.name)


def _read(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path, partitioning=None)
        table = pacsv.read_csv(path)
        _ = table.column_names  # read here: arrow decodes them only when they are asked for
        return table
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"quote file {path}: {' '.join(str(error).split())}") from error


def _column(table: pa.Table, names: Sequence[str], path: Path) -> pa.ChunkedArray:
    lowered = {name.lower(): name for name in table.schema.names}
    for name in names:
        if name in lowered:
            return table[lowered[name]]
    raise InputError(
        f"quote file {path.name} must have one of the columns {', '.join(names)}, has {', '.join(lowered)}"
    )


def _numbers(column: pa.ChunkedArray, path: Path) -> NDArray[np.float64]:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InputError(f"quote file {path.name}: prices must be numbers, were {column.type}")
    values = column.cast(pa.float64()).to_numpy()
    sound = values[np.isfinite(values) & (values > 0)]
    if len(sound) and np.median(sound) > 1e6:
        raise InputError(f"quote file {path.name}: prices must be in USD, the median was {np.median(sound):,.0f}")
    return np.nan_to_num(values)


def _print(found: dict[str, list[SpreadBucket]], used: str, out: Path | None) -> None:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("instrument", "from the open", "spread, ticks", "basis points", "observations", ""):
        table.add_column(heading, justify="left" if heading in ("instrument", "") else "right")
    for name, buckets in found.items():
        for bucket in buckets:
            when = f"{bucket.minute // 60}:{bucket.minute % 60:02d}"
            mark = "few: the session's" if bucket.of_session else ""
            table.add_row(
                name, when, f"{bucket.spread_ticks:.2f}", f"{bucket.spread_bps:.2f}", f"{bucket.count:,}", mark
            )
    print_result(table)
    print_result(f"by {used}; a market order or a stop pays half of it")
    if out is not None:
        print_result(f"written: {out}   use it with --set execution.slippage.spreads={out}")
