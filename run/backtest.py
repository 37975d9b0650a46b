"""`rl-intraday backtest`: a bundle over held-out dates, replayed by the Nautilus BacktestNode, and its report."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from catalogs.arrow import read_bars
from catalogs.bars import BarSeries
from catalogs.errors import InputError
from configs.schema import Experiment, parse_experiment
from rl_strategies.account import build_record
from rl_strategies.baselines import buy_and_hold
from rl_strategies.bundle import Bundle, load_bundle
from rl_strategies.manifest import installed_versions
from rl_strategies.metrics import Metrics, compute_metrics
from rl_strategies.telemetry import Fill, RunRecord
from rl_strategies.trades import build_trades
from run.front_month import front_days
from run.markets import last_close_ns
from run.node import NodeRun, Window, run_node
from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption, answer_json, progress
from run.reports.artifacts import write_artifacts
from run.reports.context import CostAssumptions, ReportContext
from run.reports.verdict import verdict
from run.yardsticks import random_policies
from training.env import SessionEnv
from training.market import TrainingMarket, build_market


@dataclass(frozen=True)
class Truth:
    """What is known of synthetic data.

    Attributes
    ----------
    note : str
        Said at the top of the report.
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
    """

    files: dict[str, Path]
    record: RunRecord
    metrics: Metrics
    decisions: int
    simulator_agrees: bool


def command(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder, as `rl-intraday train` printed it.")],
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First trading day.")],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last trading day, included.")],
    catalog: CatalogOption = DEFAULT_CATALOG,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; by default beside the bundle's run.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random policies that the result is held against.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Replay a bundle through the Nautilus BacktestNode and report.

    Example: rl-intraday backtest runs/…/bundle/spy_single-… --start 2025-01-01 --end 2025-03-31
    """
    loaded = load_bundle(bundle)
    folder = out or default_report_folder(bundle)
    result = backtest_bundle(loaded, catalog, start.date(), end.date(), folder, seed=seed)
    if as_json:
        answer_json(describe(result))
    else:
        say(result)


def default_report_folder(bundle: Path) -> Path:
    """``<run>/backtest`` for a bundle inside a run, else ``backtest`` in the current folder."""
    parent = bundle.resolve().parent
    return parent.parent / "backtest" if parent.name == "bundle" else Path("backtest")


def backtest_bundle(
    bundle: Bundle, catalog: Path, start: date, end: date, out: Path, *, seed: int = 0, truth: Truth | None = None
) -> BacktestResult:
    """Trade the trading days from ``start`` to ``end`` and write the report into ``out``.

    Raises
    ------
    InputError
        If the catalog has no tradable session in the window; nothing is written then.
    RuntimeError
        If the account rebuilt from the fills does not end at the engine's balance.
    """
    experiment = parse_experiment(msgspec.yaml.decode(bundle.experiment_yaml), f"bundle {bundle.id}")
    market = held_out_market(bundle, experiment, catalog, start, end)
    for warning in bundle.warnings:
        progress.print(f"[yellow]warning:[/] {warning}")
    progress.print(
        f"Replaying [bold]{bundle.id}[/] over {len(market)} sessions "
        f"{market.session_dates[0]} to {market.session_dates[-1]} ..."
    )
    first, last, window = _window(market)
    run = run_node(bundle, catalog, window, volume_known=market.bars.volume_known)
    bars = market.bars.slice(first, last + 1)
    dates = market.calendar.session_date[market.calendar.locate(bars.ts_ns)]
    starting_cents = int(experiment.execution.starting_balance_usd * 100)
    record = build_record(bundle.instrument, bars, dates, run.fills, starting_cents, run.refusals)
    if round(record.equity_usd[-1] * 100) != run.balance_cents:
        raise RuntimeError(
            f"the account rebuilt from the fills must end at the engine's balance of {run.balance_cents} cents, "
            f"was {record.equity_usd[-1]:.2f} USD"
        )
    agrees = simulator_agrees(market, run)
    trades = build_trades(record)
    metrics = compute_metrics(record, trades, bootstrap_seed=seed)
    context = _context(bundle, experiment, market, record, run, agrees, start, end, seed, truth)
    files = write_artifacts(out, record, trades, metrics, context)
    return BacktestResult(files, record, metrics, len(run.actions), agrees)


def held_out_market(bundle: Bundle, experiment: Experiment, catalog: Path, start: date, end: date) -> TrainingMarket:
    """The bundle's instrument over a window, as the training saw its own; later bars are not read."""
    from catalogs.sessions import session_calendar

    end_ns = last_close_ns(session_calendar(bundle.instrument.calendar), end)
    bars = read_bars(catalog, bundle.bar_type, end_ns=end_ns)
    if not bars.volume_known and "volume" in set().union(*bundle.plan.needs.values()):
        raise InputError(f"bundle {bundle.id} needs the volume of {bundle.bar_type}, which this catalog does not know")
    start, end = front_days(bundle.instrument, catalog, start, end)
    return build_market(
        bars, bundle.instrument, bundle.plan, experiment.trading, experiment.execution, start=start, end=end
    )


