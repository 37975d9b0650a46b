"""The default features on real and made-up bars, and what is left out where the data cannot give it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from rl_strategies.features import (
    COLUMNS,
    REGISTRY,
    DataAtHand,
    FeaturePlan,
    FeatureSpec,
    StreamSpec,
    build_plan,
    default_plan,
    feature_set,
    input_rows,
    joined_plan_for,
    plan_for,
)
from rl_strategies.features.compiler.compile import Floats

RETURN = FeatureSpec("log_return", "return_1")
NO_VOLUME = "the volume of these bars is not known"
NO_EXTENDED_HOURS = "these bars cover regular hours only, so it would be constant"


def real_rows(file: Path, tick: float, calendar: str) -> Floats:
    """The last 20,000 bars of a file of minute bars stamped at their open, rounded to the tick."""
    bars = pd.read_parquet(file).iloc[-20_000:]
    opened = bars["ts_event"].dt.tz_localize(None).to_numpy("datetime64[ns]")
    close_ns = opened.astype(np.int64) + 60 * 10**9
    names = ("open", "high", "low", "close")
    open_, high, low, close = (np.rint(bars[name].to_numpy() / tick).astype(np.int64) for name in names)
    known = bool(bars["volume"].notna().all())
    volume = bars["volume"].fillna(0).to_numpy().astype(np.int64)
    series = BarSeries("X.Y-1-MINUTE-LAST-EXTERNAL", close_ns, open_, high, low, close, volume, known, tick * 1e16)
    rows = input_rows(series, session_calendar(calendar))
    return rows[np.isfinite(rows[:, COLUMNS.index("session")])]


@pytest.fixture(scope="module", params=["SPY", "ES"])
def market(request: pytest.FixtureRequest, shared_data: Path) -> tuple[FeaturePlan, Floats]:
    """The default plan and rows of a share in regular hours and of a future around the clock, without volume."""
    if request.param == "SPY":
        rows = real_rows(shared_data / "spy_1min_202403_202504.parquet", 0.01, "NYSE")
        return default_plan(volume_known=True, extended_hours=False), rows
    rows = real_rows(shared_data / "es_1min_202507_202509_novol.parquet", 0.25, "CME Globex Equity")
    return default_plan(volume_known=False, extended_hours=True), rows


def test_every_output_is_finite_moderate_and_varies_on_real_bars(market: tuple[FeaturePlan, Floats]) -> None:
    plan, rows = market
    outputs = plan.batch(rows)[plan.warmup - 1 :]
    assert len(outputs) > 10_000
    assert np.isfinite(outputs).all()
    assert (outputs.std(axis=0) > 0).all()
    assert (np.abs(outputs[:, : plan.observed]) < 2.0).all()


@pytest.mark.parametrize("start", [1, 777, 3001, 9999])
def test_restart_equals_a_run_from_the_beginning_on_real_bars(market: tuple[FeaturePlan, Floats], start: int) -> None:
    plan, rows = market
    warm = plan.warmup - 1
    assert plan.batch(rows[start:])[warm:].tobytes() == plan.batch(rows)[start + warm :].tobytes()


def test_whole_plan() -> None:
    plan = default_plan(volume_known=True, extended_hours=True)
    assert plan.left_out == ()
    assert plan.outputs == (
        "return_1", "return_5", "return_15", "return_60", "sma_20_distance", "ema_12_distance", "ema_50_distance",
        "rsi_14", "atr_14_over_close", "macd_line", "macd_signal", "macd_histogram", "bollinger_percent_b",
        "bollinger_bandwidth", "volatility_30", "vwap_distance", "time_of_day_sin", "time_of_day_cos",
        "day_of_week_sin", "day_of_week_cos", "session_clock_since_open", "session_clock_to_close", "regular_hours",
        "atr_14",
    )  # fmt: skip
    assert plan.observed == len(plan.outputs) - 1


@pytest.mark.parametrize(
    ("volume_known", "extended_hours", "left_out"),
    [
        (False, True, (("vwap_distance", NO_VOLUME),)),
        (True, False, (("regular_hours", NO_EXTENDED_HOURS),)),
        (False, False, (("vwap_distance", NO_VOLUME), ("regular_hours", NO_EXTENDED_HOURS))),
    ],
)
def test_what_the_data_cannot_give_is_left_out_with_the_reason(
    volume_known: bool, extended_hours: bool, left_out: tuple[tuple[str, str], ...]
) -> None:
    plan = default_plan(volume_known=volume_known, extended_hours=extended_hours)
    assert plan.left_out == left_out
    assert not {name for name, _ in left_out} & {*plan.outputs}
    whole = default_plan(volume_known=True, extended_hours=True)
    assert len(plan.outputs) == len(whole.outputs) - len(left_out)


NEEDY = [
    (FeatureSpec("vwap_distance", "x", reset="session"), NO_VOLUME),
    (FeatureSpec("sma", "x", inputs={"close": "volume"}), NO_VOLUME),
    (FeatureSpec("regular_hours", "x"), NO_EXTENDED_HOURS),
    (FeatureSpec("book_imbalance", "x"), "there are no quotes for these bars"),
    (FeatureSpec("is_instrument", "x"), "there is only one instrument, so it would be constant"),
]


@pytest.mark.parametrize(("spec", "reason"), NEEDY)
def test_named_feature_without_its_data_is_left_out_or_refused(spec: FeatureSpec, reason: str) -> None:
    nothing = DataAtHand(volume_known=False, extended_hours=False)
    everything = DataAtHand(volume_known=True, extended_hours=True, quotes=True, instruments=2)
    plan = plan_for([RETURN, spec], nothing)
    assert plan.outputs == ("return_1",)
    assert plan.left_out == (("x", reason),)
    with pytest.raises(InputError, match=f"feature 'x' is required, but {reason}"):
        plan_for([RETURN, replace(spec, required=True)], nothing)
    assert plan_for([RETURN, spec], everything).outputs == ("return_1", "x")


def test_feature_behind_a_feature_without_its_data_goes_with_it() -> None:
    traded = FeatureSpec("ratio", "traded", inputs={"numerator": "volume", "denominator": "close"}, observe=False)
    behind = FeatureSpec("sma", "behind", inputs={"close": "traded"})
    plan = build_plan([RETURN, traded, behind], volume_known=False, extended_hours=True)
    assert plan.left_out == (("traded", NO_VOLUME), ("behind", NO_VOLUME))
    assert build_plan([traded, behind], volume_known=True, extended_hours=True).needs["behind"] == {"volume", "close"}


def test_data_that_gives_no_feature_at_all_is_refused() -> None:
    vwap = FeatureSpec("vwap_distance", "vwap", reset="session")
    with pytest.raises(InputError, match=f"the data can give none of the features: {NO_VOLUME}"):
        build_plan([vwap], volume_known=False, extended_hours=False)


def test_sets_are_joined_by_name_without_repeating_a_feature() -> None:
    assert feature_set("default") == feature_set("default+default")
    joined = feature_set("default+technical+vpa")
    assert len(joined) == len({spec.name for spec in joined})
    with pytest.raises(InputError, match=r"a set of features must be one of default, .*full, was 'defualt'"):
        feature_set("default+defualt")


def test_full_set_holds_every_family_that_one_instrument_has() -> None:
    families = {REGISTRY[spec.kind].family for spec in feature_set("full")}
    assert families == {"technical", "session", "microstructure", "ict", "vpa", "regime"}


def test_input_rows_by_hand() -> None:
    # 2025-07-03 is a half day of the NYSE: 09:30 to 13:00 New York, 13:30 to 17:00 UTC; a Thursday.
    close_ns = np.array(["2025-07-03T13:31", "2025-07-03T17:00"], "datetime64[ns]").astype(np.int64)
    bars = BarSeries(
        "SPY.EQUS-1-MINUTE-LAST-EXTERNAL",
        close_ns,
        open=np.array([62001, 62050]),
        high=np.array([62011, 62099]),
        low=np.array([61999, 62000]),
        close=np.array([62003, 62047]),
        volume=np.array([700, 0]),
        volume_known=True,
        tick_raw=1e14,
    )
    expected = [
        [620.01, 620.11, 619.99, 620.03, 700.0, 1.0, 209.0, 571.0, 3.0, 1.0],
        [620.50, 620.99, 620.00, 620.47, 0.0, 210.0, 0.0, 780.0, 3.0, 1.0],
    ]
    rows = input_rows(bars, session_calendar("NYSE"))
    session = COLUMNS.index("session")
    assert rows[0, session] == rows[1, session]
    np.testing.assert_array_equal(np.delete(rows, session, axis=1), expected)


def test_unknown_volume_is_nan_whatever_is_stored() -> None:
    ts_ns = np.array(["2025-07-03T13:31"], "datetime64[ns]").astype(np.int64)
    one = np.array([62000])
    bars = BarSeries("SPY.EQUS-1-MINUTE-LAST-EXTERNAL", ts_ns, one, one, one, one, np.array([9]), False, 1e14)
    assert np.isnan(input_rows(bars, session_calendar("NYSE"))[0, COLUMNS.index("volume")])


@pytest.mark.parametrize(
    ("extended_hours", "bar_minutes", "rows"),
    [(False, 1, 390), (False, 5, 78), (False, 60, 7), (True, 1, 1440), (True, 5, 288), (True, 60, 24)],
)
def test_warmup_by_session_counts_rows_of_the_bar_length(extended_hours: bool, bar_minutes: int, rows: int) -> None:
    data = DataAtHand(True, extended_hours, bar_minutes=bar_minutes)
    usual = FeatureSpec("relative_volume", "usual")  # against the same minute of 20 whole sessions before
    one_row = plan_for([usual], DataAtHand(True, extended_hours, bar_minutes=1440)).warmup - 21
    assert plan_for([usual], data).warmup == 21 * rows + one_row  # the sessions before and its own


def test_a_stream_s_session_has_rows_of_the_bar_length_too() -> None:
    stream = StreamSpec("SPY", (FeatureSpec("relative_volume", "usual"),))
    cross = [FeatureSpec("value", "spy", inputs={"x": "SPY.usual"})]
    primary = plan_for([RETURN], DataAtHand(True, False, bar_minutes=5))
    short, long = (joined_plan_for(primary, [stream], cross, ["SPY"], bar_minutes=minutes) for minutes in (5, 1))
    warmups = [plan.stream_plans["SPY"].warmup for plan in (short, long)]
    assert warmups[1] - warmups[0] == 21 * (1440 - 288)
    assert short.hash == long.hash  # the same numbers


def test_opening_ranges_of_shares_are_computed_and_a_constant_flag_is_not() -> None:
    shares = DataAtHand(volume_known=True, extended_hours=False)
    plan = plan_for(feature_set("session+ict"), shares)
    assert plan.left_out == (("regular_hours", NO_EXTENDED_HOURS),)
    assert {f"opening_{n}_{side}" for n in (5, 15, 30) for side in ("high", "low")} < {*plan.outputs}
    in_hours = FeatureSpec("ratio", "in_hours", inputs={"numerator": "rth", "denominator": "close"})
    assert plan_for([in_hours], shares).outputs == ("in_hours",)  # varies with the close


def test_opening_range_of_a_share_by_hand() -> None:
    # Two sessions of four bars; the range of the first two minutes of the second is 103 to 99.
    high = [100.0, 100, 100, 100, 102, 103, 109, 100]
    low = [98.0, 98, 98, 98, 101, 99, 90, 95]
    close = [99.0, 99, 99, 99, 102, 100, 104, 98]
    session, minute = np.repeat([1.0, 2.0], 4), np.tile([1.0, 2, 3, 4], 2)
    spec = FeatureSpec("opening_range", "opening", {"minutes": 2})
    columns = ("high", "low", "close", "session", "minutes_since_open", "rth")
    found = FeaturePlan([spec], columns).batch(np.column_stack([high, low, close, session, minute, np.ones(8)]))
    assert np.isnan(found[:4]).all()  # until an open was seen
    np.testing.assert_allclose(found[6], [104 / 103 - 1, 104 / 99 - 1])
