"""`rl-intraday evaluate`: a bundle on rolling out-of-sample windows and tickers."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from rich.table import Table

from catalogs.errors import InputError
from catalogs.instruments.identifiers import symbol_of
from configs.schema import DateRange, Experiment, parse_experiment
from rl_strategies.analysis.trades import Trade
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.backtest.evaluation import EvaluationRow, MarketEvaluation, evaluate_market, market_name
from run.console import print_json, report
from run.ledger.recording import check_recordable, ledger_of_bundle, recorded, tested_facts
from run.options import comma_separated, results_folder
from run.reports.frames import trade_table
from run.reports.metadata import CostAssumptions, ReportMetadata
from run.train.markets import bundle_market

_LONGEST_NAME = 40
RESULTS, TRADES = "evaluation_results.json", "trades.csv"


def run_evaluate(
    *,
    bundle: Path,
    catalog: Path,
    start: datetime | None,
    end: datetime | None,
    tickers: str | None,
    test_tickers: bool,
    window: int,
    samples: int,
    strict_test_window: bool,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Evaluate a bundle on sessions that its training never saw, by window and by ticker.

    The options are those of the verb; see `run.backtest.commands.evaluate`.
    """
    loaded = load_bundle(bundle)
    experiment = parse_experiment(loaded.experiment, f"bundle {loaded.id}")
    dates = requested_window(experiment, start, end)
    names = requested_tickers(experiment, tickers, test_tickers)
    check_recordable(ledger_of_bundle(bundle))
    found: list[MarketEvaluation] = []
    missing: dict[str, str] = {}
    facts = tested_facts(loaded, dates.start, dates.end, seed)
    facts |= {"tickers": [name for name in names if name is not None], "samples": samples}
    with ExitStack() as stack:
        for name in names:
            try:
                market = bundle_market(loaded, experiment, catalog, dates, name)
            except InputError as error:
                if name is None or strict_test_window or len(names) == 1:
                    raise
                missing[name] = str(error)
                report(str(error), label="left out:", style="yellow")
                continue
            if not found:  # a window without sessions tries nothing
                recording = stack.enter_context(recorded(ledger_of_bundle(bundle), "evaluation", facts))
            days = f"{len(market)} sessions {market.session_dates[0]} to {market.session_dates[-1]}"
            report(f"{market_name(market)}: {days}")
            found.append(evaluate_market(loaded, market, window, samples=samples, seed=seed))
        if not found:
            raise InputError(f"no ticker has a session from {dates.start} to {dates.end} ({len(names)} checked)")
        results = describe(loaded, dates, found, missing, seed)
        others = _others(names, tickers, test_tickers)
        folder = out or results_folder(bundle, "evaluation", dates.start, dates.end, others)
        write(folder, results, trade_rows(loaded, dates, found, seed))
        recording.results.update(results["total"])
    if as_json:
        print_json(results)
    else:
        print_evaluation(found, folder)


def requested_window(experiment: Experiment, start: datetime | None, end: datetime | None) -> DateRange:
    """The dates asked for, else the experiment's ``test``; never days that were trained or validated on.

    Raises
    ------
    InputError
        If there are no dates, or they overlap those trained or validated on.
    """
    if start is None and end is None and experiment.test is not None:
        return experiment.test
    if start is None or end is None:
        why = "the experiment has no `test:` range" if experiment.test is None else "one alone is no range"
        raise InputError(f"give --start and --end: {why}")
    try:
        dates = DateRange(start.date(), end.date())
    except ValueError as error:
        raise InputError(str(error)) from error
    for name in ("train", "validate"):
        used = getattr(experiment, name)
        if isinstance(used, DateRange) and dates.start <= used.end and used.start <= dates.end:
            raise InputError(
                f"dates must lie outside `{name}` ({used.start} to {used.end}), were {dates.start} to {dates.end}"
            )
    return dates


def requested_tickers(experiment: Experiment, named: str | None, test_tickers: bool) -> list[str] | list[None]:
    """Tickers by name, the test tickers, or all trained on; None for a portfolio."""
    if experiment.portfolio:
        if named is not None or test_tickers:
            raise InputError(f"experiment {experiment.name} trades a portfolio: leave out --tickers and --test-tickers")
        return [None]
    if named is not None and test_tickers:
        raise InputError("give either --tickers or --test-tickers, not both")
    if named is not None:
        return comma_separated(named)
    if test_tickers and not experiment.test_tickers:
        raise InputError(f"experiment {experiment.name} has no test_tickers")
    return list(experiment.test_tickers if test_tickers else (experiment.instrument, *experiment.tickers))


