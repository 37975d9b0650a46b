"""`summary.json`: the report's figures and everything that shaped them, for programs."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from rl_strategies.accounting.record import InstrumentRecord, RunRecord
from rl_strategies.analysis.cost_sensitivity import cost_sensitivity
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports.metadata import ReportMetadata
from run.reports.verdict import comparisons, percentile, verdict

FORMAT_VERSION = 2


def summary(record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata) -> dict[str, Any]:
    """Content of `summary.json`; unknown figures are null."""
    return {
        "format_version": FORMAT_VERSION,
        "title": metadata.title,
        "verdict": verdict(metrics, metadata.seen_note, metadata.abstention),
        "comparisons": comparisons(metrics, metadata),
        "synthetic": metadata.synthetic_note or None,
        "bundle_id": metadata.bundle_id or None,
        "instruments": [_leg(leg, trades) for leg in record.legs],
        "window": {
            "start": metadata.window_start,
            "end": metadata.window_end,
            "sessions": metrics.sessions,
            "seen_sessions": metadata.seen_sessions,
            "bars": metrics.bars,
            "warmup_bars": metadata.warmup_bars,
        },
        "seeds": {"run": metadata.run_seed, "training": metadata.training_seeds},
        "metrics": metrics,
        "higher_costs": cost_sensitivity(record, metrics.net_pnl_usd),
        "baselines": _baselines(metrics, metadata),
        "assumptions": {
            "commission": metadata.costs.commission,
            "slippage_ticks": metadata.costs.slippage_ticks,
            "slippage": metadata.costs.slippage,
            "fill_rule": metadata.costs.fill_rule,
            "unknown_volume": metadata.costs.unknown_volume or None,
        },
        "refusals": record.refusals,
        "left_out_features": [{"name": name, "reason": reason} for name, reason in metadata.left_out_features],
        "training": metadata.training,
        "notes": metadata.notes,
        "versions": dict(metadata.versions),
    }


def summary_json(record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata) -> bytes:
    """`summary` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary(record, trades, metrics, metadata)), indent=2) + b"\n"


def _leg(leg: InstrumentRecord, trades: Sequence[Trade]) -> dict[str, Any]:
    own = [trade for trade in trades if trade.ticker == leg.ticker]
    return {
        "instrument_id": leg.instrument.instrument_id,
        "bar_type": leg.bars.bar_type,
        "trades": len(own),
        "net_pnl_usd": math.fsum(trade.pnl for trade in own),
        "total_cost_usd": math.fsum(trade.total_cost_est for trade in own),
    }


def _baselines(metrics: Metrics, metadata: ReportMetadata) -> dict[str, Any]:
    held, random, oracle = metadata.buy_and_hold, metadata.random_policy_pnl, metadata.oracle_pnl
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
        "oracle": None if oracle is None else {"pnl_usd": oracle, "note": metadata.oracle_note or None},
    }
