"""The last trading day whose bars are final."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from catalogs.sessions import session_calendar

SETTLED_AFTER = timedelta(hours=5)  # after the regular close, when late prints and the extended session are over


def last_finished_day(now: datetime | None = None) -> date:
    """Last session of the NYSE whose bars no longer change.

    Parameters
    ----------
    now : datetime, optional
        Aware; the current time by default.

    Examples
    --------
    >>> last_finished_day(datetime(2025, 7, 7, 20, 30, tzinfo=UTC))  # Monday, half an hour after the close
    datetime.date(2025, 7, 3)
    """
    moment = (now or datetime.now(UTC)) - SETTLED_AFTER
    calendar = session_calendar("NYSE")
    closed = int(np.searchsorted(calendar.close_ns, int(moment.timestamp()) * 10**9, side="right"))
    return calendar.session_date[closed - 1].item()
