"""Volume and price on bars drawn by hand."""

from math import log, sqrt

import numpy as np

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats

NAN = np.nan


def run(spec: FeatureSpec, **columns: list[float]) -> Floats:
    """Outputs of one feature over columns given by name."""
    return FeaturePlan([spec], tuple(columns)).batch(np.array([*columns.values()], float).T)


def test_relative_volume_compares_with_the_same_minute_of_the_sessions_before() -> None:
    outputs = run(
        FeatureSpec("relative_volume", "x", {"sessions": 2}),
        volume=[100, 5000, 300, 199, 0, 49],
        session=[1, 1, 2, 3, 4, 20],
        minute_of_day=[571, 572, 571, 571, 571, 571],
    )[:, 0]
    # Session 3: mean of 100 and 300. Session 4: of 300 and 199. Session 20: nothing in the two sessions before.
    expected = [log(101), log(5001), log(301 / 101), log(200 / 201), log(1 / 250.5), log(50)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)


def test_volume_z_of_two_bars_is_one_deviation() -> None:
    outputs = run(FeatureSpec("volume_z", "x", {"n": 2}), volume=[10, 20, 20, 5])[:, 0]
    np.testing.assert_allclose(outputs, [NAN, 1.0, 0.0, -1.0], rtol=1e-12)


def test_climax_outdoes_the_bars_before() -> None:
    outputs = run(
        FeatureSpec("climax", "x", {"n": 2}),
        open=[10, 10, 12, 10],
        high=[11, 11, 12, 11],
        low=[10, 10, 10, 10],
        close=[11, 10, 10, 11],
        volume=[10, 10, 30, 20],
    )
    # Volume times range: 10, 10, 60 (falling), 20.
    np.testing.assert_array_equal(outputs, [[NAN, NAN], [NAN, NAN], [-1.0, NAN], [0.0, -0.5]])


def test_churn_is_volume_without_range() -> None:
    flat = {"high": [11.0] * 5, "low": [10.0] * 5}
    outputs = run(FeatureSpec("churn", "x", {"n": 2}), volume=[10, 10, 90, 90, 10], **flat)[:, 0]
    np.testing.assert_allclose(outputs, [NAN, NAN, 1.0, 0.0, -1.0], rtol=1e-12)
    narrower = run(FeatureSpec("churn", "x", {"n": 2}), high=[14, 14, 11], low=[10, 10, 10], volume=[50, 50, 50])
    np.testing.assert_allclose(narrower[2], 1.0, rtol=1e-12)


def test_volume_direction_weighs_rising_against_falling_bars() -> None:
    outputs = run(
        FeatureSpec("volume_direction", "x", {"n": 2}),
        open=[10, 11, 10, 10],
        close=[11, 10, 10, 12],
        volume=[30, 10, 20, 0],
    )
    np.testing.assert_array_equal(outputs, [[NAN, NAN], [0.5, 0.0], [-1 / 3, -0.5], [0.0, 0.5]])


def test_direction_ema_averages_the_place_of_the_close() -> None:
    outputs = run(FeatureSpec("direction_ema", "x", {"n": 2}), high=[2, 2, 2, 1], low=[1, 1, 1, 1], close=[2, 1, 2, 1])
    # Places 1, -1, 1 and 0 for a bar without range; weight 2/3 after the seed.
    np.testing.assert_allclose(outputs[:, 0], [NAN, 0.0, 2 / 3, 2 / 9], rtol=1e-14)


def test_intrabar_volatility_by_hand() -> None:
    outputs = run(FeatureSpec("intrabar_volatility", "x", {"n": 1}), open=[100], high=[110], low=[90], close=[100])
    np.testing.assert_allclose(outputs[0, 0], sqrt(log(1.1) ** 2 + log(0.9) ** 2), rtol=1e-14)


def test_no_volume_at_all_is_neutral() -> None:
    none = {"volume": [0.0] * 6}
    bars = {"open": [10.0] * 6, "high": [11.0] * 6, "low": [10.0] * 6, "close": [11.0] * 6}
    assert run(FeatureSpec("climax", "x", {"n": 2}), **bars, **none)[3:].tolist() == [[0.0, 0.0]] * 3
    assert (run(FeatureSpec("volume_z", "x", {"n": 2}), **none)[1:] == 0.0).all()
    assert (run(FeatureSpec("chaikin_money_flow", "x", {"n": 2}), **bars, **none)[1:] == 0.0).all()
    assert (run(FeatureSpec("money_flow_index", "x", {"n": 2}), **bars, **none)[2:] == 0.5).all()
