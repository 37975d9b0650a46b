"""Which sessions' data a session uses, and whether training and test share any."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.rolls import RollTable

Days = NDArray[np.datetime64]
Indices = NDArray[np.int64]


class DataReach(msgspec.Struct, frozen=True):
    """How far the data that a session uses reaches beyond it.

    Attributes
    ----------
    label_sessions : int
        Sessions after it that its labels look at; 0 if they end with the session, as an intraday episode does.
    warmup_sessions : int
        Sessions before it that its features warm up on.
    rolls : tuple of (date, date)
        Spans, both ends included, that belong together: a session within one uses all of it. See `roll_spans`.

    Raises
    ------
    InputError
        If a number is negative or a span ends before it begins.
    """

    label_sessions: int = 0
    warmup_sessions: int = 0
    rolls: tuple[tuple[date, date], ...] = ()

    def __post_init__(self) -> None:
        for name in ("label_sessions", "warmup_sessions"):
            if (value := getattr(self, name)) < 0:
                raise InputError(f"{name} must be at least 0, was {value}")
        for first, last in self.rolls:
            if last < first:
                raise InputError(f"a roll must not end before it begins ({first}), ended {last}")


WITHIN_SESSION = DataReach()


def roll_spans(table: RollTable) -> tuple[tuple[date, date], ...]:
    """Spans of a table's rolls: from the session that decided a roll to the first of the new front month.

    A roll by calendar is decided in the last session of the old month.

    Examples
    --------
    >>> from catalogs.rolls import FrontMonth
    >>> march = FrontMonth("ESH5.XCME", date(2025, 1, 2), date(2025, 3, 14))
    >>> june = FrontMonth("ESM5.XCME", date(2025, 3, 17), None, crossover=date(2025, 3, 13))
    >>> roll_spans(RollTable("ES", "CME_Equity", "volume", 1, (march, june)))
    ((datetime.date(2025, 3, 13), datetime.date(2025, 3, 17)),)
    """
    spans = []
    for old, new in pairwise(table.months):
        decided = [day for day in (old.last_session, new.crossover) if day is not None]
        spans.append((min([*decided, new.first_session]), new.first_session))
    return tuple(spans)


def ordered_sessions(sessions: Sequence[date] | Days) -> Days:
    """Dates of sessions as an array.

    Raises
    ------
    InputError
        If there is none, or they do not strictly increase.
    """
    days = np.asarray(sessions, "datetime64[D]")
    if days.ndim != 1 or len(days) == 0:
        raise InputError("a split needs sessions, had none")
    late = np.flatnonzero(days[1:] <= days[:-1])
    if len(late):
        raise InputError(f"sessions must strictly increase, {days[late[0] + 1]} came after {days[late[0]]}")
    return days


def used_sessions(days: Days, reach: DataReach) -> tuple[Indices, Indices]:
    """First and last session whose data each session uses, as positions in ``days``; cut off at their ends."""
    at = np.arange(len(days))
    first = np.maximum(at - reach.warmup_sessions, 0)
    last = np.minimum(at + reach.label_sessions, len(days) - 1)
    for begin, end in reach.rolls:
        within = np.flatnonzero((days >= np.datetime64(begin)) & (days <= np.datetime64(end)))
        if len(within):
            first[within] = np.minimum(first[within], within[0])
            last[within] = np.maximum(last[within], within[-1])
    return first, last


def assert_no_leakage(
    train: Sequence[date] | Days,
    test: Sequence[date] | Days,
    sessions: Sequence[date] | Days,
    *,
    reach: DataReach = WITHIN_SESSION,
    embargo_sessions: int = 0,
) -> None:
    """Refuse a split whose training and test use data of a common session.

    Works on any split, not only on those made here: give the session date of every training and every test row.

    Parameters
    ----------
    train, test : dates[rows]
        Sessions, in any order, repeated as often as they have rows.
    sessions : dates[n]
        All sessions of the data, strictly increasing.
    reach : DataReach
        Label horizon, feature warm-up and rolls.
    embargo_sessions : int
        Sessions that must lie between the last data of a test and the first data of training after it.

    Raises
    ------
    InputError
        If training and test share data or the embargo is too short; the line names two sessions. Also if either is
        empty or names a date that is no session.

    Examples
    --------
    >>> days = np.arange("2025-03-03", "2025-03-08", dtype="datetime64[D]")
    >>> assert_no_leakage(days[:2], days[3:], days, reach=DataReach(warmup_sessions=1))
    >>> assert_no_leakage(days[:3], days[3:], days, reach=DataReach(warmup_sessions=1))
    Traceback (most recent call last):
        ...
    catalogs.errors.InputError: training session 2025-03-05 (uses 2025-03-04 to 2025-03-05) shares data with \
test session 2025-03-06 (uses 2025-03-05 to 2025-03-06)
    """
    days = ordered_sessions(sessions)
    first, last = used_sessions(days, reach)
    trained, tested = _positions(train, days, "training"), _positions(test, days, "test")
    for row in tested:
        meets = trained[(first[trained] <= last[row]) & (last[trained] >= first[row])]
        if len(meets):
            raise InputError(
                f"training session {_named(meets[0], days, first, last)} shares data with "
                f"test session {_named(row, days, first, last)}"
            )
        after = trained[(first[trained] > last[row]) & (first[trained] <= last[row] + embargo_sessions)]
        if len(after):
            raise InputError(
                f"training session {_named(after[0], days, first, last)} must be {embargo_sessions} sessions after "
                f"test session {_named(row, days, first, last)}"
            )


def _positions(dates: Sequence[date] | Days, days: Days, name: str) -> Indices:
    wanted = np.unique(np.asarray(dates, "datetime64[D]"))
    if len(wanted) == 0:
        raise InputError(f"a split needs {name} sessions, had none")
    at = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
    unknown = wanted[days[at] != wanted]
    if len(unknown):
        raise InputError(f"{name} date {unknown[0]} is none of the {len(days)} sessions {days[0]} to {days[-1]}")
    return at


def _named(at: np.int64, days: Days, first: Indices, last: Indices) -> str:
    return f"{days[at]} (uses {days[first[at]]} to {days[last[at]]})"
