"""Context joined as-of: what is known when, the same in batch and live, on drawn and on real streams."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace as replaced

from catalogs.errors import InputError
from rl_strategies.features import (
    FeaturePlan,
    FeatureSpec,
    JoinedPlan,
    StreamRows,
    StreamSpec,
    joined_plan_for,
    plan_from_spec,
)
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.sets import SMT_CROSS, SMT_PRIMARY, SMT_STREAMS, VIX_CROSS, vix_streams
from rl_strategies.features.rows import PRICE_COLUMNS

MINUTE = 60 * 10**9
DAY_S = 86_400
NAN = np.nan
CLOSE = FeatureSpec("value", "level", inputs={"x": "close"})
PRIMARY = FeaturePlan([FeatureSpec("log_return", "return_1")], columns=("close",))
SPY = StreamSpec("SPY", (CLOSE,), max_age_s=180)
CROSS = (FeatureSpec("value", "spy", inputs={"x": "SPY.level"}),)
MINUTES = np.arange(1, 9) * MINUTE
ROWS = np.linspace(100.0, 107.0, 8)[:, None]


def prices(*close: float) -> Floats:
    """Rows of a stream whose bars have one price; volume unknown."""
    return np.column_stack([*[np.array(close)] * 4, np.full(len(close), NAN)])


def spy_by_minute(**changes: int) -> list[float]:
    """What a plan reads of a stream that closes at minutes 2, 3 and 4, at each of the minutes 1 to 8."""
    plan = JoinedPlan(PRIMARY, [replaced(SPY, **changes)], CROSS)
    streams = {"SPY": StreamRows(MINUTES[1:4], prices(52.0, 53.0, 54.0))}
    return plan.batch(ROWS, MINUTES, streams)[:, plan.index("spy")].tolist()


def test_rows_are_used_from_their_close_on_until_they_are_too_old() -> None:
    np.testing.assert_array_equal(spy_by_minute(), [NAN, 52, 53, 54, 54, 54, 54, NAN])
    np.testing.assert_array_equal(spy_by_minute(max_age_s=60), [NAN, 52, 53, 54, 54, NAN, NAN, NAN])


def test_declared_lag_delays_every_row() -> None:
    np.testing.assert_array_equal(spy_by_minute(lag_s=60), [NAN, NAN, 52, 53, 54, 54, 54, NAN])
    np.testing.assert_array_equal(spy_by_minute(lag_s=61), [NAN, NAN, NAN, 52, 53, 54, 54, NAN])


def test_age_of_the_row_that_stands_can_be_read() -> None:
    plan = JoinedPlan(PRIMARY, [SPY], [FeatureSpec("value", "age", inputs={"x": "SPY.age_minutes"})])
    streams = {"SPY": StreamRows(MINUTES[1:4], prices(52.0, 53.0, 54.0))}
    np.testing.assert_array_equal(plan.batch(ROWS, MINUTES, streams)[:, 1], [NAN, 0, 0, 0, 1, 2, 3, NAN])


def test_filled_stream_is_zero_and_says_so() -> None:
    plan = JoinedPlan(PRIMARY, [replaced(SPY, fill=True)], CROSS)
    outputs = plan.batch(ROWS, MINUTES, {"SPY": StreamRows(MINUTES[1:4], prices(52.0, 53.0, 54.0))})
    assert plan.outputs == ("return_1", "spy", "SPY_fresh")
    np.testing.assert_array_equal(outputs[:, 1], [0, 52, 53, 54, 54, 54, 54, 0])
    np.testing.assert_array_equal(outputs[:, 2], [0, 1, 1, 1, 1, 1, 1, 0])


def test_a_filled_stream_is_not_fresh_before_it_is_warm() -> None:
    slow = StreamSpec("SPY", (FeatureSpec("sma", "level", {"n": 3}),), fill=True)
    plan = JoinedPlan(PRIMARY, [slow], CROSS)
    outputs = plan.batch(ROWS, MINUTES, {"SPY": StreamRows(MINUTES, prices(*range(1, 9)))})
    np.testing.assert_array_equal(outputs[:, 1], [0, 0, 2, 3, 4, 5, 6, 7])
    assert plan.warm_from(MINUTES, {"SPY": StreamRows(MINUTES, prices(*range(1, 9)))}) == 2
    assert plan.warm_from(MINUTES, {"SPY": StreamRows(MINUTES[:2], prices(1, 2))}) == 8


def test_late_context_row_is_counted_and_used_from_the_next_bar_on() -> None:
    plan = JoinedPlan(PRIMARY, [SPY], CROSS)
    live = plan.live()
    assert np.isnan(live.push(int(MINUTES[0]), [100.0])[1])
    live.push_context("SPY", int(MINUTES[0]), prices(51.0)[0])
    assert live.late == {"SPY": 1}
    assert live.push(int(MINUTES[1]), [101.0])[1] == 51.0
    live.reset()
    assert live.late == {"SPY": 0}
    assert np.isnan(live.push(int(MINUTES[1]), [101.0])).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda live: live.push_context("QQQ", 1, prices(1.0)[0]), "stream must be one of SPY, was 'QQQ'"),
        (
            lambda live: live.push_context("SPY", 5, prices(1.0)[0]),
            "times of stream SPY must ascend, was 5 ns after",
        ),
        (
            lambda live: live.restore({"primary": np.zeros(3)}),
            "snapshot of another plan: expected primary, .*; had primary",
        ),
    ],
)
def test_wrong_live_input_is_refused(wrong: object, message: str) -> None:
    live = JoinedPlan(PRIMARY, [SPY], CROSS).live()
    live.push_context("SPY", 9, prices(1.0)[0])
    with pytest.raises(InputError, match=message):
        wrong(live)  # type: ignore[operator]


def test_wrong_wiring_and_streams_are_refused() -> None:
    plan = JoinedPlan(PRIMARY, [SPY], CROSS)
    with pytest.raises(InputError, match="no rows of stream SPY; given: none"):
        plan.batch(ROWS, MINUTES, {})
    with pytest.raises(InputError, match="one time each, had 3 times for 8 rows"):
        plan.batch(ROWS, MINUTES[:3], {})
    with pytest.raises(InputError, match="times of a stream must ascend, was 60000000000 ns in row 1"):
        StreamRows(MINUTES[[0, 0]], prices(1.0, 2.0))
    with pytest.raises(InputError, match="one time per row, had 2 times for 1 rows"):
        StreamRows(MINUTES[:2], prices(1.0))
    with pytest.raises(InputError, match=r"feature 'spy': inputs must be .*, was 'SPY.momentum'"):
        JoinedPlan(PRIMARY, [SPY], [FeatureSpec("value", "spy", inputs={"x": "SPY.momentum"})])
    with pytest.raises(InputError, match="must be unique, were SPY, SPY"):
        JoinedPlan(PRIMARY, [SPY, SPY], CROSS)
    for wrong, message in [({"lag_s": -1}, "lag_s"), ({"max_age_s": 0}, "max_age_s"), ({"name": "S.PY"}, "name")]:
        with pytest.raises(InputError, match=message):
            replaced(SPY, **wrong)


def test_absent_stream_is_left_out_or_refused() -> None:
    plan = joined_plan_for(PRIMARY, [SPY], CROSS, available=[])
    assert isinstance(plan, FeaturePlan)
    assert plan.outputs == ("return_1",)
    assert plan.left_out == (("spy", "SPY has no data"),)
    with pytest.raises(InputError, match="stream SPY is required, but has no data"):
        joined_plan_for(PRIMARY, [replaced(SPY, required=True)], CROSS, available=[])
    with pytest.raises(InputError, match="feature 'spy' is required, but SPY has no data"):
        joined_plan_for(PRIMARY, [SPY], [replaced(CROSS[0], required=True)], available=[])
    partly = joined_plan_for(FeaturePlan(SMT_PRIMARY), SMT_STREAMS, SMT_CROSS, available=["SPY"])
    assert dict(partly.left_out).keys() == {"smt_spy_qqq", "smt_swing_spy_qqq"}
    assert isinstance(partly, JoinedPlan)
    assert [stream.name for stream in partly.streams] == ["SPY"]


def test_stored_plan_comes_back_and_covers_lag_and_age() -> None:
    plan = JoinedPlan(PRIMARY, [SPY], CROSS, left_out=[("x", "no data")])
    stored = json.loads(json.dumps(plan.to_spec()))
    again = plan_from_spec(stored)
    assert (again.hash, again.outputs, again.left_out) == (plan.hash, plan.outputs, plan.left_out)
    assert pickle.loads(pickle.dumps(plan)).hash == plan.hash
    for change in ({"lag_s": 60}, {"max_age_s": 240}, {"fill": True}, {"name": "QQQ"}):
        other = replaced(SPY, **change)
        cross = [replaced(CROSS[0], inputs={"x": f"{other.name}.level"})]
        assert JoinedPlan(PRIMARY, [other], cross).hash != plan.hash
    stored["streams"][0]["lag_s"] = 60
    with pytest.raises(InputError, match="as-of plan must have the stored hash"):
        plan_from_spec(stored)


def minute_bars(table: pd.DataFrame, symbol: str, minutes: int = 1) -> StreamRows:
    """Bars of a file by their close; open, high, low, close and an unknown volume."""
    bars = table[table["symbol"] == symbol].sort_values("ts_event").drop_duplicates("ts_event")
    opened = bars["ts_event"].dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    values = bars[["open", "high", "low", "close"]].to_numpy()
    return StreamRows(opened + minutes * MINUTE, np.column_stack([values, np.full(len(values), NAN)]))


def daily(table: pd.DataFrame) -> StreamRows:
    """Daily values, each known at its day's 16:15 in New York."""
    known = table["ts_event"].dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    values = table[["open", "high", "low", "close"]].to_numpy()
    return StreamRows(known, np.column_stack([values, np.full(len(values), NAN)]))


