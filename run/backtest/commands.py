"""Verbs that test a bundle, as the command line declares them; the work is imported when a verb is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from run.options import DEFAULT_CATALOG, BundleArgument, CatalogOption, JsonOption, day_option


def backtest(
    bundle: BundleArgument,
    start: Annotated[datetime, day_option("First trading day.")],
    end: Annotated[datetime, day_option("Last trading day, included.")],
    catalog: CatalogOption = DEFAULT_CATALOG,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Report folder (default: one per window, in the run folder).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed, for the random policies.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Backtest a bundle in NautilusTrader's BacktestNode and write a report.

    \b
    Example:
      rl-intraday backtest runs/…/bundle/demo-… \\
        --start 2025-02-18 --end 2025-03-07
    """
    from run.backtest.backtest import run_backtest

    run_backtest(bundle=bundle, start=start, end=end, catalog=catalog, out=out, seed=seed, as_json=as_json)


def evaluate(
    bundle: BundleArgument,
    catalog: CatalogOption = DEFAULT_CATALOG,
    start: Annotated[datetime | None, day_option("First trading day (default: the experiment's test range).")] = None,
    end: Annotated[datetime | None, day_option("Last trading day, included.")] = None,
    tickers: Annotated[
        str | None, typer.Option(metavar="SYMBOLS", help="Comma-separated: AAPL,MSFT (default: all trained on).")
    ] = None,
    test_tickers: Annotated[
        bool, typer.Option("--test-tickers", help="Evaluate the experiment's test_tickers.")
    ] = False,
    window: Annotated[int, typer.Option(min=1, help="Sessions per window.")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="Number of runs with sampled actions.")] = 8,
    strict_test_window: Annotated[
        bool, typer.Option("--strict-test-window", help="Fail if a ticker has no session in the range.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Output folder (default: one per window, in the run folder).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed, for sampled actions and random policies.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a bundle on sessions that its training never saw, by window and by ticker.

    \b
    Example:
      rl-intraday evaluate runs/…/bundle/us30_multiticker-… --test-tickers
    """
    from run.backtest.evaluate import run_evaluate

    run_evaluate(
        bundle=bundle,
        catalog=catalog,
        start=start,
        end=end,
        tickers=tickers,
        test_tickers=test_tickers,
        window=window,
        samples=samples,
        strict_test_window=strict_test_window,
        out=out,
        seed=seed,
        as_json=as_json,
    )


def certify(
    episodes: Annotated[int, typer.Option(min=1, help="Number of random configurations, one episode each.")] = 60,
    instruments: Annotated[int, typer.Option(min=1, help="Largest number of instruments in a portfolio.")] = 10,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    catalog: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also use intraday bars of this catalog.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that the simulator trades exactly as the NautilusTrader engine does.

    Draws random rules, bars and actions, runs them through both, and compares every observation, reward, fill (time,
    side, quantity, price, commission), refusal and balance. Exit code 1 on any difference.

    \b
    Example:
      rl-intraday certify --episodes 200 --seed 7
    """
    from run.backtest.certify import run_certify

    run_certify(episodes=episodes, instruments=instruments, seed=seed, catalog=catalog, as_json=as_json)
