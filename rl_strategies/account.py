"""The account's path, rebuilt from fills.

Cash is integer cents. The path is rebuilt from fills alone, whoever made them, and must end at the balance that the
engine or broker reports: a difference is an error, never rounded away.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.instruments import InstrumentSpec
from rl_strategies.money import realized_cents
from rl_strategies.position import LEG, apply_fill, unrealized_usd
from rl_strategies.telemetry import Fill, RunRecord

GRACE_NS = 1  # of every replay, `rl_strategies.strategy.RLStrategyConfig.grace_ns`


class Account:
    """Cash and one position, moved by fills.

    Parameters
    ----------
    instrument : InstrumentSpec
    starting_cents : int
    """

    def __init__(self, instrument: InstrumentSpec, starting_cents: int) -> None:
        self._tick_raw = instrument.tick_raw
        self._multiplier = float(instrument.multiplier)
        self._leg = np.zeros(1, LEG)[0]
        self.balance_cents = starting_cents

    @property
    def units(self) -> int:
        """Signed units held."""
        return int(self._leg.units)

    def apply(self, fill: Fill) -> None:
        """Realise, charge and change the position."""
        price = price_from_ticks(fill.price_ticks, self._tick_raw)
        leg = self._leg
        realized = realized_cents(leg.units, leg.average_price, fill.units, price, self._multiplier)
        self.balance_cents += int(realized) - fill.commission_cents
        apply_fill(leg, fill.units, price)

    def equity_usd(self, close_ticks: int) -> float:
        """Cash plus the position marked at ``close_ticks``."""
        price = price_from_ticks(close_ticks, self._tick_raw)
        return self.balance_cents / 100.0 + float(unrealized_usd(self._leg, price, self._multiplier))


def build_record(
    instrument: InstrumentSpec,
    bars: BarSeries,
    session_date: NDArray[np.datetime64],
    fills: Iterable[Fill],
    starting_cents: int,
    refusals: dict[str, int],
) -> RunRecord:
    """Account path over ``bars`` from the fills of the same window.

    A fill belongs to the first bar that closes at or after it, or `GRACE_NS` before it; one after the last bar belongs
    to the last bar.

    Raises
    ------
    ValueError
        If a fill lies before the window.
    """
    account = Account(instrument, starting_cents)
    equity = np.empty(len(bars))
    units = np.empty(len(bars), np.int64)
    fills = tuple(fills)
    # A decision that waits for other bars trades a moment after its own bar closed.
    rows = np.minimum(np.searchsorted(bars.ts_ns, [fill.ts_ns - GRACE_NS for fill in fills]), len(bars) - 1)
    if fills and fills[0].ts_ns < bars.ts_ns[0]:
        raise ValueError(f"a fill at {fills[0].ts_ns} lies before the window's first bar {bars.ts_ns[0]}")
    done = 0
    for row in range(len(bars)):
        while done < len(fills) and rows[done] == row:
            account.apply(fills[done])
            done += 1
        equity[row] = account.equity_usd(int(bars.close[row]))
        units[row] = account.units
    return RunRecord(instrument, bars, session_date, equity, units, fills, starting_cents / 100.0, dict(refusals))
