"""Trading sessions: which session a bar belongs to, and where in the session it is.

A session is the time that an exchange trades without its daily pause: NYSE regular hours for shares, 17:00 to 16:00
Central for Globex. A bar belongs to the session whose (open, close] contains its close time.
"""

import functools
import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import kernel
from catalogs.errors import InputError
from catalogs.exchange_hours import ZONES, exchange_hours, horizon

CalendarName = Literal[
    "NYSE", "CME Globex Equity", "CME Globex Interest Rate Products", "CMEGlobex_EnergyAndMetals"
]  # fmt: skip

SESSION_COLUMNS = ("session", "minutes_since_open", "minutes_to_close", "minute_of_day", "weekday", "rth")

_MINUTE_NS = 60 * 10**9
_DAY_NS = 1440 * _MINUTE_NS


@dataclass(frozen=True)
class SessionCalendar:
    """Sessions of one exchange, ascending; the arrays are read-only.

    Attributes
    ----------
    name : str
        One of `catalogs.exchange_hours.CALENDARS`.
    session_date : datetime64[D][s]
        Trading day: for Globex the day of the close, so Sunday evening belongs to Monday.
    open_ns, close_ns : int64[s]
        UTC nanoseconds.
    rth_open_ns, rth_close_ns : int64[s]
        Regular trading hours: those of the NYSE on that date, 0 where the NYSE is closed.
    utc_offset_ns : int64[s]
        Exchange-local time minus UTC.
    """

    name: str
    session_date: NDArray[np.datetime64]
    open_ns: NDArray[np.int64]
    close_ns: NDArray[np.int64]
    rth_open_ns: NDArray[np.int64]
    rth_close_ns: NDArray[np.int64]
    utc_offset_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.session_date)

    def until(self, last_trade_ns: int) -> "SessionCalendar":
        """The sessions up to a contract's last moment of trading: the session of that moment closes then.

        Parameters
        ----------
        last_trade_ns : int
            UTC nanoseconds.
        """
        count = int(np.searchsorted(self.open_ns, last_trade_ns, side="left"))
        columns = {name: column[:count] for name, column in vars(self).items() if isinstance(column, np.ndarray)}
        columns["close_ns"] = np.minimum(columns["close_ns"], last_trade_ns)
        columns["close_ns"].flags.writeable = False
        return SessionCalendar(self.name, **columns)

    def locate(self, ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the session of each close time, -1 outside every session.

        Parameters
        ----------
        ts_ns : int64[n]
            Bar close times, UTC nanoseconds, in any order.

        Returns
        -------
        int64[n]

        Examples
        --------
        >>> nyse = session_calendar("NYSE")
        >>> closes = np.array(["2025-07-03T13:30", "2025-07-03T13:31", "2025-07-03T17:00"], "datetime64[ns]")
        >>> found = nyse.locate(closes.astype("int64"))
        >>> [str(nyse.session_date[i]) if i >= 0 else "outside" for i in found]
        ['outside', '2025-07-03', '2025-07-03']
        """
        session = np.searchsorted(self.open_ns, ts_ns, side="left").astype(np.int64) - 1
        inside = (session >= 0) & (ts_ns <= self.close_ns[np.maximum(session, 0)])
        return np.where(inside, session, -1)

    def contains(self, ts_ns: int) -> bool:
        """Whether a close time, UTC nanoseconds, lies in a session; as `locate`, for one.

        Examples
        --------
        >>> nyse = session_calendar("NYSE")
        >>> [nyse.contains(int(nyse.open_ns[0]) + late) for late in (0, 1)]  # a bar that closes at the open is before
        [False, True]
        """
        session = int(self.open_ns.searchsorted(ts_ns)) - 1
        return session >= 0 and ts_ns <= int(self.close_ns[session])

    @property
    def hash(self) -> str:
        """SHA-256 of all sessions; changes once a year, when the calendar grows."""
        return self._hash_of(slice(None))

    def hash_between(self, start_ns: int, end_ns: int) -> str:
        """SHA-256 of the sessions that touch ``start_ns`` to ``end_ns``; a growing calendar does not change it.

        Parameters
        ----------
        start_ns, end_ns : int
            UTC nanoseconds, both inclusive.
        """
        first = int(np.searchsorted(self.close_ns, start_ns, side="left"))
        stop = int(np.searchsorted(self.open_ns, end_ns, side="left"))
        return self._hash_of(slice(first, stop))

    def _hash_of(self, sessions: slice) -> str:
        digest = hashlib.sha256(self.name.encode())
        days = self.session_date.astype(np.int64)
        columns = (self.open_ns, self.close_ns, self.rth_open_ns, self.rth_close_ns, self.utc_offset_ns)
        for column in (days, *columns):
            digest.update(np.ascontiguousarray(column[sessions]).tobytes())
        return digest.hexdigest()


@functools.cache
def session_calendar(name: str, last_trade_ns: int = 0) -> SessionCalendar:
    """Sessions of an exchange from 1990 to the end of next year.

    Parameters
    ----------
    name : str
        One of `catalogs.exchange_hours.CALENDARS`.
    last_trade_ns : int
        Last moment of trading of a contract, after which it has no session; 0 for none.

    Returns
    -------
    SessionCalendar

    Raises
    ------
    InputError
        If the name is unknown.
    """
    if name not in ZONES:
        raise InputError(f"calendar must be one of {', '.join(map(repr, ZONES))}, was {name!r}")
    if last_trade_ns:
        return session_calendar(name).until(last_trade_ns)
    last_day = horizon()
    hours = exchange_hours(name, last_day)
    nyse = exchange_hours("NYSE", last_day)
    days, nyse_days = hours["session_date"], nyse["session_date"]
    match = np.minimum(np.searchsorted(nyse_days, days), len(nyse_days) - 1)
    traded = nyse_days[match] == days
    calendar = SessionCalendar(
        name=name,
        rth_open_ns=np.where(traded, nyse["open_ns"][match], 0),
        rth_close_ns=np.where(traded, nyse["close_ns"][match], 0),
        **hours,
    )
    for column in vars(calendar).values():
        if isinstance(column, np.ndarray):
            column.flags.writeable = False
    return calendar


def has_extended_hours(name: str) -> bool:
    """Whether sessions of this calendar reach beyond regular trading hours, as Globex sessions do."""
    return name != "NYSE"


def session_columns(calendar: SessionCalendar, ts_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Position of each bar in its session, in the order of `SESSION_COLUMNS`.

    Parameters
    ----------
    calendar : SessionCalendar
    ts_ns : int64[n]
        Bar close times, UTC nanoseconds; fastest if ascending.

    Returns
    -------
    float64[n, 6]
        ``session``: index into the calendar. ``minutes_since_open``, ``minutes_to_close``. ``minute_of_day``:
        minutes since local midnight, 0 to 1440 exclusive. ``weekday`` of the session date, Monday 0. ``rth``:
        1 within regular trading hours, else 0. All NaN for a bar outside every session.

    Examples
    --------
    >>> close = np.array(["2025-07-03T13:31"], "datetime64[ns]").astype("int64")  # 09:31, a half day
    >>> session_columns(session_calendar("NYSE"), close)[0, 1:].tolist()
    [1.0, 209.0, 571.0, 3.0, 1.0]
    """
    rows = np.empty((len(ts_ns), len(SESSION_COLUMNS)))
    _fill_rows(ts_ns, session_arrays(calendar), np.full(1, -1, np.int64), rows)
    return rows


def session_arrays(calendar: SessionCalendar) -> NDArray[np.int64]:
    """The calendar as `session_row` reads it, int64[6, s]."""
    days = calendar.session_date.astype(np.int64)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return np.stack(
        [
            calendar.open_ns,
            calendar.close_ns,
            calendar.rth_open_ns,
            calendar.rth_close_ns,
            calendar.utc_offset_ns,
            weekday,
        ]
    )


@kernel
def session_row(ts_ns, sessions, cursor, row):  # type: ignore[no-untyped-def]
    """One row of `session_columns` into ``row``, float64[6]; returns the session's index, -1 outside every session.

    ``cursor``, int64[1], keeps the last session found and starts at -1; ``sessions`` are `session_arrays`.
    """
    open_ns, close_ns = sessions[0], sessions[1]
    k = cursor[0]
    while k + 1 < open_ns.shape[0] and open_ns[k + 1] < ts_ns:
        k += 1
    while k >= 0 and open_ns[k] >= ts_ns:
        k -= 1
    cursor[0] = k
    if k < 0 or ts_ns > close_ns[k]:
        for j in range(row.shape[0]):
            row[j] = np.nan
        return -1
    row[0] = k
    row[1] = (ts_ns - open_ns[k]) / _MINUTE_NS
    row[2] = (close_ns[k] - ts_ns) / _MINUTE_NS
    row[3] = ((ts_ns + sessions[4, k]) % _DAY_NS) / _MINUTE_NS
    row[4] = sessions[5, k]
    row[5] = 1.0 if sessions[2, k] < ts_ns <= sessions[3, k] else 0.0
    return k


@kernel
def _fill_rows(ts_ns, sessions, cursor, rows):  # type: ignore[no-untyped-def]
    for i in range(ts_ns.shape[0]):
        session_row(ts_ns[i], sessions, cursor, rows[i])
