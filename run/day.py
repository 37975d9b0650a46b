"""Days and nanoseconds, both UTC."""

from datetime import UTC, date, datetime

import numpy as np

DAY_NS = 86_400 * 10**9


def day_of(ts_ns: int) -> date:
    """UTC day of a time.

    Examples
    --------
    >>> day_of(1_751_549_460_000_000_000)
    datetime.date(2025, 7, 3)
    """
    return datetime.fromtimestamp(ts_ns // 10**9, UTC).date()


def midnight_ns(day: date) -> int:
    """Midnight UTC with which a day begins.

    Examples
    --------
    >>> midnight_ns(date(1970, 1, 2)) == DAY_NS
    True
    """
    return int(np.datetime64(day, "ns").astype(np.int64))
