"""Context is handed over when it is known, once, and never before."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalogs.daily_values import write_context
from catalogs.errors import InputError
from catalogs.instruments.specification import resolve
from configs import instruments_path
from rl_strategies.decision.context_feed import ContextFeed, catalog_feed
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, FeatureSpec, JoinedPlan, StreamRows, StreamSpec, default_plan
from rl_strategies.features.plans.streams import ContextSource

MINUTE = 60 * 10**9
LEVEL = (FeatureSpec("value", "level", inputs={"x": "close"}),)
SPY = resolve("SPY", instruments_path())
SPY_BARS = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
NINE = int(np.datetime64("2025-07-01T13:31", "ns").astype(np.int64))  # 09:31 in New York


@pytest.fixture
def core() -> DecisionCore:
    """AAPL beside the level of VIX and SPY."""
    streams = [StreamSpec(name, LEVEL, max_age_s=86_400 * 5) for name in ("VIX", "SPY")]
    cross = [FeatureSpec("value", name.lower(), inputs={"x": f"{name}.level"}) for name in ("VIX", "SPY")]
    plan = JoinedPlan(default_plan(volume_known=True, extended_hours=False), streams, cross)
    return DecisionCore([resolve("AAPL", instruments_path())], plan, TradingConfig(), ExecutionConfig())


@pytest.fixture
def levels(core: DecisionCore) -> Callable[[int], list[float]]:
    """What the features say of VIX and SPY after a bar of AAPL that closes ``minute`` minutes after the open."""

    def read(minute: int) -> list[float]:
        (instrument,) = core.instruments
        instrument.on_bar(NINE + minute * MINUTE, 20_000, 20_000, 20_000, 20_000, 100)
        instrument.settle()
        return [float(instrument.values[core.plan.index(name)]) for name in ("vix", "spy")]

    return read


def rows(*known: tuple[int, float]) -> StreamRows:
    """Rows known so many minutes after the open, of one price."""
    ts_ns = np.array([NINE + minute * MINUTE for minute, _ in known])
    return StreamRows(ts_ns, np.array([[level] * 4 + [np.nan] for _, level in known]))


def spy_source() -> ContextSource:
    return ContextSource(name="SPY", instrument=SPY, bar_type=SPY_BARS)


def test_stored_rows_come_when_time_reaches_them(core: DecisionCore, levels: Callable[[int], list[float]]) -> None:
    feed = ContextFeed(core, [spy_source()], {"VIX": lambda: rows((-900, 15.0), (1, 16.0), (2, 17.0))})
    assert feed.bar_types == (SPY_BARS,)
    feed.catch_up(NINE)
    assert levels(0)[0] == 15.0
    feed.catch_up(NINE + MINUTE)
    assert levels(1)[0] == 16.0
    feed.catch_up(NINE + 9 * MINUTE)
    assert levels(9)[0] == 17.0
    core.reset()
    feed.reset()
    feed.catch_up(NINE)
    assert levels(0)[0] == 15.0


def test_bars_are_turned_into_rows_and_old_ones_are_skipped(
    core: DecisionCore, levels: Callable[[int], list[float]]
) -> None:
    feed = ContextFeed(core, [spy_source()], {"VIX": lambda: rows((-900, 15.0))})
    raw = int(SPY.tick_raw)
    feed.take_bar(SPY_BARS, NINE, (60_000 * raw, 60_100 * raw, 59_900 * raw, 60_050 * raw), 900)
    feed.take_bar(SPY_BARS, NINE, (1 * raw, 1 * raw, 1 * raw, 1 * raw), 900)
    feed.take_bar("QQQ.EQUS-1-MINUTE-LAST-EXTERNAL", NINE, (1, 1, 1, 1), 900)
    assert levels(0)[1] == 600.50


def test_after_a_restore_nothing_is_handed_over_twice(core: DecisionCore) -> None:
    feed = ContextFeed(core, [spy_source()], {"VIX": lambda: rows((-900, 15.0), (1, 16.0))})
    feed.catch_up(NINE + MINUTE)
    other = DecisionCore([resolve("AAPL", instruments_path())], core.plan, TradingConfig(), ExecutionConfig())
    other.restore(core.snapshot())
    ContextFeed(other, [spy_source()], {"VIX": lambda: rows((-900, 15.0), (1, 16.0))}).catch_up(NINE + 5 * MINUTE)
    assert other.context_ns("VIX") == NINE + MINUTE


def test_a_file_that_has_grown_is_read_at_the_next_session(core: DecisionCore, tmp_path: Path) -> None:
    def store(days: int) -> None:
        dates = [date(2025, 6, 1) + timedelta(days=n) for n in range(days)]
        prices = {name: np.arange(10.0, 10.0 + days) for name in ("open", "high", "low", "close")}
        write_context(tmp_path, {"VIX": pa.table({"date": dates, **prices, "source": ["made up"] * days})})

    store(29)
    feed = catalog_feed(core, [spy_source(), ContextSource(name="VIX")], tmp_path)
    feed.catch_up(NINE)
    assert np.datetime64(core.context_ns("VIX"), "ns") == np.datetime64("2025-06-29T20:15")
    store(30)
    feed.refresh()
    feed.catch_up(NINE)
    assert np.datetime64(core.context_ns("VIX"), "ns") == np.datetime64("2025-06-30T20:15")


def test_a_core_is_warm_once_its_context_is() -> None:
    stream = StreamSpec("SPY", (FeatureSpec("sma", "average", {"n": 3}),), lag_s=60, fill=True)
    primary = FeaturePlan([FeatureSpec("sma", "atr_14", {"n": 2})])
    plan = JoinedPlan(primary, [stream], [FeatureSpec("sma", "spy", {"n": 2}, inputs={"close": "SPY.average"})])
    core = DecisionCore([resolve("AAPL", instruments_path())], plan, TradingConfig(), ExecutionConfig())
    warm = []
    for minute in range(12):
        ts_ns = NINE + minute * MINUTE
        core.instruments[0].on_bar(ts_ns, 20_000, 20_000, 20_000, 20_000, 100)
        warm.append(core.is_warm_at(ts_ns))
        if minute >= 3:
            core.push_context("SPY", ts_ns, [600.0] * 4 + [np.nan])
        core.look(ts_ns)
    # SPY's third bar closes at minute 5 and is used from minute 6 on; two such bars of AAPL stand before minute 8.
    assert warm == [minute >= 8 for minute in range(12)]


def test_a_stream_without_a_source_is_refused(core: DecisionCore) -> None:
    with pytest.raises(InputError, match="no source for context streams: SPY, VIX"):
        ContextFeed(core)
    with pytest.raises(InputError, match="context stream VIX needs a catalog with its daily values"):
        catalog_feed(core, [spy_source(), ContextSource(name="VIX")], None)
    with pytest.raises(InputError, match="context stream SPY must name the instrument of SPY"):
        ContextFeed(core, [ContextSource(name="SPY", bar_type=SPY_BARS)])