def _others(names: Sequence[str | None], tickers: str | None, test_tickers: bool) -> str:
    # Other instruments over the same window are other results; thirty names would be no name of a folder.
    if test_tickers:
        return "test-tickers"
    if tickers is None:
        return ""
    joined = "+".join(map(str, names))
    return joined if len(joined) <= _LONGEST_NAME else f"{len(names)}-{sha256(joined.encode()).hexdigest()[:8]}"


def describe(
    bundle: Bundle, dates: DateRange, found: list[MarketEvaluation], missing: dict[str, str], seed: int
) -> dict[str, Any]:
    """Results as plain data: totals, by ticker, by instrument and by window."""
    wholes = [evaluation.whole for evaluation in found]
    return {
        "bundle": bundle.id,
        "start": dates.start.isoformat(),
        "end": dates.end.isoformat(),
        "seed": seed,
        "total": {
            "tickers": len(wholes),
            "profitable_tickers": sum(row.net_pnl_usd > 0 for row in wholes),
            "sessions": sum(row.sessions for row in wholes),
            "trades": sum(row.trades for row in wholes),
            "net_pnl_usd": sum(row.net_pnl_usd for row in wholes),
            "cost_usd": sum(row.cost_usd for row in wholes),
            "sampled_pnl_usd": sum(row.sampled_pnl_usd for row in wholes),
            "buy_and_hold_usd": sum(row.buy_and_hold_usd for row in wholes),
            "random_mean_usd": sum(row.random_mean_usd or 0.0 for row in wholes),
        },
        "tickers": msgspec.to_builtins(wholes),
        "instruments": _by_instrument(found),
        "windows": msgspec.to_builtins([row for evaluation in found for row in evaluation.rows]),
        "left_out": missing,
    }


def _by_instrument(found: list[MarketEvaluation]) -> list[dict[str, Any]]:
    trades = [trade for evaluation in found for trade in evaluation.trades]
    rows = []
    for ticker in dict.fromkeys(trade.ticker for trade in trades):
        own = [trade for trade in trades if trade.ticker == ticker]
        pnl, costs = sum(trade.pnl for trade in own), sum(trade.total_cost_est for trade in own)
        rows.append({"ticker": ticker, "trades": len(own), "net_pnl_usd": pnl, "cost_usd": costs})
    return rows


def trade_rows(bundle: Bundle, dates: DateRange, found: list[MarketEvaluation], seed: int) -> pd.DataFrame:
    """Trades of the likeliest actions, with the columns of a report's trades.csv."""
    trades: list[Trade] = [trade for evaluation in found for trade in evaluation.trades]
    costs = CostAssumptions(commission="", slippage_ticks=0.0, fill_rule="")
    return trade_table(trades, ReportMetadata("evaluation", bundle.id, dates.start, dates.end, seed, costs))


def write(folder: Path, results: dict[str, Any], trades: pd.DataFrame) -> None:
    """Write both files into ``folder``, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
        (Path(aside) / RESULTS).write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
        trades.to_csv(Path(aside) / TRADES, index=False, lineterminator="\n")
        folder.mkdir(exist_ok=True)
        for name in (RESULTS, TRADES):
            shutil.move(Path(aside) / name, folder / name)


def print_evaluation(found: list[MarketEvaluation], folder: Path) -> None:
    """A row per window, and per ticker where there are several windows."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("ticker", "from", "to"):
        table.add_column(heading, no_wrap=True)
    for heading in ("days", "trades", "net USD", "costs", "sampled", "hold", "beats random"):
        table.add_column(heading, justify="right")
    for evaluation in found:
        for row in evaluation.rows if len(evaluation.rows) > 1 else ():
            table.add_row(*_cells(row))
        table.add_row(*_cells(evaluation.whole), style="bold")
    report(table)
    report(f"Results {folder / RESULTS}\nTrades  {folder / TRADES}")


def _cells(row: EvaluationRow) -> list[str]:
    money = (row.net_pnl_usd, row.cost_usd, row.sampled_pnl_usd, row.buy_and_hold_usd)
    chance = "" if row.beats_random_pct is None else f"{row.beats_random_pct:.0f} %"
    ticker = f"{row.ticker.count('+') + 1} together" if "+" in row.ticker else symbol_of(row.ticker)
    days = (f"{row.start:%y-%m-%d}", f"{row.end:%y-%m-%d}", str(row.sessions))
    return [ticker, *days, str(row.trades), *(f"{value:,.0f}" for value in money), chance]
