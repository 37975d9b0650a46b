"""Barriers, commissions and sizes of orders, worked by hand."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.accounting.commission import fill_commission_cents, order_commission_cents, to_micros
from rl_strategies.accounting.money import money_cents, realized_cents
from rl_strategies.decision.barriers import BarrierConfig, Distance, barrier_ticks, unit_code
from rl_strategies.decision.rules import ExecutionConfig
from rl_strategies.risk.sizing import entry_units


@pytest.mark.parametrize(
    ("distance", "direction", "price"),
    [
        (Distance(8, "ticks"), -1, 23_992),  # 6,000.00 − 8 × 0.25
        (Distance(1.5, "atr"), 1, 24_018),  # 1.5 × 3.00 points are 18 ticks
        (Distance(1.0, "percent"), -1, 23_760),  # 1 % of 6,000.00 is 60.00, 240 ticks
        (Distance(0.01, "atr"), -1, 23_999),  # never nearer than a tick
        (None, 1, 0),
    ],
)
def test_barrier_from_the_fill(distance: Distance | None, direction: int, price: int) -> None:
    value = distance.value if distance else 0.0
    assert barrier_ticks(unit_code(distance), value, direction, 24_000, 24_000, 0.25, 3.0) == price


def test_stop_never_lies_in_the_market() -> None:
    # Bought a tick above the market: a stop one tick below the fill would be at the market, and be rejected.
    assert barrier_ticks(0, 1.0, -1, 24_001, 24_000, 0.25, 3.0) == 23_999
    assert barrier_ticks(0, 1.0, 1, 23_999, 24_000, 0.25, 3.0) == 24_001


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_distance_must_be_above_zero(value: float) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        Distance(value, "ticks")


def test_time_limit_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="time_limit_bars must not be negative, was -1"):
        BarrierConfig(time_limit_bars=-1)


@pytest.mark.parametrize(
    ("rate", "minimum", "units", "cents"),
    [
        ("0.005", 100, 100, 100),  # 0.50 USD, below the minimum of 1.00
        ("0.005", 100, 200, 100),
        ("0.005", 100, 201, 101),  # 1.005 USD, half a cent rounds up
        ("0.62", 0, 3, 186),
        ("2.25", 0, 1, 225),
        ("0.62", 0, 0, 0),
    ],
)
def test_bill_of_an_order(rate: str, minimum: int, units: int, cents: int) -> None:
    assert order_commission_cents(to_micros(Decimal(rate)), minimum, units) == cents


@given(
    parts=st.lists(st.integers(1, 500), min_size=1, max_size=6), rate=st.integers(0, 50_000), least=st.integers(0, 300)
)
def test_parts_of_an_order_cost_what_the_whole_costs(parts: list[int], rate: int, least: int) -> None:
    before, charged = 0, 0
    for part in parts:
        charged += fill_commission_cents(rate, least, before, part)
        before += part
    assert charged == order_commission_cents(rate, least, sum(parts))


def test_rate_finer_than_a_millionth_is_refused() -> None:
    with pytest.raises(ValueError, match="at most six decimals, was 5E-7"):
        to_micros(Decimal("0.0000005"))


@pytest.mark.parametrize(("usd", "cents"), [(1.005, 101), (-1.005, -101), (0.004, 0), (2.5, 250)])
def test_money_rounds_half_away_from_zero(usd: float, cents: int) -> None:
    # 1.005 × 100 is 100.49999999999999 in binary: what NautilusTrader's Money(1.005, USD) makes of it counts.
    from nautilus_trader.model.currencies import USD
    from nautilus_trader.model.objects import Money

    assert money_cents(usd) == int(Money(usd, USD).as_decimal() * 100)
    assert abs(money_cents(usd) - cents) <= 1


def test_what_a_fill_realises() -> None:
    assert realized_cents(2, 6000.0, -1, 6001.25, 5.0) == 625  # one contract, 1.25 points, 5 USD a point
    assert realized_cents(-2, 6000.0, 5, 6001.25, 5.0) == -1250  # no more than what is held
    assert realized_cents(2, 6000.0, 1, 6001.25, 5.0) == 0
    assert realized_cents(0, 0.0, 1, 6001.25, 5.0) == 0


@given(atr=st.floats(0.01, 50.0), budget=st.floats(1.0, 1e5), most=st.integers(1, 1000))
def test_units_never_risk_more_than_the_budget(atr: float, budget: float, most: int) -> None:
    units = entry_units(most, budget, atr, 5.0, 0.25)
    assert 0 <= units <= most
    assert units * max(atr, 0.25) * 5.0 <= budget * (1 + 1e-12)
    assert units == most or (units + 1) * max(atr, 0.25) * 5.0 > budget * (1 - 1e-12)


def test_without_budget_units_are_fixed() -> None:
    assert entry_units(7, 0.0, np.nan, 5.0, 0.25) == 7


def test_an_order_inside_the_bar_that_the_engine_cannot_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="high_low_order must be one of adaptive, high_first, was 'worst'"):
        ExecutionConfig(high_low_order="worst")
