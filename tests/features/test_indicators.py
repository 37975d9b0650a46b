"""Indicators worked out by hand, and what they say where there is nothing to measure."""

from math import cos, isnan, log, pi, sin, sqrt

import numpy as np
import pytest

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats


def run(spec: FeatureSpec, **columns: list[float]) -> Floats:
    """Outputs of one feature over columns given by name."""
    return FeaturePlan([spec], tuple(columns)).batch(np.array([*columns.values()]).T)


def test_log_return_spans_n_bars() -> None:
    returns = run(FeatureSpec("log_return", "x", {"n": 2}), close=[100.0, 50.0, 110.0, 60.0])[:, 0]
    np.testing.assert_allclose(returns, [np.nan, np.nan, log(1.1), log(1.2)], rtol=1e-15)


@pytest.mark.parametrize("price", [0.0, -37.63])
def test_log_return_is_unknown_unless_both_prices_are_positive(price: float) -> None:
    returns = run(FeatureSpec("log_return", "x"), close=[10.0, price, 20.0, 40.0])[:, 0]
    np.testing.assert_allclose(returns, [np.nan, np.nan, np.nan, log(2.0)])


def test_realised_volatility_by_hand() -> None:
    # Log returns ln 2, 0, -ln 2: mean 0, population variance 2/3 (ln 2)².
    volatility = run(FeatureSpec("realised_volatility", "x", {"n": 3}), close=[1.0, 2.0, 2.0, 1.0])[:, 0]
    np.testing.assert_allclose(volatility, [np.nan, np.nan, np.nan, sqrt(2.0 / 3.0) * log(2.0)], rtol=1e-15)


def test_true_range_counts_the_gap() -> None:
    atr = run(FeatureSpec("atr", "x", {"n": 1}), high=[11.0, 21.0], low=[9.0, 20.0], close=[10.0, 20.5])[:, 0]
    np.testing.assert_array_equal(atr, [np.nan, 11.0])


def test_flat_prices_are_neutral() -> None:
    flat = [521.07] * 60
    assert (run(FeatureSpec("rsi", "x"), close=flat)[15:] == 0.5).all()
    assert (run(FeatureSpec("bollinger", "x"), close=flat)[19:, 0] == 0.5).all()
    np.testing.assert_allclose(run(FeatureSpec("bollinger", "x"), close=flat)[19:, 1], 0.0, atol=1e-14)
    np.testing.assert_allclose(run(FeatureSpec("macd", "x"), close=flat)[33:], 0.0, atol=1e-14)
    assert (run(FeatureSpec("realised_volatility", "x"), close=flat)[30:] == 0.0).all()


def test_one_way_prices_are_extreme() -> None:
    assert (run(FeatureSpec("rsi", "x"), close=[100.0 + i for i in range(30)])[14:] == 1.0).all()
    assert (run(FeatureSpec("rsi", "x"), close=[100.0 - i for i in range(30)])[14:] == 0.0).all()


def test_ratio_by_zero_is_unknown() -> None:
    ratio = run(FeatureSpec("ratio", "x"), numerator=[1.0, 1.0], denominator=[4.0, 0.0])[:, 0]
    np.testing.assert_array_equal(ratio, [0.25, np.nan])


def test_vwap_distance_starts_afresh_each_session() -> None:
    distance = run(
        FeatureSpec("vwap_distance", "x", reset="session"),
        high=[12.0, 22.0, 40.0],
        low=[9.0, 18.0, 40.0],
        close=[9.0, 20.0, 40.0],
        volume=[3.0, 1.0, 5.0],
        session=[1.0, 1.0, 2.0],
    )[:, 0]
    # Typical prices 10, 20 and 40; VWAP 10, then (3·10 + 20) / 4 = 12.5, then 40 in the new session.
    np.testing.assert_array_equal(distance, [9.0 / 10.0 - 1.0, 20.0 / 12.5 - 1.0, 0.0])


def test_vwap_distance_is_zero_until_there_was_volume() -> None:
    spec = FeatureSpec("vwap_distance", "x", reset="session")
    assert run(spec, high=[11.0], low=[9.0], close=[10.5], volume=[0.0], session=[1.0]).item() == 0.0


def test_clock_by_hand() -> None:
    noon = run(FeatureSpec("time_of_day", "x"), minute_of_day=[0.0, 720.0, 1080.0])
    np.testing.assert_allclose(noon, [[0.0, 1.0], [0.0, -1.0], [-1.0, 0.0]], atol=1e-15)
    friday = run(FeatureSpec("day_of_week", "x"), weekday=[0.0, 4.0])
    np.testing.assert_allclose(friday, [[0.0, 1.0], [sin(8 * pi / 7), cos(8 * pi / 7)]], atol=1e-15)
    clock = run(FeatureSpec("session_clock", "x"), minutes_since_open=[0.0, 360.0], minutes_to_close=[1380.0, 0.0])
    np.testing.assert_array_equal(clock, [[0.0, 1380 / 1440], [0.25, 0.0]])


def test_macd_with_periods_swapped_changes_its_sign() -> None:
    close = list(100.0 + np.sin(np.arange(80.0)))
    usual = run(FeatureSpec("macd", "x", {"fast": 5, "slow": 8, "signal": 3}), close=close)
    swapped = run(FeatureSpec("macd", "x", {"fast": 8, "slow": 5, "signal": 3}), close=close)
    assert isnan(swapped[6, 0])
    assert np.isfinite(swapped[10:]).all()
    np.testing.assert_allclose(swapped[-1], -usual[-1], rtol=1e-3)
