"""``rl-intraday data fetch databento``: priced and confirmed first, fetched in chunks, resumable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from adapters.databento import kind_of, open_dbn
from adapters.databento.history import ContractSpan, DatabentoHistory, HistoryRequest, continuous_root
from catalogs.downloads import day_chunks, download_path, week_chunks
from catalogs.errors import InputError
from catalogs.instruments import resolve
from catalogs.rolls import WARMUP_SESSIONS, FrontMonth, Method, RollTable, write_rolls
from catalogs.sessions import session_calendar
from configs import instruments_path
from run.data_dbn import import_file
from run.data_output import tell
from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption, answer_json, progress
from run.vendors import address, secret

# Calendar days that surely hold the sessions with which a contract's features warm up before its roll.
WARMUP_DAYS = timedelta(days=WARMUP_SESSIONS * 7 // 5 + 7)


@dataclass(frozen=True)
class Piece:
    """One request and the file that it becomes."""

    request: HistoryRequest
    path: Path


def fetch_command(
    symbols: Annotated[str, typer.Option("--symbols", help="MESZ6,MNQZ6, or continuous: MES.v.0 (by volume).")],
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day, UTC, included.")],
    dataset: Annotated[str, typer.Option("--dataset")] = "GLBX.MDP3",
    schema: Annotated[
        str, typer.Option("--schema", help="ohlcv-1m, ohlcv-1h, trades, mbp-1, bbo-1s, bbo-1m or definition.")
    ] = "ohlcv-1m",
    yes: Annotated[bool, typer.Option("--yes", help="Pay without being asked.")] = False,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", min=0, help="Refuse to pay more than this.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch from Databento's history; the price is shown and confirmed first.

    A continuous symbol becomes the contracts that it means, each with enough earlier days to warm its features up, and
    a roll table. Finished chunks are kept in the catalog's downloads, so nothing is paid for twice.

    \b
    Examples:
      rl-intraday data fetch databento --symbols MES.v.0 --start 2025-01-01 --end 2025-06-30 --max-cost 5
      rl-intraday data fetch databento --symbols ESU5 --schema trades --start 2025-07-01 --end 2025-07-01 --yes
    """
    kind_of(schema, "Databento")
    if end < start:
        raise InputError(f"--end must not be before --start ({start.date()}), was {end.date()}")
    if end.date() >= datetime.now(UTC).date():
        raise InputError(f"--end must be a finished UTC day, was {end.date()}")
    gateway = address("databento", "") or None
    vendor = DatabentoHistory(secret("DATABENTO_API_KEY", "Databento"), gateway, say=tell)
    named = [name.strip() for name in symbols.split(",") if name.strip()]
    spans, tables = _contracts(vendor, dataset, named, start.date(), end.date())
    pieces = _pieces(catalog, dataset, schema, spans)
    cost = _agree(vendor, pieces, yes=yes, max_cost=max_cost, as_json=as_json)
    imports = _fetch(vendor, pieces, catalog)
    for table in tables:
        write_rolls(catalog, table)
    if as_json:
        answer_json({"catalog": str(catalog), "cost_usd": cost, "imports": imports})
        return
    for record in imports:
        what = record.get("bar_type") or f"{record['kind']} of {record['instrument_id']}"
        typer.echo(f"{record['outcome']}: {record['rows']:,} {what}")


def _contracts(
    vendor: DatabentoHistory, dataset: str, symbols: Sequence[str], first: date, last: date
) -> tuple[list[ContractSpan], list[RollTable]]:
    spans, tables = [], []
    for symbol in symbols:
        root = continuous_root(symbol)
        if root is None:
            resolve(symbol, instruments_path(), last)
            spans.append(ContractSpan(symbol, first, last))
            continue
        meant = vendor.contracts(dataset, symbol, first, last)
        tell(f"{symbol} means " + ", ".join(f"{span.symbol} {span.first} to {span.last}" for span in meant))
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


def _pieces(catalog: Path, dataset: str, schema: str, spans: list[ContractSpan]) -> list[Piece]:
    pieces = []
    for span in spans:
        chunks = week_chunks if kind_of(schema, "Databento") == "bars" else day_chunks
        for chunk in chunks(span.first, span.last):
            request = HistoryRequest(dataset, schema, (span.symbol,), chunk.first, chunk.last)
            path = download_path(catalog, "databento", f"{dataset}-{schema}", span.symbol, chunk, ".dbn.zst")
            pieces.append(Piece(request, path))
    return pieces


def _agree(vendor: DatabentoHistory, pieces: list[Piece], *, yes: bool, max_cost: float | None, as_json: bool) -> float:
    missing = [piece for piece in pieces if not piece.path.exists()]
    cost = sum(vendor.cost_usd(piece.request) for piece in missing)
    tell(f"{len(missing)} of {len(pieces)} chunks to fetch, for {cost:.2f} USD")
    if max_cost is not None and cost > max_cost:
        raise InputError(f"the price must be at most {max_cost:.2f} USD (--max-cost), was {cost:.2f}; nothing fetched")
    if missing and not yes:
        if as_json or not progress.is_terminal:
            raise InputError(f"a price of {cost:.2f} USD must be agreed to with --yes; nothing was fetched")
        if not typer.confirm(f"Fetch for {cost:.2f} USD?", err=True):
            raise InputError("the fetch was declined; nothing was fetched")
    return cost


def _fetch(vendor: DatabentoHistory, pieces: list[Piece], catalog: Path) -> list[dict[str, Any]]:
    missing = [piece for piece in pieces if not piece.path.exists()]
    for piece in track(missing, "fetching", console=progress, transient=True, disable=not progress.is_terminal):
        vendor.download(piece.request, piece.path)
    records: list[dict[str, Any]] = []
    for piece in pieces:
        with open_dbn(piece.path) as file:
            if not any(len(block) for block in file.store.to_ndarray(count=1)):
                continue  # nothing traded in this chunk
            records += import_file(file, None, catalog)
    if not records:
        asked = pieces[0].request
        raise InputError(f"{asked.symbols[0]} must have records from {asked.first} on, Databento has none: right days?")
    return records
