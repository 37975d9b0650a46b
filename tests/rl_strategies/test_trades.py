"""Trades against hand-worked round trips, and against a cash book kept in decimals."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord
from rl_strategies.analysis.trades import build_trades, fill_cost

MINUTE = 60_000_000_000
START = int(np.datetime64("2024-03-01T14:31", "ns").astype(np.int64))  # close of the first minute in New York
ES = InstrumentSpec(
    instrument_id="ESH4.XCME",
    kind="future",
    tick_size=Decimal("0.25"),  # 12.50 USD a tick
    multiplier=50,
    commission_per_unit=Decimal("2.10"),
    commission_minimum=Decimal(0),
    calendar="CME Globex Equity",
)
#        open   high   low    close, in ticks
ROWS = [(20000, 20004, 19996, 20000), (20000, 20010, 19990, 20002), (20002, 20020, 19980, 20012),
        (20012, 20040, 20008, 20030), (20060, 20064, 20050, 20052)]  # fmt: skip


def bars_of(rows: list[tuple[int, int, int, int]]) -> BarSeries:
    open_, high, low, close = np.array(rows, dtype=np.int64).T
    ts_ns = START + MINUTE * np.arange(len(rows), dtype=np.int64)
    volume = np.full(len(rows), 100)
    return BarSeries("ESH4.XCME-1-MINUTE-LAST-EXTERNAL", ts_ns, open_, high, low, close, volume, True, 2.5e15)


def record_of(*fills: Fill, rows: list[tuple[int, int, int, int]] = ROWS) -> RunRecord:
    n = len(rows)
    day = np.full(n, np.datetime64("2024-03-01", "D"))
    leg = InstrumentRecord(ES, bars_of(rows), day, np.zeros(n, np.int64), fills)
    return RunRecord((leg,), leg.bars.ts_ns, day, np.zeros(n), 100_000.0, {})


def at(bar: int) -> int:
    return START + bar * MINUTE


def market(bar: int, units: int, price: int, reason: str = "entry", cents: int = 210) -> Fill:
    return Fill(at(bar), units, price, abs(units) * cents, "market", 0, reason)


def test_long_round_trip_by_hand() -> None:
    fills = (market(0, 2, 20001), Fill(at(3), -2, 20032, 420, "limit", 20032, "take_profit"))
    (trade,) = build_trades(record_of(*fills))
    assert (trade.trade_id, trade.ticker, trade.direction) == ("ESH4-1", "ESH4", "long")
    assert trade.session_date == dt.date(2024, 3, 1)
    assert (trade.entry_time_ns, trade.exit_time_ns) == (at(0), at(3))
    assert (trade.entry_price, trade.exit_price) == (5000.25, 5008.0)
    assert (trade.units, trade.duration_bars, trade.duration_minutes) == (2, 3, 3.0)
    assert trade.gross == 775.0  # 31 ticks x 12.50 x 2
    assert trade.pnl == 766.6  # less 4 x 2.10
    # The best price held is that of the take profit (+31 ticks, in a bar that went to 20040), the worst the low of
    # 19980 in bar 2 (-21 ticks), 25 USD a tick for two.
    assert (trade.mfe, trade.mae) == (775.0, -525.0)
    assert (trade.commission, trade.spread_cost, trade.slippage_cost, trade.impact_cost) == (
        8.4,
        12.5,
        12.5,
        0,
    )
    assert trade.total_cost_est == pytest.approx(33.4)
    assert trade.return_pct == pytest.approx(100 * 766.6 / (5000.25 * 50 * 2))
    assert trade.exit_reason == "take_profit"
    assert not trade.is_open


def test_short_excursions_are_mirrored() -> None:
    (trade,) = build_trades(record_of(market(1, -1, 20002), market(3, 1, 20030, "time_limit")))
    assert trade.direction == "short"
    assert trade.gross == -350.0  # 28 ticks against
    assert trade.mfe == 275.0  # low of bars 2 and 3 is 19980, 22 ticks
    assert trade.mae == -475.0  # high is 20040, 38 ticks


def test_entry_bar_is_no_part_of_the_excursion() -> None:
    (trade,) = build_trades(record_of(market(2, 1, 20012), market(2, -1, 20010, "signal")))
    assert (trade.mfe, trade.mae, trade.duration_bars) == (0.0, -25.0, 0)


def test_scale_in_and_partial_exit_average() -> None:
    fills = (
        market(0, 1, 20000), market(1, 3, 20004), market(2, -2, 20012, "take_profit"),
        market(3, -2, 20020, "stop_loss"),
    )  # fmt: skip
    (trade,) = build_trades(record_of(*fills))
    assert trade.units == 4
    assert trade.entry_price == pytest.approx(20003 * 0.25)
    assert trade.exit_price == pytest.approx(20016 * 0.25)
    assert trade.gross == 13 * 12.5 * 4
    assert trade.exit_reason == "stop_loss"


def test_flip_is_two_trades() -> None:
    fills = (market(0, 1, 20000), market(1, -1, 20002, "reverse"), market(1, -1, 20002),
             market(2, 1, 20012, "end_of_session"))  # fmt: skip
    first, second = build_trades(record_of(*fills))
    assert (first.direction, first.exit_reason, first.gross) == ("long", "reverse", 25.0)
    assert (second.direction, second.exit_reason, second.gross) == ("short", "end_of_session", -125.0)
    assert [first.trade_id, second.trade_id] == ["ESH4-1", "ESH4-2"]


def test_open_position_is_marked_at_the_last_close() -> None:
    (trade,) = build_trades(record_of(market(3, 1, 20030)))
    assert trade.is_open
    assert (trade.exit_reason, trade.exit_time_ns, trade.exit_price) == ("open_at_end", at(4), 5013.0)
    assert (trade.gross, trade.commission) == (275.0, 2.1)


def test_no_fills_no_trades() -> None:
    assert build_trades(record_of()) == []


@pytest.mark.parametrize(
    ("fills", "message"),
    [
        ((market(0, 1, 20000), market(1, -2, 20000)), r"fill 2 of ESH4\.XCME .*was -2 on a position of \+1"),
        ((market(0, 0, 20000),), r"fill 1 .*was \+0 on a position of \+0"),
        ((market(-1, 1, 20000), market(1, -1, 20000)), "before the record's first bar"),
    ],
)
def test_fills_that_cannot_be_are_refused(fills: tuple[Fill, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_trades(record_of(*fills))


@st.composite
def random_fills(draw: st.DrawFn) -> tuple[Fill, ...]:
    fills: list[Fill] = []
    position, bar = 0, 0
    for target in draw(st.lists(st.integers(-3, 3), max_size=25)):
        bar = min(bar + draw(st.integers(0, 1)), len(ROWS) - 1)
        legs = [-position, target] if position * target < 0 else [target - position]
        for units in filter(None, legs):
            price, cents = draw(st.integers(19_980, 20_064)), draw(st.integers(0, 999))
            kind = draw(st.sampled_from(["market", "stop", "limit"]))
            trigger = 0 if kind == "market" else draw(st.integers(19_980, 20_064))
            fills.append(Fill(at(bar), units, price, cents, kind, trigger, "signal"))
        position = target
    return tuple(fills)


@given(random_fills())
def test_trades_add_up_to_the_account(fills: tuple[Fill, ...]) -> None:
    record = record_of(*fills)
    cash = Decimal("100000.00")
    for fill in fills:  # a plain cash book: every contract bought and sold outright
        cash -= fill.units * fill.price_ticks * Decimal("12.50") + Decimal(fill.commission_cents) / 100
    position = sum(fill.units for fill in fills)
    equity = cash + position * ROWS[-1][3] * Decimal("12.50")
    trades = build_trades(record)
    # The account rounds to the cent at every fill that closes; one contract in and out needs no rounding.
    rounding = 0.005 * len(fills) if any(trade.units > 1 for trade in trades) else 0.0
    total = 100_000 + math.fsum(trade.pnl for trade in trades)
    assert total == pytest.approx(float(equity), abs=rounding + 1e-6)
    assert sum(trade.is_open for trade in trades) == (position != 0)
    assert math.fsum(trade.commission for trade in trades) == pytest.approx(
        sum(fill.commission_cents for fill in fills) / 100
    )


@given(random_fills())
def test_excursions_bound_the_result_and_costs_the_distance(fills: tuple[Fill, ...]) -> None:
    record = record_of(*fills)
    for trade in build_trades(record):
        assert trade.mae <= min(0.0, trade.gross) <= max(0.0, trade.gross) <= trade.mfe
        assert trade.entry_time_ns <= trade.exit_time_ns
    for fill in fills:
        cost = fill_cost(record.legs[0], fill)
        assert cost.spread >= 0
        assert cost.impact >= 0
        assert cost.slippage <= 0.5 * 12.5 * abs(fill.units)


@given(st.integers(1, 5), st.integers(0, 999))
def test_constant_price_round_trip_loses_exactly_its_costs(units: int, cents: int) -> None:
    flat = [(20000, 20000, 20000, 20000)] * 3
    fills = (market(0, units, 20001, cents=cents), market(2, -units, 19999, "signal", cents=cents))
    (trade,) = build_trades(record_of(*fills, rows=flat))
    assert trade.pnl == pytest.approx(-trade.total_cost_est)
