"""``rl-intraday data import``: bars, trades and quotes from files into the catalog."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.files import BAR_SCHEMA, DBN_SUFFIXES, FileBars, ReadOptions, read_file
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns, instrument_id_of
from catalogs.instruments.specification import InstrumentSpec, is_root, resolve, resolve_share, resolve_symbol
from catalogs.instruments.table import InstrumentTable, load_table
from catalogs.storage.arrow import NewBars
from catalogs.storage.ingest import Stamp, prepare, store
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import messages, report
from run.data import choices
from run.data.output import import_record, print_records, print_sources
from run.data.publishers import Published, check_publishers, publisher_facts
from run.day import day_of
from run.options import comma_separated

_REPORTED = 5  # files named before "and N more"


class Reading(msgspec.Struct, frozen=True):
    """How to read the files of an import."""

    bar: str
    stamp: choices.Stamp | None
    assume_volume: int
    strict: bool


def run_import(
    *,
    files: list[Path],
    instrument: str | None,
    bar: str,
    stamp: choices.Stamp | None,
    tz: str | None,
    dates: choices.DateOrder | None,
    symbol: list[str] | None,
    file_format: str | None,
    columns: str | None,
    publisher: str | None,
    assume_volume: int,
    strict: bool,
    catalog: Path,
    as_json: bool,
) -> None:
    """Import bars from text, Parquet or JSON files, or bars, trades, quotes and definitions from Databento's DBN files.

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

        chosen = dbn.Choices(instrument, _wanted(symbol), publisher, strict)
        dbn.import_files(files, chosen, catalog, as_json=as_json)
        return
    options = ReadOptions(
        time_zone=tz,
        dates=None if dates is None else dates.value,
        format=file_format,
        columns=None if columns is None else tuple(comma_separated(columns)),
        publisher=publisher,
        publisher_name=_publisher_name,
    )
    loaded = _load(files, options, _wanted(symbol))
    reading = Reading(bar, stamp, assume_volume, strict)
    groups = _by_instrument(loaded, instrument)
    specs = _specifications(groups, table)
    facts = {specs[name].instrument_id: _publishers(name, groups[name], strict) for name in groups}
    _report_choices(groups, specs, reading)
    understood = [replace(source, table=BAR_SCHEMA.empty_table()) for source in loaded]
    loaded.clear()  # what is cleaned is no longer needed as it was read
    news = [_prepared(catalog, specs[name], groups.pop(name), reading) for name in list(groups)]
    imports = store(catalog, news)
    records = [
        {**import_record(imported, catalog), **facts[instrument_id_of(imported.bars.bar_type)]} for imported in imports
    ]
    if not as_json:
        print_sources(understood, [_stamp(source, reading) for source in understood])
    print_records(records, as_json)


def _wanted(symbol: list[str] | None) -> tuple[str, ...] | None:
    return tuple(name for words in symbol or () for name in comma_separated(words)) or None


