"""The account over time, rebuilt from fills.

Cash is integer cents. The path follows from fills alone, whoever made them, and must end at the balance that the engine
or broker reports: any difference is an error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.money import realized_cents
from rl_strategies.accounting.position import LEG, apply_fill
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord

GRACE_NS = 1  # grace of every replay, see `rl_strategies.strategy.RLStrategyConfig.grace_ns`


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
        """Book a fill: realised PnL and commission to the balance, units to the position."""
        price = price_from_ticks(fill.price_ticks, self._tick_raw)
        leg = self._leg
        realized = realized_cents(leg.units, leg.average_price, fill.units, price, self._multiplier)
        self.balance_cents += int(realized) - fill.commission_cents
        apply_fill(leg, fill.units, price)

    def open_usd(self, close_ticks: NDArray[np.int64]) -> NDArray[np.float64]:
        """Unrealised PnL at each of the closes, int64[n] ticks; float64[n] USD."""
        units, average = int(self._leg.units), float(self._leg.average_price)
        if units == 0:
            return np.zeros(len(close_ticks))
        return units * (price_from_ticks(close_ticks, self._tick_raw) - average) * self._multiplier

    def equity_usd(self, close_ticks: int) -> float:
        """Cash plus the position marked at ``close_ticks``, USD."""
        return self.balance_cents / 100.0 + float(self.open_usd(np.array([close_ticks]))[0])


class Traded(NamedTuple):
    """An instrument, its n bars of a window, their trading days, and its fills of that window in order."""

    instrument: InstrumentSpec
    bars: BarSeries
    session_date: NDArray[np.datetime64]
    fills: Sequence[Fill]


def build_record(traded: Sequence[Traded], starting_cents: int, refusals: dict[str, int]) -> RunRecord:
    """Record of an account over the bars of its instruments, from the fills of the same window.

    A fill belongs to the first bar close at or after it, or `GRACE_NS` before it; one after the last close belongs to
    the last.

    Raises
    ------
    ValueError
        If a fill lies before the window.
    """
    ts_ns = np.unique(np.concatenate([bars.ts_ns for _, bars, _, _ in traded]))
    session_date = np.empty(len(ts_ns), "datetime64[D]")
    cents, open_usd = np.full(len(ts_ns), starting_cents), np.zeros(len(ts_ns))
    legs = []
    for one in traded:
        session_date[np.searchsorted(ts_ns, one.bars.ts_ns)] = one.session_date
        path = _leg_path(one, ts_ns)
        cents += path.cents
        open_usd += path.open_usd
        units = path.units[np.searchsorted(ts_ns, one.bars.ts_ns)]
        legs.append(InstrumentRecord(one.instrument, one.bars, one.session_date, units, tuple(one.fills)))
    return RunRecord(tuple(legs), ts_ns, session_date, cents / 100.0 + open_usd, starting_cents / 100.0, dict(refusals))


class _Path(NamedTuple):
    cents: NDArray[np.int64]
    open_usd: NDArray[np.float64]
    units: NDArray[np.int64]


def _leg_path(one: Traded, ts_ns: NDArray[np.int64]) -> _Path:
    # At each time: cash earned, the open position at the last close, units.
    bars, account = one.bars, Account(one.instrument, 0)
    if one.fills and one.fills[0].ts_ns < bars.ts_ns[0]:
        raise ValueError(f"fills must not be before the first bar ({bars.ts_ns[0]} ns), was {one.fills[0].ts_ns} ns")
    path = _Path(np.zeros(len(ts_ns), np.int64), np.zeros(len(ts_ns)), np.zeros(len(ts_ns), np.int64))
    # A decision that waits for other bars trades a moment after its own bar closed.
    rows = np.minimum(np.searchsorted(ts_ns, [fill.ts_ns - GRACE_NS for fill in one.fills]), len(ts_ns) - 1)
    last_bar = np.searchsorted(bars.ts_ns, ts_ns, side="right") - 1
    for begin, stop, fill in zip(rows, np.append(rows, len(ts_ns))[1:], one.fills, strict=True):
        account.apply(fill)
        path.cents[begin:stop] = account.balance_cents
        path.units[begin:stop] = account.units
        path.open_usd[begin:stop] = account.open_usd(bars.close[last_bar[begin:stop]])
    return path
