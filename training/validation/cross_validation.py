"""Purged and embargoed k-fold, and combinatorial purged cross-validation, by session."""

from collections.abc import Sequence
from datetime import date
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from training.validation.folds import Fold, purged_fold
from training.validation.leakage import WITHIN_SESSION, DataReach, Days, ordered_sessions


def purged_kfold(
    sessions: Sequence[date] | Days,
    folds: int,
    *,
    reach: DataReach = WITHIN_SESSION,
    embargo_sessions: int = 0,
) -> list[Fold]:
    """Every session is tested once, in blocks; training is all others that share no data with the test.

    Parameters
    ----------
    sessions : dates[n]
        Strictly increasing.
    folds : int
        At least two.
    reach : DataReach
    embargo_sessions : int
        Sessions left out after a test's data, beyond those that share data with it: what follows a day resembles it.

    Raises
    ------
    InputError
        If there are fewer than two folds, fewer sessions than folds, or nothing is left to train on.

    Notes
    -----
    Source: López de Prado, "Advances in Financial Machine Learning", 2018, chapter 7.
    """
    return combinatorial_purged(sessions, folds, 1, reach=reach, embargo_sessions=embargo_sessions)


def combinatorial_purged(
    sessions: Sequence[date] | Days,
    groups: int,
    test_groups: int = 2,
    *,
    reach: DataReach = WITHIN_SESSION,
    embargo_sessions: int = 0,
) -> list[Fold]:
    """A fold for every choice of ``test_groups`` out of ``groups`` blocks of sessions.

    Parameters
    ----------
    sessions : dates[n]
        Strictly increasing.
    groups, test_groups : int
        At least two groups; fewer of them are tested at a time than there are.
    reach : DataReach
    embargo_sessions : int
        As in `purged_kfold`, after each tested block.

    Returns
    -------
    list of Fold
        In the order of ``itertools.combinations``; `backtest_paths` puts their results together.

    Raises
    ------
    InputError
        If numbers do not fit, or nothing is left to train on.

    Notes
    -----
    Source: López de Prado, "Advances in Financial Machine Learning", 2018, chapter 12.
    """
    days = ordered_sessions(sessions)
    _check(groups, test_groups, len(days))
    blocks = np.array_split(np.arange(len(days)), groups)
    found = []
    for number, chosen in enumerate(combinations(range(groups), test_groups)):
        test = np.concatenate([blocks[group] for group in chosen])
        train = np.concatenate([blocks[group] for group in range(groups) if group not in chosen])
        found.append(purged_fold(number, days, train, test, reach, embargo_sessions))
    return found


def backtest_paths(groups: int, test_groups: int) -> NDArray[np.int64]:
    """Which fold of `combinatorial_purged` tests each group, on each of the paths through all sessions.

    Returns
    -------
    int64[paths, groups]
        Every fold's test of a group is on exactly one path.

    Examples
    --------
    >>> backtest_paths(4, 2)
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])
    """
    _check(groups, test_groups, groups)
    chosen = list(combinations(range(groups), test_groups))
    columns = [[number for number, tested in enumerate(chosen) if group in tested] for group in range(groups)]
    return np.array(columns).T.reshape(comb(groups - 1, test_groups - 1), groups)


def _check(groups: int, test_groups: int, sessions: int) -> None:
    if groups < 2:
        raise InputError(f"cross-validation needs at least 2 folds, had {groups}")
    if not 1 <= test_groups < groups:
        raise InputError(f"groups tested at a time must be 1 to {groups - 1}, were {test_groups}")
    if sessions < groups:
        raise InputError(f"{groups} folds need at least as many sessions, had {sessions}")
