"""Cells as a person reads them."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from rl_strategies.analysis.baselines import buy_and_hold
from rl_strategies.analysis.metrics import compute_metrics
from rl_strategies.analysis.trades import build_trades
from run.reports.formats import number, percent, usd
from run.reports.frames import daily_report
from run.reports.tables import (
    baseline_table,
    cost_table,
    exit_table,
    extreme_tables,
    period_table,
    reconciliation,
    result_table,
)

CHICAGO = ZoneInfo("America/Chicago")


def test_numbers() -> None:
    assert [number(-1234.5), number(0.5, signed=True), number(-0.001), number(None)] == [
        "−1,234.50",
        "+0.50",
        "0.00",
        "–",
    ]
    assert (percent(-1.234), usd(7, signed=True)) == ("−1.23 %", "+7.00 USD")


def test_costs_lead_from_before_to_after(make_run) -> None:
    record = make_run()
    metrics = compute_metrics(record, build_trades(record))
    cells = {row[0]: float(row[1].replace(",", "").replace("−", "-")) for row in cost_table(metrics).rows}
    kinds = [
        value for name, value in cells.items() if name.split()[0] in ("Commission", "Spread", "Slippage", "Impact")
    ]
    assert len(kinds) == 4
    assert cells["All costs"] == pytest.approx(sum(kinds))
    assert cells["PnL before costs"] - cells["All costs"] == pytest.approx(cells["PnL after costs"])
    # Every fill is one tick of 12.50 USD worse than its close and pays 2.10 USD.
    assert cells["All costs"] == pytest.approx(record.fill_count * 14.6)


@pytest.mark.parametrize(("sessions", "by", "first"), [(10, "week", "2024 week 01"), (80, "month", "2024-01")])
def test_periods_cover_the_window(make_run, sessions: int, by: str, first: str) -> None:
    record = make_run(sessions=sessions, bars=20)
    table = period_table(daily_report(record, build_trades(record)))
    assert table.caption == f"PnL by {by}"
    assert table.rows[0][0] == first
    assert sum(int(row[1]) for row in table.rows) == sessions


def test_worst_and_best_share_no_trade(make_run) -> None:
    trades = build_trades(make_run())
    for count in (1, 2, 5, 9, len(trades)):
        tables = extreme_tables(trades[:count], CHICAGO, 2)
        shown = [row[0] for table in tables for row in table.rows]
        assert len(shown) == len(set(shown)) == min(count, 10)
    worst, best = extreme_tables(trades, CHICAGO, 2)
    ranked = sorted(trades, key=lambda trade: trade.pnl)
    assert (worst.rows[0][0], best.rows[0][0]) == (ranked[0].trade_id, ranked[-1].trade_id)


def test_exits_count_every_trade(make_run) -> None:
    trades = build_trades(make_run(sessions=5))
    table = exit_table(trades)
    assert sum(int(row[1]) for row in table.rows) == len(trades)
    assert exit_table([]).rows == []


def test_baselines_stand_beside_the_result(make_run, metadata) -> None:
    record = make_run(sessions=12)
    metrics = compute_metrics(record, build_trades(record))
    told = replace(metadata, buy_and_hold=buy_and_hold(record), random_policy_pnl=np.arange(-50.0, 51.0))
    rows = {row[0]: row[1:] for row in baseline_table(metrics, told).rows}
    assert rows["Median of 101 random policies with the same turnover"] == ("0.00", "0.00 %", "−45.00 to 45.00")
    held = record.legs[0].bars.close[-1] - record.legs[0].bars.close[0]
    assert rows["Buy and hold (keeps its position overnight)"][0] == number(held * 12.5 - 4.2, signed=True)
    assert result_table(record, metrics, told).header == ("", "This policy", "Buy and hold")
    assert result_table(record, metrics, metadata).header == ("", "This policy")


def test_unexplained_money_is_named(make_run) -> None:
    record = make_run()
    metrics = compute_metrics(record, build_trades(record))
    assert reconciliation(metrics).endswith("to the cent.")
    broken = msgspec.structs.replace(metrics, unreconciled_usd=-3.25)
    assert reconciliation(broken) == "The trades leave −3.25 USD of the final equity unexplained."
