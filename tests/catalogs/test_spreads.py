"""Spreads by time of day, against spreads that were put into quotes and bars by hand."""

from pathlib import Path

import numpy as np
import pytest

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from catalogs.spreads.estimates import SpreadMethod, spreads_from_bars, spreads_from_quotes
from catalogs.spreads.table import read_spreads, write_spreads

MINUTE = 60 * 10**9
OPEN = 1_736_260_200 * 10**9  # Tuesday, 7 January 2025, 09:30 in New York
NYSE = session_calendar("NYSE")
ESTIMATORS: list[SpreadMethod] = ["abdi-ranaldo", "corwin-schultz"]


def bars_of(columns: np.ndarray, first_minute: int = 1) -> BarSeries:
    """One-minute bars of a session from rows of open, high, low, close in ticks."""
    ts_ns = OPEN + (np.arange(len(columns)) + first_minute) * MINUTE
    prices = [column.copy() for column in columns.astype(np.int64).T]
    return BarSeries("SPY.EQUS-1-MINUTE-LAST-EXTERNAL", ts_ns, *prices, np.full(len(columns), 100), True, 1e14)


def bounces(count: int, half: int) -> np.ndarray:
    """Bars in which nothing happens but trades at bid and ask around 100,000 ticks."""
    closes = 100_000 + half * np.where(np.arange(count) % 2, 1, -1)
    return np.stack([closes, np.full(count, 100_000 + half), np.full(count, 100_000 - half), closes], axis=1)


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_bounce_around_a_still_price_is_the_spread(method: SpreadMethod) -> None:
    # 20 ticks wide in the first hour, 6 afterwards: both formulas are exact where the price stands still.
    rows = np.concatenate([bounces(60, 10), bounces(150, 3)])
    found = spreads_from_bars(bars_of(rows), NYSE, method, 60)
    assert [(bucket.minute, bucket.count, bucket.of_session) for bucket in found] == [
        (0, 59, False), (60, 60, False), (120, 60, False), (180, 30, False),
    ]  # fmt: skip
    # The pair across the hour has both.
    expected = [pytest.approx(20, abs=0.01), pytest.approx(6, abs=0.7), *[pytest.approx(6, abs=0.01)] * 2]
    assert [bucket.spread_ticks for bucket in found] == expected
    assert found[0].spread_bps == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("method", ESTIMATORS)
def test_no_spread_is_below_a_tick(method: SpreadMethod) -> None:
    rows = np.full((60, 4), 50_000)
    assert [bucket.spread_ticks for bucket in spreads_from_bars(bars_of(rows), NYSE, method, 30)] == [1.0, 1.0]


def test_the_estimate_finds_the_spread_under_a_moving_price() -> None:
    # 390 trades a bar at a mid that walks, half a spread of 12 ticks away from it on either side.
    random = np.random.default_rng(4)
    mid = 200_000 + np.cumsum(random.normal(0, 0.6, (390, 390)).ravel()).reshape(390, 390)
    traded = np.rint(mid + 6 * random.choice([-1, 1], mid.shape))
    rows = np.stack([traded[:, 0], traded.max(1), traded.min(1), traded[:, -1]], axis=1)
    (found,) = spreads_from_bars(bars_of(rows), NYSE, "abdi-ranaldo", 390)
    assert found.spread_ticks == pytest.approx(12, rel=0.2)


def test_only_neighbours_of_one_session_are_compared() -> None:
    rows = bounces(70, 5)
    whole = bars_of(rows)
    kept = np.arange(70) % 2 == 0
    apart = BarSeries(
        whole.bar_type, whole.ts_ns[kept], *[getattr(whole, name)[kept] for name in ("open", "high", "low", "close")],
        whole.volume[kept], True, 1e14,
    )  # fmt: skip
    with pytest.raises(InputError, match="a spread needs 30 observations in sessions, had 0"):
        spreads_from_bars(apart, NYSE, "abdi-ranaldo", 30)
    before = bars_of(rows, first_minute=-100)
    with pytest.raises(InputError, match="had 0"):
        spreads_from_bars(before, NYSE, "abdi-ranaldo", 30)


