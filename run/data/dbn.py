"""Imports DBN files into the catalog as bars, trades, quotes or instruments, depending on their schema."""

from pathlib import Path
from typing import Any

import msgspec
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from adapters.databento import DbnFile, Definition, bar_tables, definitions, kind_of, open_dbn, tick_tables
from adapters.databento.schemas import BARS
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve, to_nautilus
from catalogs.instruments.stored import check_instrument
from catalogs.instruments.table import InstrumentTable, load_table
from catalogs.storage.ingest import import_bars
from catalogs.storage.lock import writing
from catalogs.storage.provenance import SourceFile
from catalogs.storage.ticks import TickKind, write_ticks
from configs import instruments_path
from run.data.output import import_record, print_records
from run.day import day_of


def import_files(
    files: list[Path], instrument: str | None, catalog: Path, *, as_json: bool, strict: bool = False
) -> None:
    """Import DBN files one by one and print the outcome of each; see `import_file`."""
    records = []
    for path in files:
        with open_dbn(path) as file:
            records += import_file(file, instrument, catalog, strict=strict)
    print_records(records, as_json)


def import_file(file: DbnFile, instrument: str | None, catalog: Path, *, strict: bool = False) -> list[dict[str, Any]]:
    """Import one DBN file.

    Returns
    -------
    list of dict
        Import records as plain data, one per instrument.

    Raises
    ------
    SourceError
        If its schema is not imported.
    InputError
        If an instrument is unknown, its terms differ from the instrument table, the file's symbols are no real
        contracts and no instrument was named, or as `catalogs.storage.ingest.import_bars` and
        `catalogs.storage.ticks.write_ticks`.
    """
    kind = kind_of(file.schema, file.path.name)
    if kind == "definitions":
        return [_import_definition(catalog, definition) for definition in definitions(file)]
    if file.stype_in != "raw_symbol" and instrument is None:
        raise InputError(
            f"{file.path.name} holds {file.stype_in} symbols, not raw ones: name the series with --instrument, or "
            "fetch the contracts"
        )
    if instrument is not None and len(file.store.mappings) != 1:
        held = ", ".join(sorted(file.store.mappings))
        raise InputError(f"{file.path.name} must hold one symbol for --instrument, holds {held or 'none'}")
    table = load_table(instruments_path())
    if kind == "bars":
        return _import_bars(file, instrument, catalog, table, strict=strict)
    return _import_ticks(file, instrument, catalog, table, kind)


def _import_bars(
    file: DbnFile, instrument: str | None, catalog: Path, table: InstrumentTable, *, strict: bool
) -> list[dict[str, Any]]:
    records = []
    for symbol, bars in bar_tables(file).items():
        spec = resolve(instrument or symbol, table, day_of(bars["ts_ns"][0].as_py()))
        source = SourceFile(str(file.path), file.sha256, len(bars), symbol)
        imported = import_bars(catalog, spec, BARS[file.schema], [bars], [source], stamp="open", strict=strict)
        records.append(import_record(imported, catalog))
    if not records:
        raise InputError(f"no bars in {file.path.name}")
    return records


def _import_ticks(
    file: DbnFile, instrument: str | None, catalog: Path, table: InstrumentTable, kind: TickKind
) -> list[dict[str, Any]]:
    day = day_of(int(file.store.metadata.start))
    records = []
    for symbol in sorted(file.store.mappings):
        spec = resolve(instrument or symbol, table, day)
        chunks = (rows for name, rows in tick_tables(file) if name == symbol)
        written = write_ticks(catalog, spec, kind, chunks)
        facts = {"kind": kind, "instrument_id": spec.instrument_id, "catalog": str(catalog)}
        records.append({**facts, **msgspec.to_builtins(written), "source": str(file.path), "sha256": file.sha256})
    return records


def _import_definition(catalog: Path, definition: Definition) -> dict[str, Any]:
    spec = _spec_of(definition)
    with writing(catalog) as staging:
        check_instrument(catalog, spec)
        ParquetDataCatalog(staging).write_data([to_nautilus(spec)])
        for path in sorted((staging / "data").rglob("*.parquet")):
            final = catalog / path.relative_to(staging)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
    facts = {"outcome": "imported", "rows": 1, "kind": "definition", "instrument_id": spec.instrument_id}
    return {**facts, "expiration_ns": spec.expiration_ns}


def _spec_of(definition: Definition) -> InstrumentSpec:
    expiry = day_of(definition.expiration_ns) if definition.expiration_ns else None
    spec = resolve(definition.symbol, instruments_path(), expiry)
    published = {
        "tick size": (definition.tick_size, spec.tick_size),
        "multiplier": (definition.multiplier, spec.multiplier),
        "expiration": (definition.expiration_ns, spec.expiration_ns),
    }
    if definition.is_future != (spec.kind == "future"):
        raise InputError(f"definition of {definition.symbol} must be of kind {spec.kind}, was not")
    for name, (theirs, ours) in published.items():
        if definition.is_future and theirs != ours:
            raise InputError(f"{name} of {definition.symbol} must be {ours} as in the instrument table, was {theirs}")
    return spec
