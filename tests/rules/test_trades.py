"""Round trips and what their fills cost. Numbered as in docs/risk.md.

One E-mini S&P 500 contract: a tick is 0.25 points and 12.50 USD; a fill costs 2.10 USD. The bars, in ticks (open, high,
low, close), are `tests.rl_strategies.test_trades.ROWS`.
"""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from catalogs.errors import InputError
from rl_strategies.accounting.record import Fill
from rl_strategies.analysis.trades import build_trades, fill_cost
from tests.rl_strategies.test_trades import at, market, record_of


@pytest.mark.parametrize(
    ("fill", "spread", "slippage", "impact"),
    [
        # A market order against the close that it was decided on, 20,002: two contracts, 25 USD a tick.
        pytest.param(market(1, 2, 20002), 0, 0, 0, id="R1"),
        pytest.param(market(1, 2, 20003), 12.5, 12.5, 0, id="R2"),  # one tick: half of it spread, half slippage
        pytest.param(market(1, -2, 20001), 12.5, 12.5, 0, id="R3"),
        pytest.param(market(1, 2, 20004), 12.5, 12.5, 25, id="R4"),  # what goes beyond one tick is impact
        pytest.param(market(1, 2, 20005), 12.5, 12.5, 50, id="R5"),
        pytest.param(market(1, 2, 20001), 0, -25, 0, id="R6"),  # better than the close
        pytest.param(Fill(at(1) + 1, 2, 20003, 0, "market", 0, "entry"), 12.5, 12.5, 0, id="R7"),  # later
        # A limit order against its price.
        pytest.param(Fill(at(3), -2, 20032, 0, "limit", 20032, "take_profit"), 0, 0, 0, id="R8"),
        pytest.param(Fill(at(3), -2, 20031, 0, "limit", 20032, "take_profit"), 12.5, 12.5, 0, id="R9"),
        # A stop against its trigger, or the open of a bar that opened beyond it.
        pytest.param(Fill(at(2), -2, 19990, 0, "stop", 19990, "stop_loss"), 0, 0, 0, id="R10"),
        pytest.param(Fill(at(2), -2, 19988, 0, "stop", 19990, "stop_loss"), 12.5, 12.5, 25, id="R11"),
        pytest.param(Fill(at(4), 2, 20061, 0, "stop", 20040, "stop_loss"), 12.5, 12.5, 0, id="R12"),  # opened at 20,060
        pytest.param(Fill(at(4), -2, 20054, 0, "stop", 20055, "stop_loss"), 12.5, 12.5, 0, id="R13"),  # opened above it
        pytest.param(Fill(at(3) + 1, 2, 20061, 0, "stop", 20040, "stop_loss"), 12.5, 12.5, 0, id="R14"),  # in bar 4
        pytest.param(Fill(at(4) + 1, 2, 20061, 0, "stop", 20040, "stop_loss"), 12.5, 12.5, 0, id="R15"),  # later
        pytest.param(Fill(at(4), 1, 20061, 0, "stop", 20040, "stop_loss"), 6.25, 6.25, 0, id="R46"),  # a single unit
    ],
)  # fmt: skip
def test_cost_of_a_fill(fill: Fill, spread: float, slippage: float, impact: float) -> None:
    cost = fill_cost(record_of(fill).legs[0], fill)
    assert (cost.spread, cost.slippage, cost.impact) == (spread, slippage, impact)


LONG = (market(0, 2, 20001), Fill(at(3), -2, 20032, 420, "limit", 20032, "take_profit"))
SHORT = (market(1, -1, 20002), market(3, 1, 20030, "time_limit"))
WITHIN = (market(2, 1, 20012), market(2, -1, 20010, "signal"))
STOPPED = (market(1, -1, 20002), Fill(at(3), 1, 20026, 210, "stop", 20025, "stop_loss"))
SCALED = (market(0, 1, 20000), market(1, 3, 20004), market(2, -2, 20012, "signal"), market(3, -2, 20020, "stop_loss"))
OPEN = (market(3, 1, 20030),)


