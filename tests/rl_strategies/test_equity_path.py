"""Path figures against published examples and numbers worked out by hand."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.analysis.equity_path import (
    annualised_return,
    annualised_volatility,
    daily_pnl,
    daily_returns,
    max_drawdown,
    sharpe_ratio,
    sortino_ratio,
    tail_risk,
)

# Rollinger and Hoffman, "Sortino: A Sharper Ratio": annual returns, target 0 %, average 10 %,
# target downside deviation 2.264 %, ratio 4.417.
SORTINO_PAPER = np.array([0.17, 0.15, 0.23, -0.05, 0.12, 0.09, 0.13, -0.04])


def test_sortino_of_the_paper() -> None:
    assert sortino_ratio(SORTINO_PAPER) / math.sqrt(252) == pytest.approx(4.417, abs=5e-4)


def test_sharpe_and_volatility_against_the_standard_library() -> None:
    deviation = statistics.stdev(SORTINO_PAPER)
    assert annualised_volatility(SORTINO_PAPER) == pytest.approx(deviation * math.sqrt(252))
    assert sharpe_ratio(SORTINO_PAPER) == pytest.approx(0.10 / deviation * math.sqrt(252))


@pytest.mark.parametrize("ratio", [sharpe_ratio, sortino_ratio, annualised_volatility])
def test_four_days_give_no_ratio(ratio) -> None:
    assert ratio(SORTINO_PAPER[:4]) is None
    assert ratio(SORTINO_PAPER[:5]) is not None


def test_no_variation_gives_no_ratio() -> None:
    assert sharpe_ratio(np.full(30, 0.01)) is None
    assert sortino_ratio(np.full(30, 0.01)) is None
    assert annualised_volatility(np.zeros(30)) == 0


def test_all_losses_give_negative_ratios() -> None:
    losses = -np.arange(1.0, 7.0) / 100
    assert sharpe_ratio(losses) < 0
    assert sortino_ratio(losses) < 0


def test_daily_pnl_starts_from_the_balance_and_carries_overnight_moves() -> None:
    days = np.array(["2024-03-01", "2024-03-01", "2024-03-04", "2024-03-04"], "datetime64[D]")
    pnl = daily_pnl(np.array([1_010.0, 1_020.0, 990.0, 1_000.0]), days, 1_000.0)
    assert pnl.tolist() == [20.0, -20.0]
    assert daily_returns(pnl, 1_000.0) == pytest.approx([0.02, -20 / 1_020])


def test_no_returns_after_ruin() -> None:
    assert daily_returns(np.array([-1_000.0, 5.0]), 1_000.0) is None


def test_annualised_return_compounds_and_refuses_short_windows() -> None:
    assert annualised_return(0.10, 252) == pytest.approx(0.10)
    assert annualised_return(0.10, 126) == pytest.approx(0.21)
    assert annualised_return(0.10, 19) is None
    assert annualised_return(-1.2, 252) is None


def test_drawdown_by_hand() -> None:
    drawdown = max_drawdown(np.array([110.0, 90.0, 100.0, 115.0, 112.0]), 100.0)
    assert (drawdown.usd, drawdown.trough, drawdown.recovered) == (20.0, 1, 3)
    assert drawdown.pct == pytest.approx(100 * 20 / 110)


def test_drawdown_from_the_starting_balance_not_recovered() -> None:
    drawdown = max_drawdown(np.array([95.0, 80.0, 99.99]), 100.0)
    assert (drawdown.usd, drawdown.pct, drawdown.recovered) == (20.0, 20.0, None)


def test_rising_path_has_no_drawdown() -> None:
    drawdown = max_drawdown(np.array([101.0, 102.0]), 100.0)
    assert (drawdown.usd, drawdown.recovered) == (0.0, drawdown.trough)


def test_tail_of_forty_days_by_hand() -> None:
    pnl = np.concatenate([[-100.0, -50.0], np.linspace(-40, 80, 38)])
    assert tail_risk(pnl) == (50.0, 75.0)  # 5 % of 40 days are two: the second worst, and the mean of both
    assert tail_risk(pnl[:19]) is None


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=40))
def test_drawdown_is_the_largest_of_all_falls(path: list[float]) -> None:
    equity = np.array(path)
    with_start = [100.0, *path]
    falls = [a - b for i, a in enumerate(with_start) for b in with_start[i:]]
    assert max_drawdown(equity, 100.0).usd == pytest.approx(max(falls))
