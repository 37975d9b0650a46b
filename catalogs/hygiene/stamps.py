"""Whether bars are one bar late or early, as when a file's opens are taken for closes."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalogs.sessions import SessionCalendar

LONGEST_NS = 30 * 60 * 10**9  # of a bar; longer ones need not meet the session's open and close

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
    for opens, closes in ((calendar.open_ns, calendar.close_ns), (calendar.rth_open_ns, calendar.rth_close_ns)):
        traded = opens > 0
        found = _misplaced(np.unique(ts_ns), opens[traded], closes[traded], bar_ns)
        if found:
            return found
    return ""


def _misplaced(
    ts_ns: NDArray[np.int64], opens: NDArray[np.int64], closes: NDArray[np.int64], bar_ns: int
) -> Literal["late", "early", ""]:
    session = np.searchsorted(opens, ts_ns, side="right") - 1  # a bar that closes at the open counts to it
    known = session >= 0
    near = known & (ts_ns <= closes[np.maximum(session, 0)] + bar_ns)
    if np.mean(~near) > _STRAY:
        return ""
    held = np.unique(session[near])

    def present(times: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.isin(times, ts_ns)

    first, last = present(opens[held] + bar_ns), present(closes[held])
    if np.mean(present(closes[held] + bar_ns) & ~first) > _MOST:
        return "late"
    return "early" if np.mean(present(opens[held]) & ~last) > _MOST else ""
