"""`rl-intraday backtest`: runs a bundle over held-out dates in NautilusTrader's BacktestNode and writes a report."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.instruments.specification import InstrumentSpec
from configs.schema import DateRange, Experiment, parse_experiment
from rl_strategies.accounting.record import Fill, RunRecord
from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.equity_path import daily_pnl, daily_returns
from rl_strategies.analysis.metrics import Metrics, compute_metrics
from rl_strategies.analysis.trades import build_trades
from rl_strategies.bundle.bundle import Bundle, load_bundle
from rl_strategies.bundle.manifest import installed_versions
from rl_strategies.decision.rules import ExecutionConfig
from run.backtest.market_record import market_record
from run.backtest.node import NodeRun, run_node
from run.backtest.random_policies import random_policies
from run.backtest.seen_days import SeenSessions, seen_sessions
from run.backtest.window import backtest_window
from run.console import print_json, report
from run.ledger.recording import check_recordable, ledger_of_bundle, recorded, tested_facts
from run.options import results_folder
from run.reports.artifacts import write_artifacts
from run.reports.metadata import CostAssumptions, ReportMetadata
from run.reports.verdict import verdict
from run.train.markets import bundle_market
from training.envs.session_env import SessionEnv
from training.simulator.market import TrainingMarket
from training.validation.sharpe import return_moments


@dataclass(frozen=True)
class SyntheticTruth:
    """What is known of synthetic data.

    Attributes
    ----------
    note : str
        Printed at the top of the report.
    oracle_usd : float
    oracle_note : str
    """

    note: str
    oracle_usd: float
    oracle_note: str


@dataclass(frozen=True)
class BacktestResult:
    """A finished backtest.

    Attributes
    ----------
    files : dict of str to Path
    record : RunRecord
    metrics : Metrics
    decisions : int
    simulator_agrees : bool
        Whether the training simulator, given the same actions, makes the same observations and fills.
    seen : SeenSessions
        Sessions of the window that the policy was trained or validated on.
    abstention : str
        Why the policy stays flat; empty for one that trades.
    """

    files: dict[str, Path]
    record: RunRecord
    metrics: Metrics
    decisions: int
    simulator_agrees: bool
    seen: SeenSessions
    abstention: str


def run_backtest(
    *, bundle: Path, start: datetime, end: datetime, catalog: Path, out: Path | None, seed: int, as_json: bool
) -> None:
    """Backtest a bundle in NautilusTrader's BacktestNode and write a report.

    The options are those of the verb; see `run.backtest.commands.backtest`.
    """
    loaded = load_bundle(bundle)
    folder = out or results_folder(bundle, "backtest", start.date(), end.date())
    result = backtest_bundle(loaded, catalog, start.date(), end.date(), folder, seed=seed)
    if as_json:
        print_json(describe(result))
    else:
        print_backtest(result)


def backtest_bundle(
    bundle: Bundle,
    catalog: Path,
    start: date,
    end: date,
    out: Path,
    *,
    seed: int = 0,
    truth: SyntheticTruth | None = None,
) -> BacktestResult:
    """Trade from ``start`` to ``end`` and write the report into ``out``.

    Raises
    ------
    InputError
        If the catalog has no tradable session in the window, or the ledger cannot be written; no report is written
        then.
    RuntimeError
        If the account rebuilt from the fills does not end at the engine's balance.
    """
    check_recordable(ledger_of_bundle(bundle.path))
    experiment = parse_experiment(bundle.experiment, f"bundle {bundle.id}")
    market = bundle_market(bundle, experiment, catalog, DateRange(start, end))
    seen = seen_sessions(experiment, market.session_dates.tolist())
    for warning in bundle.warnings:
        report(warning, label="warning:", style="yellow")
    if bundle.abstention:
        report(bundle.abstention, label="warning:", style="yellow")
    report(
        f"Backtesting {bundle.id} on {len(market)} sessions, {market.session_dates[0]} to {market.session_dates[-1]}"
    )
    if seen.note:
        report(seen.note, label="warning:", style="yellow")
    facts = tested_facts(bundle, start, end, seed) | {"sessions": len(market), "seen_sessions": seen.count}
    with recorded(ledger_of_bundle(bundle.path), "backtest", facts) as recording:
        result = _run_and_report(bundle, experiment, market, seen, catalog, start, end, out, seed, truth)
        recording.results.update(_results(result))
    return result


def _run_and_report(
    bundle: Bundle,
    experiment: Experiment,
    market: TrainingMarket,
    seen: SeenSessions,
    catalog: Path,
    start: date,
    end: date,
    out: Path,
    seed: int,
    truth: SyntheticTruth | None,
) -> BacktestResult:
    window = backtest_window(market, bundle)
    run = run_node(bundle, catalog, window, volume_known=market.volume_known)
    record = market_record(market, market.session_dates[0], market.session_dates[-1], run.fills, run.refusals)
    if round(record.equity_usd[-1] * 100) != run.balance_cents:
        raise RuntimeError(
            f"the account rebuilt from the fills must end at the engine's balance of {run.balance_cents} cents, "
            f"was {record.equity_usd[-1]:.2f} USD"
        )
    agrees = simulator_agrees(market, run)
    trades = build_trades(record)
    metrics = compute_metrics(record, trades)
    metadata = _metadata(bundle, experiment, market, record, run, agrees, start, end, seed, truth, seen)
    files = write_artifacts(out, record, trades, metrics, metadata)
    return BacktestResult(files, record, metrics, len(run.actions), agrees, seen, bundle.abstention)


def _results(result: BacktestResult) -> dict[str, Any]:
    metrics, record = result.metrics, result.record
    pnl = daily_pnl(record.equity_usd, record.session_date, record.starting_balance_usd)
    returns = daily_returns(pnl, record.starting_balance_usd)
    return {
        "moments": None if returns is None else msgspec.to_builtins(return_moments(returns)),
        "net_pnl_usd": metrics.net_pnl_usd,
        "trades": metrics.trades,
        "sharpe": metrics.sharpe,
        "mean_daily_pnl_usd": metrics.mean_daily_pnl_usd,
        "max_drawdown_usd": metrics.max_drawdown_usd,
        "simulator_agrees": result.simulator_agrees,
    }


def simulator_agrees(market: TrainingMarket, run: NodeRun) -> bool:
    """Whether the simulator, given the node's actions, makes the same observations and fills."""
    env, taken = SessionEnv(market), 0
    fills = [list[Fill]() for _ in market.instruments]
    balance, draws = market.execution.starting_cents, 0
    for episode in range(len(market)):
        observation, _ = env.reset(options={"episode": episode, "balance_cents": balance, "draws": draws})
        over = False
        while not over:
            if taken == len(run.actions) or observation.tobytes() != run.observations[taken].tobytes():
                return False
            observation, _, over, _, told = env.step(run.actions[taken])
            taken += 1
        for own, made in zip(fills, told["fills"], strict=True):
            own += made
        balance, draws = told["balance_cents"], told["draws"]
        if told["ruined"]:
            break
    return taken == len(run.actions) and tuple(map(tuple, fills)) == run.fills