def as_of(left_ns: np.ndarray, right: StreamRows, lag_s: int, max_age_s: int) -> Floats:
    """Close of the stream that stands for each time, by pandas."""
    known = pd.DataFrame({"t": right.ts_ns + lag_s * 10**9, "close": right.rows[:, 3]})
    tolerance = (max_age_s - lag_s) * 10**9
    return pd.merge_asof(pd.DataFrame({"t": left_ns}), known, on="t", tolerance=tolerance)["close"].to_numpy()


@pytest.fixture(scope="module")
def week(shared_data: Path) -> dict[str, StreamRows]:
    """A week of AAPL, SPY, QQQ and VIX minutes, and daily VIX."""
    table = pd.read_parquet(shared_data / "us_vix_1min_20190211_15.parquet")
    streams = {name: minute_bars(table, name) for name in ("AAPL", "SPY", "QQQ", "VIX")}
    return streams | {"DAILY": daily(pd.read_parquet(shared_data / "vix_daily_1990_202509.parquet"))}


@pytest.mark.parametrize(("lag_s", "max_age_s"), [(0, 60), (0, 300), (60, 300), (90, 180)])
def test_real_minutes_join_as_pandas_does(week: dict[str, StreamRows], lag_s: int, max_age_s: int) -> None:
    primary = FeaturePlan([FeatureSpec("log_return", "return_1")], PRICE_COLUMNS)
    streams = [StreamSpec(name, (CLOSE,), lag_s=lag_s, max_age_s=max_age_s) for name in ("SPY", "VIX")]
    cross = [FeatureSpec("value", name.lower(), inputs={"x": f"{name}.level"}) for name in ("SPY", "VIX")]
    plan, own = JoinedPlan(primary, streams, cross), week["AAPL"]
    outputs = plan.batch(own.rows, own.ts_ns, week)
    equal_times = np.isin(own.ts_ns, week["SPY"].ts_ns)
    assert equal_times.sum() > 1900
    for name in ("SPY", "VIX"):
        expected = as_of(own.ts_ns, week[name], lag_s, max_age_s)
        assert np.isfinite(expected).mean() > 0.9
        np.testing.assert_array_equal(outputs[:, plan.index(name.lower())], expected)


