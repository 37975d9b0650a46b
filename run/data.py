"""``rl-intraday data``: bring market data into the catalog, list what is there, check how complete it is."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.files import FileBars, load_bars
from catalogs.errors import InputError
from catalogs.ingest import import_bars
from catalogs.instrument_table import load_table
from catalogs.instruments import InstrumentSpec, resolve
from catalogs.inventory import check as coverage_of
from catalogs.inventory import inventory
from catalogs.provenance import SourceFile
from configs import instruments_path
from run import data_output
from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption, answer_json, progress

app = typer.Typer(no_args_is_help=True)


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
def list_(catalog: CatalogOption = DEFAULT_CATALOG, as_json: JsonOption = False) -> None:
    """List what the catalog holds.

    \b
    Example:
      rl-intraday data list --catalog catalogs/store
    """
    stored = inventory(_existing(catalog))
    if as_json:
        answer_json({"catalog": str(catalog), "bars": msgspec.to_builtins(stored)})
    else:
        data_output.print_inventory(stored, catalog)


@app.command("check")
def check(
    bar_types: Annotated[
        list[str] | None, typer.Argument(metavar="[BAR_TYPE]...", help="As `data list` names them; all by default.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Read stored bars again and report missing sessions and minutes, zero volume and the largest moves.

    \b
    Examples:
      rl-intraday data check
      rl-intraday data check SPY.EQUS-1-MINUTE-LAST-EXTERNAL --json
    """
    names = bar_types or [stored.bar_type for stored in inventory(_existing(catalog))]
    results = [coverage_of(catalog, name) for name in names]
    if as_json:
        answer_json({"catalog": str(catalog), "coverage": msgspec.to_builtins(results)})
        return
    if not results:
        data_output.print_inventory([], catalog)
    for coverage in results:
        data_output.print_coverage(coverage)


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


def _tell(message: str) -> None:
    progress.print(message, soft_wrap=True, markup=False)


def _existing(catalog: Path) -> Path:
    if not catalog.is_dir():
        raise InputError(f"catalog must be a folder that exists, was {catalog}")
    return catalog
