"""``rl-intraday data fetch yahoo``: one-minute bars of the last four weeks, free and without a key."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.http import HttpSource
from adapters.limiter import Limiter
from adapters.yahoo import MINUTE_DAYS, YahooClient
from adapters.yahoo.client import BASE, USER_AGENT
from catalogs.errors import InputError
from catalogs.instruments.specification import capitals, resolve_share
from catalogs.storage.downloads import Chunk, download_path, keep_table, sha256_of
from catalogs.storage.ingest import import_bars
from catalogs.storage.provenance import SourceFile
from configs import instruments_path
from run.console import progress_bar, report
from run.data.fetch.last_session import last_finished_day
from run.data.fetch.vendors import address
from run.data.output import import_record, print_records
from run.data.stored import listing_stored
from run.options import comma_separated

PER_MINUTE = 60.0


def fetch_yahoo(
    *, more: list[str] | None, symbols: list[str] | None, days: int | None, catalog: Path, as_json: bool
) -> None:
    """Fetch one-minute bars of US stocks from Yahoo: finished sessions of the last four weeks, without a key.

    The options are those of the verb; see `run.data.fetch.commands.yahoo`.
    """
    given = [name for text in [*(symbols or []), *(more or [])] for name in comma_separated(text)]
    if not given:
        raise InputError("no symbol: give --symbols")
    names = [resolve_share(capitals(name), instruments_path()).symbol for name in given]
    if days is not None and days > MINUTE_DAYS:
        raise InputError(f"--days must be {MINUTE_DAYS} or less, was {days}: Yahoo keeps minute bars no longer")
    last = last_finished_day()
    chunk = Chunk(last - timedelta(days=(days or MINUTE_DAYS) - 1), last)
    client = yahoo_client()
    shown = progress_bar(names, "fetching")
    with listing_stored() as stored:
        records = [stored.add(fetch_symbol(client, name, chunk, catalog)) for name in shown]
    print_records(records, as_json)


def yahoo_client() -> YahooClient:
    """Client with at most one request per second."""
    headers = {"User-Agent": USER_AGENT}
    limiter = Limiter(PER_MINUTE)
    return YahooClient(HttpSource("Yahoo", address("yahoo", BASE), headers=headers, limiter=limiter, attempts=4))


def fetch_symbol(client: YahooClient, symbol: str, chunk: Chunk, catalog: Path) -> dict[str, Any]:
    """Download and import the minutes of one symbol.

    Raises
    ------
    SourceError
        If Yahoo refuses, fails or does not know the symbol.
    InputError
        If these days have no bars, or bars differ from stored ones.
    """
    table = client.minutes(symbol, chunk.first, chunk.last)
    if not len(table):
        raise InputError(f"Yahoo has no bars of {symbol} from {chunk.first} to {chunk.last}")
    path = download_path(catalog, "yahoo", "1-MINUTE", symbol, chunk, ".parquet")
    keep_table(path, table)
    spec = resolve_share(symbol, instruments_path())
    source = SourceFile(f"yahoo {chunk}", sha256_of(path), len(table), symbol)
    imported = import_bars(catalog, spec, "1-MINUTE", [table], [source], stamp="open")
    if imported.provenance.quality.count("out_of_session"):
        report(f"{symbol}: bars outside regular hours were dropped")
    return import_record(imported, catalog)