@pytest.mark.parametrize(
    ("fills", "figure", "expected"),
    [
        pytest.param(LONG, "direction", "long", id="R16"),
        pytest.param(LONG, "gross", 775.0, id="R17"),  # 31 ticks x 12.50 x 2
        pytest.param(LONG, "commission", 8.4, id="R18"),  # 4 x 2.10
        pytest.param(LONG, "pnl", 766.6, id="R19"),
        pytest.param(LONG, "mfe", 775.0, id="R20"),  # the take profit ended it: nothing beyond 20,032 was held
        pytest.param(LONG, "mae", -525.0, id="R21"),  # a low of 19,980: 21 ticks
        pytest.param(LONG, "duration_bars", 3, id="R22"),
        pytest.param(LONG, "duration_minutes", 3.0, id="R23"),
        pytest.param(LONG, "return_pct", 0.153312334383281, id="R24"),  # of 5,000.25 x 50 x 2
        pytest.param(LONG, "total_cost_est", 33.4, id="R25"),  # 8.40 and a tick of slippage at the entry
        pytest.param(SHORT, "direction", "short", id="R26"),
        pytest.param(SHORT, "gross", -350.0, id="R27"),  # 28 ticks against it
        pytest.param(SHORT, "mfe", 275.0, id="R28"),  # a low of 19,980: 22 ticks
        pytest.param(SHORT, "mae", -475.0, id="R29"),  # a high of 20,040: 38 ticks
        pytest.param(SHORT, "exit_reason", "time_limit", id="R30"),
        pytest.param(WITHIN, "mfe", 0.0, id="R31"),  # what the entry's bar did before the entry does not count
        pytest.param(WITHIN, "mae", -25.0, id="R32"),
        pytest.param(WITHIN, "duration_bars", 0, id="R33"),
        # Bar 3 rises from 20,012 to 20,040: the stop at 20,025 is filled at 20,026.
        pytest.param(STOPPED, "mfe", 275.0, id="R49"),  # a low of 19,980 in bar 2: 22 ticks
        pytest.param(STOPPED, "mae", -300.0, id="R50"),  # 24 ticks, not the 38 to the high
        pytest.param(SCALED, "units", 4, id="R34"),
        pytest.param(SCALED, "entry_price", 5_000.75, id="R35"),  # 1 at 20,000 and 3 at 20,004: 20,003
        pytest.param(SCALED, "exit_price", 5_004.0, id="R36"),  # 2 at 20,012 and 2 at 20,020: 20,016
        pytest.param(SCALED, "gross", 650.0, id="R37"),  # 13 ticks x 12.50 x 4
        # Three bought two ticks above the close, two sold ten below it: one tick of three and nine of two are impact.
        pytest.param(SCALED, "impact_cost", 262.5, id="R38"),
        pytest.param(SCALED, "total_cost_est", 341.8, id="R48"),  # 16.80 + 31.25 + 31.25 + 262.50
        pytest.param(OPEN, "exit_reason", "open_at_end", id="R39"),
        pytest.param(OPEN, "exit_price", 5_013.0, id="R40"),  # the last close, 20,052
        pytest.param(OPEN, "gross", 275.0, id="R41"),
        pytest.param(OPEN, "pnl", 272.9, id="R42"),  # one commission so far
        pytest.param(OPEN, "exit_time_ns", at(4), id="R43"),
        pytest.param(OPEN, "is_open", True, id="R44"),
        pytest.param(OPEN, "trade_id", "ESH4-1", id="R45"),
        pytest.param(OPEN, "duration_bars", 1, id="R47"),  # bar 3 to the last, bar 4
    ],
)
def test_round_trip(fills: tuple[Fill, ...], figure: str, expected: Any) -> None:
    (trade,) = build_trades(record_of(*fills))
    found = getattr(trade, figure)
    assert found == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected)


def test_a_flip_is_two_trades() -> None:
    fills = (market(0, 1, 20000), market(1, -1, 20002, "reverse"), market(1, -1, 20002), market(2, 1, 20012, "signal"))
    trades = build_trades(record_of(*fills))
    found = [(trade.trade_id, trade.direction, trade.gross, trade.commission) for trade in trades]
    assert found == [("ESH4-1", "long", 25.0, 4.2), ("ESH4-2", "short", -125.0, 4.2)]


def test_a_market_fill_before_the_first_bar_is_refused() -> None:
    with pytest.raises(InputError, match=rf"before the record's first bar \({at(0)} ns\), was {at(0) - 1} ns"):
        build_trades(record_of(Fill(at(0) - 1, 1, 20000, 0, "market", 0, "entry")))


def test_trades_of_several_instruments_come_in_the_order_of_their_exits_the_open_ones_last() -> None:
    first = record_of(market(0, 1, 20000), market(3, -1, 20030, "signal"), market(4, 1, 20052))
    second = record_of(market(1, 1, 20002), market(2, -1, 20012, "signal"))
    (other,) = second.legs
    named = replace(other, instrument=msgspec.structs.replace(other.instrument, instrument_id="NQH4.XCME"))
    both = replace(first, legs=(*first.legs, named))
    assert [trade.trade_id for trade in build_trades(both)] == ["NQH4-1", "ESH4-1", "ESH4-2"]
