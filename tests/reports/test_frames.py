"""The CSV tables against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rl_strategies.accounting.record import Fill
from rl_strategies.analysis.trades import build_trades
from run.reports.frames import daily_report, portfolio_history, trade_table

FIRST_BAR = int(np.datetime64("2024-01-02T14:31", "ns").astype(np.int64))
MINUTE = 60_000_000_000


@pytest.fixture
def two_days(make_run):
    """Two sessions of four bars: long from 20001 to a limit at 20011, next day short from 20010 to 20012."""
    record = make_run(sessions=2, bars=4, hold=0)
    fills = (
        Fill(FIRST_BAR + MINUTE, 1, 20_001, 210, "market", 0, "entry"),
        Fill(FIRST_BAR + 3 * MINUTE, -1, 20_011, 210, "limit", 20_011, "take_profit"),
        Fill(FIRST_BAR + 1440 * MINUTE, -1, 20_010, 210, "market", 0, "entry"),
        Fill(FIRST_BAR + 1442 * MINUTE, 1, 20_012, 210, "market", 0, "signal"),
    )
    position = np.array([0, 1, 1, 0, -1, -1, 0, 0])
    equity = np.array([100_000, 99_990, 100_050, 100_120.8, 100_118.7, 100_143.7, 100_091.6, 100_091.6])
    leg = replace(record.legs[0], fills=fills, position_units=position)
    return replace(record, legs=(leg,), equity_usd=equity)


def test_portfolio_history(two_days) -> None:
    frame = portfolio_history(two_days)
    assert list(frame) == ["ts", "equity", "open_positions", "turnover", "units_ESH4"]
    assert frame["ts"].iloc[[0, -1]].tolist() == ["2024-01-02T14:31:00.000Z", "2024-01-03T14:34:00.000Z"]
    assert frame["open_positions"].tolist() == [0, 1, 1, 0, 1, 1, 0, 0]
    assert frame["units_ESH4"].tolist() == [0, 1, 1, 0, -1, -1, 0, 0]
    assert frame["turnover"].tolist() == [0, 250_012.5, 0, 250_137.5, 250_125, 0, 250_150, 0]  # ticks x 12.50 USD
    assert frame["equity"].iloc[3] == 100_120.8


def test_daily_report(two_days) -> None:
    frame = daily_report(two_days, build_trades(two_days))
    first, second = frame.to_dict("records")
    assert list(frame) == [
        "session_date", "pnl", "intraday_max_drawdown", "sharpe_proxy", "trades", "costs", "end_equity",
    ]  # fmt: skip
    assert (first["session_date"], second["session_date"]) == ("2024-01-02", "2024-01-03")
    assert (first["pnl"], second["pnl"]) == (120.8, -29.2)
    assert (first["intraday_max_drawdown"], second["intraday_max_drawdown"]) == (10.0, 52.1)
    # Bars made 0, -10, 60, 70.80: mean 30.20, sample deviation 41.0288
    deviation = math.sqrt(((0 - 30.2) ** 2 + (-10 - 30.2) ** 2 + (60 - 30.2) ** 2 + (70.8 - 30.2) ** 2) / 3)
    assert first["sharpe_proxy"] == pytest.approx(30.2 / deviation * 2)
    # Bars made -2.10, 25, -52.10, 0: mean -7.30
    deviation = math.sqrt(((-2.1 + 7.3) ** 2 + (25 + 7.3) ** 2 + (-52.1 + 7.3) ** 2 + 7.3**2) / 3)
    assert second["sharpe_proxy"] == pytest.approx(-7.3 / deviation * 2)
    assert (first["trades"], second["trades"]) == (1, 1)
    assert (first["end_equity"], second["end_equity"]) == (100_120.8, 100_091.6)


def test_session_without_trades_has_no_ratio(make_run) -> None:
    (session,) = daily_report(make_run(sessions=1, hold=0), []).to_dict("records")
    assert math.isnan(session["sharpe_proxy"])
    assert (session["trades"], session["costs"], session["pnl"]) == (0, 0, 0)


def test_trade_table(two_days, metadata) -> None:
    frame = trade_table(build_trades(two_days), metadata)
    assert ",".join(frame) == (
        "ticker,direction,entry_time,exit_time,entry_price,exit_price,units,duration_bars,duration_minutes,pnl,mfe,mae,"
        "commission,spread_cost,slippage_cost,impact_cost,total_cost_est,return_pct,trade_id,run_seed,window_start,"
        "window_end,exit_reason"
    )
    row = frame.to_dict("records")[0]
    assert len(frame) == 2
    assert (row["entry_time"], row["exit_time"]) == ("2024-01-02T14:32:00.000Z", "2024-01-02T14:34:00.000Z")
    assert (row["entry_price"], row["exit_price"], row["pnl"]) == (5000.25, 5002.75, 120.8)
    assert (row["run_seed"], row["window_start"], row["window_end"]) == (7, "2024-01-02", "2024-03-01")
    assert (row["trade_id"], row["exit_reason"], row["direction"]) == ("ESH4-1", "take_profit", "long")


def test_no_trades_keep_the_columns(metadata) -> None:
    frame = trade_table([], metadata)
    assert len(frame) == 0
    assert len(frame.columns) == 23


def test_days_and_trades_add_up_to_the_account(make_run) -> None:
    record = make_run(sessions=6)
    trades = build_trades(record)
    daily = daily_report(record, trades)
    earned = record.equity_usd[-1] - record.starting_balance_usd
    assert daily["pnl"].sum() == pytest.approx(earned)
    assert daily["trades"].sum() == len(trades)
    assert pd.Series([trade.pnl for trade in trades]).sum() == pytest.approx(earned)
