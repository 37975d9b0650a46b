"""What a session tells its telemetry store: rows that fit the tables, trades that add up to the account."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.accounting.record import Fill, FillReason
from rl_strategies.decision.core import Review
from rl_strategies.live.session_telemetry import InstrumentTelemetry, SessionTelemetry
from rl_strategies.risk.monitor import Transition, Vitals
from run.trade.monitoring.telemetry_store import TABLES
from tests.live.resumable_session import ResumableSession

Rows = list[tuple[str, dict[str, Any]]]
SECOND_NS = 10**9


@pytest.fixture
def rows() -> Rows:
    """Everything published."""
    return []


@pytest.fixture
def telemetry(rows: Rows) -> SessionTelemetry:
    return SessionTelemetry(lambda table, row: rows.append((table, dict(row))))


@pytest.fixture
def traded(rows: Rows) -> InstrumentTelemetry:
    """Of a future with ticks of 0.25 that are worth 1.25 USD each."""
    spec = resolve("MESZ6", instruments_path(), date(2026, 10, 1))
    return InstrumentTelemetry(lambda table, row: rows.append((table, dict(row))), spec)


def fill(ts_ns: int, units: int, ticks: int, reason: FillReason = "signal", cents: int = 62) -> Fill:
    return Fill(ts_ns, units, ticks, cents * abs(units), "market", 0, reason)


def test_a_decision_says_its_probabilities_and_the_account(
    traded: InstrumentTelemetry, telemetry: SessionTelemetry, rows: Rows
) -> None:
    logits = np.array([-np.inf, 0.0, math.log(3.0)], np.float32)
    traded.decision(7, Review(1, 2, "no_trade_window"), logits, 0.0025)
    telemetry.equity(7, 100_010.5, 100_000.25)
    (decision, said), (equity, worth) = rows
    assert (decision, equity) == ("decisions", "equity")
    assert said.pop("probabilities") == pytest.approx([0.0, 0.25, 0.75])
    assert said == {
        "ts_ns": 7, "instrument_id": "MESZ6.XCME", "target": 1, "review": "no_trade_window", "latency_us": 2500.0,
    }  # fmt: skip
    assert worth == {"ts_ns": 7, "equity_usd": 100_010.5, "cash_usd": 100_000.25}


def test_a_round_trip_in_parts_is_one_trade(traded: InstrumentTelemetry, rows: Rows) -> None:
    fills = [
        fill(1, 2, 24000, "entry"),
        fill(2, 1, 24003, "entry"),
        fill(3, -1, 24010),
        fill(4, -2, 23998, "stop_loss"),
    ]
    units = 0
    for n in range(1, 5):
        units += fills[n - 1].units
        traded.fill(fills[:n], units)
    positions = [(row["units"], row["price"]) for table, row in rows if table == "positions"]
    assert positions == [(2.0, 6000.0), (3.0, 6000.75), (2.0, 6002.5), (0.0, 5999.5)]
    (trade,) = [row for table, row in rows if table == "trades"]
    assert trade == {
        "ts_ns": 4, "instrument_id": "MESZ6.XCME", "side": "long", "units": 3.0, "entry_price": 6000.25,
        "exit_price": pytest.approx((6002.5 + 2 * 5999.5) / 3), "entry_ts_ns": 1,
        # Ticks won: 10 - 2 x 2 - 3 = 3, each 1.25 USD; six sides at 0.62 USD.
        "net_usd": pytest.approx(3 * 1.25 - 6 * 0.62), "reason": "stop_loss",
    }  # fmt: skip


def test_only_the_last_round_trip_is_the_trade(traded: InstrumentTelemetry, rows: Rows) -> None:
    before = [fill(1, 1, 24000), fill(2, -1, 24100)]
    traded.fill([*before, fill(3, -2, 24200, "entry"), fill(4, 2, 24180, "take_profit")], 0)
    (trade,) = [row for table, row in rows if table == "trades"]
    assert (trade["side"], trade["units"], trade["entry_ts_ns"], trade["reason"]) == ("short", 2.0, 3, "take_profit")
    assert (trade["entry_price"], trade["exit_price"]) == (6050.0, 6045.0)
    assert trade["net_usd"] == pytest.approx(2 * 20 * 1.25 - 4 * 0.62)


def vitals(ts_ns: int, latency_s: float | None = 0.004) -> Vitals:
    return Vitals(
        ts_ns=ts_ns, session=None, equity_usd=1.0, gross_exposure_usd=0.0, is_flat=True, rejects=0,
        decision_latency_s=latency_s, clock_drift_s=None, data_age_s=1.5,
    )  # fmt: skip


def test_health_is_told_every_five_seconds_with_every_limit(telemetry: SessionTelemetry, rows: Rows) -> None:
    for second in range(100, 111):
        telemetry.vitals(vitals(second * SECOND_NS), [("daily_loss", 0.01, 0.02), ("var", None, 0.05)])
    assert [row["ts_ns"] // SECOND_NS for table, row in rows if table == "health"] == [100, 105, 110]
    assert rows[:3] == [
        ("health", {"ts_ns": 100 * SECOND_NS, "data_age_s": 1.5, "latency_us": 4000.0, "clock_drift_s": None}),
        ("limits", {"ts_ns": 100 * SECOND_NS, "name": "daily_loss", "used": 0.01, "allowed": 0.02}),
        ("limits", {"ts_ns": 100 * SECOND_NS, "name": "var", "used": None, "allowed": 0.05}),
    ]
    telemetry.vitals(vitals(200 * SECOND_NS, None), [])
    assert rows[-1][1]["latency_us"] is None


def test_a_change_of_risk_is_an_alert(telemetry: SessionTelemetry, rows: Rows) -> None:
    telemetry.risk(Transition(9, "normal", "flatten", "daily_loss must stay below 0.02, was 0.021"))
    telemetry.state(10, "connection", "down", "")
    assert rows == [
        ("alerts", {"ts_ns": 9, "level": "flatten", "message": "daily_loss must stay below 0.02, was 0.021"}),
        ("states", {"ts_ns": 10, "kind": "connection", "state": "down", "reason": ""}),
    ]


def test_the_trades_of_a_session_add_up_to_its_account_and_every_row_fits_its_table(tmp_path: Path) -> None:
    session, chance = ResumableSession(tmp_path), np.random.default_rng(11)
    session.trade(chance, 385, 60)
    bar = 445
    while session.units != 0:
        session.trade(chance, bar, 1)
        bar += 1
    won = session.strategy.core.account.balance_cents - session.strategy.core.execution.starting_cents
    trades = [row for table, row in session.published if table == "trades"]
    assert round(100 * sum(row["net_usd"] for row in trades)) == won != 0
    assert len(trades) > 3
    assert {table for table, _ in session.published} >= {"decisions", "equity", "positions", "trades", "states"}
    for table, row in session.published:
        assert row.keys() <= {"ts_ns", *TABLES[table].c.keys()}
