"""``rl-intraday data fetch massive``: minute bars of US stocks by month, concurrent and resumable."""

import functools
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from adapters.http import HttpSource
from adapters.limiter import Limiter
from adapters.massive import MassiveClient
from adapters.massive.client import BASE
from catalogs.corporate_actions import read_splits, write_actions
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.instruments.specification import resolve_share
from catalogs.storage.downloads import Chunk, download_path, keep_table, month_chunks, sha256_of
from catalogs.storage.ingest import import_bars
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import print_json, progress_bar, report
from run.data.fetch.last_session import last_finished_day
from run.data.fetch.vendors import address, secret
from run.data.output import import_record, joined_by_bar_type, print_record
from run.data.stored import Stored, listing_stored
from run.data.universe import named_tickers

_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True)
class FetchRequest:
    """Tickers, days and kind of bars to fetch."""

    tickers: tuple[str, ...]
    first: date
    last: date
    bar: str = "1-MINUTE"
    adjusted: bool = False

    @property
    def minutes(self) -> int:
        """Bar length in minutes."""
        return bar_length_ns(self.bar) // _MINUTE_NS

    @property
    def series(self) -> str:
        """Folder of the downloads: bar length, and whether prices are adjusted for splits."""
        return f"{self.bar}-{'adjusted' if self.adjusted else 'raw'}"


def fetch_massive(
    *,
    start: datetime,
    end: datetime | None,
    tickers: str,
    universe: str | None,
    bar: str,
    adjusted: bool,
    concurrency: int,
    cpm: float,
    catalog: Path,
    as_json: bool,
) -> None:
    """Fetch minute bars of US stocks from Massive (formerly Polygon).

    The options are those of the verb; see `run.data.fetch.commands.massive`.
    """
    named = [resolve_share(name, instruments_path()).symbol for name in named_tickers(tickers, universe)]
    last = last_finished_day()
    if end is not None and end.date() > last:
        report(f"days after {last} are not finished; fetching up to {last}")
    request = FetchRequest(tuple(named), start.date(), min(last, end.date()) if end else last, bar, adjusted)
    if request.last < request.first:
        raise InputError(f"--start must not be after the last finished day ({request.last}), was {request.first}")
    records = fetch(massive_client(cpm), request, catalog, concurrency)
    if as_json:
        print_json({"catalog": str(catalog), "adjusted": adjusted, "imports": records})
        return
    for record in records:
        print_record(record)


def massive_client(per_minute: float) -> MassiveClient:
    """Client with the environment's key and its own rate limiter."""
    headers = {"Authorization": f"Bearer {secret('MASSIVE_API_KEY', 'Massive')}"}
    return MassiveClient(HttpSource("Massive", address("massive", BASE), headers=headers, limiter=Limiter(per_minute)))


def fetch(client: MassiveClient, request: FetchRequest, catalog: Path, concurrency: int) -> list[dict[str, Any]]:
    """Download the missing months, store corporate actions, import every ticker.

    Raises
    ------
    SourceError
        If the vendor refuses or keeps failing; finished downloads stay.
    InputError
        If a ticker is not in the instrument table, has no bars, or its bars differ from stored ones; names what was
        stored before.
    """
    for ticker in request.tickers:
        resolve_share(ticker, instruments_path())
        bar_length_ns(request.bar)
    chunks = list(month_chunks(request.first, request.last))
    with listing_stored() as stored:
        _download(client, request, catalog, chunks, concurrency)
        return [_import(catalog, request, ticker, chunks, stored) for ticker in request.tickers]


def _download(
    client: MassiveClient, request: FetchRequest, catalog: Path, chunks: list[Chunk], concurrency: int
) -> None:
    tasks = [
        functools.partial(_download_chunk, client, request, catalog, ticker, chunk)
        for ticker in request.tickers
        for chunk in chunks
        if not _path(catalog, request, ticker, chunk).exists()
    ]
    tasks += [functools.partial(_download_actions, client, catalog, ticker) for ticker in request.tickers]
    pool = ThreadPoolExecutor(concurrency)
    try:
        running = [pool.submit(task) for task in tasks]
        for done in progress_bar(as_completed(running), "fetching", len(running)):
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _download_chunk(client: MassiveClient, request: FetchRequest, catalog: Path, ticker: str, chunk: Chunk) -> None:
    table = client.bars(ticker, request.minutes, chunk.first, chunk.last, adjusted=request.adjusted)
    keep_table(_path(catalog, request, ticker, chunk), table)


def _download_actions(client: MassiveClient, catalog: Path, ticker: str) -> None:
    write_actions(catalog, ticker, client.corporate_actions(ticker))


def _import(catalog: Path, request: FetchRequest, ticker: str, chunks: list[Chunk], stored: Stored) -> dict[str, Any]:
    spec, records = resolve_share(ticker, instruments_path()), []
    for chunk in chunks:
        path = _path(catalog, request, ticker, chunk)
        table = pq.read_table(path, partitioning=None)
        if not len(table):
            continue
        source = SourceFile(f"massive {request.series} {chunk}", sha256_of(path), len(table), ticker)
        imported = import_bars(catalog, spec, request.bar, [table], [source], stamp="open")
        records.append(stored.add(import_record(imported, catalog)))
    if not records:
        raise InputError(f"Massive has no bars of {ticker} from {request.first} to {request.last}; check the ticker")
    _report_splits(catalog, request, ticker)
    return {"ticker": ticker, **joined_by_bar_type(records)[0]}


def _report_splits(catalog: Path, request: FetchRequest, ticker: str) -> None:
    for day, ratio in read_splits(catalog, ticker):
        if request.first < day <= request.last and not request.adjusted:
            report(f"{ticker}: {ratio:g}:1 split on {day}; bars are as traded, so prices jump there")


def _path(catalog: Path, request: FetchRequest, ticker: str, chunk: Chunk) -> Path:
    return download_path(catalog, "massive", request.series, ticker, chunk, ".parquet")
