"""Validation folds inside the training window: where they lie, and that nothing reaches from one part to the other."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, FeatureSpec, JoinedPlan, StreamRows, StreamSpec
from rl_strategies.features.rows import COLUMNS
from tests.training.conftest import synthetic_bars
from training.simulator.market import TrainingMarket, build_market
from training.simulator.validation_folds import PURGED, fold_days, split_folds

LOOKED_BACK = 500  # bars: more than a session of 390, less than two
ATR = FeatureSpec("sma", "atr_14", {"n": 2}, observe=False)  # the atr of an exponential mean looks back much further
PLAN = FeaturePlan([ATR, FeatureSpec("momentum", "momentum", {"n": LOOKED_BACK})], COLUMNS)


@pytest.fixture(scope="module")
def bars() -> tuple[InstrumentSpec, BarSeries]:
    """Twenty-six sessions of a share."""
    return synthetic_bars("SPY", "2025-01-06", "2025-02-11", seed=5)


def market_of(instrument: InstrumentSpec, bars: BarSeries) -> TrainingMarket:
    return build_market(bars, instrument, PLAN, TradingConfig(), ExecutionConfig())


@given(st.integers(2, 300), st.floats(0.01, 0.5), st.integers(1, 12))
def test_folds_are_the_ends_of_equal_blocks(count: int, share: float, folds: int) -> None:
    days = np.arange(count).astype("datetime64[D]")
    if count < 2 * folds:
        with pytest.raises(InputError, match=f"at most half the training sessions, {count}, was {folds}"):
            fold_days(days, share, folds)
        return
    chosen = np.isin(days, fold_days(days, share, folds))
    runs = np.flatnonzero(np.diff(chosen.astype(int), prepend=0, append=0)).reshape(-1, 2)
    assert len(runs) == folds
    assert chosen[-1]
    assert not chosen[0]
    # Rounded block by block.
    assert abs(chosen.sum() - share * count) <= folds
    sizes = np.diff(runs[:, 1], prepend=0)
    assert sizes.max() - sizes.min() <= 1


def shifted(bars: BarSeries, days: NDArray[np.datetime64], day_of: NDArray[np.datetime64]) -> BarSeries:
    """The bars with all prices of ``days`` 7 ticks higher, so that every feature that reads one of them changes."""
    rise = np.where(np.isin(day_of, days), 7, 0)
    return replace(bars, **{name: getattr(bars, name) + rise for name in ("open", "high", "low", "close")})


def features_of(market: TrainingMarket) -> NDArray[np.float32]:
    """All that the policy sees of the market at its decisions."""
    arrays = market.arrays
    rows = [arrays.seen[first : last + 1, 0] for first, last, _ in arrays.episodes.tolist()]
    return arrays.features[np.concatenate(rows)]


def test_no_training_bar_reaches_a_fold_and_no_bar_of_a_fold_the_training(
    bars: tuple[InstrumentSpec, BarSeries],
) -> None:
    instrument, series = bars
    whole = market_of(instrument, series)
    day_of = whole.calendar.session_date[whole.calendar.locate(series.ts_ns)]
    days = fold_days(whole.session_dates, 0.25, 2)
    learned, kept_out = split_folds(whole, days)
    np.testing.assert_array_equal(kept_out.session_dates, days)
    # The first fold has two neighbours on each side, the last ends the window.
    assert learned.skipped[PURGED] == len(whole) - len(learned) - len(kept_out) == 3 * 2
    for changed, other, kept in ((learned, kept_out, days), (kept_out, learned, learned.session_dates)):
        again = market_of(instrument, shifted(series, changed.session_dates, day_of))
        parts = dict(zip(("learned", "kept_out"), split_folds(again, days), strict=True))
        same = parts["kept_out" if other is kept_out else "learned"]
        np.testing.assert_array_equal(same.session_dates, kept)
        np.testing.assert_array_equal(features_of(same), features_of(other))
    # Without the purge it would be seen: the sessions next to a fold are those that reach it.
    purged = np.setdiff1d(whole.session_dates, np.concatenate([learned.session_dates, days]))
    again = market_of(instrument, shifted(series, purged, day_of))
    assert (features_of(split_folds(again, days)[1]) != features_of(kept_out)).any()


def test_a_stream_s_own_warm_up_counts(bars: tuple[InstrumentSpec, BarSeries]) -> None:
    instrument, series = bars
    average = FeatureSpec("sma", "average", {"n": 900})
    stream = StreamSpec("QQQ", (average,), lag_s=60, max_age_s=600_000)
    own = FeaturePlan([ATR, FeatureSpec("momentum", "momentum", {"n": 5})], COLUMNS)
    plan = JoinedPlan(own, [stream], [FeatureSpec("value", "qqq", inputs={"x": "QQQ.average"})])

    def split(closes: NDArray[np.int64]) -> tuple[TrainingMarket, TrainingMarket]:
        rows = np.repeat(closes[:, np.newaxis].astype(np.float64), len(stream.plan().columns), axis=1)
        rules = (TradingConfig(), ExecutionConfig())
        market = build_market(series, instrument, plan, *rules, context={"QQQ": StreamRows(series.ts_ns, rows)})
        return split_folds(market, fold_days(market.session_dates, 0.25, 2))

    learned, kept_out = split(series.close)
    # Nine hundred bars are two sessions and a part of a third.
    assert learned.skipped[PURGED] == 3 * 3
    day_of = instrument.sessions.session_date[instrument.sessions.locate(series.ts_ns)]
    learned_again, kept_again = split(shifted(series, learned.session_dates, day_of).close)
    np.testing.assert_array_equal(features_of(kept_again), features_of(kept_out))
    assert (features_of(learned_again) != features_of(learned)).any()


def test_a_window_without_a_session_to_learn_from_is_refused(bars: tuple[InstrumentSpec, BarSeries]) -> None:
    whole = market_of(*bars)
    with pytest.raises(InputError, match=r"SPY\..*validation_folds must leave sessions to train on, there are "):
        split_folds(whole, fold_days(whole.session_dates, 0.5, len(whole) // 2))
