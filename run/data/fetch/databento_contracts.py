"""Resolves Databento symbols to contracts with their days; a continuous symbol also gives a roll table."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from adapters.databento import asset_of
from adapters.databento.history import ContractSpan, DatabentoHistory, continuous_root
from catalogs.instruments.specification import resolve, resolve_share
from catalogs.rolls import (
    WARMUP_SESSIONS,
    FrontMonth,
    Method,
    RollTable,
    extend_rolls,
    read_rolls,
    rolls_path,
    write_rolls,
)
from catalogs.sessions import session_calendar
from configs import instruments_path
from run.console import report

# Calendar days enough for the sessions that warm up a contract's features before its roll.
WARMUP_DAYS = timedelta(days=WARMUP_SESSIONS * 7 // 5 + 7)


def contracts_meant(
    vendor: DatabentoHistory, dataset: str, symbols: Sequence[str], first: date, last: date
) -> tuple[list[ContractSpan], list[RollTable]]:
    """Contracts of all symbols; those of continuous symbols start early enough to warm up features.

    Raises
    ------
    InputError
        If a contract is not in the instrument table.
    SourceError
        If the vendor does not know a continuous symbol, refuses or fails.
    """
    spans, tables = [], []
    for symbol in symbols:
        root = continuous_root(symbol)
        if root is None:
            spans.append(ContractSpan(_named(symbol, dataset, last), first, last))
            continue
        meant = vendor.contracts(dataset, symbol, first, last)
        report(f"{symbol} is " + ", ".join(f"{span.symbol} {span.first} to {span.last}" for span in meant))
        tables.append(_roll_table(root, symbol, meant, last))
        spans += [ContractSpan(name, begin - WARMUP_DAYS, end) for name, begin, end in _hulls(meant)]
    return spans, tables


def keep_rolls(catalog: Path, table: RollTable) -> None:
    """Store what a vendor told of front months; it extends the stored table.

    Raises
    ------
    InputError
        As `catalogs.rolls.extend_rolls`.
    """
    if rolls_path(catalog, table.root).is_file():
        table = extend_rolls(read_rolls(catalog, table.root), table)
    write_rolls(catalog, table)


def _named(symbol: str, dataset: str, last: date) -> str:
    # As the vendor spells it: without our venue.
    if asset_of(dataset) == "future":
        return resolve(symbol, instruments_path(), last).symbol
    return resolve_share(symbol, instruments_path()).symbol


def _hulls(spans: list[ContractSpan]) -> list[tuple[str, date, date]]:
    # A contract that is left and taken up again is fetched once, without a hole.
    days: dict[str, tuple[date, date]] = {}
    for span in spans:
        begin, end = days.get(span.symbol, (span.first, span.last))
        days[span.symbol] = min(begin, span.first), max(end, span.last)
    return [(symbol, *each) for symbol, each in days.items()]


def _roll_table(root: str, symbol: str, spans: list[ContractSpan], last: date) -> RollTable:
    specs = [resolve(span.symbol, instruments_path(), span.last) for span in spans]
    calendar = session_calendar(specs[0].calendar)
    begins = [int(np.searchsorted(calendar.session_date, np.datetime64(span.first))) for span in spans]
    days = calendar.session_date.tolist()
    known_until = days[int(np.searchsorted(calendar.session_date, np.datetime64(last), side="right")) - 1]
    # A span without a session, as one of a weekend, is no front month.
    parts = [
        (spec.instrument_id, begin, following)
        for spec, begin, following in zip(specs, begins, [*begins[1:], len(days)], strict=True)
        if following > begin
    ]
    months = tuple(
        FrontMonth(name, days[begin], days[following - 1] if following < len(days) else None)
        for name, begin, following in parts
    )
    method: Method = "calendar" if ".c." in symbol else "volume"
    return RollTable(root, calendar.name, method, 1, months, known_until)
