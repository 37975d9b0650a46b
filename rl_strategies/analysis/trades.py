"""Trades (round trips) from the fills of a run, with the costs of each.

Positions are netted by instrument: a trade runs from flat to flat, and its PnL is what the account earned by it, so the
trades add up to the account to the cent.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.accounting.account import Account
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord

OPEN_AT_END = "open_at_end"
NS_PER_MINUTE = 60_000_000_000


class FillCost(msgspec.Struct, frozen=True):
    """What a fill lost against its reference price, USD for all its units.

    Attributes
    ----------
    spread, slippage, impact : float
        Of the adverse distance per unit: the first half tick, the rest of the first tick, and everything beyond one
        tick (more slippage, or thin volume walks the book). A fill better than its reference is negative slippage.
    """

    spread: float
    slippage: float
    impact: float


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip from flat to flat.

    Attributes
    ----------
    trade_id : str
        Ticker and number from 1, for example ``"SPY-12"``.
    ticker : str
        Symbol without its venue.
    direction : {"long", "short"}
    session_date : datetime.date
        Trading day of the entry.
    entry_time_ns, exit_time_ns : int
        First opening and last closing fill, UTC nanoseconds.
    entry_price, exit_price : float
        Volume-weighted over all fills of that side, USD.
    units : int
        Units opened in total, unsigned, scale-ins included.
    duration_bars : int
        Bars from the entry's bar to the exit's bar; 0 if they are the same.
    duration_minutes : float
    gross : float
        Price difference times units, USD, before commission; slippage is part of the prices.
    pnl : float
        Change of the account from flat to flat, USD: `gross` less `commission`, rounded to the cent at every fill
        that closes, as `rl_strategies.accounting.account.Account` books it.
    mfe, mae : float
        Most favourable (>= 0) and most adverse (<= 0) excursion from the entry price, USD for `units`:
        highs and lows of the bars between the entry's and the exit's, and the exit price. Of the exit's bar the high
        and low count if the position was held to its close; a barrier ends it within the bar, which does not show what
        came before, so only its open counts.
    commission, spread_cost, slippage_cost, impact_cost : float
        USD; see `FillCost`. The last three are part of `gross` already.
    total_cost_est : float
        Sum of the four.
    return_pct : float
        `pnl` in percent of the entry's notional value.
    exit_reason : str
        Reason of the fill that closed the position; ``"open_at_end"`` for a trade marked at the last
        close.
    """

    trade_id: str
    ticker: str
    direction: Literal["long", "short"]
    session_date: dt.date
    entry_time_ns: int
    exit_time_ns: int
    entry_price: float
    exit_price: float
    units: int
    duration_bars: int
    duration_minutes: float
    gross: float
    pnl: float
    mfe: float
    mae: float
    commission: float
    spread_cost: float
    slippage_cost: float
    impact_cost: float
    total_cost_est: float
    return_pct: float
    exit_reason: str

    @property
    def is_open(self) -> bool:
        """Whether the position was still held when the record ended."""
        return self.exit_reason == OPEN_AT_END


def build_trades(record: RunRecord) -> list[Trade]:
    """Trades of a run in order of exit; positions still held at the end come last, marked at the last close.

    Parameters
    ----------
    record : RunRecord
        A flip must arrive as two fills, one that closes and one that opens.

    Raises
    ------
    InputError
        If a fill has no units, crosses from long to short, or lies before the first bar.
    """
    trades = [trade for leg in record.legs for trade in _leg_trades(leg)]
    return trades if len(record.legs) == 1 else sorted(trades, key=lambda trade: (trade.is_open, trade.exit_time_ns))


def _leg_trades(leg: InstrumentRecord) -> list[Trade]:
    trades: list[Trade] = []
    trip: list[Fill] = []
    account, cents_before = Account(leg.instrument, starting_cents=0), 0
    for number, fill in enumerate(leg.fills, start=1):
        if fill.units == 0 or account.units * (account.units + fill.units) < 0:
            raise InputError(
                f"fill {number} of {leg.instrument.instrument_id} must not be empty or cross zero, "
                f"was {fill.units:+d} on a position of {account.units:+d}"
            )
        trip.append(fill)
        account.apply(fill)
        if account.units == 0:
            trades.append(_trade(leg, trip, (account.balance_cents - cents_before) / 100, len(trades) + 1))
            trip, cents_before = [], account.balance_cents
    if trip:
        pnl = account.equity_usd(int(leg.bars.close[-1])) - cents_before / 100
        trades.append(_trade(leg, trip, pnl, len(trades) + 1))
    return trades


def fill_cost(leg: InstrumentRecord, fill: Fill) -> FillCost:
    """Adverse distance of a fill from its reference price, split into spread, slippage and impact.

    The reference of a market order is the last close at or before its fill; of a limit order its limit; of a stop its
    trigger, or the open of the bar if that is beyond the trigger. The account has really paid this distance.

    Raises
    ------
    InputError
        If a market fill lies before the first bar.
    """
    adverse_ticks = (fill.price_ticks - _reference_ticks(leg, fill)) * (1 if fill.units > 0 else -1)
    spread = min(max(adverse_ticks, 0), 0.5)
    impact = float(max(adverse_ticks - 1, 0))
    usd_per_tick = abs(fill.units) * float(leg.instrument.tick_value_usd)
    return FillCost(spread * usd_per_tick, (adverse_ticks - spread - impact) * usd_per_tick, impact * usd_per_tick)


