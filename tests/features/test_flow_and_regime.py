"""Microstructure, regime, SMT and VIX features on numbers whose answer is known."""

from math import log, log1p, sqrt

import numpy as np
import pytest

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats

NAN = np.nan


def run(spec: FeatureSpec, **columns: list[float]) -> Floats:
    """Outputs of one feature over columns given by name."""
    return FeaturePlan([spec], tuple(columns)).batch(np.array([*columns.values()], float).T)


def test_spreads_and_book_by_hand() -> None:
    book = {"bid": [99.5], "ask": [100.5], "bid_size": [30], "ask_size": [10]}
    assert run(FeatureSpec("quoted_spread", "x"), bid=[99.5], ask=[100.5]).item() == 100.0
    effective = run(FeatureSpec("effective_spread", "x", {"n": 1}), close=[100.25], bid=[99.5], ask=[100.5])
    assert effective.item() == 50.0
    assert run(FeatureSpec("book_imbalance", "x"), bid_size=[30], ask_size=[10]).item() == 0.5
    # (99.5 * 10 + 100.5 * 30) / 40 = 100.25, a quarter above the middle of 100.
    assert run(FeatureSpec("microprice_distance", "x"), **book).item() == 25.0


def test_one_sided_book_is_unknown() -> None:
    assert np.isnan(run(FeatureSpec("quoted_spread", "x"), bid=[0.0], ask=[100.5])).all()
    assert np.isnan(run(FeatureSpec("effective_spread", "x", {"n": 1}), close=[1.0], bid=[0.0], ask=[1.0])).all()


def test_corwin_schultz_finds_the_spread_of_a_pure_bounce() -> None:
    # Bars that only bounce between 99 and 101: the estimate is exact, 2 in 100.
    outputs = run(FeatureSpec("corwin_schultz", "x", {"n": 2}), high=[101] * 3, low=[99] * 3)[:, 0]
    np.testing.assert_allclose(outputs, [NAN, NAN, 200.0], rtol=1e-9)


def test_roll_finds_the_spread_of_a_pure_bounce() -> None:
    outputs = run(FeatureSpec("roll_spread", "x", {"n": 4}), close=[100, 101, 100, 101, 100])[:, 0]
    np.testing.assert_allclose(outputs[4], 2 * log(1.01) * 10_000, rtol=1e-12)
    assert run(FeatureSpec("roll_spread", "x", {"n": 3}), close=[1, 2, 4, 8])[3].item() == 0.0  # no bounce


def test_amihud_by_hand() -> None:
    outputs = run(FeatureSpec("amihud", "x", {"n": 1}), close=[100, 101, 102], volume=[1, 1e6, 0])[:, 0]
    np.testing.assert_allclose(outputs, [NAN, log1p(10_000 * log(1.01) / 101), 0.0], rtol=1e-14)


def test_bulk_classification_gives_the_normal_distribution() -> None:
    outputs = run(FeatureSpec("order_flow", "x", {"n": 1, "deviation": 2}), close=[10, 11, 10, 10], volume=[5] * 4)
    # One standard deviation down: 68.27 % of a normal distribution lie within one.
    np.testing.assert_allclose(outputs[2], [-0.6826894921370859, -0.6826894921370859, 0.6826894921370859], rtol=1e-12)
    np.testing.assert_array_equal(outputs[3], [0.0, 0.0, 0.0])


def test_efficiency_is_one_on_a_straight_path() -> None:
    spec = FeatureSpec("trend_regime", "x", {"n": 2})
    outputs = run(spec, close=[1, 2, 4, 4, 3, 4])
    np.testing.assert_allclose(outputs[2:, 0], [1.0, 1.0, -1.0, 0.0], rtol=1e-14)
    assert outputs[2:, 1].tolist() == [1.0, 1.0, -1.0, 0.0]
    assert run(spec, close=[5, 5, 5])[2].tolist() == [0.0, 0.0]


