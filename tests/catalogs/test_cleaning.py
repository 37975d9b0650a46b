"""Every rule of import hygiene on bars in which one thing is wrong."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.instruments.specification import InstrumentSpec

OPEN = "2025-03-10T13:31"  # close of the first minute of a summer session of the NYSE
MINUTE_NS = 60 * 10**9
Minutes = Callable[..., RawBars]


def counts(raw: RawBars, spec: InstrumentSpec, bar: str = "1-MINUTE") -> dict[str, int]:
    report = clean(raw, spec, bar).report
    assert report.rows_read == len(raw)
    return {finding.rule: finding.count for finding in report.findings}


def test_clean_bars_pass_unchanged(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 390)
    cleaned = clean(raw, spy, "1-MINUTE", strict=True)
    bars = cleaned.bars
    assert cleaned.report.findings == ()
    assert (cleaned.report.rows_read, cleaned.report.rows_kept) == (390, 390)
    assert np.array_equal(bars.ts_ns, raw.ts_ns)
    assert bars.close[[0, 1, 389]].tolist() == [10_000, 10_001, 10_389]
    assert (bars.high - bars.close == 1).all()
    assert (bars.close - bars.low == 1).all()
    assert (bars.volume == 1_000).all()
    assert bars.volume_known
    assert bars.bar_type == "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
    assert len(cleaned.filled_ns) == 0


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("price_missing", {"close": np.nan}),
        ("price_missing", {"high": np.inf}),
        ("price_not_positive", {"low": 0.0}),
        ("price_not_positive", {"low": -1.0}),
        ("price_not_positive", {"low": 0.004}),  # nearer to zero than to one tick
        ("high_below_low", {"high": 99.0, "low": 99.5}),
        ("volume_invalid", {"volume": -3.0}),
        ("volume_invalid", {"volume": np.inf}),
    ],
)
def test_unusable_rows_are_left_out(
    spy: InstrumentSpec, minutes: Minutes, changed: Minutes, rule: str, values: dict[str, float]
) -> None:
    # The first bar, so that no gap opens inside the session.
    cleaned = clean(changed(minutes(OPEN, 30), 0, **values), spy, "1-MINUTE")
    assert [(finding.rule, finding.count, finding.first) for finding in cleaned.report.findings] == [
        (rule, 1, "2025-03-10T13:31:00Z")
    ]
    assert len(cleaned.bars) == 29


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("price_missing", {"close": np.nan}),
        ("ohlc_widened", {"close": 101.0}),
        ("volume_rounded", {"volume": 10.5}),
        ("volume_invalid", {"volume": -3.0}),
    ],
)
def test_a_strict_import_names_the_first_thing_to_mend(
    spy: InstrumentSpec, minutes: Minutes, changed: Minutes, rule: str, values: dict[str, float]
) -> None:
    raw = changed(minutes(OPEN, 30), 5, **values)
    with pytest.raises(InputError, match=f"strict import refused: {rule} at 2025-03-10T13:36:00Z") as refused:
        clean(raw, spy, "1-MINUTE", strict=True)
    assert "\n" not in str(refused.value)


def test_open_and_close_outside_high_and_low_widen_them(
    spy: InstrumentSpec, minutes: Minutes, changed: Minutes
) -> None:
    raw = changed(minutes(OPEN, 30), 5, open=99.0, close=101.0)
    cleaned = clean(raw, spy, "1-MINUTE")
    assert cleaned.report.count("ohlc_widened") == 1
    bars = cleaned.bars
    assert (bars.open[5], bars.high[5], bars.low[5], bars.close[5]) == (9_900, 10_100, 9_900, 10_100)


def test_prices_off_the_tick_go_to_the_nearest_one(mes: InstrumentSpec) -> None:
    raw = RawBars(
        ts_ns=np.array(["2025-03-10T14:00", "2025-03-10T14:01"], "datetime64[ns]").astype(np.int64),
        open=np.array([5000.10, 5000.25]),
        high=np.array([5000.40, 5001.00]),
        low=np.array([5000.05, 5000.00]),
        close=np.array([5000.20, 5000.75]),
        volume=np.array([1.0, 2.0]),
    )
    cleaned = clean(raw, mes, "1-MINUTE")
    assert cleaned.report.count("off_tick") == 1
    ticks = [cleaned.bars.open, cleaned.bars.high, cleaned.bars.low, cleaned.bars.close]
    # 5000.00 is 20,000 quarter points.
    assert [column.tolist() for column in ticks] == [
        [20_000, 20_001], [20_002, 20_004], [20_000, 20_000], [20_001, 20_003],
    ]  # fmt: skip


def test_bars_outside_the_session_are_dropped(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes("2025-03-10T13:21", 420)  # ten minutes before the open to twenty after the close
    cleaned = clean(raw, spy, "1-MINUTE")
    assert cleaned.report.count("out_of_session") == 30
    assert len(cleaned.bars) == 390


def test_a_half_day_ends_at_its_own_close(spy: InstrumentSpec, minutes: Minutes) -> None:
    cleaned = clean(minutes("2024-11-29T14:31", 390), spy, "1-MINUTE")
    assert cleaned.report.count("out_of_session") == 180
    assert len(cleaned.bars) == 210


def test_a_globex_session_runs_from_sunday_evening_over_midnight(mes: InstrumentSpec, minutes: Minutes) -> None:
    week_end = minutes("2025-03-09T20:01", 24 * 60 + 120)  # Sunday 15:01 to Monday 17:00 in Chicago
    week_end = replace(week_end, **{name: getattr(week_end, name) * 25 for name in ("open", "high", "low", "close")})
    cleaned = clean(week_end, mes, "1-MINUTE")
    assert cleaned.report.count("out_of_session") == 120 + 60
    assert len(cleaned.bars) == 23 * 60


def test_times_off_the_grid_are_refused(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 30)
    raw.ts_ns[0] += 1_000_000_000
    assert counts(raw, spy) == {"off_grid": 1}


def test_rows_out_of_order_are_sorted(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 30)
    cleaned = clean(raw.take(np.r_[10:30, 0:10]), spy, "1-MINUTE")
    assert cleaned.report.count("out_of_order") == 1
    assert np.array_equal(cleaned.bars.ts_ns, raw.ts_ns)
    assert cleaned.bars.close[0] == 10_000


def test_of_conflicting_duplicates_the_last_is_kept(spy: InstrumentSpec, minutes: Minutes, changed: Minutes) -> None:
    raw = minutes(OPEN, 30)
    doubled = changed(raw.take(np.r_[0:30, 3, 7]), 31, close=100.06)
    cleaned = clean(doubled, spy, "1-MINUTE")
    assert cleaned.report.count("duplicate_identical") == 1
    assert cleaned.report.count("duplicate_conflicting") == 1
    assert cleaned.bars.close[[3, 7]].tolist() == [10_003, 10_006]
    assert len(cleaned.bars) == 30


def test_duplicates_without_volume_are_identical(spy: InstrumentSpec, minutes: Minutes) -> None:
    raw = minutes(OPEN, 30, volume=np.nan)
    report = clean(raw.take(np.r_[0:30, 3]), spy, "1-MINUTE").report
    assert (report.count("duplicate_identical"), report.count("duplicate_conflicting")) == (1, 0)


def test_one_missing_volume_makes_all_unknown(spy: InstrumentSpec, minutes: Minutes, changed: Minutes) -> None:
    raw = changed(minutes(OPEN, 30), 4, volume=np.nan)
    cleaned = clean(raw, spy, "1-MINUTE", assume_volume=500, strict=True)
    assert not cleaned.bars.volume_known
    assert cleaned.bars.volume[3:6].tolist() == [1_000, 500, 1_000]
    assert cleaned.report.count("volume_unknown") == 1


def test_fractions_of_a_share_are_rounded(spy: InstrumentSpec, minutes: Minutes, changed: Minutes) -> None:
    cleaned = clean(changed(minutes(OPEN, 30), 4, volume=99.7), spy, "1-MINUTE")
    assert cleaned.bars.volume[4] == 100
    assert cleaned.report.count("volume_rounded") == 1


@pytest.mark.parametrize(("bar", "usual"), [("5-MINUTE", "1 minutes"), ("1-HOUR", "1 minutes")])
def test_a_wrong_bar_length_is_refused(spy: InstrumentSpec, minutes: Minutes, bar: str, usual: str) -> None:
    with pytest.raises(InputError, match=f"bars must be {bar} apart; most are {usual} apart"):
        clean(minutes(OPEN, 30), spy, bar)


@pytest.mark.parametrize("bar", ["1-DAY", "0-MINUTE", "MINUTE", "25-HOUR", "1-minute"])
def test_an_unknown_bar_length_is_refused(spy: InstrumentSpec, minutes: Minutes, bar: str) -> None:
    with pytest.raises(InputError, match="N-MINUTE or N-HOUR"):
        clean(minutes(OPEN, 30), spy, bar)


def test_nothing_at_all_is_refused(spy: InstrumentSpec, minutes: Minutes) -> None:
    with pytest.raises(InputError, match="the source has no bars"):
        clean(minutes(OPEN, 0), spy, "1-MINUTE")


def test_nothing_usable_is_refused_with_the_reason(spy: InstrumentSpec, minutes: Minutes) -> None:
    with pytest.raises(InputError, match=r"30 out_of_session.*time zone") as refused:
        clean(minutes("2025-03-10T03:00", 30), spy, "1-MINUTE")
    assert "\n" not in str(refused.value)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_shuffled_and_doubled_rows_give_the_clean_import(
    spy: InstrumentSpec, minutes: Minutes, data: st.DataObject
) -> None:
    raw = minutes(OPEN, 60)
    doubled = [*range(60), *data.draw(st.lists(st.integers(0, 59), max_size=20))]
    order = np.array(data.draw(st.permutations(doubled)))
    want, got = clean(raw, spy, "1-MINUTE").bars, clean(raw.take(order), spy, "1-MINUTE").bars
    for name in ("ts_ns", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(want, name), getattr(got, name)), name


prices = st.floats(-5, 0) | st.floats(40, 400) | st.just(float("nan"))  # a level ten times as high is refused


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.integers(-5, 80), prices, prices, prices, prices), min_size=1, max_size=40))
def test_whatever_comes_in_what_goes_out_is_sound(
    spy: InstrumentSpec, minutes: Minutes, rows: list[tuple[int, float, float, float, float]]
) -> None:
    start_ns = int(np.datetime64(OPEN, "ns").astype(np.int64))
    sound = minutes(OPEN, 60)
    minute, *columns = (np.array(column) for column in zip(*rows, strict=True))
    wild = RawBars(start_ns + MINUTE_NS * minute, *columns, np.ones(len(rows)))
    raw = RawBars(**{name: np.concatenate([getattr(sound, name), getattr(wild, name)]) for name in vars(sound)})
    cleaned = clean(raw, spy, "1-MINUTE")
    bars, count = cleaned.bars, cleaned.report.count
    assert (np.diff(bars.ts_ns) > 0).all()
    assert (bars.ts_ns >= start_ns).all()
    assert (bars.low >= 1).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    # Every row is accounted for.
    left_out = sum(finding.count for finding in cleaned.report.findings if finding.treatment in ("refused", "dropped"))
    assert len(bars) == len(raw) - left_out + count("gap_filled")
