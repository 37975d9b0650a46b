"""``rl-intraday data consolidate`` and ``export``: join the catalog's files, write bars to a file."""

from datetime import datetime
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from catalogs.storage.arrow import stored_bar_types
from catalogs.storage.consolidate import consolidate
from catalogs.storage.export import export_bars
from run.console import print_json, print_result, progress_bar
from run.data.stored import listing_stored
from run.day import DAY_NS, midnight_ns
from run.options import existing_catalog


def run_consolidate(bar_types: list[str] | None, catalog: Path, as_json: bool) -> None:
    """Join the many files of daily appends; the bars do not change.

    The options are those of the verb; see `run.data.commands.consolidate`.
    """
    names = bar_types or stored_bar_types(existing_catalog(catalog))
    unknown = sorted(set(names) - set(stored_bar_types(catalog)))
    if unknown:
        raise InputError(f"no bars of {unknown[0]!r} in catalog {catalog}")
    shown = progress_bar(names, "joining files")
    results = []
    with listing_stored() as stored:
        for name in shown:
            results.append(consolidate(catalog, name))
            stored.note(name)
    if as_json:
        print_json({"catalog": str(catalog), "consolidated": msgspec.to_builtins(results)})
        return
    for result in results:
        print_result(f"{result.bar_type}: {result.files_before} files, now {result.files_after}")


def run_export(
    *,
    bar_type: str,
    out: Path,
    start: datetime | None,
    end: datetime | None,
    adjusted: bool,
    catalog: Path,
    as_json: bool,
) -> None:
    """Write stored bars to a CSV or Parquet file. Times are bar closes in UTC, prices in USD.

    The options are those of the verb; see `run.data.commands.export`.
    """
    start_ns = None if start is None else midnight_ns(start.date())
    end_ns = None if end is None else midnight_ns(end.date()) + DAY_NS - 1
    rows = export_bars(existing_catalog(catalog), bar_type, out, start_ns, end_ns, adjust_splits=adjusted)
    if as_json:
        print_json({"bar_type": bar_type, "rows": rows, "file": str(out)})
    else:
        print_result(f"{rows:,} bars of {bar_type} in {out}")
