"""Input rows of features: a closed bar, its position in the session, the calendar, and quotes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.compiled import bound, kernel
from catalogs.errors import InputError
from catalogs.sessions import SESSION_COLUMNS, SessionCalendar, session_arrays, session_columns, session_row

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
COLUMNS = (*PRICE_COLUMNS, *SESSION_COLUMNS)
CALENDAR_COLUMNS = ("half_day", "before_holiday", "after_holiday")
QUOTE_COLUMNS = ("bid", "ask", "bid_size", "ask_size")
INSTRUMENT_COLUMN = "instrument"
ALL_COLUMNS = (*COLUMNS, *CALENDAR_COLUMNS, *QUOTE_COLUMNS, INSTRUMENT_COLUMN)

_FULL_DAY_MINUTES = 390.0
_SESSION = SESSION_COLUMNS.index("session")
_NS_PER_MINUTE = 60 * 10**9


@dataclass(frozen=True)
class Quotes:
    """Best quotes at each bar's close.

    Attributes
    ----------
    bid, ask : float64[n]
        Prices in USD; NaN where there is no quote.
    bid_size, ask_size : float64[n]
        Sizes in units.
    """

    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    bid_size: NDArray[np.float64]
    ask_size: NDArray[np.float64]


def input_rows(
    bars: BarSeries,
    calendar: SessionCalendar,
    columns: Sequence[str] = COLUMNS,
    *,
    quotes: Quotes | None = None,
    instrument: int = 1,
) -> NDArray[np.float64]:
    """Rows for `FeaturePlan.batch`, one for each bar.

    Parameters
    ----------
    bars : BarSeries
    calendar : SessionCalendar
        Calendar of the instrument's exchange.
    columns : sequence of str
        A plan's ``columns``.
    quotes : Quotes, optional
        Quotes at the closes; columns are NaN if not given.
    instrument : int
        Number of the instrument in the experiment, from 1.

    Returns
    -------
    float64[n, len(columns)]
        Prices in USD, volume in units (NaN if unknown), session columns as
        `catalogs.sessions.session_columns` gives them, calendar columns as `calendar_columns`.

    Raises
    ------
    InputError
        If a column is not in `ALL_COLUMNS`.
    """
    _check_columns(columns)
    session = session_columns(calendar, bars.ts_ns)
    ticks = {"open": bars.open, "high": bars.high, "low": bars.low, "close": bars.close}
    known = {name: price_from_ticks(values, bars.tick_raw) for name, values in ticks.items()}
    known["volume"] = bars.volume if bars.volume_known else np.nan
    known |= {name: session[:, j] for j, name in enumerate(SESSION_COLUMNS)}
    known |= {name: getattr(quotes, name) if quotes is not None else np.nan for name in QUOTE_COLUMNS}
    known[INSTRUMENT_COLUMN] = float(instrument)
    if not set(CALENDAR_COLUMNS).isdisjoint(columns):
        known |= dict(zip(CALENDAR_COLUMNS, _at_sessions(calendar, session[:, _SESSION]).T, strict=True))
    rows = np.empty((len(bars), len(columns)))
    for j, name in enumerate(columns):
        rows[:, j] = known[name]
    return rows


def calendar_columns(calendar: SessionCalendar) -> NDArray[np.float64]:
    """Facts of the calendar about each session, in the order of `CALENDAR_COLUMNS`.

    Parameters
    ----------
    calendar : SessionCalendar

    Returns
    -------
    float64[s, 3]
        ``half_day``: 1 if the NYSE trades less than 390 minutes on the session's day, or not at all (Globex may
        trade). ``before_holiday``, ``after_holiday``: 1 if there is a weekday without NYSE trading before the next, or
        since the last, day on which it trades.

    Examples
    --------
    >>> from catalogs.sessions import session_calendar
    >>> nyse = session_calendar("NYSE")
    >>> days = np.searchsorted(nyse.session_date, np.array(["2025-07-03", "2025-07-07", "2025-07-08"], "datetime64[D]"))
    >>> calendar_columns(nyse)[days].tolist()  # the 4th of July was a Friday
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    days = calendar.session_date
    minutes = (calendar.rth_close_ns - calendar.rth_open_ns) / _NS_PER_MINUTE
    traded = days[minutes > 0]
    following = np.searchsorted(traded, days, side="right")
    last = np.searchsorted(traded, days, side="left") - 1
    next_day = traded[np.minimum(following, len(traded) - 1)]
    last_day = traded[np.maximum(last, 0)]
    day = np.timedelta64(1, "D")
    before = (np.busday_count(days + day, next_day) > 0) & (following < len(traded))
    after = (np.busday_count(last_day + day, days) > 0) & (last >= 0)
    return np.column_stack([minutes < _FULL_DAY_MINUTES, before, after]).astype(np.float64)


