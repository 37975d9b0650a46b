"""`summary.json`: the report's figures and everything that shaped them, for programs."""

from typing import Any

import msgspec
import numpy as np

from rl_strategies.metrics import Metrics
from rl_strategies.telemetry import RunRecord
from run.reports.context import ReportContext
from run.reports.verdict import comparisons, percentile, verdict

FORMAT_VERSION = 1


def summary(record: RunRecord, metrics: Metrics, context: ReportContext) -> dict[str, Any]:
    """Content of `summary.json`; unknown figures are null."""
    return {
        "format_version": FORMAT_VERSION,
        "title": context.title,
        "verdict": verdict(metrics),
        "comparisons": comparisons(metrics, context),
        "synthetic": context.synthetic_note or None,
        "bundle_id": context.bundle_id or None,
        "instrument_id": record.instrument.instrument_id,
        "bar_type": record.bars.bar_type,
        "window": {
            "start": context.window_start,
            "end": context.window_end,
            "sessions": metrics.sessions,
            "bars": metrics.bars,
            "warmup_bars": context.warmup_bars,
        },
        "seeds": {"run": context.run_seed, "training": context.training_seeds},
        "metrics": metrics,
        "baselines": _baselines(metrics, context),
        "assumptions": {
            "commission": context.costs.commission,
            "slippage_ticks": context.costs.slippage_ticks,
            "fill_rule": context.costs.fill_rule,
            "unknown_volume": context.costs.unknown_volume or None,
        },
        "refusals": record.refusals,
        "left_out_features": [{"name": name, "reason": reason} for name, reason in context.left_out_features],
        "training": context.training,
        "notes": context.notes,
        "versions": dict(context.versions),
    }


def summary_json(record: RunRecord, metrics: Metrics, context: ReportContext) -> bytes:
    """`summary` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary(record, metrics, context)), indent=2) + b"\n"


def _baselines(metrics: Metrics, context: ReportContext) -> dict[str, Any]:
    held, random, oracle = context.buy_and_hold, context.random_policy_pnl, context.oracle_pnl
    return {
        "buy_and_hold": held and {"units": held.units, "pnl_usd": held.pnl_usd, "commission_usd": held.commission_usd},
        "random_policy": None
        if random is None
        else {
            "count": len(random),
            "median_pnl_usd": float(np.median(random)),
            "p05_pnl_usd": float(np.quantile(random, 0.05)),
            "p95_pnl_usd": float(np.quantile(random, 0.95)),
            "as_good_or_better": int(np.sum(random >= metrics.net_pnl_usd)),
            "percentile_of_this": percentile(random, metrics.net_pnl_usd),
        },
        "oracle": None if oracle is None else {"pnl_usd": oracle, "note": context.oracle_note or None},
    }
