"""Inner-circle concepts on bars drawn by hand: values written out, nothing known before its bar has closed."""

import numpy as np
import pytest

from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.features.compiler.compile import Floats

NAN = np.nan


def run(spec: FeatureSpec, **columns: list[float]) -> Floats:
    """Outputs of one feature over columns given by name."""
    return FeaturePlan([spec], tuple(columns)).batch(np.array([*columns.values()], float).T)


def test_prior_session_is_known_once_it_was_seen_whole() -> None:
    # Session 1 may have been joined late; session 2 (high 14, low 10, middle 12) was seen from its first bar on.
    outputs = run(
        FeatureSpec("prior_session", "prior"),
        high=[10, 11, 12, 14, 14, 13],
        low=[8, 9, 10, 12, 13, 11],
        close=[9, 10, 11, 13, 13.5, 12],
        session=[1, 1, 2, 2, 3, 3],
    )
    assert np.isnan(outputs[:4]).all()
    np.testing.assert_allclose(outputs[4], [13.5 / 14 - 1, 0.35, 0.125, 0.375], rtol=1e-14)
    np.testing.assert_allclose(outputs[5], [12 / 14 - 1, 0.2, 0.0, 0.0], atol=1e-15)  # equilibrium


def test_opening_range_grows_for_its_minutes_and_then_stands() -> None:
    outputs = run(
        FeatureSpec("opening_range", "opening", {"minutes": 2}),
        high=[50, 10, 12, 15],
        low=[40, 8, 9, 7],
        close=[45, 9, 11, 14],
        session=[1, 2, 2, 2],
        minutes_since_open=[300, 1, 2, 3],
        rth=[1, 1, 1, 1],
    )
    expected = [[NAN, NAN], [-0.1, 0.125], [11 / 12 - 1, 0.375], [14 / 12 - 1, 0.75]]
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)


def test_opening_range_starts_again_with_regular_hours() -> None:
    outputs = run(
        FeatureSpec("opening_range", "opening", {"minutes": 1}),
        high=[50, 20, 10, 11],
        low=[40, 16, 8, 9],
        close=[45, 18, 9, 10],
        session=[1, 2, 2, 2],
        minutes_since_open=[300, 1, 900, 901],
        rth=[0, 0, 1, 1],
    )
    np.testing.assert_allclose(outputs[1:], [[18 / 20 - 1, 0.125], [-0.1, 0.125], [0.0, 0.25]], rtol=1e-14)


def test_displacement_is_a_wide_bar_that_is_mostly_body() -> None:
    outputs = run(
        FeatureSpec("displacement", "displacement", {"n": 2}),
        open=[10, 10, 10.0, 12, 13],
        high=[11, 11, 13.0, 13, 13],
        low=[10, 10, 10.0, 12, 8],
        close=[10, 11, 12.5, 13, 10.5],
    )
    # Bar 2: range 3 against a mean of 1, body 2.5. Bar 4: range 5 against a mean of 2, but half of it wick.
    expected = [[NAN, NAN], [NAN, NAN], [1.0, NAN], [0.0, 0.5], [0.0, 0.0]]
    np.testing.assert_array_equal(outputs, expected)


def test_fair_value_gaps_open_fill_and_open_the_other_way() -> None:
    outputs = run(
        FeatureSpec("fair_value_gap", "gap", {"n": 1, "horizon": 3}),
        high=[10, 12.0, 13.0, 12.0, 11.0, 9.7],
        low=[9, 9.5, 11.0, 10.5, 9.8, 9.0],
        close=[9.5, 11.5, 12.5, 11.0, 10.0, 9.2],
    )
    # Bar 2's low of 11 stays above bar 0's high of 10: a bullish gap, known when bar 2 closes, 1.5 below its close.
    # Bar 3 dips into it, bar 4 reaches 9.8 and fills it; bar 5's high of 9.7 stays under bar 3's low of 10.5.
    expected = [
        [2.0 / 3.5, 0.0, 1 / 8, 0.0, 1 / 3],
        [1.0, 0.0, 1 / 8, 0.0, 1 / 3],
        [0.0, 0.0, 0.0, -1.0, 1 / 3],
        [0.0, 0.7 / 1.2, -1 / 8, 0.0, 1 / 3],
    ]
    assert np.isnan(outputs[:2]).all()
    np.testing.assert_allclose(outputs[2:], expected, rtol=1e-12)


