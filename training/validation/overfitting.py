"""Probability of backtest overfitting: whether the best trial of one half of the days is any good in the other half."""

from collections.abc import Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.analysis.equity_path import HARDLY

SLICES = 16
MIN_SESSIONS_SLICE = 2


class Overfitting(msgspec.Struct, frozen=True):
    """Result of combinatorially symmetric cross-validation.

    Attributes
    ----------
    probability : float
        Share of splits in which the trial that was best in sample is in the worse half out of sample.
    probability_of_loss : float
        Share of splits in which it loses out of sample.
    splits, trials, sessions : int
        Sessions that the slices hold; what does not fill a slice is left out at the beginning.
    median_logit : float
        Median over the splits of ln(ω / (1 - ω)), ω the relative rank out of sample; above zero is better than half.
    """

    probability: float
    probability_of_loss: float
    splits: int
    trials: int
    sessions: int
    median_logit: float


def backtest_overfitting(
    daily: NDArray[np.float64], session_dates: Sequence[object] | NDArray[np.datetime64], *, slices: int = SLICES
) -> Overfitting:
    """Probability of backtest overfitting of a set of trials, by their Sharpe ratios.

    Parameters
    ----------
    daily : float64[sessions, trials]
        PnL or returns of every trial in every session, in order of time: a row is a session, a column a trial.
    session_dates : sequence[sessions]
        Dates of the rows. They are asked for because a transposed matrix gives a wrong figure without an error.
    slices : int
        Even; the days are cut into so many equal slices, and half of them at a time are in sample.

    Raises
    ------
    InputError
        If rows and dates differ in number, there are fewer than two trials, values are not finite, or slices are odd or
        shorter than two sessions.

    Notes
    -----
    Of the trial that is best in sample, ω is its rank out of sample over trials + 1 (ties count half). The probability
    is the share of splits with ln(ω / (1 - ω)) <= 0. A trial without variation, such as a policy that stays flat, has a
    Sharpe ratio of zero. Source: Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting",
    Journal of Computational Finance 20(4), 2017.
    """
    values = _checked(daily, len(session_dates), slices)
    inside, outside = _halves(values, slices)
    best = inside.argmax(axis=1)
    chosen = np.take_along_axis(outside, best[:, np.newaxis], axis=1)
    # Each of the others below counts 1, a tie a half; the chosen one ties with itself, so half a place is missing.
    rank = (outside < chosen).sum(axis=1) + (outside == chosen).sum(axis=1) / 2 + 0.5
    relative = rank / (values.shape[1] + 1)
    logits = np.log(relative / (1 - relative))
    return Overfitting(
        probability=float(np.mean(logits <= 0)),
        probability_of_loss=float(np.mean(chosen < 0)),
        splits=len(logits),
        trials=values.shape[1],
        sessions=len(values),
        median_logit=float(np.median(logits)),
    )


def _checked(daily: NDArray[np.float64], dates: int, slices: int) -> NDArray[np.float64]:
    values = np.asarray(daily, np.float64)
    if values.ndim != 2 or len(values) != dates:
        raise InputError(
            f"daily results must have one row per session and one column per trial, had shape {values.shape} "
            f"for {dates} sessions"
        )
    if values.shape[1] < 2:
        raise InputError(f"overfitting needs at least 2 trials, had {values.shape[1]}")
    if slices < 2 or slices % 2:
        raise InputError(f"slices must be even and at least 2, were {slices}")
    if len(values) < slices * MIN_SESSIONS_SLICE:
        raise InputError(f"{slices} slices need at least {slices * MIN_SESSIONS_SLICE} sessions, had {len(values)}")
    if not np.isfinite(values).all():
        raise InputError("daily results must be finite, some are not")
    return values[len(values) % slices :]


def _halves(values: NDArray[np.float64], slices: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Sums are enough for a Sharpe ratio, and far faster than gathering the days of thousands of splits.
    length = len(values) // slices
    cut = values.reshape(slices, length, values.shape[1])
    chosen = np.array(list(combinations(range(slices), slices // 2)))
    is_inside = np.zeros((len(chosen), slices))
    np.put_along_axis(is_inside, chosen, 1.0, axis=1)
    count = length * (slices // 2)
    sums, squares = cut.sum(axis=1), (cut * cut).sum(axis=1)
    return _sharpe(is_inside, sums, squares, count), _sharpe(1 - is_inside, sums, squares, count)


def _sharpe(
    taken: NDArray[np.float64], sums: NDArray[np.float64], squares: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    mean = taken @ sums / count
    deviation = np.sqrt(np.maximum(taken @ squares / count - mean * mean, 0.0))
    varied = deviation > HARDLY * np.abs(mean)
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=varied)
