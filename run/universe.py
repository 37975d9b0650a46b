"""`rl-intraday universe`: collect, import, train and backtest a universe of tickers.

Finished stages of every ticker are kept in ``<runs>/universe-<name>/progress.json``, so that a repeated call does only
what is missing.
"""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from adapters.errors import SourceError
from catalogs.cache import written_aside
from catalogs.errors import InputError
from catalogs.storage.downloads import Chunk
from run.console import print_json, report
from run.data.fetch.massive import FetchRequest, fetch, massive_client
from run.data.fetch.yahoo import fetch_symbol, yahoo_client
from run.data.stored import listing_stored
from run.data.universe import Universe, load_universe


class TickerProgress(msgspec.Struct):
    """State of one ticker: its bundle, its report, the result in USD, and why it failed, if it did."""

    bundle: str = ""
    report: str = ""
    net_pnl_usd: float | None = None
    failure: str = ""


class UniverseProgress(msgspec.Struct):
    """State of a universe; ``universe_hash`` is the hash of the universe that it was started with."""

    universe_hash: str
    tickers: dict[str, TickerProgress] = {}


def run_universe(*, universe: str, cpm: float, concurrency: int, catalog: Path, runs: Path, as_json: bool) -> None:
    """Collect, import, train and backtest every ticker of a universe.

    The options are those of the verb; see `run.commands.universe`.
    """
    chosen = load_universe(universe)
    folder = runs / f"universe-{chosen.name}"
    state = _begin(chosen, folder)
    _collect(chosen, catalog, cpm, concurrency)
    for number, ticker in enumerate(chosen.tickers, 1):
        report(f"{number}/{len(chosen.tickers)} {ticker}", style="bold")
        _advance(chosen, ticker, state, folder, catalog)
    if as_json:
        print_json({"folder": str(folder), **msgspec.to_builtins(state)})
    else:
        _show(chosen, state)


def _begin(universe: Universe, folder: Path) -> UniverseProgress:
    identity = hashlib.sha256(msgspec.json.encode(universe)).hexdigest()
    path = folder / "progress.json"
    if not path.is_file():
        return UniverseProgress(identity)
    state = msgspec.json.decode(path.read_bytes(), type=UniverseProgress)
    if state.universe_hash != identity:
        raise InputError(f"universe {universe.name} has changed since {path} was started; use another --runs folder")
    return state


def _save(state: UniverseProgress, folder: Path) -> None:
    with written_aside(folder / "progress.json") as aside:
        aside.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2))


def _collect(universe: Universe, catalog: Path, cpm: float, concurrency: int) -> None:
    if universe.vendor == "massive":
        request = FetchRequest(tuple(universe.tickers), universe.first_day, universe.last_day, universe.bar)
        fetch(massive_client(cpm), request, catalog, concurrency)
    elif universe.vendor == "yahoo":
        client = yahoo_client()
        chunk = Chunk(universe.first_day, universe.last_day)
        with listing_stored() as stored:
            for ticker in universe.tickers:
                stored.add(fetch_symbol(client, ticker, chunk, catalog))


def _advance(universe: Universe, ticker: str, state: UniverseProgress, folder: Path, catalog: Path) -> None:
    done = state.tickers.setdefault(ticker, TickerProgress())
    try:
        if not Path(done.bundle, "manifest.json").is_file():
            done.bundle = str(_train(universe, ticker, folder, catalog))
            _save(state, folder)
        if not Path(done.report).is_file():
            _test(universe, ticker, done, folder, catalog)
        done.failure = ""
    except (InputError, SourceError) as error:  # this ticker is skipped, the others go on
        done.failure = str(error)
        report(f"{ticker} skipped: {error}")
    _save(state, folder)


def _train(universe: Universe, ticker: str, folder: Path, catalog: Path) -> Path:
    # Imported here, as below: torch takes seconds to load, too long to wait for the error of a wrong key.
    from configs.schema import load_experiment
    from run.train.train import train_experiment

    window = {"start": universe.first_day.isoformat(), "end": universe.train_until.isoformat()}
    fixed: dict[str, Any] = {
        "name": f"{universe.name}-{ticker}", "instrument": ticker, "bar": universe.bar, "train": window,
        "validate": None, "test": None,
    }  # fmt: skip
    experiment = load_experiment(universe.experiment, {**universe.changes, **fixed})
    return train_experiment(experiment, catalog, folder).bundle


def _test(universe: Universe, ticker: str, done: TickerProgress, folder: Path, catalog: Path) -> None:
    from rl_strategies.bundle.bundle import load_bundle
    from run.backtest.backtest import backtest_bundle

    first = universe.train_until + timedelta(days=1)
    out = folder / "backtests" / ticker
    result = backtest_bundle(load_bundle(Path(done.bundle)), catalog, first, universe.last_day, out)
    done.report = str(result.files["report.html"])
    done.net_pnl_usd = float(result.record.equity_usd[-1] - result.record.starting_balance_usd)


def _show(universe: Universe, state: UniverseProgress) -> None:
    table = Table("ticker", "net PnL, USD", "report")
    for ticker in universe.tickers:
        done = state.tickers[ticker]
        earned = "" if done.net_pnl_usd is None else f"{done.net_pnl_usd:,.2f}"
        table.add_row(ticker, earned, done.failure or done.report)
    report(table)