def test_fair_value_gap_expires() -> None:
    quiet = 6
    outputs = run(
        FeatureSpec("fair_value_gap", "gap", {"n": 1, "horizon": 3}),
        high=[10, 12.0, 13.0] + [13.0] * quiet,
        low=[9, 9.5, 11.0] + [11.0] * quiet,
        close=[9.5, 11.5, 12.0] + [12.0] * quiet,
    )
    # Formed at bar 2 and at bar 3 (bar 3's low of 11 is not above bar 1's high of 12: one gap alone), gone after bar 5.
    np.testing.assert_array_equal(outputs[2:, 2], [1 / 8, 1 / 8, 1 / 8, 1 / 8, 0.0, 0.0, 0.0])


def test_equal_highs_are_two_swings_within_the_tolerance() -> None:
    highs = [10, 12, 10, 11.8, 10]
    outputs = run(
        FeatureSpec("equal_extremes", "equal", {"n": 1, "wing": 1, "horizon": 20}),
        high=highs,
        low=[high - 2 for high in highs],
        close=[9.0] * 5,
    )
    # Swings of 12 (known at bar 2) and 11.8 (known at bar 4); the level 12 lies 3 above the close, the range is 2.
    np.testing.assert_allclose(outputs[:, 0], [0, 0, 0, 0, 0.4], rtol=1e-14)
    assert (outputs[:, 1] == 0.0).all()  # one swing low, 8, makes no pair


def test_equal_lows_mirror_equal_highs() -> None:
    lows = [10, 8, 10, 8.2, 10]
    outputs = run(
        FeatureSpec("equal_extremes", "equal", {"n": 1, "wing": 1, "horizon": 20}),
        high=[low + 2 for low in lows],
        low=lows,
        close=[11.0] * 5,
    )
    np.testing.assert_allclose(outputs[:, 1], [0, 0, 0, 0, 0.4], rtol=1e-14)


def test_sweep_trades_through_a_swing_and_closes_back() -> None:
    outputs = run(
        FeatureSpec("liquidity_sweep", "sweep", {"n": 1, "wing": 1, "horizon": 20}),
        high=[10, 12, 10, 12.5, 13.0],
        low=[8, 10, 9, 9.5, 11.0],
        close=[9, 11, 9.5, 11.0, 12.8],
    )
    # The swing high of 12 is known at bar 2; bar 3 trades 12.5 and closes at 11. Then the level is spent.
    np.testing.assert_array_equal(outputs[:, 0], [0, 0, 0, -1, 0])


def test_breakout_is_no_sweep_and_a_sweep_of_lows_is_bullish() -> None:
    broken = run(
        FeatureSpec("liquidity_sweep", "sweep", {"n": 1, "wing": 1, "horizon": 20}),
        high=[10, 12, 10, 12.5],
        low=[8, 10, 9, 9.5],
        close=[9, 11, 9.5, 12.2],
    )
    assert (broken[:, 0] == 0.0).all()
    undercut = run(
        FeatureSpec("liquidity_sweep", "sweep", {"n": 1, "wing": 1, "horizon": 20}),
        high=[12, 10, 12, 11],
        low=[10, 8, 10, 7.5],
        close=[11, 9, 11, 9],
    )
    np.testing.assert_array_equal(undercut[:, 0], [0, 0, 0, 1])


@pytest.mark.parametrize("wing", [1, 2, 3])
def test_a_swing_is_not_known_before_its_wing_has_closed(wing: int) -> None:
    highs = [10.0 + i for i in range(wing)] + [20.0] + [15.0 - i for i in range(wing)] + [21.0]
    closes = [9.0] * len(highs)
    spec = FeatureSpec("liquidity_sweep", "sweep", {"n": 1, "wing": wing, "horizon": 20})
    rising = run(spec, high=highs, low=[5.0 - i for i in range(len(highs))], close=closes)[:, 0]
    assert rising.tolist() == [0.0] * (2 * wing + 1) + [-1.0]
    early = [*highs[: 2 * wing], 21.0]  # one bar sooner the swing is not yet confirmed
    assert (
        run(spec, high=early, low=[5.0 - i for i in range(len(early))], close=closes[: len(early)])[:, 0] == 0
    ).all()
