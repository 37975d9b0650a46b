"""Building blocks of feature kernels: ring buffers, exponential averages, guarded ratios.

Each works on a slice of the kernel's float64 state; numba compiles it into the kernel. A zeroed state is the state
before the first value, so resetting is zeroing. Means, extremes and the like over the last rows need no state of a
kernel: use windows (`kernel.Window`).
"""

import math

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

State = NDArray[np.float64]

# Averages with different starts agree to the last bit once their difference has decayed by e**-FORGETTING: 36.8 brings
# a difference as large as the price down to its last bit, the rest removes roundings of one bit (a year of SPY minutes
# and two months of ES needed at most 45, from 600 random starts).
FORGETTING = 56.0

# Share of the price within which two differences of prices are equal: rounding leaves a thousandth of it, and it is a
# thousandth of a tick for a share at 10,000 USD.
SAME_PRICE = 1e-12


def memory_rows(alpha: float) -> int:
    """Rows after which an exponential average no longer depends on its start.

    Parameters
    ----------
    alpha : float
        Weight of the newest value, 0 to 1: ``2 / (n + 1)`` for an EMA, ``1 / n`` for Wilder's average.

    Returns
    -------
    int
        Two averages with different starts agree bit for bit after that many rows of moving prices.

    Examples
    --------
    >>> memory_rows(2 / (12 + 1))
    336
    """
    return 1 if alpha >= 1.0 else math.ceil(FORGETTING / -math.log(1.0 - alpha))


def ring_size(n: int) -> int:
    """State cells of a ring of the last ``n`` values: count, position, and every value twice.

    The copies are ``n`` cells apart, so that the window is always contiguous.
    """
    return 2 * n + 2


@register_jitable
def ring_push(s: State, n: int, x: float) -> bool:
    """Put ``x`` into the ring ``s`` of ``ring_size(n)`` cells; True once it holds ``n`` values."""
    position = int(s[1])
    s[2 + position] = x
    s[2 + position + n] = x
    s[1] = position + 1 if position + 1 < n else 0
    if s[0] < n:
        s[0] += 1.0
    return s[0] >= n


@register_jitable
def ring_back(s: State, n: int, age: int) -> float:
    """Value pushed ``age`` rows before the newest; 0 is the newest."""
    return s[2 + int(s[1]) + n - 1 - age]


def total_size(n: int) -> int:
    """State cells of a running total of the last ``n`` whole numbers: count, position, total, values."""
    return n + 3


@register_jitable
def total_push(s: State, n: int, x: float) -> float:
    """Push ``x`` and return the total of the last ``n`` whole numbers; ``s`` has ``total_size(n)`` cells.

    Adding and subtracting is exact only for whole numbers below 2**53, such as counts, signs and volumes.
    """
    position = int(s[1])
    s[2] += x - s[3 + position]
    s[3 + position] = x
    s[1] = position + 1 if position + 1 < n else 0
    if s[0] < n:
        s[0] += 1.0
    return s[2]


@register_jitable
def sign(x: float) -> float:
    """Sign of a number: -1, 0 or 1."""
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0)


@register_jitable
def ema_push(s: State, n: int, x: float) -> float:
    """Exponential average, weight ``2 / (n + 1)``, seeded with the mean of the first ``n`` values (TA-Lib).

    ``s`` is two cells, count and value; NaN until ``n`` values were pushed.
    """
    s[0] += 1.0
    if s[0] > n:
        s[1] = (x - s[1]) * (2.0 / (n + 1)) + s[1]
        return s[1]
    s[1] += x
    if s[0] < n:
        return math.nan
    s[1] = s[1] / n
    return s[1]


@register_jitable
def wilder_push(s: State, n: int, x: float) -> float:
    """Wilder's average, weight ``1 / n``, seeded with the mean of the first ``n`` values (TA-Lib).

    ``s`` is two cells, count and value; NaN until ``n`` values were pushed.
    """
    s[0] += 1.0
    if s[0] > n:
        s[1] = (s[1] * (n - 1) + x) / n
        return s[1]
    s[1] += x
    if s[0] < n:
        return math.nan
    s[1] = s[1] / n
    return s[1]


@register_jitable
def log_ratio(a: float, b: float) -> float:
    """``ln(a / b)``; NaN unless both are positive."""
    return math.log(a / b) if a > 0.0 and b > 0.0 else math.nan


@register_jitable
def safe_ratio(a: float, b: float) -> float:
    """``a / b``; NaN where ``b`` is zero, the same in Python and compiled."""
    return a / b if b != 0.0 else math.nan
