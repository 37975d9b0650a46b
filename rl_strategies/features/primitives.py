"""The building blocks of feature kernels: ring buffers, exponential averages, guarded ratios.

Each works on a slice of the kernel's own float64 state and is plain Python that numba compiles within one.
A zeroed state is the state before the first value, so resetting is zeroing. Window sums are either exact (of whole
numbers, or in two parts) or summed again at every row in an order that the values' age alone fixes: nothing
drifts, and a fresh start gives the same bits once the window is full.
"""

import math

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

State = NDArray[np.float64]

# Averages that started apart agree to the last bit once the difference has decayed by e**-FORGETTING: 36.8
# brings a difference of the price's size down to its last bit, the rest lets roundings that still differ by
# one bit meet (45 was the most that a year of minute bars of SPY and two months of ES needed from 600 random
# starts).
FORGETTING = 56.0


def memory_rows(alpha: float) -> int:
    """Rows after which an exponential average no longer depends on how it was started.

    Parameters
    ----------
    alpha : float
        Weight of the newest value, 0 to 1: ``2 / (n + 1)`` for an EMA, ``1 / n`` for Wilder's average.

    Returns
    -------
    int
        Two averages started on different rows agree bit for bit after that many rows of moving prices.

    Examples
    --------
    >>> memory_rows(2 / (12 + 1))
    336
    """
    return 1 if alpha >= 1.0 else math.ceil(FORGETTING / -math.log(1.0 - alpha))


def ring_size(n: int) -> int:
    """State cells that a ring of the last ``n`` values takes: count, position, and the values twice.

    Each value lies at two places ``n`` cells apart, so that the window is always one contiguous run of cells.
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
def ring_oldest(s: State) -> float:
    """Value that the next push overwrites: with ``n`` values pushed, the one ``n`` rows ago."""
    return s[2 + int(s[1])]


@register_jitable
def ring_back(s: State, n: int, age: int) -> float:
    """Value pushed ``age`` rows before the newest (0 is the newest) of a ring that holds it."""
    return s[2 + int(s[1]) + n - 1 - age]


@register_jitable
def ring_sum(s: State, n: int) -> float:
    """Sum of a full ring."""
    return newest_sum(s, n, n)


@register_jitable
def newest_sum(s: State, n: int, count: int) -> float:
    """Sum of the newest ``count`` values of a full ring.

    Four strands, oldest first: one addition need not wait for the last, and age alone fixes the order.
    """
    end = 2 + int(s[1]) + n
    w = s[end - count : end]  # a view from 0 on: indices that cannot be negative make the loop fast
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(count // 4):
        i = 4 * k
        a += w[i]
        b += w[i + 1]
        c += w[i + 2]
        d += w[i + 3]
    total = (a + b) + (c + d)
    for i in range(count - count % 4, count):
        total += w[i]
    return total


@register_jitable
def ring_mean(s: State, n: int) -> float:
    """Mean of a full ring."""
    return ring_sum(s, n) / n


@register_jitable
def ring_std(s: State, n: int, mean: float) -> float:
    """Population standard deviation of a full ring around ``mean`` (two passes: no cancellation)."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(n // 4):
        i = 4 * k
        e, f, g, h = w[i] - mean, w[i + 1] - mean, w[i + 2] - mean, w[i + 3] - mean
        a += e * e
        b += f * f
        c += g * g
        d += h * h
    total = (a + b) + (c + d)
    for i in range(n - n % 4, n):
        e = w[i] - mean
        total += e * e
    return math.sqrt(total / n)


@register_jitable
def ring_deviation(s: State, n: int, mean: float) -> float:
    """Mean absolute deviation of a full ring around ``mean``."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(n // 4):
        i = 4 * k
        a += abs(w[i] - mean)
        b += abs(w[i + 1] - mean)
        c += abs(w[i + 2] - mean)
        d += abs(w[i + 3] - mean)
    total = (a + b) + (c + d)
    for i in range(n - n % 4, n):
        total += abs(w[i] - mean)
    return total / n


@register_jitable
def ring_succession(s: State, n: int, mean: float) -> float:
    """Sum over successive pairs of a full ring of the product of their deviations from ``mean``."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range((n - 1) // 4):
        i = 4 * k
        a += (w[i] - mean) * (w[i + 1] - mean)
        b += (w[i + 1] - mean) * (w[i + 2] - mean)
        c += (w[i + 2] - mean) * (w[i + 3] - mean)
        d += (w[i + 3] - mean) * (w[i + 4] - mean)
    total = (a + b) + (c + d)
    for i in range(n - 1 - (n - 1) % 4, n - 1):
        total += (w[i] - mean) * (w[i + 1] - mean)
    return total