def simulator_agrees(market: TrainingMarket, run: NodeRun) -> bool:
    """Whether the simulator, walked with the node's actions, sees the same observations and makes the same fills."""
    env, fills, taken = SessionEnv(market), list[Fill](), 0
    balance, draws = market.execution.starting_cents, 0
    for episode in range(len(market)):
        observation, _ = env.reset(options={"episode": episode, "balance_cents": balance, "draws": draws})
        over = False
        while not over:
            if taken == len(run.actions) or observation.tobytes() != run.observations[taken].tobytes():
                return False
            observation, _, over, _, told = env.step(int(run.actions[taken]))
            taken += 1
        fills += told["fills"][0]
        balance, draws = told["balance_cents"], told["draws"]
        if told["ruined"]:
            break
    return taken == len(run.actions) and tuple(fills) == run.fills


def describe(result: BacktestResult) -> dict[str, Any]:
    """Plain data for ``--json``."""
    return {
        "files": {name: str(path) for name, path in result.files.items()},
        "decisions": result.decisions,
        "fills": len(result.record.fills),
        "simulator_agrees": result.simulator_agrees,
        "metrics": msgspec.to_builtins(result.metrics),
    }


def say(result: BacktestResult) -> None:
    """What happened, in a few lines on stderr."""
    progress.print(verdict(result.metrics))
    if result.simulator_agrees:
        progress.print(f"The training simulator repeats all {len(result.record.fills)} fills exactly.")
    else:
        progress.print("[bold red]The training simulator does not repeat these fills: do not trust either.[/]")
    progress.print(f"Report  {result.files['report.html']}")


def _window(market: TrainingMarket) -> tuple[int, int, Window]:
    episodes, ts_ns = market.world.episodes, market.bars.ts_ns
    first = int(episodes["first"][0])
    end_ns = market.close_ns(len(market) - 1)
    last = int(np.searchsorted(ts_ns, end_ns, side="right")) - 1
    warm = _session_start_before(market.bars, market, first - market.plan.warmup)
    return first, last, Window(int(ts_ns[warm]), int(ts_ns[first]), int(ts_ns[last]), end_ns)


def _session_start_before(bars: BarSeries, market: TrainingMarket, row: int) -> int:
    # Whole sessions: what resets with the session must see it from its first bar.
    session = int(market.calendar.locate(bars.ts_ns[row : row + 1])[0])
    return int(np.searchsorted(bars.ts_ns, market.calendar.open_ns[session], side="right"))


def _context(
    bundle: Bundle,
    experiment: Experiment,
    market: TrainingMarket,
    record: RunRecord,
    run: NodeRun,
    agrees: bool,
    start: date,
    end: date,
    seed: int,
    truth: Truth | None,
) -> ReportContext:
    window = experiment.train
    return ReportContext(
        title=experiment.name,
        bundle_id=bundle.id,
        window_start=start,
        window_end=end,
        run_seed=seed,
        costs=_costs(experiment, market),
        warmup_bars=market.plan.warmup,
        training_seeds=bundle.manifest.facts.seeds,
        synthetic_note=truth.note if truth else "",
        buy_and_hold=buy_and_hold(record),
        random_policy_pnl=_random(market, run, seed),
        oracle_pnl=truth.oracle_usd if truth else None,
        oracle_note=truth.oracle_note if truth else "",
        training=(
            f"trained on {window.start} to {window.end}, {experiment.learner.planned_steps:,} steps, "
            f"reward {experiment.reward}, seed {experiment.seed}",
            f"features {', '.join(bundle.plan.outputs[: bundle.plan.observed])}",
        ),
        left_out_features=bundle.plan.left_out,
        notes=_notes(market, agrees, len(run.fills)),
        versions=installed_versions(),
    )


def _random(market: TrainingMarket, run: NodeRun, seed: int) -> NDArray[np.float64] | None:
    return random_policies(market, len(run.fills), seed=seed) if run.fills else None


def _costs(experiment: Experiment, market: TrainingMarket) -> CostAssumptions:
    instrument = market.instrument
    per = "contract" if instrument.kind == "future" else "share"
    minimum = f", at least {instrument.commission_minimum} USD an order" if instrument.commission_minimum else ""
    price = (
        "close of the bar that was decided on"
        if experiment.execution.fill == "same_close"
        else "open of the bar after the one that was decided on"
    )
    order = "nearer end first" if experiment.execution.high_low_order == "adaptive" else "high first"
    return CostAssumptions(
        commission=f"{instrument.commission_per_unit} USD per {per} and side{minimum}",
        slippage_ticks=float(experiment.execution.slippage_ticks),
        fill_rule=(f"market orders at the {price}; barriers inside the bar along open, high and low ({order}), close"),
        unknown_volume=""
        if market.bars.volume_known
        else "the source has no volume; the catalog's stand-in is filled against",
    )


def _notes(market: TrainingMarket, agrees: bool, fills: int) -> tuple[str, ...]:
    notes = [
        f"{count} sessions of the window were not traded: {reason}" for reason, count in market.skipped.items() if count
    ]
    if agrees:
        notes.append(f"The training simulator repeats the engine's {fills} fills and every observation exactly.")
    else:
        notes.append("The training simulator does NOT repeat the engine's fills: do not trust this report.")
    return tuple(notes)
