"""The first line must say the same thing about a loss as about a gain."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from rl_strategies.analysis.baselines import BuyAndHold
from rl_strategies.analysis.mean_interval import Interval
from rl_strategies.analysis.metrics import Metrics, compute_metrics
from rl_strategies.analysis.trades import build_trades
from run.reports.verdict import comparisons, percentile, verdict


@pytest.fixture
def metrics(make_run) -> Metrics:
    record = make_run(sessions=45)
    return compute_metrics(record, build_trades(record))


def changed(metrics: Metrics, pnl: float, low: float | None = None, high: float = 0.0) -> Metrics:
    interval = None if low is None else Interval(low, high, 0.95, 18.0, 44, 4)
    return msgspec.structs.replace(
        metrics,
        net_pnl_usd=pnl,
        total_return_pct=pnl / 1_000,
        total_cost_usd=310.0,
        mean_daily_pnl_interval=interval,
    )


@pytest.mark.parametrize(
    ("pnl", "low", "high", "expected"),
    [
        (-1234.5, -60.1, 12.3,
         "Lost 1,234.50 USD (−1.23 %) after 310.00 USD of costs in 45 sessions; the 95 % interval of the mean daily "
         "PnL, −60.10 to 12.30 USD, includes zero: no evidence of an edge."),
        (1234.5, -12.3, 60.1,
         "Made 1,234.50 USD (+1.23 %) after 310.00 USD of costs in 45 sessions; the 95 % interval of the mean daily "
         "PnL, −12.30 to 60.10 USD, includes zero: no evidence of an edge."),
        (1234.5, 12.3, 60.1,
         "Made 1,234.50 USD (+1.23 %) after 310.00 USD of costs in 45 sessions; the 95 % interval of the mean daily "
         "PnL, 12.30 to 60.10 USD, lies above zero: evidence of an edge, not corrected for how many policies were "
         "tried."),
        (-1234.5, -60.1, -12.3,
         "Lost 1,234.50 USD (−1.23 %) after 310.00 USD of costs in 45 sessions; the 95 % interval of the mean daily "
         "PnL, −60.10 to −12.30 USD, lies below zero: evidence of a loss that is not chance."),
        (0.0, None, 0.0,
         "Broke even (0.00 USD) after 310.00 USD of costs in 45 sessions; fewer than 10 sessions allow no interval: no "
         "evidence either way."),
    ],
)  # fmt: skip
def test_verdict(metrics: Metrics, pnl: float, low: float | None, high: float, expected: str) -> None:
    assert verdict(changed(metrics, pnl, low, high)) == expected


@pytest.mark.parametrize(("pnl", "low", "high"), [(1234.5, 12.3, 60.1), (-1234.5, -60.1, -12.3), (9.0, -1.0, 1.0)])
def test_days_of_the_training_come_first_and_are_no_evidence(
    metrics: Metrics, pnl: float, low: float, high: float
) -> None:
    note = "NOT OUT OF SAMPLE: all 45 sessions are days that the policy was trained on."
    said = verdict(changed(metrics, pnl, low, high), note)
    assert said.startswith(note)
    assert said.endswith("says nothing of days that the policy has not seen.")
    assert "evidence" not in said


def test_no_trades(make_run) -> None:
    metrics = compute_metrics(make_run(sessions=1, hold=0), [])
    assert verdict(metrics) == "No trades in 1 session: 0.00 USD made, nothing to judge."


def test_comparisons(metrics: Metrics, metadata) -> None:
    told = replace(
        metadata,
        random_policy_pnl=np.array([-300.0, -100.0, 100.0, 500.0]),
        buy_and_hold=BuyAndHold((2,), -80.0, 8.4, np.zeros(1)),
        oracle_pnl=1_000.0,
        synthetic_note="Synthetic data.",
    )
    assert comparisons(changed(metrics, 250.0), told) == [
        "1 of 4 random policies with the same turnover did as well or better (this one stands at percentile 75; "
        "their median is 0.00 USD).",
        "Buy and hold of 2 units, held overnight: −80.00 USD.",
        "An oracle that knows the planted edge: +1,000.00 USD; this policy found 25 % of it.",
    ]
    assert comparisons(changed(metrics, -250.0), told)[-1].endswith("edge: +1,000.00 USD.")
    assert comparisons(metrics, metadata) == []


def test_percentile_counts_ties_half() -> None:
    assert percentile(np.array([1.0, 1.0, 1.0]), 1.0) == 50.0
    assert percentile(np.array([1.0, 2.0, 3.0, 4.0]), 3.5) == 75.0
