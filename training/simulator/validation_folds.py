"""Validation folds inside the training window, purged: no data of a training session reaches a fold, nor back.

Features look back over their warm-up, so a session next to a fold shares bars with it. Such sessions are in neither
part (López de Prado 2018, chapter 7, purged cross-validation; here the features overlap, not the labels).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.features import JoinedPlan
from training.simulator.market import TrainingMarket, with_sessions

PURGED = "within the warm-up of a validation fold"


def fold_days(days: NDArray[np.datetime64], share: float, folds: int) -> NDArray[np.datetime64]:
    """Days of all folds: the window is cut into equal blocks, and the last ``share`` of each is a fold.

    Parameters
    ----------
    days : datetime64[D][m]
        Trading days, ascending.
    share : float
    folds : int

    Raises
    ------
    InputError
        If a block has fewer than two days.

    Examples
    --------
    >>> days = np.arange("2025-01-06", "2025-01-16", dtype="datetime64[D]")
    >>> fold_days(days, 0.4, 2).astype(str).tolist()
    ['2025-01-09', '2025-01-10', '2025-01-14', '2025-01-15']
    """
    if len(days) < 2 * folds:
        raise InputError(f"validation_folds must be at most half the training sessions, {len(days)}, was {folds}")
    blocks = np.array_split(days, folds)
    return np.concatenate([block[-min(max(1, round(share * len(block))), len(block) - 1) :] for block in blocks])


def split_folds(market: TrainingMarket, days: NDArray[np.datetime64]) -> tuple[TrainingMarket, TrainingMarket]:
    """The market to learn from, and the one to validate on: the sessions on ``days``.

    Raises
    ------
    InputError
        If one of them has no session.
    """
    in_fold = np.isin(market.session_dates, days)
    begin, end = _spans(market)
    # Intervals that meet; one fold session is enough.
    meets = (begin[:, np.newaxis] <= end[in_fold]) & (begin[in_fold] <= end[:, np.newaxis])
    purged = meets.any(axis=1) & ~in_fold
    learned = ~in_fold & ~purged
    for wanted, what in ((learned, "train"), (in_fold, "validate")):
        if not wanted.any():
            names = ", ".join(spec.instrument_id for spec in market.instruments)
            raise InputError(
                f"{names}: validation_folds must leave sessions to {what} on, there are {len(market)}, of which "
                f"{in_fold.sum()} are in folds and {purged.sum()} {PURGED}"
            )
    return with_sessions(market, learned, {PURGED: int(purged.sum())}), with_sessions(market, in_fold)


def common_days(markets: Sequence[TrainingMarket]) -> NDArray[np.datetime64]:
    """Days on which any of the markets has a session, ascending."""
    return np.unique(np.concatenate([market.session_dates for market in markets]))


def _spans(market: TrainingMarket) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # For each session the earliest time of what its features are made of, and its close, ns.
    first = market.arrays.episodes["first"]
    begin = [_reaches_back_to(market, int(at)) for at in first]
    end = [market.close_ns(episode) for episode in range(len(market))]
    return np.array(begin, np.int64), np.array(end, np.int64)


def _reaches_back_to(market: TrainingMarket, at: int) -> int:
    plan = market.plan
    begin = _bars_back(market, at, plan.warmup)
    if isinstance(plan, JoinedPlan):
        # What is made of a stream looks back over its own warm-up, and the cross features over theirs before.
        read_from = _bars_back(market, at, plan.cross.warmup)
        for name, own in plan.stream_plans.items():
            known = market.context[name].ts_ns
            begin = min(begin, int(known[max(int(np.searchsorted(known, read_from)) - own.warmup, 0)]))
    return begin


def _bars_back(market: TrainingMarket, at: int, count: int) -> int:
    # Close of the bar so many bars before the last one that is known, of the instrument where it is the earliest.
    offset, times = 0, []
    for k, bars in enumerate(market.series):
        times.append(int(bars.ts_ns[max(int(market.arrays.seen[at, k]) - offset - count, 0)]))
        offset += len(bars)
    return min(times)
