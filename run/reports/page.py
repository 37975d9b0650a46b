"""`report.html`: one page without network or script, for phones and dark mode, too."""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports import tables
from run.reports.formats import counted, number, usd
from run.reports.metadata import ReportMetadata
from run.reports.pictures import exchange_zone, page_pictures, traded
from run.reports.verdict import comparisons, verdict

TEMPLATE = "report.html.j2"


def render_page(
    record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata, daily: pd.DataFrame
) -> str:
    """The whole page as text.

    Parameters
    ----------
    record : RunRecord
    trades : sequence of Trade
    metrics : Metrics
    metadata : ReportMetadata
    daily : DataFrame
        From `run.reports.frames.daily_report` of the same record.
    """
    zone = exchange_zone(record)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("run.reports") / TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        metadata=metadata,
        metrics=metrics,
        instruments=traded(record),
        verdict=verdict(metrics, metadata.seen_note, metadata.abstention),
        comparisons=comparisons(metrics, metadata),
        reconciliation=tables.reconciliation(metrics),
        outcome=("even", "gain", "loss")[int(np.sign(metrics.net_pnl_usd))],
        sessions=counted(metrics.sessions, "session"),
        pictures=page_pictures(record, trades, metrics, metadata, daily),
        zone=zone.key,
        baselines=tables.baseline_table(metrics, metadata),
        result=tables.result_table(record, metrics, metadata),
        activity=tables.activity_table(metrics),
        costs=tables.cost_table(metrics),
        higher_costs=tables.higher_cost_table(record, metrics),
        periods=tables.period_table(daily),
        by_instrument=tables.instrument_table(record, trades),
        exits=tables.exit_table(trades),
        extremes=tables.extreme_tables(trades, zone, max(leg.instrument.price_precision for leg in record.legs)),
        refusals=tables.refusal_table(record.refusals),
        left_out=tables.Table("Features left out", ("Feature", "Reason"), metadata.left_out_features, words=2),
        facts=_facts(record, metrics, metadata),
    )


def _facts(record: RunRecord, metrics: Metrics, metadata: ReportMetadata) -> list[tuple[str, str]]:
    costs, specs = metadata.costs, [leg.instrument for leg in record.legs]
    ticks = [f"{spec.instrument_id}, tick {spec.tick_size}, {usd(float(spec.tick_value_usd))} a tick" for spec in specs]
    names = ", ".join(leg.bars.bar_type for leg in record.legs)
    facts = [
        ("Instruments" if len(specs) > 1 else "Instrument", "; ".join(ticks)),
        ("Bars", f"{names}, {metrics.bars:,} in {counted(metrics.sessions, 'session')}"),
        ("Window", f"{metadata.window_start} to {metadata.window_end}, after {metadata.warmup_bars:,} bars of warm-up"),
        ("Starting balance", f"{number(record.starting_balance_usd)} USD"),
        ("Fills", costs.fill_rule),
        ("Commission", costs.commission),
        ("Slippage", costs.slippage),
        ("Unknown volume", costs.unknown_volume),
        ("Policy", metadata.bundle_id),
        ("Seeds", f"run {metadata.run_seed}, training {', '.join(map(str, metadata.training_seeds)) or 'none'}"),
        ("Ratios", metrics.basis),
        ("Interval", _interval_basis(metrics)),
        ("Oracle", metadata.oracle_note),
        ("Versions", ", ".join(f"{name} {version}" for name, version in metadata.versions.items())),
    ]  # fmt: skip
    return [(name, text) for name, text in facts if text]


def _interval_basis(metrics: Metrics) -> str:
    interval = metrics.mean_daily_pnl_interval
    if interval is None:
        return ""
    return (
        f"Student's t of the daily PnL, {interval.degrees_of_freedom} degrees of freedom, standard error "
        f"{usd(interval.standard_error)} with memory over about {counted(interval.block_length, 'session')}"
    )