def test_smt_and_vix_build_together_on_real_data_and_live_equals_batch(week: dict[str, StreamRows]) -> None:
    own = week["AAPL"]
    primary = FeaturePlan(SMT_PRIMARY, PRICE_COLUMNS)
    vix = StreamSpec("VIX", (FeatureSpec("implied_volatility_z", "z"),), lag_s=60, max_age_s=DAY_S)
    day = StreamSpec("DAILY", (FeatureSpec("implied_volatility", "iv"),), max_age_s=5 * DAY_S)
    cross = [
        *SMT_CROSS,
        FeatureSpec("value", "vix_z", inputs={"x": "VIX.z"}),
        FeatureSpec("value", "vix_daily", inputs={"x": "DAILY.iv"}),
    ]
    plan = JoinedPlan(primary, [*SMT_STREAMS, vix, day], cross)
    outputs = plan.batch(own.rows, own.ts_ns, week)
    start = plan.warm_from(own.ts_ns, week)
    assert 0 < start < 200
    assert np.isfinite(outputs[start:]).all()
    assert (outputs[start:].std(axis=0) > 0).all()
    # The value of Monday 2019-02-11 is 15.97 and known at 16:15; until then Friday's 15.72 stands.
    daily_values = outputs[:, plan.index("vix_daily")]
    by_day = {str(np.datetime64(int(t), "ns"))[:10]: v for t, v in zip(own.ts_ns, daily_values, strict=True)}
    assert by_day["2019-02-11"] == 0.1572
    assert by_day["2019-02-12"] == 0.1597
    names = plan.stream_plans.keys()
    events = sorted((int(t), name, k) for name in names for k, t in enumerate(week[name].ts_ns))
    live, walked, at = plan.live(), np.empty_like(outputs), 0
    for i, now in enumerate(own.ts_ns):
        while at < len(events) and events[at][0] <= now:
            live.push_context(events[at][1], events[at][0], week[events[at][1]].rows[events[at][2]])
            at += 1
        if i == 700:
            kept, live = live.snapshot(), plan.live()
            live.restore(kept)
        walked[i] = live.push(int(now), own.rows[i])
    assert walked.tobytes() == outputs.tobytes()
    assert not any(live.late.values())


