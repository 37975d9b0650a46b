"""How far this machine's clock is ahead of the broker's, which is told in whole seconds: every answer narrows it."""

import time
from collections import deque
from collections.abc import Callable

ANSWERS = 20  # older ones are forgotten: clocks drift


class ClockOffset:
    """Offset of this machine's clock to the broker's.

    Parameters
    ----------
    clock_s : callable
        This machine's clock, UTC seconds.

    Attributes
    ----------
    offset_s : float or None
        This machine's clock minus the broker's, seconds; None before the first answer.
    error_s : float
        Largest error of the offset.

    Examples
    --------
    The broker says 100 when this machine's clock shows 101.3, and 101 when it shows 102.9:

    >>> times = iter([101.3, 101.3, 102.9, 102.9])
    >>> clock = ClockOffset(lambda: next(times))
    >>> clock.ask()
    >>> clock.hear(100)
    >>> round(clock.offset_s, 2), clock.error_s
    (0.8, 0.5)
    >>> clock.ask()
    >>> clock.hear(101)
    >>> round(clock.offset_s, 2), round(clock.error_s, 2)
    (1.1, 0.2)
    """

    def __init__(self, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._asked_s: float | None = None
        self._bounds: deque[tuple[float, float]] = deque(maxlen=ANSWERS)
        self.offset_s: float | None = None
        self.error_s = float("inf")

    def ask(self) -> None:
        """The broker is asked now."""
        self._asked_s = self._clock_s()

    def hear(self, broker_s: int) -> None:
        """The answer to the last question comes now: the broker's clock, its fraction cut off."""
        heard_s = self._clock_s()
        asked_s = heard_s if self._asked_s is None else self._asked_s
        self._bounds.append((asked_s - broker_s - 1, heard_s - broker_s))
        low = max(bounds[0] for bounds in self._bounds)
        high = min(bounds[1] for bounds in self._bounds)
        if low > high:  # one of the clocks was set
            low, high = self._bounds[-1]
            self._bounds.clear()
            self._bounds.append((low, high))
        self.offset_s, self.error_s = (low + high) / 2, (high - low) / 2