def fill_bar(leg: InstrumentRecord, fill: Fill) -> int:
    """Bar that a fill belongs to: the last closed one for a market order, the one in progress for a barrier.

    A barrier's fill after the last close belongs to the last bar.

    Raises
    ------
    InputError
        If a market fill lies before the first bar.
    """
    ts_ns = leg.bars.ts_ns
    if fill.kind != "market":
        return min(int(np.searchsorted(ts_ns, fill.ts_ns, side="left")), len(ts_ns) - 1)
    bar = int(np.searchsorted(ts_ns, fill.ts_ns, side="right")) - 1
    if bar < 0:
        raise InputError(f"market fills must not be before the record's first bar ({ts_ns[0]} ns), was {fill.ts_ns} ns")
    return bar


def _reference_ticks(leg: InstrumentRecord, fill: Fill) -> int:
    if fill.kind == "limit":
        return fill.trigger_ticks
    bar = fill_bar(leg, fill)
    if fill.kind == "market":
        return int(leg.bars.close[bar])
    beyond = max if fill.units > 0 else min  # a gap through the trigger fills at the open
    return int(beyond(fill.trigger_ticks, leg.bars.open[bar]))


def _trade(leg: InstrumentRecord, fills: Sequence[Fill], pnl: float, number: int) -> Trade:
    side = 1 if fills[0].units > 0 else -1
    position = sum(fill.units for fill in fills)
    entries = [(fill.units, fill.price_ticks) for fill in fills if fill.units * side > 0]
    exits = [(fill.units, fill.price_ticks) for fill in fills if fill.units * side < 0]
    entry_bar, exit_bar = fill_bar(leg, fills[0]), fill_bar(leg, fills[-1])
    exit_time_ns, exit_reason = fills[-1].ts_ns, str(fills[-1].reason)
    if position:
        exits.append((-position, int(leg.bars.close[-1])))
        exit_bar, exit_reason = len(leg.bars) - 1, OPEN_AT_END
        exit_time_ns = max(int(leg.bars.ts_ns[-1]), exit_time_ns)

    instrument = leg.instrument
    units = abs(sum(signed for signed, _ in entries))
    entry_price = _average_price(entries, instrument.tick_size)
    exit_price = _average_price(exits, instrument.tick_size)
    commission = sum(fill.commission_cents for fill in fills) / 100
    gross = round(pnl + commission, 6)  # strips the noise of binary floats
    costs = [fill_cost(leg, fill) for fill in fills]
    spread, slippage, impact = (sum(getattr(cost, kind) for cost in costs) for kind in FillCost.__struct_fields__)
    is_within_bar = not position and fills[-1].kind != "market"
    marks = _held_prices(leg, entry_bar, exit_bar, is_within_bar)
    mfe, mae = _excursions(leg, marks, side * units, entry_price, gross)
    return Trade(
        trade_id=f"{leg.ticker}-{number}",
        ticker=leg.ticker,
        direction="long" if side > 0 else "short",
        session_date=leg.session_date[entry_bar].astype("datetime64[D]").item(),
        entry_time_ns=fills[0].ts_ns,
        exit_time_ns=exit_time_ns,
        entry_price=float(entry_price),
        exit_price=float(exit_price),
        units=units,
        duration_bars=exit_bar - entry_bar,
        duration_minutes=(exit_time_ns - fills[0].ts_ns) / NS_PER_MINUTE,
        gross=gross,
        pnl=pnl,
        mfe=mfe,
        mae=mae,
        commission=commission,
        spread_cost=spread,
        slippage_cost=slippage,
        impact_cost=impact,
        total_cost_est=commission + spread + slippage + impact,
        return_pct=100 * pnl / float(entry_price * units * instrument.multiplier),
        exit_reason=exit_reason,
    )


def _average_price(lots: Sequence[tuple[int, int]], tick_size: Decimal) -> Decimal:
    return sum(signed * ticks for signed, ticks in lots) * tick_size / sum(signed for signed, _ in lots)


def _held_prices(leg: InstrumentRecord, entry_bar: int, exit_bar: int, is_within_bar: bool) -> NDArray[np.int64]:
    bars = leg.bars
    whole = slice(entry_bar + 1, exit_bar + (not is_within_bar))
    within = slice(max(entry_bar + 1, exit_bar), exit_bar + is_within_bar)
    return np.concatenate([bars.high[whole], bars.low[whole], bars.open[within]])


def _excursions(
    leg: InstrumentRecord, prices: NDArray[np.int64], signed_units: int, entry_price: Decimal, gross: float
) -> tuple[float, float]:
    marks = [0.0, gross]
    if len(prices):
        entry_ticks = float(entry_price / leg.instrument.tick_size)
        usd_per_tick = signed_units * float(leg.instrument.tick_value_usd)
        marks += [usd_per_tick * (float(extreme) - entry_ticks) for extreme in (prices.max(), prices.min())]
    return max(marks), min(marks)
