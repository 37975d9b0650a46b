"""Runs to report on: a random walk, traded at random through a small cash book of its own."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.record import Fill, InstrumentRecord, RunRecord
from run.reports.metadata import CostAssumptions, ReportMetadata

MINUTE = 60_000_000_000
OPEN_MINUTE = 14 * 60 + 31  # close of New York's first minute in winter, UTC
ES = InstrumentSpec(
    instrument_id="ESH4.XCME",
    kind="future",
    tick_size=Decimal("0.25"),
    multiplier=50,
    commission_per_unit=Decimal("2.10"),
    commission_minimum=Decimal(0),
    calendar="CME Globex Equity",
)

MakeRun = Callable[..., RunRecord]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """Factory of runs: sessions, bars a session, holding time in bars (0 never trades), share of sides known ahead."""
    return random_run


@pytest.fixture(scope="session")
def metadata() -> ReportMetadata:
    """The least that a report must be told."""
    return ReportMetadata(
        title="backtest",
        bundle_id="demo-0123456789ab",
        window_start=dt.date(2024, 1, 2),
        window_end=dt.date(2024, 3, 1),
        run_seed=7,
        costs=CostAssumptions("2.10 USD per contract and side", 1, "market orders at the close decided on"),
    )


def random_run(
    sessions: int = 3, bars: int = 60, hold: int = 7, *, skill: float = 0.0, seed: int = 0, starting: float = 100_000.0
) -> RunRecord:
    rng = np.random.default_rng(seed)
    n = sessions * bars
    close = 20_000 + np.cumsum(rng.integers(-4, 5, n))
    open_ = np.concatenate(([20_000], close[:-1]))
    high, low = np.maximum(open_, close) + rng.integers(0, 3, n), np.minimum(open_, close) - rng.integers(0, 3, n)
    days = np.repeat(np.busday_offset("2024-01-02", np.arange(sessions), roll="forward"), bars)
    ts_ns = days.astype("datetime64[ns]").astype(np.int64) + MINUTE * (OPEN_MINUTE + np.tile(np.arange(bars), sessions))
    series = BarSeries(
        "ESH4.XCME-1-MINUTE-LAST-EXTERNAL", ts_ns, open_, high, low, close, np.full(n, 900), True, 2.5e15
    )
    fills, position, cash = _trade_at_random(series, bars, hold, skill, rng)
    equity = starting + cash + position * close * 12.5
    leg = InstrumentRecord(ES, series, days, position, tuple(fills))
    return RunRecord((leg,), ts_ns, days, equity, starting, {"daily_loss": 3} if hold else {})


def _trade_at_random(
    series: BarSeries, bars: int, hold: int, skill: float, rng: np.random.Generator
) -> tuple[list[Fill], np.ndarray, np.ndarray]:
    fills: list[Fill] = []
    position, cash = np.zeros(len(series), np.int64), np.zeros(len(series))
    entries = range(1, len(series) - hold, hold + 5) if hold else ()
    for entry in entries:
        leave = entry + hold
        if entry // bars != leave // bars:
            continue  # never overnight
        side = int(rng.choice([-1, 1]))
        if rng.random() < skill:
            side = 1 if series.close[leave] > series.close[entry] else -1
        reason = str(rng.choice(["stop_loss", "take_profit", "time_limit", "signal"]))
        for bar, units, why in ((entry, side, "entry"), (leave, -side, reason)):
            price = int(series.close[bar]) + units  # one tick worse than the close
            fills.append(Fill(int(series.ts_ns[bar]), units, price, 210, "market", 0, why))
            position[bar:] += units
            cash[bar:] -= units * price * 12.5 + 2.10
    return fills, position, cash
