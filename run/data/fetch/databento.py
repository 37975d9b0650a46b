"""``rl-intraday data fetch databento``: history in chunks, resumable, paid for only after confirmation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import typer

from adapters.databento import kind_of, open_dbn
from adapters.databento.batch import DatabentoBatch
from adapters.databento.history import ContractSpan, DatabentoHistory, HistoryRequest, connect
from adapters.retries import Retries
from catalogs.errors import InputError
from catalogs.storage.downloads import day_chunks, download_path, week_chunks
from run.console import messages, print_json, progress_bar, report
from run.data.dbn import Choices, import_opened
from run.data.fetch.databento_contracts import contracts_meant, keep_rolls
from run.data.fetch.databento_jobs import BatchJobs
from run.data.fetch.vendors import address, secret
from run.data.output import joined_by_bar_type, print_record
from run.data.stored import Stored, listing_stored
from run.options import comma_separated

Confirm = Callable[[list[HistoryRequest], int], float]  # what is missing, of how many: its price in USD


@dataclass(frozen=True)
class Piece:
    """One request and the path of its file."""

    request: HistoryRequest
    path: Path


def fetch_databento(
    *,
    symbols: str,
    start: datetime,
    end: datetime,
    dataset: str,
    schema: str,
    publisher: str | None,
    yes: bool,
    max_cost: float | None,
    batch: bool,
    catalog: Path,
    as_json: bool,
) -> None:
    """Fetch history from Databento, after showing the price and asking.

    The options are those of the verb; see `run.data.fetch.commands.databento`.
    """
    kind_of(schema, "Databento")
    if end < start:
        raise InputError(f"--end must not be before --start ({start.date()}), was {end.date()}")
    if end.date() >= datetime.now(UTC).date():
        raise InputError(f"--end must be a finished UTC day, was {end.date()}")
    gateway = address("databento", "") or None
    client, retries = connect(secret("DATABENTO_API_KEY", "Databento"), gateway), Retries(report=report)
    vendor = DatabentoHistory(client, retries)
    named = comma_separated(symbols)
    spans, tables = contracts_meant(vendor, dataset, named, start.date(), end.date())
    requests = [HistoryRequest(dataset, schema, (span.symbol,), span.first, span.last) for span in spans]
    confirm = partial(_confirm_price, vendor, yes=yes, max_cost=max_cost, as_json=as_json)
    with listing_stored() as stored:
        if batch:
            cost, files = _ordered(DatabentoBatch(client, retries), requests, catalog, confirm)
        else:
            cost, files = _streamed(vendor, _pieces(catalog, dataset, schema, spans), confirm)
        imports = _import(files, spans, publisher, catalog, stored)
        for table in tables:
            keep_rolls(catalog, table)
    if as_json:
        print_json({"catalog": str(catalog), "cost_usd": cost, "imports": imports})
    else:
        for record in imports:
            print_record(record)


def _ordered(
    batch: DatabentoBatch, requests: list[HistoryRequest], catalog: Path, confirm: Confirm
) -> tuple[float, list[Path]]:
    jobs = BatchJobs(catalog)
    cost = confirm(jobs.not_ordered(requests), len(requests))
    return cost, jobs.files(batch, requests)


def _streamed(vendor: DatabentoHistory, pieces: list[Piece], confirm: Confirm) -> tuple[float, list[Path]]:
    cost = confirm([piece.request for piece in pieces if not piece.path.exists()], len(pieces))
    return cost, _download(vendor, pieces)


def _pieces(catalog: Path, dataset: str, schema: str, spans: list[ContractSpan]) -> list[Piece]:
    pieces = []
    for span in spans:
        chunks = week_chunks if kind_of(schema, "Databento") == "bars" else day_chunks
        for chunk in chunks(span.first, span.last):
            request = HistoryRequest(dataset, schema, (span.symbol,), chunk.first, chunk.last)
            path = download_path(catalog, "databento", f"{dataset}-{schema}", span.symbol, chunk, ".dbn.zst")
            pieces.append(Piece(request, path))
    return pieces


def _confirm_price(
    vendor: DatabentoHistory,
    missing: list[HistoryRequest],
    asked: int,
    *,
    yes: bool,
    max_cost: float | None,
    as_json: bool,
) -> float:
    cost = sum(vendor.cost_usd(request) for request in missing)
    report(f"{len(missing)} of {asked} requests to fetch, for {cost:.2f} USD")
    if max_cost is not None and cost > max_cost:
        raise InputError(f"price must be at most {max_cost:.2f} USD (--max-cost), was {cost:.2f}; nothing was fetched")
    if missing and not yes:
        if as_json or not messages.is_terminal:
            raise InputError(f"price of {cost:.2f} USD needs --yes; nothing was fetched")
        if not typer.confirm(f"Fetch for {cost:.2f} USD?", err=True):
            raise InputError("declined; nothing was fetched")
    return cost


def _download(vendor: DatabentoHistory, pieces: list[Piece]) -> list[Path]:
    missing = [piece for piece in pieces if not piece.path.exists()]
    for piece in progress_bar(missing, "fetching"):
        vendor.download(piece.request, piece.path)
    return [piece.path for piece in pieces]


def _import(
    files: list[Path], spans: list[ContractSpan], publisher: str | None, catalog: Path, stored: Stored
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in files:
        with open_dbn(path) as file:
            if any(len(block) for block in file.store.to_ndarray(count=1)):  # something traded
                found += import_opened([file], Choices(publisher=publisher), catalog, stored)
    if not found:
        first = spans[0]
        raise InputError(f"Databento has no records of {first.symbol} from {first.first} on; check symbol and days")
    return joined_by_bar_type(found)
