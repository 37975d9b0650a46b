"""How many units an entry has. Numbered as in docs/risk.md."""

import math

import pytest

from rl_strategies.risk.sizing import entry_units
from tests.rules.day import NO_LIMIT, At, Story

LONG, SHORT = 1, -1


@pytest.mark.parametrize(
    ("most", "budget_usd", "atr", "multiplier", "tick_size", "units"),
    [
        pytest.param(7, 0.0, 4.0, 5.0, 0.25, 7, id="S1"),
        pytest.param(7, 0.0, math.nan, 5.0, 0.25, 7, id="S2"),
        # An average true range of 4 points moves one contract of 5 USD a point by 20 USD.
        pytest.param(9, 100.00, 4.0, 5.0, 0.25, 5, id="S3"),
        pytest.param(9, 99.99, 4.0, 5.0, 0.25, 4, id="S4"),
        pytest.param(9, 119.99, 4.0, 5.0, 0.25, 5, id="S5"),
        pytest.param(3, 100.00, 4.0, 5.0, 0.25, 3, id="S6"),
        pytest.param(9, 20.00, 4.0, 5.0, 0.25, 1, id="S7"),
        pytest.param(9, 19.99, 4.0, 5.0, 0.25, 0, id="S8"),
        pytest.param(9, 1.00, 4.0, 5.0, 0.25, 0, id="S14"),
        # A market that does not move counts as one tick: 0.25 points, 1.25 USD a contract; 10 USD afford eight.
        pytest.param(9, 10.00, 0.0, 5.0, 0.25, 8, id="S9"),
        pytest.param(9, 10.00, 0.26, 5.0, 0.25, 7, id="S10"),
    ],
)
def test_units(most: int, budget_usd: float, atr: float, multiplier: float, tick_size: float, units: int) -> None:
    assert entry_units(most, budget_usd, atr, multiplier, tick_size) == units


@pytest.mark.parametrize(
    "story",
    [
        # A share that moves by 2.00 USD: 40 USD buy 20 shares, long and short.
        pytest.param(
            Story(NO_LIMIT, [At("09:31", 50.0, LONG, "+20 approved"), At("09:32", 50.0, SHORT, "-20 approved")],
                  risk_budget_usd=40.0, atr=2.0),
            id="S11",
        ),
        # 1.99 USD afford no share, 2.00 USD one.
        pytest.param(
            Story(NO_LIMIT, [At("09:31", 50.0, LONG, "+0 risk_budget")], risk_budget_usd=1.99, atr=2.0), id="S12"
        ),
        pytest.param(
            Story(NO_LIMIT, [At("09:31", 50.0, LONG, "+1 approved")], risk_budget_usd=2.00, atr=2.0), id="S13"
        ),
    ],
)  # fmt: skip
def test_budget(story: Story) -> None:
    assert story.outcome() == story.expected
