"""`summary.json`: the report's figures and everything that shaped them, for programs."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from rl_strategies.accounting.record import InstrumentRecord, RunRecord
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports.context import ReportContext
from run.reports.verdict import comparisons, percentile, verdict

FORMAT_VERSION = 2


def summary(record: RunRecord, trades: Sequence[Trade], metrics: Metrics, context: ReportContext) -> dict[str, Any]:
    """Content of `summary.json`; unknown figures are null."""
    return {
        "format_version": FORMAT_VERSION,
        "title": context.title,
        "verdict": verdict(metrics),
        "comparisons": comparisons(metrics, context),
        "synthetic": context.synthetic_note or None,
        "bundle_id": context.bundle_id or None,
        "instruments": [_leg(leg, trades) for leg in record.legs],
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


def summary_json(record: RunRecord, trades: Sequence[Trade], metrics: Metrics, context: ReportContext) -> bytes:
    """`summary` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary(record, trades, metrics, context)), indent=2) + b"\n"


def _leg(leg: InstrumentRecord, trades: Sequence[Trade]) -> dict[str, Any]:
    own = [trade for trade in trades if trade.ticker == leg.ticker]
    return {
        "instrument_id": leg.instrument.instrument_id,
        "bar_type": leg.bars.bar_type,
        "trades": len(own),
        "net_pnl_usd": math.fsum(trade.pnl for trade in own),
        "total_cost_usd": math.fsum(trade.total_cost_est for trade in own),
    }


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
