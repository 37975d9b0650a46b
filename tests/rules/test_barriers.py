"""Where stop loss and take profit lie. Numbered as in docs/risk.md.

A tick is 0.25. Prices are in ticks: 24,000 are 6,000.00.
"""

import pytest

from rl_strategies.decision.barriers import BarrierConfig, Distance, barrier_ticks, unit_code
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from tests.rules.day import PLAN, share, time_ns

ABOVE, BELOW = 1, -1


@pytest.mark.parametrize(
    ("distance", "direction", "fill", "market", "atr", "price"),
    [
        pytest.param(None, BELOW, 24_000, 24_000, 3.0, 0, id="B1"),
        # Ticks.
        pytest.param(Distance(8, "ticks"), BELOW, 24_000, 24_000, 3.0, 23_992, id="B2"),
        pytest.param(Distance(8, "ticks"), ABOVE, 24_000, 24_000, 3.0, 24_008, id="B3"),
        # From the fill, wherever the market stands: bought at 24,003 while it stood at 24,000.
        pytest.param(Distance(8, "ticks"), BELOW, 24_003, 24_000, 3.0, 23_995, id="B4"),
        pytest.param(Distance(8, "ticks"), ABOVE, 24_003, 24_000, 3.0, 24_011, id="B5"),
        # Average true range: 2 x 3.10 points are 24.8 ticks, 2 x 3.05 are 24.4: the nearest tick.
        pytest.param(Distance(2.0, "atr"), BELOW, 24_000, 24_000, 3.10, 23_975, id="B6"),
        pytest.param(Distance(2.0, "atr"), ABOVE, 24_000, 24_000, 3.10, 24_025, id="B7"),
        pytest.param(Distance(2.0, "atr"), BELOW, 24_000, 24_000, 3.05, 23_976, id="B8"),
        # Half a tick goes to the wider side: 1 x 3.125 points are 12.5 ticks.
        pytest.param(Distance(1.0, "atr"), BELOW, 24_000, 24_000, 3.125, 23_987, id="B9"),
        pytest.param(Distance(1.0, "atr"), ABOVE, 24_000, 24_000, 3.125, 24_013, id="B10"),
        # Percent of the fill: 1 % of 24,100 is 241, of the market at 24,000 it would be 240.
        pytest.param(Distance(1.0, "percent"), BELOW, 24_100, 24_000, 3.0, 23_859, id="B11"),
        pytest.param(Distance(1.0, "percent"), ABOVE, 24_100, 24_000, 3.0, 24_341, id="B12"),
        pytest.param(Distance(0.5, "percent"), ABOVE, 24_100, 24_200, 3.0, 24_221, id="B13"),  # 120.5 ticks
        # At least one tick from the fill, though the market has moved on from it.
        pytest.param(Distance(0.01, "atr"), BELOW, 24_000, 24_010, 3.0, 23_999, id="B14"),
        pytest.param(Distance(0.01, "atr"), ABOVE, 24_000, 23_990, 3.0, 24_001, id="B15"),
        # At least one tick beyond the market: bought at 24,001 while it stood at 24,000, a stop a tick below the fill
        # would lie in the market. Two ticks below it does not.
        pytest.param(Distance(1, "ticks"), BELOW, 24_001, 24_000, 3.0, 23_999, id="B16"),
        pytest.param(Distance(2, "ticks"), BELOW, 24_001, 24_000, 3.0, 23_999, id="B17"),
        pytest.param(Distance(3, "ticks"), BELOW, 24_001, 24_000, 3.0, 23_998, id="B18"),
        pytest.param(Distance(1, "ticks"), ABOVE, 23_999, 24_000, 3.0, 24_001, id="B19"),
        pytest.param(Distance(3, "ticks"), ABOVE, 23_999, 24_000, 3.0, 24_002, id="B20"),
        # Never at zero or below.
        pytest.param(Distance(5, "ticks"), BELOW, 6, 6, 3.0, 1, id="B21"),
        pytest.param(Distance(6, "ticks"), BELOW, 6, 6, 3.0, 1, id="B22"),
        pytest.param(Distance(4, "ticks"), BELOW, 6, 6, 3.0, 2, id="B23"),
    ],
)
def test_price(distance: Distance | None, direction: int, fill: int, market: int, atr: float, price: int) -> None:
    value = distance.value if distance else 0.0
    assert barrier_ticks(unit_code(distance), value, direction, fill, market, 0.25, atr) == price


def holding(units: int) -> DecisionCore:
    """Shares at 500.00 with a stop 40 and a target 60 cents away; an average true range of 1.00 USD."""
    barriers = BarrierConfig(Distance(40, "ticks"), Distance(0.6, "atr"), 0)
    core = DecisionCore([share("AAA")], PLAN, TradingConfig(abs(units), barriers), ExecutionConfig())
    core.begin_session(core.instruments[0].on_bar(time_ns("09:31"), 50_000, 50_000, 50_000, 50_000, 10_000))
    core.legs["atr"] = 1.0
    core.on_fill(0, units, 50_001, 0)
    return core


@pytest.mark.parametrize(
    ("units", "stop", "target"),
    [
        pytest.param(3, 49_961, 50_061, id="B24"),
        pytest.param(-3, 50_041, 49_941, id="B25"),
    ],
)
def test_barriers_of_a_held_position(units: int, stop: int, target: int) -> None:
    leg = holding(units).instruments[0]
    assert (leg.lay_barrier("stop_loss", 50_001, 50_000), leg.lay_barrier("take_profit", 50_001, 50_000)) == (
        stop,
        target,
    )


@pytest.mark.parametrize(
    ("left", "stop", "target"),
    [
        pytest.param(1, 49_961, 50_061, id="B26"),  # a part is sold: the barriers stay
        pytest.param(0, 0, 0, id="B27"),  # all is sold: they are gone
    ],
)
def test_barriers_after_an_exit(left: int, stop: int, target: int) -> None:
    core = holding(3)
    for barrier in ("stop_loss", "take_profit"):
        core.instruments[0].lay_barrier(barrier, 50_001, 50_000)
    core.on_fill(0, left - 3, 50_000, 0)
    assert (core.legs["stop_ticks"].item(), core.legs["take_profit_ticks"].item()) == (stop, target)


@pytest.mark.parametrize(
    "value", [pytest.param(0.0, id="B28"), pytest.param(-1.0, id="B29"), pytest.param(float("inf"), id="B30")]
)
def test_a_distance_that_makes_no_sense_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"a barrier's distance must be above zero, was {value}"):
        Distance(value, "ticks")


@pytest.mark.parametrize("bars", [pytest.param(-1, id="B31")])
def test_a_negative_time_limit_is_refused(bars: int) -> None:
    with pytest.raises(ValueError, match=f"time_limit_bars must not be negative, was {bars}"):
        BarrierConfig(time_limit_bars=bars)
