"""``rl-intraday data rolls``: the roll table of a future, from the contract months in the catalog."""

from pathlib import Path

import msgspec

from catalogs.bars import BarSeries
from catalogs.continuous import continuous_bars
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns, instrument_id_of
from catalogs.instruments.identifiers import symbol_of, venue_of
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import InstrumentTable, load_table
from catalogs.rolls import RollTable, build_rolls, write_rolls
from catalogs.storage.arrow import read_bars, stored_bar_types
from catalogs.storage.export import write_bar_file
from configs import instruments_path
from run.console import print_json, print_result
from run.data.choices import RollMethod
from run.day import day_of
from run.options import existing_catalog


def run_rolls(
    *,
    root: str,
    bar: str | None,
    method: RollMethod,
    days_before_expiry: int | None,
    continuous: Path | None,
    back_adjusted: bool,
    catalog: Path,
    as_json: bool,
) -> None:
    """Build and store the roll table of a future.

    The options are those of the verb; see `run.data.commands.rolls`.
    """
    bar = bar or _only_bar(existing_catalog(catalog), root.upper())
    contracts, bars = _contract_months(existing_catalog(catalog), root.upper(), bar)
    table = build_rolls(contracts, bars, method.value, days_before_expiry)
    series = None if continuous is None else continuous_bars(catalog, table, bar, back_adjusted=back_adjusted)
    if continuous is not None and series is not None:
        write_bar_file(series, continuous)  # first: a name that is refused must leave the stored table as it was
    path = write_rolls(catalog, table)
    if as_json:
        print_json({"file": str(path), **msgspec.to_builtins(table)})
    else:
        _print(table, path)


def _only_bar(catalog: Path, root: str) -> str:
    held = sorted({name.split("-", 1)[1].removesuffix("-LAST-EXTERNAL") for name in _of_root(catalog, root)})
    if not held:
        raise InputError(f"no bars of {root} contracts in catalog {catalog}")
    if len(held) > 1:
        raise InputError(f"catalog {catalog} has {root} contracts in bars of {', '.join(held)}: choose with --bar")
    return held[0]


def _of_root(catalog: Path, root: str) -> list[str]:
    table = load_table(instruments_path())
    if root not in table.futures:
        raise InputError(f"root must be one of {', '.join(table.futures)}, was {root!r}")
    names = stored_bar_types(catalog)
    return [name for name in names if symbol_of(instrument_id_of(name))[:-2] == root and _is_contract(name, table)]


def _is_contract(bar_type: str, table: InstrumentTable) -> bool:
    symbol, venue = symbol_of(instrument_id_of(bar_type)), venue_of(instrument_id_of(bar_type))
    return symbol[-1:].isdigit() and venue != table.equities.venue


def _contract_months(catalog: Path, root: str, bar: str) -> tuple[list[InstrumentSpec], list[BarSeries]]:
    table = load_table(instruments_path())
    bar_length_ns(bar)
    contracts, series = [], []
    for bar_type in _of_root(catalog, root):
        symbol = symbol_of(instrument_id_of(bar_type))
        if not bar_type.endswith(f"-{bar}-LAST-EXTERNAL"):
            continue
        bars = read_bars(catalog, bar_type)
        contracts.append(resolve(symbol, table, day_of(int(bars.ts_ns[-1]))))
        series.append(bars)
    if not contracts:
        raise InputError(f"no {bar} bars of {root} contracts in catalog {catalog}")
    return contracts, series


def _print(table: RollTable, path: Path) -> None:
    for month in table.months:
        until = f"until {month.last_session}" if month.last_session else "still in front"
        why = f", after trading more on {month.crossover}" if month.crossover else ""
        print_result(f"{month.instrument_id:12s} from {month.first_session} {until}{why}")
    print_result(f"roll table of {table.root} by {table.method} in {path}")