@register_jitable
def ring_variation(s: State, n: int, lag: int, drift: float) -> float:
    """Sum of squared changes over ``lag`` values of a full ring, each less ``drift``."""
    first, count = 2 + int(s[1]), n - lag
    w = s[first : first + n]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(count // 4):
        i = 4 * k
        e = w[i + lag] - w[i] - drift
        f = w[i + 1 + lag] - w[i + 1] - drift
        g = w[i + 2 + lag] - w[i + 2] - drift
        h = w[i + 3 + lag] - w[i + 3] - drift
        a += e * e
        b += f * f
        c += g * g
        d += h * h
    total = (a + b) + (c + d)
    for i in range(count - count % 4, count):
        e = w[i + lag] - w[i] - drift
        total += e * e
    return total


@register_jitable
def ring_ramp(s: State, n: int, origin: float) -> float:
    """Sum of a full ring's differences from ``origin``, weighted 1 for the oldest to ``n`` for the newest."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b = 0.0, 0.0
    for k in range(n // 2):
        i = 2 * k
        a += (i + 1) * (w[i] - origin)
        b += (i + 2) * (w[i + 1] - origin)
    if n % 2 == 1:
        a += n * (w[n - 1] - origin)
    return a + b


@register_jitable
def ring_max(s: State, n: int) -> float:
    """Largest value of a full ring."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b, c, d = w[0], w[0], w[0], w[0]
    for k in range(n // 4):
        i = 4 * k
        a = w[i] if w[i] > a else a
        b = w[i + 1] if w[i + 1] > b else b
        c = w[i + 2] if w[i + 2] > c else c
        d = w[i + 3] if w[i + 3] > d else d
    for i in range(n - n % 4, n):
        a = w[i] if w[i] > a else a
    return max(max(a, b), max(c, d))


@register_jitable
def ring_min(s: State, n: int) -> float:
    """Smallest value of a full ring."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    a, b, c, d = w[0], w[0], w[0], w[0]
    for k in range(n // 4):
        i = 4 * k
        a = w[i] if w[i] < a else a
        b = w[i + 1] if w[i + 1] < b else b
        c = w[i + 2] if w[i + 2] < c else c
        d = w[i + 3] if w[i + 3] < d else d
    for i in range(n - n % 4, n):
        a = w[i] if w[i] < a else a
    return min(min(a, b), min(c, d))


@register_jitable
def ring_rank(s: State, n: int, x: float) -> float:
    """Share of a full ring that lies below ``x``, equal values counting half."""
    first = 2 + int(s[1])
    w = s[first : first + n]
    below, equal = 0, 0
    for i in range(n):
        below += 1 if w[i] < x else 0
        equal += 1 if w[i] == x else 0
    return (below + 0.5 * equal) / n


def total_size(n: int) -> int:
    """State cells that a running total of the last ``n`` whole numbers takes: count, position, total, values."""
    return n + 3


@register_jitable
def total_push(s: State, n: int, x: float) -> float:
    """Total of the last ``n`` whole numbers, ``s`` being ``total_size(n)`` cells.

    Adding and taking away is exact for whole numbers below 2**53 (counts, signs, volumes) and for nothing else.
    """
    position = int(s[1])
    s[2] += x - s[3 + position]
    s[3 + position] = x
    s[1] = position + 1 if position + 1 < n else 0
    if s[0] < n:
        s[0] += 1.0
    return s[2]


def exact_size(n: int) -> int:
    """State cells that an exact total of the last ``n`` numbers takes: count, position, two parts, values."""
    return n + 4


@register_jitable
def exact_push(s: State, n: int, x: float) -> float:
    """Total of the last ``n`` numbers, ``s`` being ``exact_size(n)`` cells, without adding them all again.

    The sum is held in two parts whose error-free additions (Knuth's two-sum) lose nothing as long as the window's
    numbers span less than some 50 binary digits beyond their own 53, as prices, returns and their squares do. So it
    depends on the window alone, as a sum done again would.
    """
    position = int(s[1])
    old = s[4 + position]
    s[4 + position] = x
    s[1] = position + 1 if position + 1 < n else 0
    if s[0] < n:
        s[0] += 1.0
    one = s[2] + x
    part = one - s[2]
    low = s[3] + ((s[2] - (one - part)) + (x - part))
    two = one - old
    part = two - one
    low += (one - (two - part)) + (-old - part)
    s[2] = two + low
    part = s[2] - two
    s[3] = (two - (s[2] - part)) + (low - part)
    return s[2]


@register_jitable
def sign(x: float) -> float:
    """-1, 0 or 1."""
    return 1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0)


@register_jitable
def true_range(high: float, low: float, before: float) -> float:
    """Largest of the bar's range and its reaches from the close before."""
    return max(high - low, max(abs(high - before), abs(low - before)))


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
