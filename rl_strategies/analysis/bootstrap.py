"""Confidence interval of a mean from resampled blocks of days, which keeps good and bad runs together."""

import msgspec
import numpy as np
from numpy.typing import NDArray

MIN_SESSIONS_INTERVAL = 10  # resampling fewer days repeats a handful of numbers


class Interval(msgspec.Struct, frozen=True):
    """Percentile interval of a mean, with everything needed to repeat it.

    Attributes
    ----------
    low, high : float
        Ends of the interval, in the unit of the values.
    level : float
        Confidence, 0.95 for 95 %.
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

    def contains(self, value: float) -> bool:
        """Whether the value lies within, ends included."""
        return self.low <= value <= self.high


def bootstrap_interval(
    values: NDArray[np.float64], *, seed: int = 0, samples: int = 2_000, level: float = 0.95
) -> Interval | None:
    """Interval of the mean by the stationary bootstrap; None for fewer than ten values.

    Blocks start anywhere, wrap around the end, and have geometric lengths of mean ``n ** (1/3)``, the rate
    that minimises the error of the variance.

    Parameters
    ----------
    values : float64[n]
        One value per session, in order of time.
    seed : int
        Same seed, same interval.

    Notes
    -----
    With few days the percentile interval is too narrow: below thirty it is optimistic.
    Source: Politis and Romano, "The Stationary Bootstrap", JASA 89, 1994.
    """
    n = len(values)
    if n < MIN_SESSIONS_INTERVAL:
        return None
    block_length = max(1, round(n ** (1 / 3)))
    rng = np.random.default_rng(seed)
    starts_block = rng.random((samples, n)) < 1 / block_length
    starts_block[:, 0] = True
    day = np.arange(n)
    block_day = np.maximum.accumulate(np.where(starts_block, day, 0), axis=1)
    origin = np.take_along_axis(rng.integers(0, n, (samples, n)), block_day, axis=1)
    means = values[(origin + day - block_day) % n].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, block_length, samples, seed)
