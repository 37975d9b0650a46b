"""The first line of a report: the profit or loss, and whether it is more than chance."""

import numpy as np
from numpy.typing import NDArray

from rl_strategies.analysis.mean_interval import MIN_SESSIONS_INTERVAL
from rl_strategies.analysis.metrics import Metrics
from run.reports.formats import counted, number, percent, usd
from run.reports.metadata import ReportMetadata


def verdict(metrics: Metrics, seen_note: str = "", abstention: str = "") -> str:
    """One sentence with the profit or loss and its statistical evidence.

    Parameters
    ----------
    metrics : Metrics
    seen_note : str
        Says which sessions the policy was trained on; with it nothing is called evidence.
    abstention : str
        Says that the policy stays flat, and comes first.

    Returns
    -------
    str
        For example ``"Lost 1,234.50 USD (−1.23 %) after 310.00 USD of costs in 45 sessions; the 95 %
        interval of the mean daily PnL, −60.10 to 12.30 USD, includes zero: no evidence of an edge."``
    """
    return " ".join(said for said in (abstention, seen_note, _judged(metrics, bool(seen_note))) if said)


def _judged(metrics: Metrics, is_seen: bool) -> str:
    if metrics.trades + metrics.open_trades == 0:
        return f"No trades in {counted(metrics.sessions, 'session')}: 0.00 USD made, nothing to judge."
    after = f"after {usd(metrics.total_cost_usd)} of costs in {counted(metrics.sessions, 'session')}"
    return f"{_outcome(metrics)} {after}; {_evidence(metrics, is_seen)}."


def comparisons(metrics: Metrics, metadata: ReportMetadata) -> list[str]:
    """One sentence for each baseline in the metadata."""
    lines = []
    if metadata.random_policy_pnl is not None:
        pnl = metadata.random_policy_pnl
        as_good = int(np.sum(pnl >= metrics.net_pnl_usd))
        lines.append(
            f"{as_good} of {len(pnl)} random policies with the same turnover did as well or better (this one "
            f"stands at percentile {number(percentile(pnl, metrics.net_pnl_usd), 0)}; their median is "
            f"{usd(float(np.median(pnl)), signed=True)})."
        )
    if metadata.buy_and_hold is not None:
        held = metadata.buy_and_hold
        lines.append(f"Buy and hold of {_holdings(held.units)}, held overnight: {usd(held.pnl_usd, signed=True)}.")
    if metadata.oracle_pnl is not None:
        share = (
            f"; this policy found {percent(100 * metrics.net_pnl_usd / metadata.oracle_pnl, 0)} of it"
            if min(metrics.net_pnl_usd, metadata.oracle_pnl) > 0
            else ""
        )
        lines.append(f"An oracle that knows the planted edge: {usd(metadata.oracle_pnl, signed=True)}{share}.")
    return lines


def percentile(values: NDArray[np.float64], value: float) -> float:
    """Percent of values below, ties counted half.

    >>> percentile(np.array([1.0, 2.0, 2.0, 3.0]), 2.0)
    50.0
    """
    return float(100 * (np.mean(values < value) + np.mean(values == value) / 2))


def _holdings(units: tuple[int, ...]) -> str:
    total = counted(sum(units), "unit")
    return total if len(units) == 1 else f"{total} of {len(units)} instruments"


def _outcome(metrics: Metrics) -> str:
    pnl = metrics.net_pnl_usd
    if pnl == 0:
        return "Broke even (0.00 USD)"
    verb = "Made" if pnl > 0 else "Lost"
    return f"{verb} {usd(abs(pnl))} ({percent(metrics.total_return_pct, signed=True)})"


def _evidence(metrics: Metrics, is_seen: bool) -> str:
    interval = metrics.mean_daily_pnl_interval
    if interval is None:
        return f"fewer than {MIN_SESSIONS_INTERVAL} sessions allow no interval: no evidence either way"
    stated = f"the 95 % interval of the mean daily PnL, {number(interval.low)} to {usd(interval.high)},"
    if is_seen:
        return f"{stated} says nothing of days that the policy has not seen"
    if interval.contains(0.0):
        return f"{stated} includes zero: no evidence of an edge"
    if interval.low > 0:
        return f"{stated} lies above zero: evidence of an edge, not corrected for how many policies were tried"
    return f"{stated} lies below zero: evidence of a loss that is not chance"
