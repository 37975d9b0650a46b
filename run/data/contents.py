"""``rl-intraday data``: list and check the catalog; the sub-verbs import, fetch, export and consolidate."""

from pathlib import Path

import msgspec

from catalogs.cache import cache_dir
from catalogs.errors import InputError
from catalogs.hygiene.suspicion import SourceComparison, compare_sources
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.instruments.stored import stored_instruments
from catalogs.storage.arrow import read_bars, stored_bar_types
from catalogs.storage.inventory import check as coverage_of
from catalogs.storage.inventory import inventory
from run.console import print_json
from run.data.output import print_comparison, print_coverage, print_inventory, print_rest
from run.options import existing_catalog


def run_list(catalog: Path, runs: Path, as_json: bool) -> None:
    """List the catalog's bars, instruments, context series, roll tables and downloads, and the trained bundles.

    The options are those of the verb; see `run.data.commands.list_`.
    """
    stored = inventory(existing_catalog(catalog))
    rest = {
        "instruments": stored_instruments(catalog),
        "context": _stems(catalog / "context", "*.parquet"),
        "rolls": _stems(catalog / "rolls", "*.json"),
        "downloads": sorted(path.name for path in (catalog / "downloads").glob("*")),
        "features": _stems(cache_dir() / "matrices", "*.npy"),
        "bundles": sorted(str(path.parent) for path in runs.glob("*/bundle/*/manifest.json")),
    }
    if as_json:
        print_json({"catalog": str(catalog), "bars": msgspec.to_builtins(stored), **rest})
        return
    print_inventory(stored, catalog)
    print_rest(rest)


def run_check(*, bar_types: list[str] | None, against: Path | None, catalog: Path, as_json: bool) -> None:
    """Check stored bars: missing sessions and minutes, outliers, suspected splits, changed hours.

    The options are those of the verb; see `run.data.commands.check`.
    """
    names = bar_types or stored_bar_types(existing_catalog(catalog))
    results = [coverage_of(catalog, name) for name in names]
    compared = {} if against is None else _compared(catalog, existing_catalog(against), names)
    if as_json:
        content = {"catalog": str(catalog), "coverage": msgspec.to_builtins(results)}
        if against is not None:
            content["comparisons"] = msgspec.to_builtins(compared)
        print_json(content)
        return
    if not results:
        print_inventory([], catalog)
    for coverage in results:
        print_coverage(coverage)
    for bar_type, comparison in compared.items():
        print_comparison(bar_type, comparison)


def _compared(catalog: Path, other: Path, names: list[str]) -> dict[str, SourceComparison]:
    shared = [name for name in names if name in stored_bar_types(other)]
    if not shared:
        raise InputError(f"no bars of {', '.join(names) or 'the catalog'} in --against {other}")
    return {
        name: compare_sources(read_bars(catalog, name), read_bars(other, name), str(other), bar_length_ns(name))
        for name in shared
    }


def _stems(folder: Path, pattern: str) -> list[str]:
    return sorted(path.stem for path in folder.glob(pattern))
