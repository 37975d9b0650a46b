"""Commission, cents and the average price of a position. Numbered as in docs/risk.md."""

from decimal import Decimal

import numpy as np
import pytest

from rl_strategies.accounting.commission import fill_commission_cents, order_commission_cents, to_micros
from rl_strategies.accounting.money import money_cents, realized_cents
from rl_strategies.accounting.position import (
    ACCOUNT,
    LEG,
    apply_fill,
    begin_session,
    book_fill,
    clear_leg,
    side_of_units,
    unrealized_usd,
)
from rl_strategies.decision.rules import RULES


@pytest.mark.parametrize(
    ("rate", "minimum_cents", "units", "cents"),
    [
        # Half a cent a share, 1.00 USD an order at least: 200 shares cost the minimum, 201 cost 1.005, rounded up.
        pytest.param("0.005", 100, 199, 100, id="C1"),
        pytest.param("0.005", 100, 200, 100, id="C2"),
        pytest.param("0.005", 100, 201, 101, id="C3"),
        pytest.param("0.005", 100, 202, 101, id="C4"),
        pytest.param("0.005", 100, 1, 100, id="C5"),
        # 0.004 USD: 3 are 1.2 cents, 4 are 1.6.
        pytest.param("0.004", 0, 3, 1, id="C6"),
        pytest.param("0.004", 0, 4, 2, id="C7"),
        pytest.param("2.25", 0, 3, 675, id="C8"),
        pytest.param("0.005", 100, 20_000, 10_000, id="C45"),
        # Nothing is filled, nothing is billed.
        pytest.param("0.005", 100, 0, 0, id="C9"),
    ],
)
def test_bill_of_an_order(rate: str, minimum_cents: int, units: int, cents: int) -> None:
    assert order_commission_cents(to_micros(Decimal(rate)), minimum_cents, units) == cents


@pytest.mark.parametrize(
    ("before", "units", "cents"),
    [
        # Half a cent a share, at least 1.00 USD: 150 shares pay the minimum, 150 more bring the bill to 1.50.
        pytest.param(0, 150, 100, id="C10"),
        pytest.param(150, 150, 50, id="C11"),
        pytest.param(50, 150, 0, id="C12"),
    ],
)
def test_bill_of_a_part(before: int, units: int, cents: int) -> None:
    assert fill_commission_cents(5_000, 100, before, units) == cents


@pytest.mark.parametrize(
    ("usd", "cents"),
    [
        # Half a cent away from zero; numbers that binary floats hold exactly.
        pytest.param(0.125, 13, id="C13"),
        pytest.param(-0.125, -13, id="C14"),
        pytest.param(0.1249, 12, id="C15"),
        pytest.param(-0.1249, -12, id="C16"),
        pytest.param(2.5, 250, id="C17"),
        pytest.param(0.0, 0, id="C18"),
    ],
)
def test_cents(usd: float, cents: int) -> None:
    assert money_cents(usd) == cents


@pytest.mark.parametrize(
    ("held", "units", "price", "cents"),
    [
        # 5 USD a point, entered at 6,000.00.
        pytest.param(2, -1, 6_001.25, 625, id="C19"),
        pytest.param(2, -2, 5_998.75, -1_250, id="C20"),
        pytest.param(-2, 1, 6_001.25, -625, id="C21"),
        pytest.param(-2, 2, 5_998.75, 1_250, id="C22"),
        pytest.param(-2, 5, 6_001.25, -1_250, id="C23"),  # no more than what is held
        pytest.param(2, -5, 6_001.25, 1_250, id="C24"),
        pytest.param(2, 1, 6_001.25, 0, id="C25"),  # adding realises nothing
        pytest.param(-2, -1, 6_001.25, 0, id="C26"),
        pytest.param(0, 3, 6_001.25, 0, id="C27"),
        pytest.param(1, -1, 6_001.25, 625, id="C43"),
        pytest.param(-1, 1, 6_001.25, -625, id="C44"),
    ],
)
def test_what_a_fill_realises(held: int, units: int, price: float, cents: int) -> None:
    assert realized_cents(held, 6_000.0, units, price, 5.0) == cents


