"""Confidence interval of a mean of values in order of time, such as the daily PnL."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from rl_strategies.analysis.student_t import two_sided_quantile

MIN_SESSIONS_INTERVAL = 10  # fewer days say too little of how far days lie apart
LEVEL = 0.95


class Interval(msgspec.Struct, frozen=True):
    """Interval of a mean, with everything needed to repeat it.

    Attributes
    ----------
    low, high : float
        Ends of the interval, in the unit of the values.
    level : float
        Confidence, 0.95 for 95 %.
    standard_error : float
        Of the mean, in the unit of the values.
    degrees_of_freedom : int
        Of Student's t, by which the standard error is multiplied.
    block_length : int
        Over about how many values memory is allowed for.
    """

    low: float
    high: float
    level: float
    standard_error: float
    degrees_of_freedom: int
    block_length: int

    def contains(self, value: float) -> bool:
        """Whether the value lies within, ends included."""
        return self.low <= value <= self.high


def mean_interval(values: NDArray[np.float64], *, level: float = LEVEL) -> Interval | None:
    """Interval of the mean by Student's t; None for fewer than ten values.

    The standard error is the larger of two: s / √n, right for values without memory, and that of the stationary
    bootstrap (`memory_error`), right where good and bad values come in runs.

    Parameters
    ----------
    values : float64[n]
        One value per session, in order of time.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    InputError
        If the level lies outside.

    Notes
    -----
    mean ± t(n - 1, level) · standard error. Source: Student, "The Probable Error of a Mean", Biometrika 6, 1908.
    ``python -m benchmarks statistics`` prints how often it contains the true mean. Far from normal or with strong
    memory that is less often than the level says.
    """
    n = len(values)
    if n < MIN_SESSIONS_INTERVAL:
        return None
    block_length = mean_block_length(n)
    error = max(float(np.std(values, ddof=1)) / math.sqrt(n), memory_error(values, block_length))
    mean, half = float(np.mean(values)), two_sided_quantile(level, n - 1) * error
    return Interval(mean - half, mean + half, level, error, n - 1, block_length)


def mean_block_length(n: int) -> int:
    """Mean length of a resampled block: the cube root of n, the rate at which the error of the variance is least."""
    return max(1, round(n ** (1 / 3)))


def memory_error(values: NDArray[np.float64], block_length: int) -> float:
    """Standard error of the mean as endlessly many samples of the stationary bootstrap would find it.

    Parameters
    ----------
    values : float64[n]
        In order of time.
    block_length : int
        Mean length of a block, 1 to n - 1.

    Notes
    -----
    With q = 1 - 1 / block length and c(k) the circular autocovariance, the bootstrap's variance of the mean is
    (c(0) + 2 Σ (1 - k/n) q^k c(k)) / n, k from 1 to n - 1 (Politis and Romano, "The Stationary Bootstrap", JASA 89,
    1994, lemma 1). Values without memory have on average c(0) = σ² (1 - 1/n) and c(k) = -σ² / n, which makes it too
    small by the factor 1 - (1 + 2 Σ (1 - k/n) q^k) / n; it is divided by that.
    """
    n = len(values)
    moved = np.fft.rfft(values - np.mean(values))
    covariance = np.fft.irfft(np.abs(moved) ** 2, n) / n
    variance = float(covariance[0] + _weights(n, block_length) @ covariance[1:]) / n
    return math.sqrt(max(variance, 0.0) / resampled_variance(n, block_length))


def resampled_variance(n: int, block_length: int) -> float:
    """Share of the variance of a mean of n values without memory that resampled blocks show on average; see above.

    >>> resampled_variance(10, 1)
    0.9
    """
    return 1 - (1 + float(_weights(n, block_length).sum())) / n


def _weights(n: int, block_length: int) -> NDArray[np.float64]:
    lag = np.arange(1, n)
    return np.asarray(2 * (1 - lag / n) * (1 - 1 / block_length) ** lag)
