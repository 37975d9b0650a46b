"""Contract months of equity-index futures: which month a name such as ESU5 means, and when it expires."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from catalogs.sessions import session_calendar

MONTH_CODES = "FGHJKMNQUVXZ"

_CENTRAL = ZoneInfo("America/Chicago")
_FRIDAY = 4


def expiration_ns(month_code: str, year_digit: int, reference: date) -> int:
    """Last moment of trading of a quarterly equity-index future, UTC nanoseconds.

    That is 08:30 Central on the third Friday of the month, or on the last trading day of the NYSE before it
    where that Friday is a holiday. A year has one digit, so names repeat every ten years: the expiry nearest
    to ``reference`` is meant.

    Parameters
    ----------
    month_code : str
        One of ``FGHJKMNQUVXZ``, January to December.
    year_digit : int
        Last digit of the year.
    reference : date
        For example the date of the data at hand.

    Returns
    -------
    int

    Examples
    --------
    >>> from numpy import datetime64
    >>> str(datetime64(expiration_ns("U", 5, date(2025, 8, 1)), "ns"))[:16]
    '2025-09-19T13:30'
    >>> str(datetime64(expiration_ns("U", 5, date(2016, 1, 4)), "ns"))[:16]
    '2015-09-18T13:30'
    """
    month = MONTH_CODES.index(month_code) + 1
    first_year = reference.year - 10
    years = [year for year in range(first_year, first_year + 21) if year % 10 == year_digit]
    fridays = [_third_friday(year, month) for year in years]
    friday = min(fridays, key=lambda day: abs(day - reference))
    moment = datetime.combine(_trading_day(friday), time(8, 30), _CENTRAL)
    return int(moment.timestamp()) * 10**9


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def _trading_day(day: date) -> date:
    days = session_calendar("NYSE").session_date
    at_or_before = int(np.searchsorted(days, np.datetime64(day), side="right")) - 1
    if not 0 <= at_or_before < len(days) - 1:
        return day  # outside the calendar, whose end is a year ahead
    return days[at_or_before].astype(object)