def test_volatility_regime_compares_fast_with_slow() -> None:
    outputs = run(FeatureSpec("volatility_regime", "x", {"fast": 1, "slow": 2}), close=[1, 2, 4, 4])
    np.testing.assert_allclose(outputs[2], [0.0, 0.0], atol=1e-15)
    assert outputs[3].tolist() == [0.0, 0.0]  # no movement in the fast window: nothing to compare
    wild = run(FeatureSpec("volatility_regime", "x", {"fast": 1, "slow": 2}), close=[1, 1, 2])[2]
    np.testing.assert_allclose(wild, [log(sqrt(2)), 1.0], rtol=1e-14)


def test_variance_ratio_of_a_trend_and_of_a_bounce() -> None:
    bounce = run(FeatureSpec("variance_ratio", "x", {"n": 4, "q": 2}), close=[1, 2, 1, 2, 1])
    np.testing.assert_allclose(bounce[4], -1.0, rtol=1e-12)
    # Log returns a, a, -a, -a: mean 0, variance a²; two-bar sums 2a, 0, -2a: variance 8/3 a² against 2 a².
    trend = run(FeatureSpec("variance_ratio", "x", {"n": 4, "q": 2}), close=[1, 2, 4, 2, 1])
    np.testing.assert_allclose(trend[4], 1 / 3, rtol=1e-12)


def test_rank_and_autocorrelation() -> None:
    rank = run(FeatureSpec("volatility_rank", "x", {"n": 4}), high=[2, 3, 4, 5, 3], low=[1, 1, 1, 1, 1])
    np.testing.assert_allclose(rank[4], (1 + 0.5) / 4)
    bounce = run(FeatureSpec("return_autocorrelation", "x", {"n": 4}), close=[1, 2, 1, 2, 1])
    np.testing.assert_allclose(bounce[4], -0.75, rtol=1e-12)


def test_momentum_counts_in_its_own_deviations() -> None:
    outputs = run(FeatureSpec("momentum", "x", {"n": 2, "deviation": 2}), close=[1, 2, 4, 4, 4])[:, 0]
    # ln 4 over √2 ln 2; then ln 2 over √2 (ln 2 / √2); then nothing moves.
    np.testing.assert_allclose(outputs[2:], [sqrt(2), 1.0, 0.0], rtol=1e-14)


def test_swing_break_and_its_divergence() -> None:
    outputs = run(FeatureSpec("swing_break", "x", {"n": 2}), high=[10, 11, 12], low=[8, 9, 8.5])
    np.testing.assert_allclose(outputs[2], [1 / 3, -0.5 / 3], rtol=1e-14)


@pytest.mark.parametrize(
    ("one_high", "other_high", "one_low", "other_low", "expected"),
    [(0.1, -0.1, -1, -1, -1.0), (0.1, 0.1, -1, -1, 0.0), (-1, -1, -1, 0.2, 1.0), (0.1, -1, 0.1, -1, 0.0)],
)
def test_swing_divergence(
    one_high: float, other_high: float, one_low: float, other_low: float, expected: float
) -> None:
    outputs = run(
        FeatureSpec("swing_divergence", "x"),
        one_high=[one_high],
        one_low=[one_low],
        other_high=[other_high],
        other_low=[other_low],
    )
    assert outputs.item() == expected


def test_implied_volatility() -> None:
    assert run(FeatureSpec("implied_volatility", "x"), close=[18.5]).item() == 0.185
    z = run(FeatureSpec("implied_volatility_z", "x", {"n": 2}), close=[15, 20, 20, 0])[:, 0]
    np.testing.assert_allclose(z, [NAN, 1.0, 0.0, NAN], rtol=1e-12)
    slope = run(FeatureSpec("term_structure", "x"), near=[12.0, 30.0], far=[15.0, 25.0])[:, 0]
    np.testing.assert_allclose(slope, [log(0.8), log(1.2)], rtol=1e-14)


def test_identity_is_one_hot() -> None:
    assert run(FeatureSpec("is_instrument", "x", {"number": 2}), instrument=[1, 2, 3])[:, 0].tolist() == [0.0, 1.0, 0.0]
