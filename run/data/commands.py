"""Verbs of ``rl-intraday data`` as the command line declares them; the work is imported when a verb is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from run.data.choices import DateOrder, RollMethod, SpreadSource, Stamp
from run.data.fetch import commands as fetch
from run.options import DEFAULT_CATALOG, DEFAULT_RUNS, CatalogOption, JsonOption, RunsOption, day_option
from run.verb import VerbGroup

BarTypes = Annotated[
    list[str] | None,
    typer.Argument(metavar="BAR_TYPE", help="Bar types as `data list` names them (default: all)."),
]
Day = Annotated[datetime | None, day_option("UTC day, included.")]

app = VerbGroup("Market data: fetch, import, list, check, export, rolls, consolidate.")
app.add_typer(fetch.app, name="fetch")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Text, Parquet, JSON or DBN files.")],
    instrument: Annotated[
        str | None,
        typer.Option("--instrument", metavar="SYMBOL", help="SPY, MESZ6 (default: the symbols in the files)."),
    ] = None,
    bar: Annotated[str, typer.Option("--bar", metavar="BAR", help="Bar length: N-MINUTE or N-HOUR.")] = "1-MINUTE",
    stamp: Annotated[
        Stamp | None,
        typer.Option("--stamp", help="Timestamps mark bar open or close (default: as the format says, else open)."),
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Time zone of timestamps without one, e.g. UTC.")
    ] = None,
    dates: Annotated[
        DateOrder | None,
        typer.Option("--dates", help="Order of dates such as 07/03/2025 (default: as the file shows)."),
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option("--symbol", metavar="SYMBOLS", help="Symbols to take from files with several.")
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="Format of the files (default: by their content).")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="NAMES", help="Columns of files without names: date,time,open,…,skip."),
    ] = None,
    publisher: Annotated[
        str | None,
        typer.Option(
            "--publisher", metavar="VENUE", help="Venue to take from Databento files of several (default: all)."
        ),
    ] = None,
    assume_volume: Annotated[
        int, typer.Option("--assume-volume", metavar="N", min=0, help="Volume to store where it is missing.")
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse files that need repairs.")] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Import bars from text, Parquet, JSON or DBN files.

    Files of known vendors and platforms are recognised by their content; docs/data.md lists them. Databento's DBN
    files may also hold trades, quotes or definitions.

    Prices are rounded to the tick, times become bar closes in UTC, bars outside exchange hours are dropped; every
    change is counted. All symbols are imported or none. A longer file of the same bars appends the new ones; bars
    that differ from stored ones are refused.

    \b
    Examples:
      rl-intraday data import spy.csv --instrument SPY --tz America/New_York
      rl-intraday data import 2025-06-12.csv.gz --symbol SPY,QQQ
      rl-intraday data import es.txt --instrument ESU5 --tz America/Chicago
      rl-intraday data import es.parquet --instrument ESU5 --stamp close
      rl-intraday data import thirty-tickers.parquet --stamp open
      rl-intraday data import glbx-mdp3-20240701.ohlcv-1m.dbn.zst
    """
    from run.data.import_files import run_import

    run_import(
        files=files,
        instrument=instrument,
        bar=bar,
        stamp=stamp,
        tz=tz,
        dates=dates,
        symbol=symbol,
        file_format=file_format,
        columns=columns,
        publisher=publisher,
        assume_volume=assume_volume,
        strict=strict,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("consolidate")
def consolidate(
    bar_types: BarTypes = None, catalog: CatalogOption = DEFAULT_CATALOG, as_json: JsonOption = False
) -> None:
    """Join the many files of daily appends; the bars do not change.

    \b
    Example:
      rl-intraday data consolidate
    """
    from run.data.maintain import run_consolidate

    run_consolidate(bar_types, catalog, as_json)


@app.command("export")
def export(
    bar_type: Annotated[str, typer.Argument(help="Bar type as `data list` names it.")],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Output file, .csv or .parquet.")],
    start: Day = None,
    end: Day = None,
    adjusted: Annotated[
        bool, typer.Option("--split-adjusted", help="Divide prices before stored splits by their ratios.")
    ] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Write stored bars to a CSV or Parquet file.

    Times are bar closes in UTC, prices in USD.

    \b
    Example:
      rl-intraday data export SPY.EQUS-1-MINUTE-LAST-EXTERNAL spy.csv
    """
    from run.data.maintain import run_export

    run_export(bar_type=bar_type, out=out, start=start, end=end, adjusted=adjusted, catalog=catalog, as_json=as_json)


@app.command("rolls")
def rolls(
    root: Annotated[str, typer.Argument(help="Root of the future: ES, CL, ZN.")],
    bar: Annotated[
        str | None,
        typer.Option("--bar", metavar="BAR", help="Length of the bars to read (default: the only one in the catalog)."),
    ] = None,
    method: Annotated[RollMethod, typer.Option("--method", help="Roll by volume or by calendar.")] = (
        RollMethod.VOLUME
    ),
    days_before_expiry: Annotated[
        int | None,
        typer.Option(
            "--days-before-expiry",
            min=1,
            help="Sessions before expiry of the latest roll (default: its week's Monday, by volume 1).",
        ),
    ] = None,
    continuous: Annotated[
        Path | None, typer.Option("--continuous", metavar="FILE", help="Also write a continuous series to this file.")
    ] = None,
    back_adjusted: Annotated[
        bool, typer.Option("--back-adjusted", help="Shift past prices by each roll's gap; for charts only.")
    ] = False,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Build and store the roll table of a future.

    By volume, a roll takes effect at the open of the session after the first in which the next month traded more.
    Training, charts and live trading read the same table.

    \b
    Examples:
      rl-intraday data rolls ES --bar 5-MINUTE
      rl-intraday data rolls MES --method calendar --days-before-expiry 8
      rl-intraday data rolls ES --bar 5-MINUTE --continuous es.csv --back-adjusted
    """
    from run.data.rolls import run_rolls

    run_rolls(
        root=root,
        bar=bar,
        method=method,
        days_before_expiry=days_before_expiry,
        continuous=continuous,
        back_adjusted=back_adjusted,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("spreads")
def spreads(
    instruments: Annotated[list[str], typer.Argument(metavar="INSTRUMENT", help="Instruments of the catalog.")],
    method: Annotated[
        SpreadSource,
        typer.Option(
            "--method", metavar="METHOD", help="From bars: abdi-ranaldo, corwin-schultz; or quotes, of the catalog."
        ),
    ] = SpreadSource.ABDI_RANALDO,
    quotes: Annotated[
        Path | None, typer.Option("--quotes", metavar="FILE", help="Quotes of one instrument, CSV or Parquet.")
    ] = None,
    tz: Annotated[
        str | None, typer.Option("--tz", metavar="ZONE", help="Time zone of the file's times without one.")
    ] = None,
    bar: Annotated[str, typer.Option("--bar", metavar="BAR", help="Length of the bars to estimate from.")] = "1-MINUTE",
    minutes: Annotated[int, typer.Option("--minutes", min=5, help="Length of a time of day, a multiple of 5.")] = 30,
    start: Day = None,
    end: Day = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the table here, CSV.")] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Measure the spread by instrument and time of day.

    From quotes, or estimated from bars. The table serves `execution: {slippage: {spreads: FILE}}`
    of an experiment. A quote file needs columns for time, bid and ask.

    \b
    Examples:
      rl-intraday data spreads SPY AAPL --out spreads.csv
      rl-intraday data spreads ESU5 --method quotes --minutes 60 --out es.csv
      rl-intraday data spreads SPY --quotes spy-bbo.parquet --out spy.csv
    """
    from run.data.spreads import run_spreads

    run_spreads(
        instruments=instruments,
        method=method.value,
        quotes=quotes,
        tz=tz,
        bar=bar,
        minutes=minutes,
        start=start,
        end=end,
        out=out,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("list")
def list_(
    catalog: CatalogOption = DEFAULT_CATALOG, runs: RunsOption = DEFAULT_RUNS, as_json: JsonOption = False
) -> None:
    """List what the catalog holds, and the trained bundles.

    Bars, instruments, context series, roll tables and downloads.

    \b
    Example:
      rl-intraday data list --catalog catalogs/store
    """
    from run.data.contents import run_list

    run_list(catalog, runs, as_json)


@app.command("check")
def check(
    bar_types: BarTypes = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FOLDER", help="Another catalog to compare with.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Check stored bars: gaps, outliers, splits, changed hours.

    With --against, compares them with another catalog's bars of the same type (another vendor's, for example): bars
    missing on either side, differing closes, a late clock.

    \b
    Examples:
      rl-intraday data check
      rl-intraday data check SPY.EQUS-1-MINUTE-LAST-EXTERNAL --json
      rl-intraday data check --against other/catalog
    """
    from run.data.contents import run_check

    run_check(bar_types=bar_types, against=against, catalog=catalog, as_json=as_json)
