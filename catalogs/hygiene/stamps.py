"""Whether bars are one bar late or early, as when a file's opens are taken for closes, or hours off."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalogs.sessions import SessionCalendar

LONGEST_NS = 30 * 60 * 10**9  # of a bar; longer ones need not meet the session's open and close

_HALF_HOUR_NS = LONGEST_NS
_MOST = 0.5  # of the sessions
_STRAY = 0.1  # rows beyond the session and one bar, as a share of the rows, from which on the file has longer hours


def misplaced(ts_ns: NDArray[np.int64], calendar: SessionCalendar, bar_ns: int) -> Literal["late", "early", ""]:
    """Whether the rows of most sessions end one bar after the close, or begin one bar before the first could close.

    Only a file that holds regular hours, or whole sessions, and nothing else can tell. Late: the bar that closes one
    bar after the session is there, and the session's first bar is not. Early: the other way round.

    Parameters
    ----------
    ts_ns : int64[n]
        Close times as understood, UTC nanoseconds, in any order.
    calendar : SessionCalendar
    bar_ns : int
        Length of a bar, nanoseconds.

    Returns
    -------
    {"late", "early", ""}
        Empty where nothing is wrong, or nothing can be said.
    """
    if bar_ns > LONGEST_NS or not len(ts_ns):
        return ""
    ordered = np.sort(ts_ns)
    first, stop = np.searchsorted(calendar.close_ns, (ordered[0] - bar_ns, ordered[-1] + bar_ns))
    hours = ((calendar.open_ns, calendar.close_ns), (calendar.rth_open_ns, calendar.rth_close_ns))
    for opens, closes in ((column[first : stop + 1] for column in pair) for pair in hours):
        traded = opens > 0
        found = _misplaced(ordered, opens[traded], closes[traded], bar_ns)
        if found:
            return found
    return ""


def hours_off(ts_ns: NDArray[np.int64], calendar: SessionCalendar, bar_ns: int) -> float:
    """Hours by which most days of a file begin late and end late, as in a wrong time zone.

    Parameters
    ----------
    ts_ns : int64[n]
        Close times as understood, UTC nanoseconds, in any order.
    calendar : SessionCalendar
        One whose sessions are regular hours; of others nothing can be said.
    bar_ns : int
        Length of a bar, nanoseconds.

    Returns
    -------
    float
        Of the first such day, a multiple of a half, negative for early; 0 where nothing is wrong, or can be said.

    Notes
    -----
    Hours before the open and after the close are traded too, so only a day as long as its session can tell.
    """
    if bar_ns > LONGEST_NS or not len(ts_ns) or not np.array_equal(calendar.open_ns, calendar.rth_open_ns):
        return 0.0
    ordered = np.sort(ts_ns)
    middle = (calendar.close_ns[:-1] + calendar.open_ns[1:]) // 2
    starts = np.searchsorted(ordered, np.concatenate(([np.iinfo(np.int64).min], middle)))
    stops = np.append(starts[1:], len(ordered))
    held = stops > starts
    early = ordered[starts[held]] - bar_ns - calendar.open_ns[held]
    late = ordered[stops[held] - 1] - calendar.close_ns[held]
    shifted = (early == late) & (early != 0) & (early % _HALF_HOUR_NS == 0)
    if np.mean(shifted) <= _MOST:
        return 0.0
    return float(early[shifted][0] / (2 * _HALF_HOUR_NS))


def _misplaced(
    ts_ns: NDArray[np.int64], opens: NDArray[np.int64], closes: NDArray[np.int64], bar_ns: int
) -> Literal["late", "early", ""]:
    # Rows from the session's open, which a first bar cannot close at, to one bar after its close.
    starts, stops = np.searchsorted(ts_ns, opens), np.searchsorted(ts_ns, closes + bar_ns, side="right")
    held = stops > starts
    if (stops - starts).sum() < (1 - _STRAY) * len(ts_ns):
        return ""
    opens, closes = opens[held], closes[held]

    def present(times: NDArray[np.int64]) -> NDArray[np.bool_]:
        at: NDArray[np.bool_] = ts_ns[np.minimum(np.searchsorted(ts_ns, times), len(ts_ns) - 1)] == times
        return at

    late, early = present(closes + bar_ns) & ~present(opens + bar_ns), present(opens) & ~present(closes)
    if len(opens) and np.mean(late) > _MOST:
        return "late"
    return "early" if len(opens) and np.mean(early) > _MOST else ""
