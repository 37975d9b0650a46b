"""Verbs of ``rl-intraday data fetch``, one per vendor; the work is imported when a verb is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from run.data.fetch.choices import FREE_PLAN_PER_MINUTE, SOURCES
from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption, day_option
from run.verb import VerbGroup

app = VerbGroup("Fetch bars and reference data from a vendor.")


@app.command("databento")
def databento(
    symbols: Annotated[
        str,
        typer.Option("--symbols", metavar="SYMBOLS", help="Comma-separated, MESZ6,MNQZ6; MES.v.0 rolls by volume."),
    ],
    start: Annotated[datetime, day_option("First day, UTC.")],
    end: Annotated[datetime, day_option("Last day, UTC, included.")],
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="Databento dataset.")] = "GLBX.MDP3",
    schema: Annotated[
        str,
        typer.Option(
            "--schema", metavar="NAME", help="ohlcv-1m, ohlcv-1h, trades, mbp-1, bbo-1s, bbo-1m or definition."
        ),
    ] = "ohlcv-1m",
    publisher: Annotated[
        str | None,
        typer.Option("--publisher", metavar="VENUE", help="Venue to take where several publish (default: combined)."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Pay without asking.")] = False,
    max_cost: Annotated[
        float | None, typer.Option("--max-cost", metavar="USD", min=0, help="Highest price to pay.")
    ] = None,
    batch: Annotated[bool, typer.Option("--batch", help="Use batch jobs; for long ranges.")] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch history from Databento.

    Shows the price and asks before it pays. A continuous symbol is fetched as its contracts, each with enough earlier
    days to warm up features, and gives a roll table. Finished chunks stay in the catalog's downloads, so that nothing
    is paid for twice.

    \b
    Examples:
      rl-intraday data fetch databento --symbols MES.v.0 --max-cost 5 \\
        --start 2025-01-01 --end 2025-06-30
      rl-intraday data fetch databento --symbols ESU5 --schema trades --yes \\
        --start 2025-07-01 --end 2025-07-01
    """
    from run.data.fetch.databento import fetch_databento

    fetch_databento(
        symbols=symbols,
        start=start,
        end=end,
        dataset=dataset,
        schema=schema,
        publisher=publisher,
        yes=yes,
        max_cost=max_cost,
        batch=batch,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("ibkr")
def ibkr(
    symbols: Annotated[str, typer.Option("--symbols", metavar="SYMBOLS", help="Comma-separated: SPY,MESZ6.")],
    start: Annotated[datetime, day_option("First trading day.")],
    end: Annotated[datetime, day_option("Last trading day, included.")],
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Host of TWS or IB Gateway.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port: 4002 for Gateway paper, 7497 for TWS paper.")] = 4002,
    client_id: Annotated[int, typer.Option("--client-id", help="Client id; not one that trades.")] = 91,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch one-minute bars from Interactive Brokers.

    Needs a running TWS or IB Gateway. Every session is one request and stays in the catalog's downloads. A refused or
    empty answer is an error; the next call continues there.

    \b
    Example:
      rl-intraday data fetch ibkr --symbols MESZ6 \\
        --start 2026-09-21 --end 2026-10-16
    """
    from run.data.fetch.ibkr import fetch_ibkr

    fetch_ibkr(
        symbols=symbols,
        start=start,
        end=end,
        host=host,
        port=port,
        client_id=client_id,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("massive")
def massive(
    start: Annotated[datetime, day_option("First day.")],
    end: Annotated[datetime | None, day_option("Last day (default: the last finished session).")] = None,
    tickers: Annotated[str, typer.Option("--tickers", metavar="SYMBOLS", help="Comma-separated: AAPL,MSFT.")] = "",
    universe: Annotated[
        str | None, typer.Option("--universe", metavar="NAME", help="Name or YAML file of a universe.")
    ] = None,
    bar: Annotated[str, typer.Option("--bar", metavar="BAR", help="Bar length: N-MINUTE.")] = "1-MINUTE",
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="Adjust prices for later splits (default: as traded).")
    ] = False,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Concurrent requests.")] = 4,
    cpm: Annotated[float, typer.Option("--cpm", min=0.1, help="Requests per minute.")] = FREE_PLAN_PER_MINUTE,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch minute bars of US stocks from Massive.

    Massive was called Polygon before. Finished months stay in the catalog's downloads; a repeated call fetches only
    what is missing. Splits and dividends are stored, too.

    \b
    Examples:
      rl-intraday data fetch massive --tickers AAPL,MSFT --start 2025-01-01
      rl-intraday data fetch massive --universe low_price --cpm 300 \\
        --start 2025-01-01 --end 2025-03-31
    """
    from run.data.fetch.massive import fetch_massive

    fetch_massive(
        start=start,
        end=end,
        tickers=tickers,
        universe=universe,
        bar=bar,
        adjusted=adjusted,
        concurrency=concurrency,
        cpm=cpm,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("massive-reference")
def massive_reference(
    tickers: Annotated[str, typer.Option("--tickers", metavar="SYMBOLS", help="Comma-separated: AAPL,MSFT.")] = "",
    universe: Annotated[
        str | None, typer.Option("--universe", metavar="NAME", help="Name or YAML file of a universe.")
    ] = None,
    cpm: Annotated[float, typer.Option("--cpm", min=0.1, help="Requests per minute.")] = FREE_PLAN_PER_MINUTE,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch reference data of US stocks from Massive.

    Names, statements, splits and dividends.

    \b
    Example:
      rl-intraday data fetch massive-reference --tickers AAPL,MSFT
    """
    from run.data.fetch.massive_reference import fetch_massive_reference

    fetch_massive_reference(tickers=tickers, universe=universe, cpm=cpm, catalog=catalog, as_json=as_json)


@app.command("vix")
def vix(
    sources: Annotated[
        str, typer.Option("--sources", metavar="NAMES", help="Sources in the order in which they are asked.")
    ] = SOURCES,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="FILE", help="Files to read first: VIX_History.csv, VIX9D….dbn.zst."),
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch daily values of VIX, VIX9D and VIX3M.

    They go into the catalog's context series. Sources are asked in order until the series reaches the last finished
    session; each day comes from the first source that has it. A value counts as known from 16:15 New York time of its
    day.

    \b
    Examples:
      rl-intraday data fetch vix
      rl-intraday data fetch vix --sources yahoo,cboe
      rl-intraday data fetch vix --sources "" --file VIX_History.csv
    """
    from run.data.fetch.vix import fetch_vix

    fetch_vix(sources=sources, files=files, catalog=catalog, as_json=as_json)


@app.command("yahoo")
def yahoo(
    more: Annotated[list[str] | None, typer.Argument(metavar="SYMBOL", help="More symbols.")] = None,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbols", metavar="SYMBOLS", help="Symbols: SPY QQQ, or SPY,QQQ.")
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="Calendar days to fetch (default: all that Yahoo has).")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Fetch one-minute bars of US stocks from Yahoo.

    Finished sessions of the last four weeks, without a key. Run it daily to build up history; only new bars are added.

    \b
    Example:
      rl-intraday data fetch yahoo --symbols SPY QQQ
    """
    from run.data.fetch.yahoo import fetch_yahoo

    fetch_yahoo(more=more, symbols=symbols, days=days, catalog=catalog, as_json=as_json)
