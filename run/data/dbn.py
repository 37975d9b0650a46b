"""Imports DBN files into the catalog as bars, trades, quotes or instruments, depending on their schema.

Every symbol of every file is resolved, and every bar cleaned, before anything is written: bars go in all together or
not at all. Trades and quotes are streamed, so each instrument of a file is a step of its own.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from adapters.databento import (
    DbnFile,
    Definition,
    SymbolBars,
    asset_of,
    bar_tables,
    definitions,
    kind_of,
    open_dbn,
    tick_tables,
)
from adapters.databento.schemas import BARS
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve, resolve_share, to_nautilus
from catalogs.instruments.stored import check_instrument
from catalogs.instruments.table import InstrumentTable, load_table
from catalogs.storage.ingest import prepare, store
from catalogs.storage.lock import writing
from catalogs.storage.provenance import SourceFile
from catalogs.storage.ticks import TickKind, write_ticks
from configs import instruments_path
from run.console import report
from run.data.output import import_record, print_records
from run.data.publishers import Published, check_publishers, publisher_facts
from run.data.stored import Stored, listing_stored
from run.day import day_of

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Choices:
    """What to take from DBN files, and under which name.

    Attributes
    ----------
    instrument : str or None
        Name for the one symbol of a file; default: the symbols' own.
    symbols : collection of str or None
        Symbols to take; default: all.
    publisher : str or None
        Venue to take where several published; default: bars are combined.
    strict : bool
        Refuse files that need repairs, or bars of several publishers.
    """

    instrument: str | None = None
    symbols: Collection[str] | None = None
    publisher: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class _Bars:
    spec: InstrumentSpec
    bar: str
    bars: SymbolBars
    source: SourceFile


Write = Callable[[], dict[str, Any]]


def import_files(files: Sequence[Path], choices: Choices, catalog: Path, *, as_json: bool) -> None:
    """Import DBN files and print the outcome of each instrument; see `import_opened`."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_dbn(path)) for path in files]
        stored = stack.enter_context(listing_stored())
        print_records(import_opened(opened, choices, catalog, stored), as_json)


def import_opened(files: Sequence[DbnFile], choices: Choices, catalog: Path, stored: Stored) -> list[dict[str, Any]]:
    """Import open DBN files; what is stored is noted in ``stored`` at once.

    Returns
    -------
    list of dict
        Import records as plain data: one per instrument for bars, one per instrument and file for the rest.

    Raises
    ------
    SourceError
        If the schema or the dataset of one is not imported, or as `adapters.databento.publishers` refuses.
    InputError
        If an instrument is unknown, its terms differ from the instrument table, the file's symbols are no real
        contracts and no instrument was named, or as `catalogs.storage.ingest.prepare` and
        `catalogs.storage.ticks.write_ticks`. No bar is stored then.
    """
    table = load_table(instruments_path())
    bars: list[_Bars] = []
    later: list[Write] = []
    for file in files:
        kind = kind_of(file.schema, file.path.name)
        if kind == "definitions":
            later += [_definition(catalog, spec) for spec in _defined(file, table)]
            continue
        symbols = _wanted(file, choices)
        if kind == "bars":
            bars += _bars_of(file, symbols, choices, table)
        else:
            days = dict.fromkeys(symbols, _first_day(file))
            named = _named(file, choices, table, days)
            later += [_ticks(file, symbol, spec, kind, choices, catalog) for symbol, spec in named.items()]
    if not bars and not later:
        raise InputError(f"no records in {', '.join(file.path.name for file in files)}")
    records = [stored.add(record) for record in _store(bars, catalog, choices)]
    return records + [stored.add(write()) for write in later]


def _wanted(file: DbnFile, choices: Choices) -> list[str]:
    name = file.path.name
    if file.stype_in != "raw_symbol" and choices.instrument is None:
        raise InputError(
            f"{name} holds {file.stype_in} symbols, not raw ones: name the series with --instrument, or "
            "fetch the contracts"
        )
    held = set(file.store.mappings)
    symbols = sorted(held if choices.symbols is None else held & set(choices.symbols))
    if choices.symbols is not None and not symbols:
        raise InputError(f"{name} has no symbol {', '.join(choices.symbols)}, has {_listed(held)}")
    if choices.instrument is not None and len(symbols) != 1:
        raise InputError(
            f"{name} must hold one symbol for --instrument, holds {_listed(symbols)}: choose one with --symbol"
        )
    return symbols


def _named(file: DbnFile, choices: Choices, table: InstrumentTable, days: dict[str, date]) -> dict[str, InstrumentSpec]:
    specs, unknown = {}, []
    for symbol, day in days.items():
        try:
            specs[symbol] = _resolved(choices.instrument, symbol, file.dataset, table, day)
        except InputError as error:
            unknown.append(str(error))
    if unknown:
        more = f" (and {len(unknown) - 1} more symbols)" if len(unknown) > 1 else ""
        choose = "; nothing was imported, choose symbols with --symbol" if len(days) > 1 else ""
        raise InputError(f"{file.path.name}: {unknown[0]}{more}{choose}")
    return specs


