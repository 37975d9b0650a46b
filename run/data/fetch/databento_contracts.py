"""Resolves Databento symbols to contracts with their days; a continuous symbol also gives a roll table."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from adapters.databento.history import ContractSpan, DatabentoHistory, continuous_root
from catalogs.instruments.specification import resolve
from catalogs.rolls import WARMUP_SESSIONS, FrontMonth, Method, RollTable
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
            resolve(symbol, instruments_path(), last)
            spans.append(ContractSpan(symbol, first, last))
            continue
        meant = vendor.contracts(dataset, symbol, first, last)
        report(f"{symbol} is " + ", ".join(f"{span.symbol} {span.first} to {span.last}" for span in meant))
        tables.append(_roll_table(root, symbol, meant))
        spans += [ContractSpan(span.symbol, span.first - WARMUP_DAYS, span.last) for span in meant]
    return spans, tables


def _roll_table(root: str, symbol: str, spans: list[ContractSpan]) -> RollTable:
    specs = [resolve(span.symbol, instruments_path(), span.last) for span in spans]
    calendar = session_calendar(specs[0].calendar)
    begins = [int(np.searchsorted(calendar.session_date, np.datetime64(span.first))) for span in spans]
    days = calendar.session_date.tolist()
    months = tuple(
        FrontMonth(spec.instrument_id, days[begin], days[following - 1] if following else None)
        for spec, begin, following in zip(specs, begins, [*begins[1:], 0], strict=True)
    )
    method: Method = "calendar" if ".c." in symbol else "volume"
    return RollTable(root, calendar.name, method, 1, months)
