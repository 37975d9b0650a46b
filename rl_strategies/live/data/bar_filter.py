"""Decides which of the bars that a broker sends may be used.

Interactive Brokers stamps a bar with its open, sends the newest one again after every subscription, repeats bars after
a data farm comes back, may send an old bar as if it had just closed, and does not report those that it left out. The
policy was trained on closed bars, once each, in order.
"""

from dataclasses import dataclass
from typing import Literal

from nautilus_trader.model.data import Bar

CLOCK_NS = 1_000_000_000  # the broker tells its clock in whole seconds
Verdict = Literal["next", "gap", "duplicate", "stale", "unfinished", "corrupt"]


@dataclass(frozen=True)
class ClosedBar:
    """A bar of the broker, judged.

    Attributes
    ----------
    bar : Bar
        The bar, stamped with its close.
    verdict : str
        ``next``: follows the last one. ``gap``: bars may lie between. The others may not be used: known already
        (``duplicate``), too old to act upon (``stale``), not closed yet (``unfinished``), impossible prices
        (``corrupt``).
    """

    bar: Bar
    verdict: Verdict


class BarFilter:
    """Judges bars by those processed before.

    Parameters
    ----------
    bar_ns : int
        Length of a bar, nanoseconds.
    tick_raw : int
        Tick size in NautilusTrader's fixed point.
    max_age_periods : float
        Bar lengths after a bar's open from which on it is stale.

    Attributes
    ----------
    last_ns : int
        Close of the last bar processed; 0 before the first.
    """

    def __init__(self, bar_ns: int, tick_raw: int, max_age_periods: float = 1.5) -> None:
        self._bar_ns = bar_ns
        self._tick_raw = tick_raw
        self._max_age_ns = int(max_age_periods * bar_ns)
        self.last_ns = 0

    def judge(self, bar: Bar, now_ns: int) -> ClosedBar:
        """Verdict on a bar that arrives at ``now_ns``, stamped with its open.

        Parameters
        ----------
        bar : Bar
        now_ns : int
            Market time, UTC nanoseconds.
        """
        close_ns = bar.ts_event + self._bar_ns
        return ClosedBar(_stamped(bar, close_ns), self._verdict(bar, close_ns, now_ns))

    def is_stale(self, close_ns: int, now_ns: int) -> bool:
        """Whether a bar that closed at ``close_ns`` is too old to act upon."""
        return now_ns - (close_ns - self._bar_ns) > self._max_age_ns

    def is_sound(self, bar: Bar) -> bool:
        """Whether prices are positive multiples of the tick; NautilusTrader checks high and low against the others."""
        prices = (bar.open.raw, bar.high.raw, bar.low.raw, bar.close.raw)
        return min(prices) > 0 and all(price % self._tick_raw == 0 for price in prices)

    def _verdict(self, bar: Bar, close_ns: int, now_ns: int) -> Verdict:
        if not self.is_sound(bar):
            return "corrupt"
        if close_ns <= self.last_ns:
            return "duplicate"
        if close_ns > now_ns + CLOCK_NS:
            return "unfinished"
        if self.is_stale(close_ns, now_ns):
            return "stale"
        return "next" if close_ns == self.last_ns + self._bar_ns else "gap"


def _stamped(bar: Bar, close_ns: int) -> Bar:
    return Bar(bar.bar_type, bar.open, bar.high, bar.low, bar.close, bar.volume, ts_event=close_ns, ts_init=bar.ts_init)
