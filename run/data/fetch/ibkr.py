"""``rl-intraday data fetch ibkr``: one-minute bars from TWS or IB Gateway, one session per request, resumable."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from adapters.ibkr.connection import GatewayError, gateway
from adapters.ibkr.history import IbkrHistory, ResolvedContract
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.sessions import SessionCalendar, session_calendar
from catalogs.storage.downloads import Chunk, download_path, keep_table, sha256_of
from catalogs.storage.ingest import import_bars
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import print_json, progress_bar, report
from run.data.fetch.last_session import last_finished_day
from run.data.output import import_record, joined_by_bar_type, print_record
from run.data.stored import Stored, listing_stored
from run.options import comma_separated

CONNECT_TIMEOUT_S = 15.0


def fetch_ibkr(
    *, symbols: str, start: datetime, end: datetime, host: str, port: int, client_id: int, catalog: Path, as_json: bool
) -> None:
    """Fetch one-minute bars from Interactive Brokers through a running TWS or IB Gateway.

    The options are those of the verb; see `run.data.fetch.commands.ibkr`.
    """
    last = min(end.date(), last_finished_day())
    if last < start.date():
        raise InputError(f"--start must not be after the last finished day ({last}), was {start.date()}")
    specs = [resolve(name, instruments_path(), last) for name in comma_separated(symbols)]
    try:
        with gateway(host, port, (client_id,), CONNECT_TIMEOUT_S) as client:
            history = IbkrHistory(client)
            with listing_stored() as stored:
                records = [fetch_instrument(history, spec, start.date(), last, catalog, stored) for spec in specs]
    except GatewayError as error:
        raise InputError(str(error)) from error
    if as_json:
        print_json({"catalog": str(catalog), "imports": records})
        return
    for record in records:
        print_record(record)


def fetch_instrument(
    history: IbkrHistory, spec: InstrumentSpec, first: date, last: date, catalog: Path, stored: Stored
) -> dict[str, Any]:
    """Download the missing sessions of one instrument and import them all.

    Raises
    ------
    SourceError
        If the gateway refuses or has nothing; sessions fetched before are imported, and ``stored`` has them.
    InputError
        If the broker's terms differ from the instrument table, or bars disagree with stored ones.
    """
    symbol = spec.symbol
    calendar = session_calendar(spec.calendar)
    sessions = _sessions(calendar, first, last)
    contract = history.resolve(symbol, spec.venue, is_future=spec.kind == "future")
    report(f"{spec.instrument_id} is {contract}")
    _check_terms(spec, contract)
    records = []
    for session in progress_bar(sessions, symbol):
        path = _path(catalog, symbol, calendar, session)
        if not path.exists():
            open_ns, close_ns = int(calendar.open_ns[session]), int(calendar.close_ns[session])
            keep_table(path, history.minutes(contract, open_ns, close_ns))
        table = pq.read_table(path, partitioning=None)
        source = SourceFile(f"ibkr {path.stem}", sha256_of(path), len(table), symbol)
        imported = import_bars(catalog, spec, "1-MINUTE", [table], [source], stamp="open")
        records.append(stored.add(import_record(imported, catalog)))
    return {"instrument_id": spec.instrument_id, "contract": str(contract), **joined_by_bar_type(records)[0]}


def _sessions(calendar: SessionCalendar, first: date, last: date) -> list[int]:
    begin = int(np.searchsorted(calendar.session_date, np.datetime64(first)))
    stop = int(np.searchsorted(calendar.session_date, np.datetime64(last), side="right"))
    if begin == stop:
        raise InputError(f"no {calendar.name} session from {first} to {last}")
    return list(range(begin, stop))


def _path(catalog: Path, symbol: str, calendar: SessionCalendar, session: int) -> Path:
    day = calendar.session_date[session].item()
    return download_path(catalog, "ibkr", "1-MINUTE", symbol, Chunk(day, day), ".parquet")


def _check_terms(spec: InstrumentSpec, contract: ResolvedContract) -> None:
    if spec.kind == "equity":
        return
    terms = {"tick size": (contract.tick_size, spec.tick_size), "multiplier": (contract.multiplier, spec.multiplier)}
    for name, (theirs, ours) in terms.items():
        if theirs != ours:
            raise InputError(f"{name} of {spec.instrument_id} must be {ours} as in the instrument table, was {theirs}")
