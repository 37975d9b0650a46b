"""Rate limits: requests as fast as a vendor allows, and no faster."""

import threading
import time
from collections.abc import Callable


class Limiter:
    """Hands out evenly spaced turns; several threads may share one.

    Even spacing keeps every minute within the limit. A late caller does not delay the next, so the full rate is used
    while requests wait.

    Parameters
    ----------
    per_minute : float
        Requests allowed in a minute.
    clock, sleep : callable
        Seconds; for tests.

    Examples
    --------
    >>> now = [0.0]
    >>> limiter = Limiter(30, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    >>> for _ in range(4): limiter.wait()
    >>> now[0]
    6.0
    """

    def __init__(
        self,
        per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if per_minute <= 0:
            raise ValueError(f"requests per minute must be positive, was {per_minute}")
        self._interval_s = 60.0 / per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next_s = clock()

    def wait(self) -> None:
        """Return when it is this caller's turn."""
        with self._lock:
            now = self._clock()
            turn = max(now, self._next_s)
            self._next_s = turn + self._interval_s
        if turn > now:
            self._sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """Give no turn for some seconds, as the vendor asked."""
        with self._lock:
            self._next_s = max(self._next_s, self._clock() + seconds)


class TokenBucket:
    """Lets a burst through at once, then no more than the bucket refills.

    Parameters
    ----------
    capacity : int
        Largest burst; the bucket is full at first.
    refill_s : float
        Seconds after which one more request is allowed.
    clock, sleep : callable
        Seconds; for tests.

    Examples
    --------
    >>> now = [0.0]
    >>> bucket = TokenBucket(2, 10, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    >>> for _ in range(4): bucket.wait()
    >>> now[0]
    20.0
    """

    def __init__(
        self,
        capacity: int,
        refill_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._capacity, self._refill_s = capacity, refill_s
        self._clock, self._sleep = clock, sleep
        self._tokens, self._counted_s = float(capacity), clock()

    def wait(self) -> None:
        """Return when a request is allowed."""
        self._refill()
        if self._tokens < 1:
            self._sleep((1 - self._tokens) * self._refill_s)
            self._refill()
        self._tokens = max(0.0, self._tokens - 1)

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._counted_s) / self._refill_s)
        self._counted_s = now
