"""Bars in memory: integer ticks by column, the form that the simulator, the features and the reports share.

A bar's time is its close. Prices are integer multiples of the instrument's tick, so money stays exact; a price
as a float is made by `price_from_ticks` alone, which repeats NautilusTrader's own conversion to the last bit.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import allocating_kernel

FIXED_SCALAR = 1e16  # NautilusTrader stores prices as integers of 1e-16 (high-precision build)


@allocating_kernel
def price_from_ticks(ticks, tick_raw):  # type: ignore[no-untyped-def]
    """Price of an integer number of ticks, bit for bit as ``nautilus_trader`` ``Price.as_double()`` gives it.

    Parameters
    ----------
    ticks : int64 scalar or array
        Price in ticks.
    tick_raw : float64
        Tick size in units of 1e-16 (0.25 is 2.5e15); exactly representable for every tick in use.

    Notes
    -----
    The product of two exact floats rounds once, as Rust's 128-bit integer to float conversion does.
    """
    return (ticks * tick_raw) / FIXED_SCALAR


@dataclass(frozen=True)
class BarSeries:
    """Bars of one instrument, ascending by close time, no duplicates.

    Attributes
    ----------
    bar_type : str
        For example ``"SPY.EQUS-1-MINUTE-LAST-EXTERNAL"``.
    ts_ns : int64[n]
        Close time, UTC nanoseconds.
    open, high, low, close : int64[n]
        Prices in ticks.
    volume : int64[n]
        Units traded; what the catalog stores even where the true volume is unknown.
    volume_known : bool
        False where the source had no volume: features must then see NaN, never the stored stand-in.
    tick_raw : float
        Tick size in units of 1e-16.
    """

    bar_type: str
    ts_ns: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    volume_known: bool
    tick_raw: float

    def __len__(self) -> int:
        return len(self.ts_ns)

    @property
    def hash(self) -> str:
        """SHA-256 over bar type, times, prices and volumes."""
        digest = hashlib.sha256(f"{self.bar_type} {self.volume_known} {self.tick_raw}".encode())
        for column in (self.ts_ns, self.open, self.high, self.low, self.close, self.volume):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def slice(self, start: int, stop: int) -> "BarSeries":
        """Rows ``start`` to ``stop`` (exclusive) as views, not copies."""
        rows = slice(start, stop)
        return BarSeries(
            self.bar_type, self.ts_ns[rows], self.open[rows], self.high[rows], self.low[rows],
            self.close[rows], self.volume[rows], self.volume_known, self.tick_raw,
        )  # fmt: skip
