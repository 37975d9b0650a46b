"""Contract months of futures: which month a name such as ESU5 means, when it expires, when it must be given up.

Expiry rules are the exchange's (CME Group's contract specifications, by product); the sources are named in
``configs/instruments.yaml``. Business days are those of the NYSE, which are the exchange's own since 2010.
"""

import functools
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from catalogs.sessions import session_calendar

MONTH_CODES = "FGHJKMNQUVXZ"

ExpiryRule = Literal[
    "third_friday",
    "last_business_day",
    "third_last_business_day",
    "eighth_last_business_day",
    "last_business_day_of_the_month_before",
    "third_last_business_day_of_the_month_before",
    "third_business_day_before_the_25th_of_the_month_before",
    "fourth_business_day_before_the_25th_of_the_month_before",
]
# Brokers let nobody take delivery: Interactive Brokers closes long positions two business days before the first notice,
# Treasuries and metals alike, and in oil takes only orders that reduce from the fifth business day before expiry on.
CloseOut = Literal["before_first_notice", "before_last_trade"]

_CENTRAL = ZoneInfo("America/Chicago")
_FRIDAY = 4
_SESSION_CLOSE = time(16)
_BEFORE_FIRST_NOTICE, _BEFORE_LAST_TRADE = 3, 6  # business days


def expiry_day(rule: ExpiryRule, year: int, month: int) -> date:
    """Day on which a contract month trades last.

    Parameters
    ----------
    rule : ExpiryRule
    year, month : int
        The contract's month, as its name says; it may trade last in the month before.

    Examples
    --------
    >>> expiry_day("third_friday", 2025, 9).isoformat()
    '2025-09-19'
    >>> expiry_day("third_business_day_before_the_25th_of_the_month_before", 2020, 5).isoformat()  # CLK0
    '2020-04-21'
    """
    return _RULES[rule](date(year, month, 1))


def expiration_ns(rule: ExpiryRule, at: time, year: int, month: int) -> int:
    """Last moment of trading of a contract month, UTC nanoseconds; ``at`` is Central time.

    Examples
    --------
    >>> str(np.datetime64(expiration_ns("third_friday", time(8, 30), 2025, 9), "ns"))[:16]
    '2025-09-19T13:30'
    """
    return _moment_ns(expiry_day(rule, year, month), at)


def close_out_ns(close_out: CloseOut | None, rule: ExpiryRule, year: int, month: int) -> int:
    """Moment by which a contract month must be given up, UTC nanoseconds; 0 if it may be held to its last trade.

    That is the close of the session three business days before the first notice day (the last business day of the month
    before the contract's), or six before the last trade.

    Examples
    --------
    >>> str(np.datetime64(close_out_ns("before_first_notice", "third_last_business_day", 2025, 12), "ns"))[:10]  # GCZ5
    '2025-11-24'
    """
    if close_out is None:
        return 0
    if close_out == "before_last_trade":
        return _moment_ns(_business_day(expiry_day(rule, year, month), -_BEFORE_LAST_TRADE), _SESSION_CLOSE)
    first_notice = _last_business_day(date(year, month, 1))
    return _moment_ns(_business_day(first_notice, -_BEFORE_FIRST_NOTICE), _SESSION_CLOSE)


def contract_year(rule: ExpiryRule, month: int, year_digit: int, reference: date) -> int:
    """Year that a name with one digit for it means: the one whose expiry is nearest to ``reference``.

    Examples
    --------
    >>> contract_year("third_friday", 9, 5, date(2025, 8, 1)), contract_year("third_friday", 9, 5, date(2016, 1, 4))
    (2025, 2015)
    """
    years = [year for year in range(reference.year - 10, reference.year + 12) if year % 10 == year_digit]
    return min(years, key=lambda year: abs(expiry_day(rule, year, month) - reference))


def _third_friday(month: date) -> date:
    return _business_day(month + timedelta(days=(_FRIDAY - month.weekday()) % 7 + 14), 0)


def _nth_last_business_day(n: int) -> Callable[[date], date]:
    return lambda month: _business_day(_next_month(month), -n, forward=True)


def _last_business_day(before: date) -> date:
    return _business_day(before, -1, forward=True)


def _month_before(n: int) -> Callable[[date], date]:
    return lambda month: _business_day(month, -n, forward=True)


def _before_the_25th(days: int) -> Callable[[date], date]:
    # If the 25th is no business day, the days count from the business day before it.
    return lambda month: _business_day((month - timedelta(days=1)).replace(day=25), -days)


_RULES: dict[ExpiryRule, Callable[[date], date]] = {
    "third_friday": _third_friday,
    "last_business_day": _nth_last_business_day(1),
    "third_last_business_day": _nth_last_business_day(3),
    "eighth_last_business_day": _nth_last_business_day(8),
    "last_business_day_of_the_month_before": _month_before(1),
    "third_last_business_day_of_the_month_before": _month_before(3),
    "third_business_day_before_the_25th_of_the_month_before": _before_the_25th(3),
    "fourth_business_day_before_the_25th_of_the_month_before": _before_the_25th(4),
}


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def _moment_ns(day: date, at: time) -> int:
    return int(datetime.combine(day, at, _CENTRAL).timestamp()) * 10**9


def _business_day(day: date, offset: int, *, forward: bool = False) -> date:
    """The business day ``offset`` away; a day that is none counts as the one before it, or after it if forward."""
    roll: Literal["forward", "backward"] = "forward" if forward else "backward"
    found: date = np.busday_offset(np.datetime64(day), offset, roll=roll, busdaycal=_business_days()).item()
    return found


@functools.cache
def _business_days() -> np.busdaycalendar:
    # Beyond the end of the calendar, a year ahead, every weekday counts.
    days = session_calendar("NYSE").session_date
    weekdays = np.arange(days[0], days[-1])
    weekdays = weekdays[np.is_busday(weekdays)]
    return np.busdaycalendar(holidays=np.setdiff1d(weekdays, days))