def _first_day(file: DbnFile) -> date:
    for block in file.store.to_ndarray(count=1):
        if len(block):
            return day_of(int(block["ts_recv" if "ts_recv" in block.dtype.names else "ts_event"][0]))
    return day_of(int(file.store.metadata.start))


def _resolved(
    instrument: str | None, symbol: str, dataset: str, table: InstrumentTable, day: date | None
) -> InstrumentSpec:
    if instrument is not None:
        return resolve(instrument, table, day)
    return resolve(symbol, table, day) if asset_of(dataset) == "future" else resolve_share(symbol, table)


def _bars_of(file: DbnFile, symbols: list[str], choices: Choices, table: InstrumentTable) -> Iterator[_Bars]:
    tables = bar_tables(file, choices.publisher)
    # The last bar decides the decade of a contract month: it is the nearest to the expiry.
    days = {symbol: day_of(tables[symbol].table["ts_ns"][-1].as_py()) for symbol in symbols if symbol in tables}
    for symbol, spec in _named(file, choices, table, days).items():
        bars = tables[symbol]
        yield _Bars(spec, BARS[file.schema], bars, SourceFile(str(file.path), file.sha256, len(bars.table), symbol))


def _store(found: list[_Bars], catalog: Path, choices: Choices) -> list[dict[str, Any]]:
    parts: dict[tuple[str, str], list[_Bars]] = {}
    for each in found:
        parts.setdefault((each.spec.instrument_id, each.bar), []).append(each)
    published = [[_published(part) for part in each] for each in parts.values()]
    for bars, facts in zip(parts.values(), published, strict=True):
        check_publishers(bars[0].source.symbol, facts, strict=choices.strict)
    news = [
        prepare(
            catalog, each[0].spec, bar, [part.bars.table for part in each], [part.source for part in each],
            stamp="open", strict=choices.strict,
        )
        for (_, bar), each in parts.items()
    ]  # fmt: skip
    imports = store(catalog, news) if news else []
    return [
        {**import_record(imported, catalog), **publisher_facts(facts)}
        for imported, facts in zip(imports, published, strict=True)
    ]


def _published(part: _Bars) -> Published:
    return Published(Path(part.source.path).name, part.bars.table, part.bars.publishers, part.bars.combined)


def _ticks(file: DbnFile, symbol: str, spec: InstrumentSpec, kind: TickKind, choices: Choices, catalog: Path) -> Write:
    def write() -> dict[str, Any]:
        chunks = (rows for name, rows in tick_tables(file, choices.publisher) if name == symbol)
        written = write_ticks(catalog, spec, kind, chunks)
        facts = {"kind": kind, "instrument_id": spec.instrument_id, "catalog": str(catalog)}
        return {**facts, **msgspec.to_builtins(written), "source": str(file.path), "sha256": file.sha256}

    return write


def _defined(file: DbnFile, table: InstrumentTable) -> list[InstrumentSpec]:
    return [_spec_of(definition, file.dataset, table) for definition in definitions(file)]


def _definition(catalog: Path, spec: InstrumentSpec) -> Write:
    def write() -> dict[str, Any]:
        with writing(catalog) as staging:
            check_instrument(catalog, spec)
            ParquetDataCatalog(staging).write_data([to_nautilus(spec)])
            for path in sorted((staging / "data").rglob("*.parquet")):
                final = catalog / path.relative_to(staging)
                final.parent.mkdir(parents=True, exist_ok=True)
                path.replace(final)
        facts = {"outcome": "imported", "rows": 1, "kind": "definition", "instrument_id": spec.instrument_id}
        return {**facts, "expiration_ns": spec.expiration_ns}

    return write


def _spec_of(definition: Definition, dataset: str, table: InstrumentTable) -> InstrumentSpec:
    expiry = day_of(definition.expiration_ns) if definition.expiration_ns else None
    spec = _resolved(None, definition.symbol, dataset, table, expiry)
    if definition.is_future != (spec.kind == "future"):
        raise InputError(f"definition of {definition.symbol} must be of kind {spec.kind}, was not")
    if not definition.is_future:
        return spec
    published = {
        "tick size": (definition.tick_size, spec.tick_size),
        "multiplier": (definition.multiplier or spec.multiplier, spec.multiplier),
        "exchange": (definition.exchange, spec.venue),
    }
    for name, (theirs, ours) in published.items():
        if theirs != ours:
            raise InputError(f"{name} of {definition.symbol} must be {ours} as in the instrument table, was {theirs}")
    _check_expiration(definition, spec)
    return spec


def _check_expiration(definition: Definition, spec: InstrumentSpec) -> None:
    both = definition.expiration_ns, spec.expiration_ns
    theirs, ours = (np.datetime64(ns, "ns").astype("datetime64[m]") for ns in both)
    if abs(both[0] - both[1]) >= _DAY_NS:
        raise InputError(
            f"expiration of {definition.symbol} must be {ours} UTC as in the instrument table, was {theirs}"
        )
    if theirs != ours:
        report(f"{definition.symbol}: its last trade is at {theirs} UTC; {ours} of the instrument table is kept")


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:5]
    return (", ".join(shown) or "none") + (", …" if len(names) > len(shown) else "")