class LiveRows:
    """`input_rows` for one bar at a time.

    Parameters
    ----------
    calendar : SessionCalendar
    columns : sequence of str
        A plan's ``columns``.
    tick_raw : float
        Tick size in units of 1e-16.
    instrument : int
        Number of the instrument in the experiment, from 1.

    Attributes
    ----------
    session : int
        Index of the last bar's session in the calendar, -1 outside every session.
    session_columns : float64[6]
        `catalogs.sessions.SESSION_COLUMNS` of the last bar; a view that the next push overwrites.

    Raises
    ------
    InputError
        If a column is not in `ALL_COLUMNS`.
    """

    def __init__(
        self, calendar: SessionCalendar, columns: Sequence[str] = COLUMNS, *, tick_raw: float, instrument: int = 1
    ) -> None:
        _check_columns(columns)
        places = np.array([ALL_COLUMNS.index(name) for name in columns])
        self._all = np.full(len(ALL_COLUMNS), np.nan)
        self._all[-1] = instrument
        self.session, self.session_columns = -1, self._all[5:11]
        self._row = np.empty(len(columns))
        self._sees_quotes = not set(QUOTE_COLUMNS).isdisjoint(columns)
        sessions, cursor = session_arrays(calendar), np.full(1, -1, np.int64)
        self._fill = bound(
            _fill_row, float(tick_raw), sessions, cursor, calendar_columns(calendar), places, self._all, self._row,
            free=(int, int, int, int, int, float),
        )  # fmt: skip

    def push(
        self,
        ts_ns: int,
        open_: int,
        high: int,
        low: int,
        close: int,
        volume: float,
        quotes: Sequence[float] | None = None,
    ) -> NDArray[np.float64]:
        """Row of the bar that closed at ``ts_ns``.

        Parameters
        ----------
        ts_ns : int
            Close time, UTC nanoseconds.
        open_, high, low, close : int
            Prices in ticks.
        volume : float
            Volume in units; NaN if unknown.
        quotes : sequence of 4 floats, optional
            Bid, ask and their sizes at the close; NaN if not given.

        Returns
        -------
        float64[len(columns)]
            A view that the next push overwrites.
        """
        if self._sees_quotes:
            self._all[14:18] = np.nan if quotes is None else quotes
        self.session = self._fill(ts_ns, open_, high, low, close, volume)
        return self._row


@kernel
def _fill_row(  # type: ignore[no-untyped-def]
    tick_raw, sessions, cursor, days, places, everything, row, ts_ns, open_, high, low, close, volume
):
    everything[0] = price_from_ticks(open_, tick_raw)
    everything[1] = price_from_ticks(high, tick_raw)
    everything[2] = price_from_ticks(low, tick_raw)
    everything[3] = price_from_ticks(close, tick_raw)
    everything[4] = volume
    session = session_row(ts_ns, sessions, cursor, everything[5:11])
    for j in range(days.shape[1]):
        everything[11 + j] = np.nan if session < 0 else days[session, j]
    for j in range(row.shape[0]):
        row[j] = everything[places[j]]
    return session


def _at_sessions(calendar: SessionCalendar, session: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.isfinite(session)
    found = calendar_columns(calendar)[np.where(inside, session, 0).astype(np.int64)]
    found[~inside] = np.nan
    return found


def _check_columns(columns: Sequence[str]) -> None:
    for name in columns:
        if name not in ALL_COLUMNS:
            raise InputError(f"a feature column must be one of {', '.join(ALL_COLUMNS)}, was {name!r}")
