"""Walk-forward splits: train on a window of sessions, test on those that follow, move on."""

import calendar
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec
import numpy as np

from catalogs.errors import InputError
from training.validation.folds import Fold, purged_fold
from training.validation.leakage import WITHIN_SESSION, DataReach, Days, Indices, ordered_sessions

LONGEST_CLOSURE = timedelta(days=7)  # exchanges have not been closed for longer in a century
_PERIOD = re.compile(r"([1-9]\d*)(m?)")
MIN_FOLDS = 2


class Period(msgspec.Struct, frozen=True):
    """A length of time in months or sessions.

    Attributes
    ----------
    count : int
        At least one.
    unit : {"months", "sessions"}
    """

    count: int
    unit: Literal["months", "sessions"]

    def __str__(self) -> str:
        return f"{self.count}m" if self.unit == "months" else f"{self.count} sessions"


def parse_period(text: str) -> Period:
    """A period as written on the command line.

    Raises
    ------
    InputError
        If it is neither months nor sessions.

    Examples
    --------
    >>> parse_period("6m")
    Period(count=6, unit='months')
    >>> parse_period("120")
    Period(count=120, unit='sessions')
    """
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        raise InputError(f"a period must be months such as 6m, or a number of sessions such as 120, was {text!r}")
    return Period(int(found[1]), "months" if found[2] else "sessions")


def walk_forward(
    sessions: Sequence[date] | Days,
    window: Period,
    test: Period,
    step: Period | None = None,
    *,
    expanding: bool = False,
    reach: DataReach = WITHIN_SESSION,
) -> list[Fold]:
    """Folds in order of time; every training lies before its test.

    Parameters
    ----------
    sessions : dates[n]
        Strictly increasing.
    window : Period
        Length of the training; of the first one if it expands. Purging takes from it.
    test, step : Period
        Length of a test, and from one test to the next (default: the same). Tests must not overlap, so that their
        results can be put together.
    expanding : bool
        Whether trainings begin with the first session; otherwise they move on, always of the same length.
    reach : DataReach
        Sessions before a test are left out of the training if label horizon, warm-up or a roll would cross.

    Returns
    -------
    list of Fold
        A last test that the sessions do not fill is left out.

    Raises
    ------
    InputError
        If units are mixed, tests overlap, there are fewer than two folds, or one has nothing to train or test on.

    Notes
    -----
    Months are counted from the first session's date, so that they do not drift; the 31st becomes a month's last day.
    """
    days, step = ordered_sessions(sessions), step or test
    _check(window, test, step)
    folds: list[Fold] = []
    for begin, middle, end in _edges(days, window, test, step):
        train, tested = np.arange(0 if expanding else begin, middle), np.arange(middle, end)
        _check_windows(train, tested, len(folds))
        folds.append(purged_fold(len(folds), days, train, tested, reach, 0))
    if len(folds) < MIN_FOLDS:
        raise InputError(
            f"walk-forward needs at least {MIN_FOLDS} folds, had {len(folds)}: window {window}, test {test}, "
            f"step {step} on {len(days)} sessions {days[0]} to {days[-1]}"
        )
    return folds


def _check(window: Period, test: Period, step: Period) -> None:
    if len({window.unit, test.unit, step.unit}) > 1:
        raise InputError(f"window, test and step must all be months or all sessions, were {window}, {test} and {step}")
    if min(window.count, test.count, step.count) < 1:
        raise InputError(f"window, test and step must be at least 1, were {window}, {test} and {step}")
    if step.count < test.count:
        raise InputError(f"tests must not overlap: step must be at least {test}, was {step}")


def _check_windows(train: Indices, tested: Indices, number: int) -> None:
    for name, window in (("training", train), ("test", tested)):
        if len(window) == 0:
            raise InputError(f"fold {number} of the walk-forward has no {name} session: the data has a hole there")


def _edges(days: Days, window: Period, test: Period, step: Period) -> Iterator[tuple[int, int, int]]:
    """Positions at which training and test begin and the test ends, of each fold."""
    offset = 0
    while True:
        lengths = (offset, offset + window.count, offset + window.count + test.count)
        if window.unit == "sessions":
            if lengths[-1] > len(days):
                return
            yield lengths
        else:
            dates = [_months_after(days[0].item(), months) for months in lengths]
            if dates[-1] - LONGEST_CLOSURE > days[-1].item():
                return
            begin, middle, end = (int(at) for at in np.searchsorted(days, np.array(dates, "datetime64[D]")))
            yield begin, middle, end
        offset += step.count


def _months_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
