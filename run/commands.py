"""Verbs that do everything at once, as the command line declares them; the work is imported when a verb is called."""

from pathlib import Path
from typing import Annotated

import typer

from run.data.fetch.choices import FREE_PLAN_PER_MINUTE
from run.options import DEFAULT_CATALOG, DEFAULT_RUNS, CatalogOption, JsonOption, RunsOption


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder.")] = Path("demo"),
    timesteps: Annotated[int | None, typer.Option(help="Training steps (default: the preset's).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole path on synthetic data, without downloads.

    Takes under three minutes. Makes MES sessions with a planted edge, trains a PPO-LSTM policy on them, backtests it on
    later sessions in NautilusTrader's BacktestNode and writes a report. Because the edge is planted, the result shows
    that the program works, not that money can be made.

    \b
    Example:
      rl-intraday demo
    """
    from run.demo import run_demo

    run_demo(out, timesteps, as_json)


def universe(
    universe: Annotated[str, typer.Argument(help="YAML file, or name of a universe in configs/universes.")],
    cpm: Annotated[float, typer.Option("--cpm", min=0.1, help="Requests per minute to Massive.")] = (
        FREE_PLAN_PER_MINUTE
    ),
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Concurrent requests.")] = 4,
    catalog: CatalogOption = DEFAULT_CATALOG,
    runs: RunsOption = DEFAULT_RUNS,
    as_json: JsonOption = False,
) -> None:
    """Collect, train and backtest every ticker of a universe.

    Can be stopped at any time; the same call continues with what is missing. A ticker that fails (too few bars, for
    example) is reported and skipped.

    \b
    Example:
      rl-intraday universe low_price --cpm 300
    """
    from run.universe import run_universe

    run_universe(universe=universe, cpm=cpm, concurrency=concurrency, catalog=catalog, runs=runs, as_json=as_json)
