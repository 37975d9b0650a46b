"""Readings over a time: value at risk of equity changes, refused orders of the last minute."""

import math
from bisect import insort
from collections import deque

NS = 1_000_000_000
MINUTE_NS = 60 * NS


class ValueAtRisk:
    """Historical value at risk of changes of equity over a fixed time.

    Of n changes it is the k-th worst, k = ceil(tail * n); a loss is positive, a gain counts as zero.

    Parameters
    ----------
    tail : float
        Tail probability: 0.05 for 95 % confidence.
    interval_s : float
        Least seconds from one equity to the next that is compared with it.
    minimum : int
        Changes below which the value is 0.

    Examples
    --------
    >>> risk = ValueAtRisk(tail=0.05, interval_s=60.0, minimum=2)
    >>> for minute, equity in enumerate([1000.0, 990.0, 1010.0]):
    ...     risk.update(minute * MINUTE_NS, equity)
    >>> risk.value
    10.0
    """

    def __init__(self, tail: float, interval_s: float, minimum: int) -> None:
        self._tail, self._minimum = tail, minimum
        self._interval_ns = round(interval_s * NS)
        self.reset()

    def reset(self) -> None:
        """Forget all changes: a session begins."""
        self._changes: list[float] = []
        self._last: tuple[int, float] | None = None

    def update(self, ts_ns: int, equity_usd: float) -> None:
        """Add the equity at a time; ignored within the interval after the last one."""
        if self._last is not None:
            last_ns, last_usd = self._last
            if ts_ns - last_ns < self._interval_ns:
                return
            insort(self._changes, equity_usd - last_usd)
        self._last = ts_ns, equity_usd

    @property
    def value(self) -> float:
        """Value at risk, USD; 0 while there are too few changes."""
        count = len(self._changes)
        if count < self._minimum:
            return 0.0
        # In floating point 0.07 * 100 is a little above 7 and would take the eighth.
        worst = math.ceil(self._tail * count - 1e-9)
        return max(0.0, -self._changes[worst - 1])


class RejectRate:
    """Refused orders of the last 60 seconds, from the count since the process started.

    Examples
    --------
    >>> rate = RejectRate()
    >>> rate.update(0, 2)
    2
    >>> rate.update(59 * NS, 3)
    3
    >>> rate.update(60 * NS, 3)
    1
    """

    def __init__(self) -> None:
        self._count = 0
        self._recent: deque[tuple[int, int]] = deque()

    def update(self, ts_ns: int, count: int) -> int:
        """Add the count at a time; returns the orders refused within the minute that ends there.

        A count below the last one is that of a new process, which started at zero.
        """
        added = count - self._count if count >= self._count else count
        self._count = count
        if added:
            self._recent.append((ts_ns, added))
        while self._recent and self._recent[0][0] <= ts_ns - MINUTE_NS:
            self._recent.popleft()
        return sum(refused for _, refused in self._recent)
