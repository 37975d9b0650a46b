"""A split of sessions into training and test, with everything removed from training that the test's data touches."""

from dataclasses import dataclass

import numpy as np

from catalogs.errors import InputError
from training.validation.leakage import DataReach, Days, Indices, used_sessions


@dataclass(frozen=True)
class Fold:
    """One training and its test, as dates of sessions.

    Attributes
    ----------
    number : int
        From 0.
    train, test : datetime64[D][n]
        Increasing; training need not be without holes.
    purged : datetime64[D][n]
        Sessions taken out of the training: their data meets the test's, or the embargo forbids them.
    """

    number: int
    train: Days
    test: Days
    purged: Days


def purged_fold(
    number: int, days: Days, train: Indices, test: Indices, reach: DataReach, embargo_sessions: int
) -> Fold:
    """A fold whose training shares no data with its test.

    Parameters
    ----------
    number : int
    days : datetime64[D][n]
        All sessions, increasing.
    train, test : int64[n]
        Positions in ``days``.
    reach : DataReach
    embargo_sessions : int
        Sessions between the end of the test's data and the beginning of later training's data.

    Raises
    ------
    InputError
        If the embargo is negative, or nothing is left to train on.
    """
    if embargo_sessions < 0:
        raise InputError(f"embargo_sessions must be at least 0, was {embargo_sessions}")
    first, last = used_sessions(days, reach)
    # How many sessions up to each one are used by the test or under its embargo: a span is free if none is in it.
    forbidden = np.zeros(len(days) + 1, np.int64)
    np.add.at(forbidden, first[test], 1)
    np.add.at(forbidden, np.minimum(last[test] + embargo_sessions + 1, len(days)), -1)
    taken = np.concatenate(([0], np.cumsum(np.cumsum(forbidden[:-1]) > 0)))
    is_free = taken[last[train] + 1] == taken[first[train]]
    if not is_free.any():
        raise InputError(
            f"fold {number} has no session to train on: the data of all {len(train)} meets its test "
            f"({days[test[0]]} to {days[test[-1]]}, warm-up {reach.warmup_sessions}, "
            f"labels {reach.label_sessions}, embargo {embargo_sessions} sessions)"
        )
    return Fold(number, days[train[is_free]], days[test], days[train[~is_free]])