@pytest.mark.parametrize("bars", [0, 1, 3, 60, 400])
@pytest.mark.parametrize("lag_s", [0, 60, 90])
def test_many_bars_at_once_leave_the_state_of_one_by_one(week: dict[str, StreamRows], bars: int, lag_s: int) -> None:
    own, primary = week["AAPL"], FeaturePlan(SMT_PRIMARY, PRICE_COLUMNS)
    plan = JoinedPlan(primary, [replaced(stream, lag_s=lag_s, fill=True) for stream in SMT_STREAMS], SMT_CROSS)
    late = StreamRows(week["QQQ"].ts_ns[100:], week["QQQ"].rows[100:])
    streams = {"SPY": week["SPY"], "QQQ": late}
    walked, forwarded = plan.live(), plan.live()
    for row in range(bars):
        now_ns = int(own.ts_ns[row])
        for name, stream in streams.items():
            for k in np.flatnonzero((stream.ts_ns > walked.last_ns(name)) & (stream.ts_ns <= now_ns)):
                walked.push_context(name, int(stream.ts_ns[k]), stream.rows[k])
        walked.push(now_ns, own.rows[row])
    forwarded.push(1, own.rows[0])  # forgotten
    forwarded.forward(own.rows[:bars], own.ts_ns[:bars], streams)
    expected, kept = walked.snapshot(), forwarded.snapshot()
    assert {name: value.tobytes() for name, value in kept.items()} == {n: v.tobytes() for n, v in expected.items()}
    assert forwarded.is_warm is walked.is_warm is (bars == 400)


def test_five_minute_term_structure_on_real_data(shared_data: Path) -> None:
    table = pd.read_parquet(shared_data / "spx_vix_vix1d_5min_202502_202509.parquet")
    own, near, far = (minute_bars(table, name, 5) for name in ("SPX", "VIX1D", "VIX"))
    primary = FeaturePlan([FeatureSpec("log_return", "return_1")], PRICE_COLUMNS)
    plan = joined_plan_for(primary, vix_streams(lag_s=300, max_age_s=1200), VIX_CROSS, available=["VIX", "VIX9D"])
    assert dict(plan.left_out) == {"vix_1m_3m": "VIX3M has no data"}
    assert isinstance(plan, JoinedPlan)
    outputs = plan.batch(own.rows, own.ts_ns, {"VIX": far, "VIX9D": near})  # the 1-day index stands in for the 9-day
    expected = np.log(as_of(own.ts_ns, near, 300, 1200) / as_of(own.ts_ns, far, 300, 1200))
    assert np.isfinite(expected).sum() > 1500
    np.testing.assert_allclose(outputs[:, plan.index("vix_9d_1m")], expected, rtol=1e-13)