def describe(result: BacktestResult) -> dict[str, Any]:
    """Plain data for ``--json``."""
    return {
        "files": {name: str(path) for name, path in result.files.items()},
        "decisions": result.decisions,
        "fills": result.record.fill_count,
        "simulator_agrees": result.simulator_agrees,
        "verdict": verdict(result.metrics, result.seen.note, result.abstention),
        "seen_sessions": result.seen.count,
        "metrics": msgspec.to_builtins(result.metrics),
    }


def print_backtest(result: BacktestResult) -> None:
    """Verdict and report on stderr, in a few lines."""
    report(verdict(result.metrics, result.seen.note, result.abstention))
    if result.simulator_agrees:
        report(f"The training simulator reproduces all {result.record.fill_count} fills exactly.")
    else:
        report("The training simulator does not reproduce these fills: trust neither.", style="bold red")
    report(f"Report  {result.files['report.html']}")


def _metadata(
    bundle: Bundle,
    experiment: Experiment,
    market: TrainingMarket,
    record: RunRecord,
    run: NodeRun,
    agrees: bool,
    start: date,
    end: date,
    seed: int,
    truth: SyntheticTruth | None,
    seen: SeenSessions,
) -> ReportMetadata:
    window = experiment.train
    return ReportMetadata(
        title=experiment.name,
        bundle_id=bundle.id,
        window_start=start,
        window_end=end,
        run_seed=seed,
        costs=_costs(experiment, market),
        warmup_bars=market.plan.warmup,
        training_seeds=bundle.manifest.metadata.seeds,
        synthetic_note=truth.note if truth else "",
        abstention=bundle.abstention,
        seen_note=seen.note,
        seen_sessions=seen.count,
        buy_and_hold=buy_and_hold(record),
        random_policy_pnl=_random(market, run, seed),
        oracle_pnl=truth.oracle_usd if truth else None,
        oracle_note=truth.oracle_note if truth else "",
        training=(
            f"trained on {window.start} to {window.end}, {experiment.learner.planned_steps:,} steps, "
            f"reward {experiment.reward}, seed {experiment.seed}",
            f"features {', '.join(bundle.plan.outputs[: bundle.plan.observed])}",
        ),
        left_out_features=(*bundle.plan.left_out, *bundle.plan.pruned),
        notes=_notes(market, agrees, sum(map(len, run.fills))),
        versions=installed_versions(),
    )


def _random(market: TrainingMarket, run: NodeRun, seed: int) -> NDArray[np.float64] | None:
    fills = sum(map(len, run.fills))
    return random_policies(market, fills, seed=seed) if fills else None


def _costs(experiment: Experiment, market: TrainingMarket) -> CostAssumptions:
    price = (
        "close of the bar of the decision"
        if experiment.execution.fill == "same_close"
        else "open of the bar after the decision"
    )
    order = "nearer end first" if experiment.execution.high_low_order == "adaptive" else "high first"
    slippage = experiment.execution.slippage
    return CostAssumptions(
        commission="; ".join(dict.fromkeys(_commission(spec) for spec in market.instruments)),
        slippage_ticks=None if slippage else float(experiment.execution.slippage_ticks),
        slippage_rule=slippage.describe() if slippage else _chance(experiment.execution),
        fill_rule=(f"market orders at the {price}; barriers inside the bar along open, high and low ({order}), close"),
        unknown_volume=""
        if market.volume_known
        else "the source has no volume; orders fill against the catalog's assumed volume",
    )


def _chance(execution: ExecutionConfig) -> str:
    if execution.slippage_ticks == 0 or execution.slippage_probability == 1:
        return ""
    return f"a tick with a probability of {execution.slippage_probability:g} on every fill, limits included"


def _commission(spec: InstrumentSpec) -> str:
    per = "contract" if spec.kind == "future" else "share"
    minimum = f", at least {spec.commission_minimum} USD an order" if spec.commission_minimum else ""
    return f"{spec.commission_per_unit} USD per {per} and side{minimum}"


def _notes(market: TrainingMarket, agrees: bool, fills: int) -> tuple[str, ...]:
    notes = [f"{count} sessions were not traded: {reason}" for reason, count in market.skipped.items() if count]
    if agrees:
        notes.append(f"The training simulator reproduces the engine's {fills} fills and every observation exactly.")
    else:
        notes.append("The training simulator does NOT reproduce the engine's fills: do not trust this report.")
    return tuple(notes)
