"""The account's path rebuilt from fills."""

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.accounting.account import Traded, build_record
from rl_strategies.accounting.record import Fill
from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.metrics import compute_metrics
from rl_strategies.analysis.trades import build_trades

MINUTE = 60_000_000_000
DAYS = np.array(["2025-08-01"] * 4, "datetime64[D]")


@pytest.fixture
def bars() -> BarSeries:
    """Four minutes of MES: 6,000.00, 6,001.00, 5,999.00, 6,002.00."""
    close = np.array([24_000, 24_004, 23_996, 24_008])
    ts_ns = MINUTE * np.arange(1, 5)
    return BarSeries("MESU5.XCME-1-MINUTE-LAST-EXTERNAL", ts_ns, close, close, close, close, close, True, 2.5e15)


def fill(ts_ns: int, units: int, price_ticks: int, cents: int) -> Fill:
    """A market fill."""
    return Fill(ts_ns, units, price_ticks, cents, "market", 0, "entry")


def test_marked_at_every_close(bars: BarSeries) -> None:
    instrument = resolve("MESU5", instruments_path())
    fills = [fill(MINUTE, 2, 24_000, 124), fill(3 * MINUTE, -2, 23_995, 124)]
    record = build_record([Traded(instrument, bars, DAYS, fills)], 1_000_000, {"x": 1})
    # Bought 2 at 6,000.00 for 1.24; +1.00 is 10 USD; sold at 5,998.75: −12.50, another 1.24.
    assert record.equity_usd.tolist() == [9998.76, 10008.76, 9985.02, 9985.02]
    assert record.legs[0].position_units.tolist() == [2, 2, 0, 0]
    assert record.refusals == {"x": 1}


def test_who_never_trades_keeps_the_cash(bars: BarSeries) -> None:
    record = build_record([Traded(resolve("MESU5", instruments_path()), bars, DAYS, [])], 1_000_000, {})
    assert record.equity_usd.tolist() == [10_000.0] * 4
    assert record.legs[0].position_units.tolist() == [0] * 4


def test_late_fill_belongs_to_the_last_bar_and_an_early_one_is_an_error(bars: BarSeries) -> None:
    instrument = resolve("MESU5", instruments_path())
    late = build_record([Traded(instrument, bars, DAYS, [fill(9 * MINUTE, 1, 24_008, 62)])], 1_000_000, {})
    assert late.legs[0].position_units.tolist() == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="must not be before the first bar"):
        build_record([Traded(instrument, bars, DAYS, [fill(1, 1, 24_000, 62)])], 1_000_000, {})


def test_a_portfolio_is_one_account_marked_at_last_closes(bars: BarSeries) -> None:
    mes, spy = resolve("MESU5", instruments_path()), resolve("SPY", instruments_path())
    close = np.array([60_000, 60_100])  # 600.00 and 601.00, closed at minutes 2 and 4
    others = BarSeries("SPY.EQUS-1-MINUTE-LAST-EXTERNAL", MINUTE * np.array([2, 4]), *[close] * 5, True, 1e14)
    bought = [fill(2 * MINUTE + 1, 10, 60_001, 100), fill(4 * MINUTE + 1, -10, 60_099, 100)]
    legs = [
        Traded(mes, bars, DAYS, [fill(MINUTE + 1, 2, 24_000, 124), fill(3 * MINUTE + 1, -2, 23_995, 124)]),
        Traded(spy, others, DAYS[:2], bought),
    ]
    record = build_record(legs, 1_000_000, {})
    assert record.ts_ns.tolist() == bars.ts_ns.tolist()
    # MES as if alone; SPY costs a tick of 10 shares and 1.00, stands at 600.00 until minute 4 and is sold at 600.99.
    assert record.equity_usd.tolist() == [9998.76, 10008.76 - 1.10, 9985.02 - 1.10, 9985.02 + 9.80 - 2.00]
    assert [leg.position_units.tolist() for leg in record.legs] == [[2, 2, 0, 0], [10, 0]]
    assert record.open_positions.tolist() == [1, 2, 1, 0]
    assert record.fill_count == 4
    trades = build_trades(record)
    assert [(trade.ticker, trade.pnl) for trade in trades] == [("MESU5", -14.98), ("SPY", 7.8)]
    metrics = compute_metrics(record, trades)
    assert metrics.unreconciled_usd == 0.0
    assert metrics.exposure_pct == 75.0
    held = buy_and_hold(record)
    # 2 contracts from 6,000.00 to 6,002.00 at 5 USD a point, 10 shares from 600.00 to 601.00, four commissions.
    assert held.units == (2, 10)
    assert held.pnl_usd == pytest.approx(20.0 + 10.0 - 4 * 0.62 - 2 * 1.0)
    assert held.equity_usd[-1] == pytest.approx(10_000 + held.pnl_usd)
