"""Intervals of Sharpe ratio and drawdown from resampled blocks of days, which keeps good and bad runs together."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.analysis.equity_path import SESSIONS_PER_YEAR, varies
from rl_strategies.analysis.mean_interval import LEVEL, MIN_SESSIONS_INTERVAL, mean_block_length, resampled_variance

SAMPLES = 2_000


class ResampledInterval(msgspec.Struct, frozen=True):
    """Interval of a figure, with everything needed to repeat it.

    Attributes
    ----------
    low, high : float
        Ends of the interval, in the unit of the figure.
    level : float
        0.95 for 95 %.
    block_length : int
        Mean length of a resampled block, in sessions.
    samples, seed : int
    """

    low: float
    high: float
    level: float
    block_length: int
    samples: int
    seed: int


def stationary_samples(n: int, block_length: int, samples: int, seed: int) -> NDArray[np.int64]:
    """Days of resampled paths: blocks that start anywhere, wrap around the end and have geometric lengths.

    Parameters
    ----------
    n : int
        Number of days, and length of a path.
    block_length : int
        Mean length of a block.
    samples, seed : int

    Returns
    -------
    int64[samples, n]

    Raises
    ------
    InputError
        If a number is not positive.

    Notes
    -----
    Source: Politis and Romano, "The Stationary Bootstrap", JASA 89, 1994.
    """
    for name, value in (("days", n), ("block length", block_length), ("samples", samples)):
        if value < 1:
            raise InputError(f"{name} of a bootstrap must be at least 1, was {value}")
    rng = np.random.default_rng(seed)
    starts_block = rng.random((samples, n)) < 1 / block_length
    starts_block[:, 0] = True
    day = np.arange(n)
    block_day = np.maximum.accumulate(np.where(starts_block, day, 0), axis=1)
    origin = np.take_along_axis(rng.integers(0, n, (samples, n)), block_day, axis=1)
    return (origin + day - block_day) % n


def sharpe_interval(
    returns: NDArray[np.float64], *, seed: int = 0, samples: int = SAMPLES, level: float = LEVEL
) -> ResampledInterval | None:
    """Interval of the annual Sharpe ratio; None for fewer than ten or hardly varying returns.

    Parameters
    ----------
    returns : float64[n]
        One per session, in order of time.
    seed, samples : int
    level : float

    Notes
    -----
    Studentised: each sample's distance from the ratio found, over the sample's own standard error (the formula of
    `training.validation.sharpe.sharpe_standard_error`), takes the place of the normal quantiles. Source: Ledoit and
    Wolf, "Robust Performance Hypothesis Testing with the Sharpe Ratio", Journal of Empirical Finance 15, 2008, with
    that standard error in place of theirs. Resampled blocks of few days vary too little: the distances are divided by
    the root of `rl_strategies.analysis.mean_interval.resampled_variance`.
    """
    if len(returns) < MIN_SESSIONS_INTERVAL or not varies(returns):
        return None
    block_length = mean_block_length(len(returns))
    drawn = returns[stationary_samples(len(returns), block_length, samples, seed)]
    (found,), (error,) = _sharpe_and_error(returns[np.newaxis])
    sharpe, errors = _sharpe_and_error(drawn)
    low, high = np.quantile((sharpe - found) / errors, [(1 - level) / 2, (1 + level) / 2])
    found, error = float(found), float(error) / math.sqrt(resampled_variance(len(returns), block_length))
    year = math.sqrt(SESSIONS_PER_YEAR)
    return ResampledInterval(
        (found - high * error) * year, (found - low * error) * year, level, block_length, samples, seed
    )


def drawdown_interval(
    pnl_usd: NDArray[np.float64], *, seed: int = 0, samples: int = SAMPLES, level: float = LEVEL
) -> ResampledInterval | None:
    """Range of the deepest drawdown, USD >= 0, to expect of as many days again; None for fewer than ten.

    Drawdown is measured at the end of the days, so it is at most what `max_drawdown` finds at every bar.

    Parameters
    ----------
    pnl_usd : float64[n]
        One per session, in order of time.
    seed, samples : int
    level : float
        Share of the resampled paths whose drawdown lies within.

    Notes
    -----
    Quantiles of the drawdowns of paths that are resampled from a resampled history: once because the days to come are
    others, once because the days seen are a sample themselves and their mean is not the true one. Source: Politis
    and Romano, "The Stationary Bootstrap", JASA 89, 1994.
    """
    if len(pnl_usd) < MIN_SESSIONS_INTERVAL:
        return None
    block_length = mean_block_length(len(pnl_usd))
    history, again = stationary_samples(len(pnl_usd), block_length, 2 * samples, seed).reshape(2, samples, -1)
    drawn = pnl_usd[np.take_along_axis(history, again, axis=1)]
    low, high = np.quantile(deepest_fall(drawn), [(1 - level) / 2, (1 + level) / 2])
    return ResampledInterval(float(low), float(high), level, block_length, samples, seed)


def deepest_fall(pnl_usd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deepest fall below the highest sum so far, of each row.

    >>> deepest_fall(np.array([[5.0, -10.0, 5.0], [1.0, 1.0, 1.0]]))
    array([10.,  0.])
    """
    path = np.cumsum(pnl_usd, axis=1)
    return (np.maximum(np.maximum.accumulate(path, axis=1), 0.0) - path).max(axis=1)


def _sharpe_and_error(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    distance = rows - rows.mean(axis=1, keepdims=True)
    second = (distance**2).mean(axis=1)
    floor = np.finfo(np.float64).tiny  # a sample of one day repeated has no deviation; it becomes an extreme
    deviation = np.sqrt(np.maximum(second, floor))
    n = rows.shape[1]
    sharpe = rows.mean(axis=1) / (deviation * math.sqrt(n / (n - 1)))
    skewness = (distance**3).mean(axis=1) / deviation**3
    kurtosis = (distance**4).mean(axis=1) / deviation**4
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return sharpe, np.sqrt(np.maximum(spread, floor) / (n - 1))
