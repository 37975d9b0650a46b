"""Gaps and islands inside a session of 390 minutes."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity

from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path
from rl_strategies.live.data.bar_filter import BarFilter

MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS
OPEN = "2025-03-10T13:31"
Minutes = Callable[..., RawBars]


@pytest.mark.parametrize("missing", [[50], [50, 51], [50, 52, 60, 61]])
def test_short_gaps_are_filled_flat_at_the_last_close(
    spy: InstrumentSpec, minutes: Minutes, without: Minutes, missing: list[int]
) -> None:
    raw = minutes(OPEN, 390)
    cleaned = clean(without(raw, missing), spy, "1-MINUTE")
    bars = cleaned.bars
    assert np.array_equal(bars.ts_ns, raw.ts_ns)
    assert np.array_equal(cleaned.filled_ns, raw.ts_ns[missing])
    assert cleaned.report.count("gap_filled") == len(missing)
    # The close of minute 49 is 100.49; bars 50 and 51 are flat there and nothing traded.
    assert {int(column[50]) for column in (bars.open, bars.high, bars.low, bars.close)} == {10_049}
    assert bars.volume[50] == 0
    assert bars.volume[49] == 1_000


def test_a_longer_gap_is_counted_and_left(spy: InstrumentSpec, minutes: Minutes, without: Minutes) -> None:
    cleaned = clean(without(minutes(OPEN, 390), [50, 51, 52]), spy, "1-MINUTE", strict=True)
    [finding] = cleaned.report.findings
    assert (finding.rule, finding.count, finding.first) == ("gap_left", 3, "2025-03-10T14:21:00Z")
    assert len(cleaned.bars) == 387


def test_the_night_between_two_sessions_is_no_gap(spy: InstrumentSpec, minutes: Minutes, without: Minutes) -> None:
    two_days = minutes(OPEN, 24 * 60 + 390)  # the night's minutes lie outside the session
    cleaned = clean(without(two_days, [0, 389, 1440]), spy, "1-MINUTE")
    assert {finding.rule for finding in cleaned.report.findings} == {"out_of_session"}
    assert len(cleaned.bars) == 777


def rows_of(*spans: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.arange(first, stop) for first, stop in spans])


@pytest.mark.parametrize("island", [(200, 201), (200, 202)])
def test_an_island_in_a_steady_session_is_noted_and_kept(
    spy: InstrumentSpec, minutes: Minutes, island: tuple[int, int]
) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 190), island, (210, 390)))
    cleaned = clean(raw, spy, "1-MINUTE", strict=True)
    size = island[1] - island[0]
    assert cleaned.report.count("island") == size
    assert np.array_equal(cleaned.bars.ts_ns, raw.ts_ns)


def test_three_bars_are_no_island(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 190), (200, 203), (210, 390)))
    cleaned = clean(raw, spy, "1-MINUTE")
    assert cleaned.report.count("island") == 0
    assert len(cleaned.bars) == 373


@pytest.mark.parametrize("edge", [(0, 1), (2, 3), (388, 390), (387, 388)])
def test_bars_at_the_open_or_the_close_are_no_island(
    spy: InstrumentSpec, minutes: Minutes, edge: tuple[int, int]
) -> None:
    raw = minutes(OPEN, 390).take(np.union1d(np.arange(20, 370), rows_of(edge)))
    assert clean(raw, spy, "1-MINUTE").report.count("island") == 0


def test_a_stray_print_long_after_the_last_bar_is_an_island(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 390).take(rows_of((0, 300), (350, 351)))
    assert clean(raw, spy, "1-MINUTE").report.count("island") == 1


def test_a_thinly_traded_session_keeps_every_bar(spy: InstrumentSpec, minutes: Minutes) -> None:
    thin = minutes(OPEN, 390).take(np.arange(5, 390, 20))
    steady = minutes("2025-03-11T13:31", 390)  # so that the usual distance is a minute
    both = RawBars(**{name: np.concatenate([getattr(thin, name), getattr(steady, name)]) for name in vars(thin)})
    cleaned = clean(both, spy, "1-MINUTE")
    assert cleaned.report.count("island") == 0
    assert len(cleaned.bars) == len(thin) + 390


def test_a_session_with_long_runs_in_less_than_half_of_it_is_thin(spy: InstrumentSpec, minutes: Minutes) -> None:
    # 160 of 390 minutes, almost all of them in one run, as an ETF trades that few hold.
    raw = minutes(OPEN, 390).take(rows_of((0, 150), *((minute, minute + 1) for minute in range(200, 300, 10))))
    cleaned = clean(raw, spy, "1-MINUTE", strict=True)
    assert cleaned.report.count("island") == 0
    assert len(cleaned.bars) == 160


@given(st.lists(st.integers(0, 389), min_size=11, unique=True).map(sorted))
def test_a_live_session_is_given_the_bars_that_an_import_keeps(traded: list[int]) -> None:
    spy = resolve("SPY", instruments_path())
    opens_ns = np.datetime64("2025-03-10T13:30", "ns").astype(np.int64) + MINUTE_NS * np.array(traded)
    price = np.full(len(traded), 100.0)
    raw = RawBars(opens_ns + MINUTE_NS, price, price, price, price, np.full(len(traded), 500.0))
    # A second session, so that the usual distance is a minute.
    later = raw.ts_ns[-1] // DAY_NS * DAY_NS + DAY_NS + (13 * 60 + 31) * MINUTE_NS + MINUTE_NS * np.arange(390)
    whole = RawBars(later, *(np.full(390, 100.0) for _ in range(4)), np.full(390, 500.0))
    both = RawBars(**{name: np.concatenate([getattr(raw, name), getattr(whole, name)]) for name in vars(raw)})
    cleaned = clean(both, spy, "1-MINUTE")
    kept = set(cleaned.bars.ts_ns[: -len(later)].tolist()) - set(cleaned.filled_ns.tolist())
    bar_type, judge = BarType.from_str("SPY.EQUS-1-MINUTE-LAST-EXTERNAL"), BarFilter(MINUTE_NS, spy.tick_raw)
    used = set()
    for open_ns in opens_ns.tolist():
        of_broker = Bar(bar_type, *(Price(100, 2) for _ in range(4)), Quantity(500, 0), open_ns, open_ns)
        judged = judge.judge(of_broker, open_ns + MINUTE_NS)
        if judged.verdict in ("next", "gap"):
            used.add(judged.bar.ts_event)
            judge.last_ns = judged.bar.ts_event
    assert used == kept


def test_a_half_day_is_not_eaten(spy: InstrumentSpec, minutes: Minutes) -> None:
    half_day = clean(minutes("2024-11-29T14:31", 210), spy, "1-MINUTE", strict=True)
    assert len(half_day.bars) == 210
