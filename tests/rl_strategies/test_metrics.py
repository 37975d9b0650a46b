"""A run small enough to work out on paper, and the windows that are too short to say much."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord
from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.metrics import compute_metrics
from rl_strategies.analysis.trades import build_trades

MINUTE = 60_000_000_000
SPY = InstrumentSpec(
    instrument_id="SPY.EQUS",
    kind="equity",
    tick_size=Decimal("0.01"),
    multiplier=1,
    commission_per_unit=Decimal("0.005"),
    commission_minimum=Decimal(1),
    calendar="NYSE",
)


def record_of(closes: list[list[int]], fills: tuple[Fill, ...], starting: float = 10_000.0) -> RunRecord:
    """Sessions of one-minute bars without range; equity from a cash book."""
    close = np.array([tick for day in closes for tick in day], dtype=np.int64)
    days = np.datetime64("2024-03-04") + np.repeat(np.arange(len(closes)), [len(day) for day in closes])
    minute = np.concatenate([np.arange(len(day)) for day in closes])
    ts_ns = days.astype("datetime64[ns]").astype(np.int64) + (14 * 60 + 31 + minute) * MINUTE
    bars = BarSeries(
        "SPY.EQUS-1-MINUTE-LAST-EXTERNAL",
        ts_ns,
        close,
        close,
        close,
        close,
        np.full(len(close), 500),
        True,
        1e14,
    )
    filled = np.searchsorted(ts_ns, [fill.ts_ns for fill in fills])
    position, cash_cents = np.zeros(len(close), np.int64), np.zeros(len(close), np.int64)
    for bar, fill in zip(filled, fills, strict=True):
        position[bar:] += fill.units
        cash_cents[bar:] -= fill.units * fill.price_ticks + fill.commission_cents
    equity = starting + (cash_cents + position * close) / 100
    leg = InstrumentRecord(SPY, bars, days, position, fills)
    return RunRecord((leg,), bars.ts_ns, days, equity, starting, {})


def fill(day: int, minute: int, units: int, price: int, reason: str = "entry") -> Fill:
    ts = np.datetime64("2024-03-04", "ns").astype(np.int64) + (day * 1440 + 14 * 60 + 31 + minute) * MINUTE
    return Fill(int(ts), units, price, 100, "market", 0, reason)


# Day 1: long 10 from 500.00 to 501.00. Day 2: short 10 from 502.01 (a tick worse than 502.02) to 503.00.
CLOSES = [[50000, 50050, 50100, 50100], [50202, 50250, 50300, 50300]]
FILLS = (fill(0, 0, 10, 50000), fill(0, 2, -10, 50100, "signal"),
         fill(1, 0, -10, 50201), fill(1, 2, 10, 50300, "stop_loss"))  # fmt: skip


def test_two_days_by_hand() -> None:
    record = record_of(CLOSES, FILLS)
    metrics = compute_metrics(record, build_trades(record))
    assert (metrics.sessions, metrics.bars) == (2, 8)
    assert metrics.net_pnl_usd == pytest.approx(-3.90)  # +10.00 - 9.90 - 4 commissions of 1.00
    assert metrics.final_equity_usd == pytest.approx(9_996.10)
    assert metrics.unreconciled_usd == 0
    assert metrics.total_return_pct == pytest.approx(-0.039)
    assert metrics.mean_daily_pnl_usd == pytest.approx(-1.95)
    # Equity: 9999, 10004, 10008, 10008 | 10006.90, 10002.10, 9996.10, 9996.10
    assert metrics.max_drawdown_usd == pytest.approx(11.90)
    assert metrics.max_drawdown_pct == pytest.approx(100 * 11.90 / 10_008)
    assert (metrics.recovery_bars, metrics.recovery_minutes, metrics.recovery_sessions) == (None, None, None)
    assert (metrics.trades, metrics.open_trades, metrics.trades_per_session) == (2, 0, 1.0)
    assert metrics.win_rate_pct == 50.0
    assert metrics.profit_factor == pytest.approx(8.00 / 11.90)
    assert (metrics.average_win_usd, metrics.average_loss_usd) == (8.0, pytest.approx(-11.90))
    assert metrics.expectancy_usd == pytest.approx(-1.95)
    assert (metrics.average_duration_bars, metrics.average_duration_minutes) == (2.0, 2.0)
    assert (metrics.long_trades, metrics.short_trades) == (1, 1)
    assert (metrics.long_pnl_usd, metrics.short_pnl_usd) == (8.0, pytest.approx(-11.90))
    assert metrics.exposure_pct == 50.0  # two bars of four, both days
    assert metrics.traded_notional_usd == pytest.approx(5_000.0 + 5_010.0 + 5_020.10 + 5_030.0)
    assert metrics.turnover == pytest.approx(20_060.10 / record.equity_usd.mean())
    assert metrics.turnover_per_session == pytest.approx(metrics.turnover / 2)
    assert (metrics.commission_usd, metrics.total_cost_usd) == (4.0, pytest.approx(4.10))
    assert (metrics.spread_cost_usd, metrics.slippage_cost_usd, metrics.impact_cost_usd) == pytest.approx(
        (0.05, 0.05, 0.0)
    )


def test_two_days_are_too_few_for_ratios() -> None:
    record = record_of(CLOSES, FILLS)
    metrics = compute_metrics(record, build_trades(record))
    for name in ("sharpe", "sortino", "calmar", "annualised_return_pct", "volatility_pct", "var_95_usd",
                 "cvar_95_usd", "mean_daily_pnl_interval"):  # fmt: skip
        assert getattr(metrics, name) is None, name


def test_no_trades() -> None:
    record = record_of([[50000, 50000]] * 25, ())
    metrics = compute_metrics(record, [])
    assert (metrics.net_pnl_usd, metrics.turnover, metrics.exposure_pct) == (0.0, 0.0, 0.0)
    assert (metrics.annualised_return_pct, metrics.var_95_usd, metrics.recovery_bars) == (0.0, None, 0)
    assert metrics.undefined["var_95_usd"] == metrics.undefined["cvar_95_usd"] == "no session gained or lost"
    for name in ("sharpe", "sortino", "calmar", "win_rate_pct", "profit_factor", "expectancy_usd"):
        assert getattr(metrics, name) is None, name


def test_a_trade_without_result_is_no_win() -> None:
    fills = (fill(0, 0, 100, 50000), fill(0, 1, -100, 50002, "signal"))  # 2.00 USD made, 2.00 USD of commission
    record = record_of([[50000, 50002]], fills)
    metrics = compute_metrics(record, build_trades(record))
    assert (metrics.win_rate_pct, metrics.expectancy_usd) == (0.0, 0.0)
    assert (metrics.profit_factor, metrics.average_win_usd, metrics.average_loss_usd) == (None, None, None)


def test_recovery_across_sessions() -> None:
    closes = [[50000, 49900], [49800, 50000], [50100, 50100]]
    record = record_of(closes, (fill(0, 0, 10, 50000),))
    metrics = compute_metrics(record, build_trades(record))
    # Start 10000, first bar 9999 after commission, trough 9979 at the third bar, 10009 at the fifth.
    assert metrics.max_drawdown_usd == pytest.approx(21.0)
    assert (metrics.recovery_bars, metrics.recovery_sessions) == (2, 1)
    assert metrics.recovery_minutes == 1440.0
    assert metrics.open_trades == 1
    assert metrics.trades == 0
    assert metrics.unreconciled_usd == 0
    assert build_trades(record)[0].session_date == dt.date(2024, 3, 4)


def test_an_account_that_the_trades_do_not_explain_is_told() -> None:
    record = record_of(CLOSES, FILLS)
    assert compute_metrics(record, build_trades(record)[:1]).unreconciled_usd == pytest.approx(-11.90)


def test_ruin_gives_no_return_ratios() -> None:
    record = record_of([[50000, 40000]] + [[40000, 40000]] * 6, (fill(0, 0, 100, 50000),), starting=9_000.0)
    metrics = compute_metrics(record, build_trades(record))
    assert metrics.total_return_pct < -100
    assert (metrics.sharpe, metrics.sortino, metrics.volatility_pct, metrics.turnover) == (
        None,
        None,
        None,
        None,
    )


def test_empty_window_is_refused() -> None:
    record = record_of(CLOSES, ())
    leg = replace(record.legs[0], bars=record.legs[0].bars.slice(0, 0), position_units=np.zeros(0, np.int64))
    nothing = {name: getattr(record, name)[:0] for name in ("ts_ns", "session_date", "equity_usd")}
    empty = replace(record, legs=(leg,), **nothing)
    with pytest.raises(InputError, match=r"a record must have at least one bar of every instrument, had none"):
        compute_metrics(empty, [])
    with pytest.raises(InputError, match=r"buy and hold of SPY\.EQUS needs at least one bar, had none"):
        buy_and_hold(empty)


def test_buy_and_hold_by_hand() -> None:
    baseline = buy_and_hold(record_of(CLOSES, FILLS), units=400)
    # 400 x (503.00 - 500.00), commission 400 x 0.005 = 2.00 a side
    assert (baseline.pnl_usd, baseline.commission_usd) == (1_196.0, 4.0)
    assert baseline.equity_usd[[0, 3, -1]].tolist() == pytest.approx([9_998.0, 10_398.0, 11_196.0])


def test_buy_and_hold_takes_the_size_of_the_run_and_the_minimum_commission() -> None:
    baseline = buy_and_hold(record_of(CLOSES, FILLS))
    assert (baseline.units, baseline.commission_usd) == ((10,), 2.0)
    assert buy_and_hold(record_of(CLOSES, ())).units == (1,)
    with pytest.raises(InputError, match="at least 1 unit, was 0"):
        buy_and_hold(record_of(CLOSES, ()), units=0)
