"""Missing bars inside a session: short gaps are filled with flat bars, stray bars amid long gaps are noted."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.hygiene.report import Findings
from catalogs.sessions import SessionCalendar

FILL_AT_MOST = 2  # missing bars in a row; longer gaps stay
ISLAND_BELOW = 3  # bars
STEADY_SHARE = 0.9  # share of a session's bars in longer runs, from which on islands count as stray prints
STEADY_COVER = 0.5  # share of a session that longer runs must cover: thin names trade in islands

_COLUMNS = ("ts_ns", "open", "high", "low", "close", "volume")


def note_islands(bars: BarSeries, calendar: SessionCalendar, bar_ns: int, findings: Findings) -> None:
    """Note one or two bars that stand alone in a session that otherwise trades steadily; they are kept.

    An island has more than two bars missing on both sides; the session's open and close count as neighbours. A session
    trades steadily if at least 90 % of its bars are in longer runs, and these cover at least half of it.

    Parameters
    ----------
    bars : BarSeries
        Bars inside sessions only.
    calendar : SessionCalendar
    bar_ns : int
        Length of a bar, nanoseconds.
    findings : Findings
        Receives them as ``island``.

    Notes
    -----
    That a bar stands alone shows only when the bars after it are missing. A live session has decided on it by then, and
    a bar after a halt looks the same, so dropping it would train on another market than is traded.
    """
    session = calendar.locate(bars.ts_ns)
    starts = np.flatnonzero(_opens_session(session) | (_missing_before(bars, bar_ns) > FILL_AT_MOST))
    lengths = np.diff(starts, append=len(bars))
    run_session = session[starts]
    since_open = (bars.ts_ns[starts] - calendar.open_ns[run_session] - 1) // bar_ns
    to_close = (calendar.close_ns[run_session] - bars.ts_ns[starts + lengths - 1]) // bar_ns
    short = lengths < ISLAND_BELOW
    in_long_runs = np.bincount(run_session, weights=np.where(short, 0, lengths))[run_session]
    in_session = (calendar.close_ns - calendar.open_ns)[run_session] // bar_ns
    steady = in_long_runs >= STEADY_SHARE * np.bincount(run_session, weights=lengths)[run_session]
    steady &= in_long_runs >= STEADY_COVER * in_session
    island = short & steady & (since_open > FILL_AT_MOST) & (to_close > FILL_AT_MOST)
    findings.add("island", bars.ts_ns[np.repeat(island, lengths)])


def fill_gaps(
    bars: BarSeries, calendar: SessionCalendar, bar_ns: int, findings: Findings
) -> tuple[BarSeries, NDArray[np.int64]]:
    """Fill gaps of at most two bars inside a session with flat bars at the last close and volume 0.

    Parameters
    ----------
    bars : BarSeries
        Bars inside sessions only.
    calendar : SessionCalendar
    bar_ns : int
        Length of a bar, nanoseconds.
    findings : Findings
        Receives what is filled (``gap_filled``) and what stays missing (``gap_left``).

    Returns
    -------
    BarSeries
    int64[f]
        Close times of the bars that were filled in.
    """
    opens_session = _opens_session(calendar.locate(bars.ts_ns))
    missing = np.where(opens_session, 0, _missing_before(bars, bar_ns))
    left = missing > FILL_AT_MOST
    findings.add("gap_left", bars.ts_ns[left] - missing[left] * bar_ns, int(missing[left].sum()))
    if not (missing[~left] > 0).any():
        return bars, np.empty(0, np.int64)
    # Row i is repeated once for itself and once for every bar to fill in after it.
    repeats = 1 + np.append(np.where(left, 0, missing)[1:], 0)
    steps = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    flat = steps > 0
    filled = _rows(bars, np.repeat(np.arange(len(bars)), repeats))
    ts_ns = filled.ts_ns + steps * bar_ns
    findings.add("gap_filled", ts_ns[flat])
    filled = replace(
        filled,
        ts_ns=ts_ns,
        open=np.where(flat, filled.close, filled.open),
        high=np.where(flat, filled.close, filled.high),
        low=np.where(flat, filled.close, filled.low),
        volume=np.where(flat, 0, filled.volume),
    )
    return filled, ts_ns[flat]


def _opens_session(session: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.diff(session, prepend=-1) != 0


def _missing_before(bars: BarSeries, bar_ns: int) -> NDArray[np.int64]:
    return np.diff(bars.ts_ns, prepend=bars.ts_ns[0]) // bar_ns - 1


def _rows(bars: BarSeries, rows: NDArray[np.intp]) -> BarSeries:
    return replace(bars, **{name: getattr(bars, name)[rows] for name in _COLUMNS})
