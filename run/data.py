"""``rl-intraday data``: bring market data into the catalog, list what is there, check how complete it is."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.files import FileBars, load_bars
from catalogs.arrow import read_bars, stored_bar_types
from catalogs.bar_types import bar_length_ns
from catalogs.cache import cache_dir
from catalogs.errors import InputError
from catalogs.ingest import import_bars
from catalogs.instrument_table import load_table
from catalogs.instruments import InstrumentSpec, resolve
from catalogs.inventory import check as coverage_of
from catalogs.inventory import inventory
from catalogs.provenance import SourceFile
from catalogs.stored_instruments import stored_instruments
from catalogs.suspicion import SourceComparison, compare_sources
from configs import instruments_path
from run import data_care, data_output
from run.data_care import existing
from run.options import (
    DEFAULT_CATALOG,
    DEFAULT_RUNS,
    CatalogOption,
    JsonOption,
    RunsOption,
    answer_json,
    progress,
)  # fmt: skip

app = typer.Typer(no_args_is_help=True)
app.command("consolidate")(data_care.consolidate_command)
app.command("export")(data_care.export_command)


class Stamp(StrEnum):
    """Which end of a bar the times of a file mark."""

    OPEN = "open"
    CLOSE = "close"


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="CSV or Parquet files of one instrument.")],
    instrument: Annotated[
        str, typer.Option("--instrument", metavar="ID", help="SPY, MESZ6, ES (continuous, for research).")
    ],
    bar: Annotated[str, typer.Option("--bar", metavar="BAR", help="Length of a bar: N-MINUTE or N-HOUR.")] = "1-MINUTE",
    stamp: Annotated[
        Stamp | None,
        typer.Option("--stamp", help="Which end of a bar the times mark; open, and said so, if not given."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Time zone of times that name none, e.g. UTC.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", metavar="S", help="Which symbol to take from files with several.")
    ] = None,
    assume_volume: Annotated[
        int, typer.Option("--assume-volume", metavar="N", min=0, help="Units to store where the volume is missing.")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the files instead of repairing anything.")] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Import bars from CSV or Parquet files.

    Prices are brought onto the tick and times to the close of the bar in UTC; bars outside the exchange's hours are
    dropped; every change is counted. A file that cannot be read right is refused and nothing is written.

    \b
    Examples:
      rl-intraday data import spy.csv --instrument SPY --tz America/New_York
      rl-intraday data import es-*.parquet --instrument ESU5 --bar 5-MINUTE --stamp close
      rl-intraday data import all.parquet --instrument QQQ --symbol QQQ --strict --json
    """
    table = load_table(instruments_path())
    resolve(instrument, table)  # refuses an unknown name before reading anything
    if stamp is None:
        _tell("times are taken as the OPEN of the bar; pass --stamp close if they mark its close")
    loaded = _load(files, tz, symbol)
    first_day = datetime.fromtimestamp(loaded[0].table["ts_ns"][0].as_py() // 10**9, UTC).date()
    spec = resolve(instrument, table, reference=first_day)
    _tell_what_was_chosen(loaded, spec)
    imported = import_bars(
        catalog,
        spec,
        bar,
        [source.table for source in loaded],
        [SourceFile(str(source.path), source.sha256, len(source.table), source.symbol) for source in loaded],
        stamp="open" if stamp is None else stamp.value,
        time_zone=tz or "",
        assume_volume=assume_volume,
        strict=strict,
    )
    if as_json:
        answer_json(data_output.import_record(imported, catalog))
    else:
        data_output.print_import(imported, catalog)


@app.command("list")
def list_(
    catalog: CatalogOption = DEFAULT_CATALOG, runs: RunsOption = DEFAULT_RUNS, as_json: JsonOption = False
) -> None:
    """List what the catalog holds: bars, instruments, context series, roll tables, downloads; and the bundles.

    \b
    Example:
      rl-intraday data list --catalog catalogs/store
    """
    stored = inventory(existing(catalog))
    rest = {
        "instruments": stored_instruments(catalog),
        "context": _stems(catalog / "context", "*.parquet"),
        "rolls": _stems(catalog / "rolls", "*.json"),
        "downloads": sorted(path.name for path in (catalog / "downloads").glob("*")),
        "features": sorted(path.name for path in (cache_dir() / "features").glob("*")),
        "bundles": sorted(str(path.parent) for path in runs.glob("*/bundle/*/manifest.json")),
    }
    if as_json:
        answer_json({"catalog": str(catalog), "bars": msgspec.to_builtins(stored), **rest})
        return
    data_output.print_inventory(stored, catalog)
    data_output.print_rest(rest)


@app.command("check")
def check(
    bar_types: Annotated[
        list[str] | None, typer.Argument(metavar="[BAR_TYPE]...", help="As `data list` names them; all by default.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="CATALOG", help="Another catalog, to compare bars of one name.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Read stored bars again: missing sessions and minutes, outliers, suspected splits, changed hours.

    With --against, bars of the same name in another catalog (another vendor's, say) are held against them: which are
    missing on either side, which closes differ, and whether one clock is late.

    \b
    Examples:
      rl-intraday data check
      rl-intraday data check SPY.EQUS-1-MINUTE-LAST-EXTERNAL --json
      rl-intraday data check --against other/catalog
    """
    names = bar_types or stored_bar_types(existing(catalog))
    results = [coverage_of(catalog, name) for name in names]
    compared = {} if against is None else _compared(catalog, existing(against), names)
    if as_json:
        content = {"catalog": str(catalog), "coverage": msgspec.to_builtins(results)}
        if against is not None:
            content["comparisons"] = msgspec.to_builtins(compared)
        answer_json(content)
        return
    if not results:
        data_output.print_inventory([], catalog)
    for coverage in results:
        data_output.print_coverage(coverage)
    for bar_type, comparison in compared.items():
        data_output.print_comparison(bar_type, comparison)


def _load(files: list[Path], time_zone: str | None, symbol: str | None) -> list[FileBars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress, transient=True, disable=not progress.is_terminal) as bars:
        reading = bars.add_task("reading files", total=len(files))
        loaded = []
        for path in files:
            loaded.append(load_bars(path, time_zone=time_zone, symbol=symbol))
            bars.advance(reading)
    return loaded


def _tell_what_was_chosen(loaded: list[FileBars], spec: InstrumentSpec) -> None:
    name = spec.instrument_id.rpartition(".")[0]
    for source in loaded:
        if source.symbol not in ("", name):
            _tell(f"{source.path.name} names the symbol {source.symbol!r}; its bars go to {spec.instrument_id}")
        if source.columns.unused:
            _tell(f"{source.path.name}: columns not used: {', '.join(source.columns.unused)}")


def _compared(catalog: Path, other: Path, names: list[str]) -> dict[str, SourceComparison]:
    shared = [name for name in names if name in stored_bar_types(other)]
    if not shared:
        raise InputError(f"--against must hold bars of {', '.join(names) or 'the catalog'}, {other} does not")
    return {
        name: compare_sources(read_bars(catalog, name), read_bars(other, name), str(other), bar_length_ns(name))
        for name in shared
    }


def _stems(folder: Path, pattern: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(pattern))


def _tell(message: str) -> None:
    progress.print(message, soft_wrap=True, markup=False)
