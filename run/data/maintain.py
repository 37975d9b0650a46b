"""``rl-intraday data consolidate`` and ``export``: join the catalog's files, write bars to a file."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from catalogs.errors import InputError
from catalogs.storage.arrow import stored_bar_types
from catalogs.storage.consolidate import consolidate
from catalogs.storage.export import export_bars
from run.console import print_json, print_result, progress_bar
from run.day import DAY_NS, midnight_ns
from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption

BarTypes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BAR_TYPE]...", help="Bar types as `data list` names them (default: all)."),
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="UTC day, included.")]


def consolidate_command(
    bar_types: BarTypes = None, catalog: CatalogOption = DEFAULT_CATALOG, as_json: JsonOption = False
) -> None:
    """Join the many files of daily appends; the bars do not change.

    \b
    Example:
      rl-intraday data consolidate
    """
    names = bar_types or stored_bar_types(existing(catalog))
    unknown = sorted(set(names) - set(stored_bar_types(catalog)))
    if unknown:
        raise InputError(f"no bars of {unknown[0]!r} in catalog {catalog}")
    shown = progress_bar(names, "joining files")
    results = [consolidate(catalog, name) for name in shown]
    if as_json:
        print_json({"catalog": str(catalog), "consolidated": msgspec.to_builtins(results)})
        return
    for result in results:
        print_result(f"{result.bar_type}: {result.files_before} files, now {result.files_after}")


def export_command(
    bar_type: Annotated[str, typer.Argument(help="Bar type as `data list` names it.")],
    out: Annotated[Path, typer.Argument(help="Output file, .csv or .parquet.")],
    start: Day = None,
    end: Day = None,
    adjusted: Annotated[
        bool, typer.Option("--split-adjusted", help="Divide prices before stored splits by their ratios.")
    ] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Write stored bars to a CSV or Parquet file. Times are bar closes in UTC, prices in USD.

    \b
    Example:
      rl-intraday data export SPY.EQUS-1-MINUTE-LAST-EXTERNAL spy.csv --start 2025-01-01 --end 2025-03-31
    """
    start_ns = None if start is None else midnight_ns(start.date())
    end_ns = None if end is None else midnight_ns(end.date()) + DAY_NS - 1
    rows = export_bars(existing(catalog), bar_type, out, start_ns, end_ns, adjust_splits=adjusted)
    if as_json:
        print_json({"bar_type": bar_type, "rows": rows, "file": str(out)})
    else:
        print_result(f"{rows:,} bars of {bar_type} in {out}")


def existing(catalog: Path) -> Path:
    """The catalog's folder, checked.

    Raises
    ------
    InputError
        If it does not exist.
    """
    if not catalog.is_dir():
        raise InputError(f"catalog {catalog} does not exist")
    return catalog
