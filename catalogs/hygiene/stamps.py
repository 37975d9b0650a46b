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
    ordered = np.sort(ts_ns)
    first, stop = np.searchsorted(calendar.close_ns, (ordered[0] - bar_ns, ordered[-1] + bar_ns))
    hours = ((calendar.open_ns, calendar.close_ns), (calendar.rth_open_ns, calendar.rth_close_ns))
    for opens, closes in ((column[first : stop + 1] for column in pair) for pair in hours):
        traded = opens > 0
        found = _misplaced(ordered, opens[traded], closes[traded], bar_ns)
        if found:
            return found
    return ""


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