def _load(files: list[Path], options: ReadOptions, wanted: tuple[str, ...] | None) -> list[FileBars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bars:
        reading = bars.add_task("reading files", total=len(files))
        loaded = []
        for path in files:
            loaded += read_file(path, options, wanted)
            bars.advance(reading)
    return loaded


def _by_instrument(loaded: list[FileBars], instrument: str | None) -> dict[str, list[FileBars]]:
    held = sorted({source.symbol for source in loaded})
    if instrument is not None and len(held) > 1:
        named = ", ".join(name or "none" for name in held[:5]) + (", …" if len(held) > 5 else "")
        raise InputError(
            f"the files hold {len(held)} symbols ({named}), --instrument names one: choose with --symbol, or leave "
            "--instrument out to import each under its own name"
        )
    groups: dict[str, list[FileBars]] = {}
    for source in loaded:
        if not source.symbol and instrument is None:
            raise InputError(f"{source.path.name} names no symbol: give --instrument")
        groups.setdefault(instrument or source.symbol, []).append(source)
    return dict(sorted(groups.items()))


def _specifications(groups: dict[str, list[FileBars]], table: InstrumentTable) -> dict[str, InstrumentSpec]:
    specs: dict[str, InstrumentSpec] = {}
    unknown = []
    for name, sources in groups.items():
        # The last bar decides the decade of a contract month: it lies nearest to the expiry.
        last_ns = max(int(np.max(source.table["ts_ns"].to_numpy())) for source in sources)
        try:
            specs[name] = _specification(name, sources[0], table, day_of(last_ns))
        except InputError as error:
            unknown.append(str(error))
    if unknown:
        more = f" (and {len(unknown) - 1} more symbols)" if len(unknown) > 1 else ""
        choose = "; nothing was imported, choose symbols with --symbol" if len(groups) > 1 else ""
        raise InputError(f"{unknown[0]}{more}{choose}")
    names: dict[str, str] = {}
    for name, spec in specs.items():
        if names.setdefault(spec.instrument_id, name) != name:
            raise InputError(
                f"symbols {names[spec.instrument_id]!r} and {name!r} would both be {spec.instrument_id}: choose one "
                "with --symbol"
            )
    return specs


def _specification(name: str, source: FileBars, table: InstrumentTable, last: date) -> InstrumentSpec:
    if name != source.symbol:
        return resolve(name, table, last)  # --instrument
    if source.format.is_share:
        return resolve_share(name, table)
    spec = resolve_symbol(name, table, last)
    if is_root(name, table):
        report(
            f"{name} is stored as the share {spec.instrument_id}; it is the root of a future, too (see --instrument)"
        )
    return spec


def _publisher_name(number: int) -> str:
    from adapters.databento import publisher_name  # the package takes a second to import

    return publisher_name(number)


def _publishers(name: str, sources: Sequence[FileBars], strict: bool) -> dict[str, Any]:
    parts = [Published(each.path.name, each.table, each.publishers, each.combined) for each in sources]
    check_publishers(name, parts, strict=strict)
    return publisher_facts(parts)


def _prepared(catalog: Path, spec: InstrumentSpec, sources: Sequence[FileBars], reading: Reading) -> NewBars:
    stamps = {_stamp(source, reading) for source in sources}
    if len(stamps) > 1:
        files = ", ".join(source.path.name for source in sources[:5])
        raise InputError(f"files of {spec.instrument_id} mark different ends of a bar ({files}): import them apart")
    return prepare(
        catalog,
        spec,
        reading.bar,
        [source.table for source in sources],
        [
            SourceFile(str(source.path), source.sha256, len(source.table), source.symbol, source.format.name)
            for source in sources
        ],
        stamp=stamps.pop(),
        time_zone=next((source.time_zone for source in sources if source.time_zone), ""),
        assume_volume=reading.assume_volume,
        strict=reading.strict,
        stamp_is_said=reading.stamp is not None,
    )


def _stamp(source: FileBars, reading: Reading) -> Stamp:
    if reading.stamp is not None:
        return reading.stamp.value
    if source.stamp:
        return source.stamp
    if source.format.name != "generic":
        raise InputError(
            f"{source.path.name} is of {source.format.title}, whose times may mark opens or closes of bars: "
            "say --stamp open or --stamp close"
        )
    return "open"


def _report_choices(groups: dict[str, list[FileBars]], specs: dict[str, InstrumentSpec], reading: Reading) -> None:
    loaded = [source for sources in groups.values() for source in sources]
    if reading.stamp is None and any(source.format.name == "generic" for source in loaded):
        report("timestamps are taken as bar OPENS; pass --stamp close if they mark bar closes")
    for name, sources in groups.items():
        for source in sources:
            if source.symbol not in ("", specs[name].symbol, specs[name].instrument_id):
                stored = specs[name].instrument_id
                report(f"{source.path.name}: bars of symbol {source.symbol!r} are stored as {stored}")
    unused = {(source.path.name, ", ".join(source.columns.unused)) for source in loaded if source.columns.unused}
    shown = sorted(unused)[:_REPORTED]
    for name, columns in shown:
        report(f"{name}: unused columns: {columns}")
    if len(unused) > len(shown):
        report(f"and {len(unused) - len(shown):,} more files with unused columns")