def test_quotes_count_where_they_stand_at_whole_minutes() -> None:
    # One quote a minute, 20 s in: 2 ticks wide in the first half hour, 4 afterwards, none from minute 50 to 60.
    minutes = np.r_[0:50, 60:90]
    ts_ns = OPEN + minutes * MINUTE + 20 * 10**9
    bid = np.full(len(minutes), 1_000.0)
    ask = bid + np.where(minutes < 30, 2, 4)
    # Between two minutes it is wide, crossed or one-sided, which nobody meets.
    noise = ts_ns + 5 * 10**9
    ts_ns, bid, ask = (
        np.stack(pair, axis=1).ravel()
        for pair in ((ts_ns, noise), (bid, np.where(minutes % 2, 2_000.0, 0.0)), (ask, np.full(len(minutes), 1_001.0)))
    )
    found = spreads_from_quotes(ts_ns, bid, ask, NYSE, 35, "quotes")
    # Minutes 1 to 54, when the quote of minute 49 is stale, and 61 to 90. The quote of minute 29 stands at 30.
    assert [(bucket.minute, bucket.count, bucket.of_session) for bucket in found] == [
        (0, 34, False), (35, 29, True), (70, 21, True),
    ]  # fmt: skip
    assert found[0].spread_ticks == pytest.approx((30 * 2 + 4 * 4) / 34, abs=1e-3)
    assert found[1].spread_ticks == pytest.approx((30 * 2 + 54 * 4) / 84, abs=1e-3)


@pytest.mark.parametrize(
    ("bid", "ask", "said"),
    [
        (1_000.0, 1_000.0, "no quote has a bid below its ask"),
        (0.0, 1_000.0, "no quote has a bid below its ask"),
        (1_000.0, 1_001.0, "a spread needs 30 observations in sessions, had 1"),
    ],
)
def test_quotes_that_say_nothing_are_refused(bid: float, ask: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        spreads_from_quotes(np.array([OPEN + 1]), np.array([bid]), np.array([ask]), NYSE, 30, "quotes")


@pytest.mark.parametrize("minutes", [0, 7, -5])
def test_times_of_day_are_multiples_of_five_minutes(minutes: int) -> None:
    with pytest.raises(InputError, match=f"minutes must be a multiple of 5, was {minutes}"):
        spreads_from_bars(bars_of(bounces(60, 1)), NYSE, "abdi-ranaldo", minutes)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = {"SPY.EQUS": [(0, 2.25), (30, 1.0)], "ES.XCME": [(0, 1.125)]}
    write_spreads(tmp_path / "t.csv", table, ("a note",))
    assert (tmp_path / "t.csv").read_text().splitlines()[:3] == [
        "# a note", "instrument,minute,spread_ticks", "SPY.EQUS,0,2.25",
    ]  # fmt: skip
    assert read_spreads(tmp_path / "t.csv") == table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("", "columns must be instrument, minute, spread_ticks, were nothing"),
        ("instrument,minute\n", "columns must be instrument, minute, spread_ticks, were instrument, minute"),
        ("instrument,minute,spread_ticks\n", "has no rows"),
        ("instrument,minute,spread_ticks\nSPY.EQUS,0\n", "row 1"),
        ("instrument,minute,spread_ticks\nSPY.EQUS,0,1\nSPY.EQUS,x,1\n", "row 2"),
        ("instrument,minute,spread_ticks\nSPY.EQUS,5,1\n", "must begin at minute 0, began at 5"),
        ("instrument,minute,spread_ticks\nSPY.EQUS,0,nan\n", "must be from 0 to 10000 ticks, was nan"),
    ],
)
def test_a_table_that_is_none_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_spreads(path)