@pytest.mark.parametrize(
    ("fills", "units", "average", "entries", "age"),
    [
        pytest.param([(2, 100.0)], 2, 100.0, 1, 0, id="C28"),
        # 2 at 100 and 1 at 103 are 3 at 101.
        pytest.param([(2, 100.0), (1, 103.0)], 3, 101.0, 1, 7, id="C29"),
        pytest.param([(2, 100.0), (2, 103.0)], 4, 101.5, 1, 7, id="C46"),
        pytest.param([(1, 100.0), (1, 103.0)], 2, 101.5, 1, 7, id="C47"),
        pytest.param([(-2, 100.0), (-1, 97.0)], -3, 99.0, 1, 7, id="C30"),
        # An exit leaves the average, the age and the count of entries alone.
        pytest.param([(3, 100.0), (-1, 103.0)], 2, 100.0, 1, 7, id="C31"),
        pytest.param([(-3, 100.0), (1, 103.0)], -2, 100.0, 1, 7, id="C32"),
        # From flat it is an entry again, at its own price and without age.
        pytest.param([(3, 100.0), (-3, 103.0), (-2, 110.0)], -2, 110.0, 2, 0, id="C33"),
        # A fill that crosses zero, as a live correction may: what is left was traded at its price.
        pytest.param([(2, 100.0), (-3, 103.0)], -1, 103.0, 1, 7, id="C52"),
        pytest.param([(-2, 100.0), (3, 97.0)], 1, 97.0, 1, 7, id="C53"),
    ],
)
def test_position(fills: list[tuple[int, float]], units: int, average: float, entries: int, age: int) -> None:
    leg = np.zeros(1, LEG)[0]
    for number, (signed, price) in enumerate(fills):
        if number == 1:
            leg.age_bars = 7
        apply_fill(leg, signed, price)
    assert (leg.units, leg.average_price, leg.entries, leg.age_bars) == (units, average, entries, age)


def booked(*fills: tuple[int, int, int]) -> np.record:
    """An account of 1,000.00 USD after fills of units, ticks of 0.25 and cents of commission; 5 USD a point."""
    account, leg, rules = np.zeros(1, ACCOUNT)[0], np.zeros(1, LEG)[0], np.zeros(1, RULES)[0]
    account.balance_cents, rules.tick_raw, rules.multiplier = 100_000, 2.5e15, 5.0
    for units, ticks, cents in fills:
        book_fill(account, leg, rules, units, ticks, cents)
    return account


@pytest.mark.parametrize(
    ("fills", "balance", "traded", "trades"),
    [
        # 2 contracts at 6,000.00 are 60,000.00 USD of notional; a fill pays its commission.
        pytest.param([(2, 24_000, 124)], 99_876, 6_000_000, 1, id="C34"),
        # Sold 5 ticks higher: 2 x 1.25 points x 5 USD are 12.50; another 60,012.50 are traded.
        pytest.param([(2, 24_000, 124), (-2, 24_005, 124)], 101_002, 12_001_250, 1, id="C35"),
        pytest.param([(-1, 24_000, 62), (1, 24_005, 62), (1, 24_005, 62)], 99_189, 9_001_250, 2, id="C36"),
    ],
)
def test_account(fills: list[tuple[int, int, int]], balance: int, traded: int, trades: int) -> None:
    account = booked(*fills)
    assert (account.balance_cents, account.traded_cents, account.trades) == (balance, traded, trades)


@pytest.mark.parametrize(
    ("units", "price", "usd"),
    [
        pytest.param(3, 6_001.25, 18.75, id="C37"),
        pytest.param(-3, 6_001.25, -18.75, id="C38"),
        pytest.param(0, 6_001.25, 0.0, id="C39"),
        pytest.param(1, 6_001.25, 6.25, id="C50"),
        pytest.param(-1, 6_001.25, -6.25, id="C51"),
    ],
)
def test_open_position(units: int, price: float, usd: float) -> None:
    leg = np.zeros(1, LEG)[0]
    leg.units, leg.average_price = units, 6_000.0
    assert unrealized_usd(leg, price, 5.0) == usd


@pytest.mark.parametrize(
    ("units", "side"),
    [
        pytest.param(3, 1, id="C40"),
        pytest.param(-3, -1, id="C41"),
        pytest.param(0, 0, id="C42"),
        pytest.param(1, 1, id="C48"),
        pytest.param(-1, -1, id="C49"),
    ],
)
def test_side(units: int, side: int) -> None:
    assert side_of_units(units) == side


def test_a_session_begins_with_its_equity_and_nothing_traded() -> None:
    account = booked((2, 24_000, 124))
    account.halted = 4
    begin_session(account, 998.76)
    counted = (account.equity, account.session_equity, account.peak_equity)
    assert counted == (998.76, 998.76, 998.76)
    assert (account.halted, account.traded_cents, account.trades, account.balance_cents) == (0, 0, 0, 99_876)


def test_a_cleared_leg_is_one_that_never_traded() -> None:
    leg = np.zeros(1, LEG)[0]
    kept = ("units", "age_bars", "entries", "average_price", "stop_ticks", "take_profit_ticks", "take_profit_filled",
            "waiting", "fill_count")  # fmt: skip
    for name in kept:
        leg[name] = 7
    clear_leg(leg)
    assert [leg[name] for name in kept] == [0] * len(kept)


def test_a_rate_finer_than_a_millionth_is_refused() -> None:
    with pytest.raises(ValueError, match="a commission rate must have at most six decimals, was 5E-7"):
        to_micros(Decimal("0.0000005"))
