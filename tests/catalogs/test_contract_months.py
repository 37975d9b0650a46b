"""Days of the last trade against lists that exchanges and brokers published, and when a contract must be given up."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.instruments.contract_months import MONTH_CODES
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.sessions import session_calendar
from configs import instruments_path

TABLE = load_table(instruments_path())
DAY_NS = 86_400 * 10**9


def contract(name: str, year: int) -> InstrumentSpec:
    month = MONTH_CODES.index(name[-2]) + 1
    return resolve(name, TABLE, date(year, month, 1))


def last_day(spec: InstrumentSpec) -> date:
    return datetime.fromtimestamp(spec.expiration_ns // 10**9, UTC).date()


# Micro copper: a Vietnamese exchange's list of 2022 (en.mxv.com.vn).
MICRO_COPPER = {
    "MHGU2": "2022-08-29", "MHGZ2": "2022-11-28", "MHGH3": "2023-02-24", "MHGK3": "2023-04-26", "MHGN3": "2023-06-28",
}  # fmt: skip
# Copper: a broker's list of 2008 (bohlish.com).
COPPER = {
    "HGH9": "2009-03-27", "HGK9": "2009-05-27", "HGN9": "2009-07-29", "HGU9": "2009-09-28", "HGZ9": "2009-12-29",
    "HGH0": "2010-03-29", "HGK0": "2010-05-26",
}  # fmt: skip
# First notice days of 2026, a broker's list (discounttrading.com): the second business day after the last trade of
# crude oil, the first after that of natural gas.
CRUDE_OIL_NOTICE = {
    "CLF6": "2025-12-23", "CLG6": "2026-01-22", "CLH6": "2026-02-24", "CLJ6": "2026-03-24", "CLK6": "2026-04-23",
    "CLM6": "2026-05-21", "CLN6": "2026-06-24", "CLQ6": "2026-07-23", "CLU6": "2026-08-24", "CLV6": "2026-09-24",
    "CLX6": "2026-10-22", "CLZ6": "2026-11-24",
}  # fmt: skip
NATURAL_GAS_NOTICE = {
    "NGF6": "2025-12-30", "NGG6": "2026-01-29", "NGH6": "2026-02-26", "NGJ6": "2026-03-30", "NGK6": "2026-04-29",
    "NGM6": "2026-05-28", "NGN6": "2026-06-29", "NGQ6": "2026-07-30", "NGU6": "2026-08-28", "NGV6": "2026-09-29",
    "NGX6": "2026-10-29", "NGZ6": "2026-11-27",
}  # fmt: skip


@pytest.mark.parametrize(("name", "day"), [*MICRO_COPPER.items(), *COPPER.items()])
def test_the_last_trade_of_metals(name: str, day: str) -> None:
    assert last_day(contract(name, date.fromisoformat(day).year)) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("notice", "days"),
    [
        *((item, 2) for item in CRUDE_OIL_NOTICE.items()),
        *((("M" + name, day), 3) for name, day in CRUDE_OIL_NOTICE.items()),  # a business day before crude oil
        *((item, 1) for item in NATURAL_GAS_NOTICE.items()),
    ],
)
def test_the_last_trade_of_energy(notice: tuple[str, str], days: int) -> None:
    name, day = notice
    nyse = session_calendar("NYSE").session_date
    before = nyse[np.searchsorted(nyse, np.datetime64(day)) - days]
    assert last_day(contract(name, 2026)) == before.item()


@pytest.mark.parametrize(
    ("name", "year", "moment"),
    [
        ("CLK0", 2020, "2020-04-21T18:30"),  # the day after the negative prices
        ("MCLK6", 2026, "2026-04-20T18:30"),  # a day before crude oil's
        # Worked by hand: the last business day of March 2025 is Monday the 31st; seven before it is Thursday the 20th.
        ("ZNH5", 2025, "2025-03-20T17:01"),
        ("ZBH4", 2024, "2024-03-19T17:01"),  # Good Friday is the 29th, so the month ends on the 28th
        ("ZTM5", 2025, "2025-06-30T17:01"),
        ("ZFZ4", 2024, "2024-12-31T18:01"),
        ("GCZ5", 2025, "2025-12-29T18:30"),
        ("SIN5", 2025, "2025-07-29T17:25"),
        ("PLF6", 2026, "2026-01-28T18:05"),
        ("RBX5", 2025, "2025-10-31T18:30"),
        ("HOF6", 2026, "2025-12-31T19:30"),
        ("YMZ6", 2026, "2026-12-18T14:30"),
    ],
)
def test_the_moment_of_the_last_trade(name: str, year: int, moment: str) -> None:
    assert str(np.datetime64(contract(name, year).expiration_ns, "ns"))[:16] == moment


@pytest.mark.parametrize(
    ("name", "year", "day"),
    [
        ("GCZ6", 2026, "2026-11-24"),  # first notice is Monday the 30th; the 26th is Thanksgiving
        ("ZNZ5", 2025, "2025-11-24"),  # first notice is Friday the 28th
        ("CLZ6", 2026, "2026-11-12"),  # last trade on Friday the 20th
        ("ESZ6", 2026, ""),  # settled in cash
        ("MHGZ6", 2026, ""),
    ],
)
def test_what_is_delivered_is_given_up_before_brokers_close_it_out(name: str, year: int, day: str) -> None:
    spec = contract(name, year)
    assert (str(np.datetime64(spec.close_out_ns, "ns"))[:10] if spec.close_out_ns else "") == day
    assert spec.tradable_until_ns == (spec.close_out_ns or spec.expiration_ns)
    if spec.close_out_ns:
        assert spec.sessions.session_date[-1] == np.datetime64(day)
        assert spec.sessions.close_ns[-1] == spec.close_out_ns


@pytest.mark.parametrize(
    ("name", "year", "month"),
    [("CLZ6", 2026, "202612"), ("CLF6", 2026, "202601"), ("NGF0", 2030, "203001"), ("ESM6", 2026, "202606")],
)
def test_a_contract_is_named_by_its_month_and_not_by_that_of_its_last_trade(name: str, year: int, month: str) -> None:
    assert contract(name, year).contract_month == month


@given(root=st.sampled_from(sorted(TABLE.futures)), year=st.integers(2010, 2027), place=st.integers(0, 11))
def test_every_contract_ends_on_a_business_day_near_its_month(root: str, year: int, place: int) -> None:
    months = TABLE.futures[root].months
    code = months[place % len(months)]
    spec = contract(f"{root}{code}{year % 10}", year)
    first = date(year, MONTH_CODES.index(code) + 1, 1)
    # The earliest: micro crude oil of February, where Martin Luther King Day lies before crude oil's last trade.
    assert first - timedelta(days=16) <= last_day(spec) < first + timedelta(days=31)
    assert np.datetime64(last_day(spec)) in session_calendar("NYSE").session_date
    assert spec.contract_month == f"{first:%Y%m}"
    assert 0 < spec.tradable_until_ns <= spec.expiration_ns
    assert spec.expiration_ns - spec.tradable_until_ns < 45 * DAY_NS


@given(root=st.sampled_from(sorted(TABLE.futures)), year=st.integers(2010, 2027), place=st.integers(0, 11))
def test_months_end_in_the_order_of_their_names(root: str, year: int, place: int) -> None:
    months = TABLE.futures[root].months
    this, following = months[place % len(months)], months[(place + 1) % len(months)]
    later = year + (place % len(months) + 1 == len(months))
    one, other = contract(f"{root}{this}{year % 10}", year), contract(f"{root}{following}{later % 10}", later)
    assert one.expiration_ns < other.expiration_ns
    assert one.tradable_until_ns < other.tradable_until_ns
