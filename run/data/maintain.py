"""``rl-intraday data consolidate`` and ``export``: keep the catalog in order, take bars out of it."""

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
    list[str] | None, typer.Argument(metavar="[BAR_TYPE]...", help="As `data list` names them; all by default.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="UTC day, included.")]


def consolidate_command(
    bar_types: BarTypes = None, catalog: CatalogOption = DEFAULT_CATALOG, as_json: JsonOption = False
) -> None:
    """Join the many files of daily appends; the bars stay as they are.

    \b
    Example:
      rl-intraday data consolidate
    """
    names = bar_types or stored_bar_types(existing(catalog))
    unknown = sorted(set(names) - set(stored_bar_types(catalog)))
    if unknown:
        raise InputError(f"bar type must be one that catalog {catalog} holds, was {unknown[0]!r}")
    shown = progress_bar(names, "joining files")
    results = [consolidate(catalog, name) for name in shown]
    if as_json:
        print_json({"catalog": str(catalog), "consolidated": msgspec.to_builtins(results)})
        return
    for result in results:
        print_result(f"{result.bar_type}: {result.files_before} files, now {result.files_after}")


def export_command(
    bar_type: Annotated[str, typer.Argument(help="As `data list` names it.")],
    out: Annotated[Path, typer.Argument(help="File to write, .csv or .parquet.")],
    start: Day = None,
    end: Day = None,
    adjusted: Annotated[
        bool, typer.Option("--split-adjusted", help="Divide prices before a stored split by its ratio.")
    ] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Write stored bars to a CSV or Parquet file: times are the bars' close in UTC, prices USD.

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
    """The catalog itself.

    Raises
    ------
    InputError
        If it is no folder.
    """
    if not catalog.is_dir():
        raise InputError(f"catalog must be a folder that exists, was {catalog}")
    return catalog
