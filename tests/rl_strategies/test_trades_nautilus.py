"""Trades against NautilusTrader's own bookkeeping of the same fills."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.enums import LiquiditySide, OrderSide, OrderType
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    PositionId,
    StrategyId,
    TradeId,
    TraderId,
    VenueOrderId,
)
from nautilus_trader.model.instruments import FuturesContract
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.model.position import Position

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord
from rl_strategies.analysis.trades import build_trades

ES = InstrumentSpec(
    instrument_id="ESH4.XCME",
    kind="future",
    tick_size=Decimal("0.25"),
    multiplier=50,
    commission_per_unit=Decimal("2.10"),
    commission_minimum=Decimal(0),
    calendar="CME Globex Equity",
)
CLOSE = 20_000


def filled(fill: Fill, number: int, instrument: FuturesContract) -> OrderFilled:
    return OrderFilled(
        TraderId("T-1"), StrategyId("S-1"), InstrumentId.from_str(ES.instrument_id), ClientOrderId(f"O-{number}"),
        VenueOrderId(f"V-{number}"), AccountId("SIM-1"), TradeId(f"E-{number}"), PositionId("P-1"),
        OrderSide.BUY if fill.units > 0 else OrderSide.SELL, OrderType.MARKET, Quantity.from_int(abs(fill.units)),
        Price(Decimal(fill.price_ticks) * ES.tick_size, instrument.price_precision), USD,
        Money(Decimal(fill.commission_cents) / 100, USD), LiquiditySide.TAKER, UUID4(), fill.ts_ns, fill.ts_ns,
    )  # fmt: skip


@st.composite
def round_trip(draw: st.DrawFn) -> tuple[Fill, ...]:
    side = draw(st.sampled_from([-1, 1]))
    price, cents = st.integers(19_900, 20_100), st.integers(0, 999)
    opened = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    lots = [(side * size, "entry") for size in opened] + [(-side, "signal")] * sum(opened)
    return tuple(
        Fill(10 * (number + 1), units, draw(price), draw(cents), "market", 0, why)
        for number, (units, why) in enumerate(lots)
    )


@settings(max_examples=60)
@given(round_trip())
def test_round_trip_agrees_with_the_position(fills: tuple[Fill, ...]) -> None:
    instrument = to_nautilus(ES)
    position = Position(instrument, filled(fills[0], 0, instrument))
    earned = Decimal(0)
    for number, fill in enumerate(fills[1:], start=1):
        event = filled(fill, number, instrument)
        if event.order_side != position.entry:  # what NautilusTrader's account adds to the balance
            price = event.last_px.as_double()
            earned += position.calculate_pnl(position.avg_px_open, price, event.last_qty).as_decimal()
        position.apply(event)
    flat = np.full(1, CLOSE)
    bars = BarSeries("ESH4.XCME-1-MINUTE-LAST-EXTERNAL", np.array([5]), flat, flat, flat, flat, flat, True, 2.5e15)
    day = np.array(["2024-03-01"], "datetime64[D]")
    leg = InstrumentRecord(ES, bars, day, np.zeros(1, np.int64), fills)
    record = RunRecord((leg,), bars.ts_ns, day, np.zeros(1), 100_000.0, {})
    (trade,) = build_trades(record)
    paid = Decimal(sum(fill.commission_cents for fill in fills)) / 100
    assert round(trade.pnl, 6) == float(earned - paid)
    # A position rounds its running sum as well, hence differs from the account by up to half a cent a fill.
    assert trade.pnl == pytest.approx(position.realized_pnl.as_double(), abs=0.0051 * len(fills))
    assert trade.commission == pytest.approx(sum(money.as_double() for money in position.commissions()))
    assert trade.units == position.peak_qty.as_double()
    assert trade.entry_price == pytest.approx(position.avg_px_open)
    assert trade.exit_price == pytest.approx(position.avg_px_close)
    assert (trade.direction == "long") == (position.entry == OrderSide.BUY)
