"""``rl-intraday data import``: bars, trades and quotes from CSV, Parquet and DBN files into the catalog."""

from pathlib import Path

import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.files import DBN_SUFFIXES, FileBars, load_bars, symbols_in
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import InstrumentTable, load_table
from catalogs.storage.ingest import Imported, import_bars
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import messages, report
from run.data.choices import Stamp
from run.data.output import import_record, print_import, print_records
from run.day import day_of


class Reading(msgspec.Struct, frozen=True):
    """How to read the files of an import."""

    bar: str
    stamp: Stamp | None
    time_zone: str | None
    assume_volume: int
    strict: bool


def run_import(
    *,
    files: list[Path],
    instrument: str | None,
    bar: str,
    stamp: Stamp | None,
    tz: str | None,
    symbol: str | None,
    assume_volume: int,
    strict: bool,
    catalog: Path,
    as_json: bool,
) -> None:
    """Import bars from CSV or Parquet files, or bars, trades, quotes and definitions from Databento's DBN files.

    The options are those of the verb; see `run.data.commands.import_`.
    """
    table = load_table(instruments_path())
    bar_length_ns(bar)
    if instrument is not None:
        resolve(instrument, table)  # refuses an unknown name before reading anything
    missing = next((path for path in files if not path.is_file()), None)
    if missing is not None:
        raise InputError(f"{missing} is not a file" if missing.exists() else f"file {missing} does not exist")
    if all(path.name.endswith(DBN_SUFFIXES) for path in files):
        from run.data import dbn

        dbn.import_files(files, instrument, catalog, as_json=as_json, strict=strict)
        return
    if stamp is None:
        report("timestamps are taken as bar OPENS; pass --stamp close if they mark bar closes")
    reading = Reading(bar, stamp, tz, assume_volume, strict)
    imports = [
        _import(catalog, table, _load(holding, tz, name), instrument or name or "", reading)
        for name, holding in _wanted(files, instrument, symbol)
    ]
    if as_json:
        print_records([import_record(imported, catalog) for imported in imports], as_json)
        return
    for imported in imports:
        print_import(imported, catalog)


def _wanted(files: list[Path], instrument: str | None, symbol: str | None) -> list[tuple[str | None, list[Path]]]:
    if instrument is not None:
        return [(symbol, files)]
    held = {path: symbols_in(path) for path in files}
    unnamed = next((path for path, names in held.items() if not names), None)
    if unnamed is not None:
        raise InputError(f"{unnamed.name} names no symbol: give --instrument")
    names = sorted({name for names in held.values() for name in names if symbol in (None, name)})
    if not names:
        raise InputError(f"no symbol {symbol!r} in the files (--symbol)")
    return [(name, [path for path in files if name in held[path]]) for name in names]


def _import(
    catalog: Path, table: InstrumentTable, loaded: list[FileBars], instrument: str, reading: Reading
) -> Imported:
    spec = resolve(instrument, table, day_of(loaded[0].table["ts_ns"][0].as_py()))
    _report_choices(loaded, spec)
    return import_bars(
        catalog,
        spec,
        reading.bar,
        [source.table for source in loaded],
        [SourceFile(str(source.path), source.sha256, len(source.table), source.symbol) for source in loaded],
        stamp="open" if reading.stamp is None else reading.stamp.value,
        time_zone=reading.time_zone or "",
        assume_volume=reading.assume_volume,
        strict=reading.strict,
    )


def _load(files: list[Path], time_zone: str | None, symbol: str | None) -> list[FileBars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bars:
        reading = bars.add_task(f"reading files {symbol or ''}", total=len(files))
        loaded = []
        for path in files:
            loaded.append(load_bars(path, time_zone=time_zone, symbol=symbol))
            bars.advance(reading)
    return loaded


def _report_choices(loaded: list[FileBars], spec: InstrumentSpec) -> None:
    name = spec.symbol
    for source in loaded:
        if source.symbol not in ("", name):
            report(f"{source.path.name}: bars of symbol {source.symbol!r} are stored as {spec.instrument_id}")
        if source.columns.unused:
            report(f"{source.path.name}: unused columns: {', '.join(source.columns.unused)}")
