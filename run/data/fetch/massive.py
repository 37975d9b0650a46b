"""``rl-intraday data fetch massive``: minute bars of US stocks by month, concurrent and resumable."""

import functools
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
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
from catalogs.instruments.bar_types import bar_length_ns, bar_type_of
from catalogs.instruments.specification import resolve
from catalogs.storage.downloads import Chunk, download_path, keep_table, month_chunks, sha256_of
from catalogs.storage.ingest import import_bars
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import print_json, print_result, progress_bar, report
from run.data.fetch.last_session import last_finished_day
from run.data.fetch.vendors import address, secret
from run.data.universe import load_universe

_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True)
class Order:
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
    named = [name.strip().upper() for name in tickers.split(",") if name.strip()]
    if universe is not None:
        named += load_universe(universe).tickers
    if not named:
        raise InputError("no ticker: give --tickers or --universe")
    last = last_finished_day()
    if end is not None and end.date() > last:
        report(f"days after {last} are not finished; fetching up to {last}")
    order = Order(tuple(dict.fromkeys(named)), start.date(), min(last, end.date()) if end else last, bar, adjusted)
    if order.last < order.first:
        raise InputError(f"--start must not be after the last finished day ({order.last}), was {order.first}")
    records = fetch(massive_client(cpm), order, catalog, concurrency)
    if as_json:
        print_json({"catalog": str(catalog), "adjusted": adjusted, "imports": records})
        return
    for record in records:
        print_result(
            f"{record['ticker']}: {record['rows']:,} bars, {record['new_rows']:,} of them new ({order.series})"
        )


def massive_client(per_minute: float) -> MassiveClient:
    """Client with the environment's key and its own rate limiter."""
    headers = {"Authorization": f"Bearer {secret('MASSIVE_API_KEY', 'Massive')}"}
    return MassiveClient(HttpSource("Massive", address("massive", BASE), headers=headers, limiter=Limiter(per_minute)))


def fetch(client: MassiveClient, order: Order, catalog: Path, concurrency: int) -> list[dict[str, Any]]:
    """Download the missing months, store corporate actions, import every ticker.

    Raises
    ------
    SourceError
        If the vendor refuses or keeps failing; finished downloads stay.
    InputError
        If a ticker is not in the instrument table, has no bars, or its bars differ from stored ones.
    """
    for ticker in order.tickers:
        resolve(ticker, instruments_path())
        bar_length_ns(order.bar)
    chunks = list(month_chunks(order.first, order.last))
    _download(client, order, catalog, chunks, concurrency)
    return [_import(catalog, order, ticker, chunks) for ticker in order.tickers]


def _download(client: MassiveClient, order: Order, catalog: Path, chunks: list[Chunk], concurrency: int) -> None:
    tasks = [
        functools.partial(_download_chunk, client, order, catalog, ticker, chunk)
        for ticker in order.tickers
        for chunk in chunks
        if not _path(catalog, order, ticker, chunk).exists()
    ]
    tasks += [functools.partial(_download_actions, client, catalog, ticker) for ticker in order.tickers]
    pool = ThreadPoolExecutor(concurrency)
    try:
        running = [pool.submit(task) for task in tasks]
        for done in _shown(as_completed(running), len(running)):
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _shown(done: Iterable[Future[None]], total: int) -> Iterator[Future[None]]:
    yield from progress_bar(done, "fetching", total)


def _download_chunk(client: MassiveClient, order: Order, catalog: Path, ticker: str, chunk: Chunk) -> None:
    table = client.bars(ticker, order.minutes, chunk.first, chunk.last, adjusted=order.adjusted)
    keep_table(_path(catalog, order, ticker, chunk), table)


def _download_actions(client: MassiveClient, catalog: Path, ticker: str) -> None:
    write_actions(catalog, ticker, client.corporate_actions(ticker))


def _import(catalog: Path, order: Order, ticker: str, chunks: list[Chunk]) -> dict[str, Any]:
    spec = resolve(ticker, instruments_path())
    rows = new_rows = 0
    for chunk in chunks:
        path = _path(catalog, order, ticker, chunk)
        table = pq.read_table(path, partitioning=None)
        if not len(table):
            continue
        source = SourceFile(f"massive {order.series} {chunk}", sha256_of(path), len(table), ticker)
        imported = import_bars(catalog, spec, order.bar, [table], [source], stamp="open")
        rows, new_rows = rows + len(imported.bars), new_rows + imported.new_rows
    if not rows:
        raise InputError(f"Massive has no bars of {ticker} from {order.first} to {order.last}; check the ticker")
    _report_splits(catalog, order, ticker)
    return {
        "ticker": ticker,
        "bar_type": bar_type_of(spec, order.bar),
        "rows": rows,
        "new_rows": new_rows,
    }


def _report_splits(catalog: Path, order: Order, ticker: str) -> None:
    for day, ratio in read_splits(catalog, ticker):
        if order.first < day <= order.last and not order.adjusted:
            report(f"{ticker}: {ratio:g}:1 split on {day}; bars are as traded, so prices jump there")


def _path(catalog: Path, order: Order, ticker: str, chunk: Chunk) -> Path:
    return download_path(catalog, "massive", order.series, ticker, chunk, ".parquet")
