"""Sharpe statistics against the published examples and against the formulas, written a second time."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from catalogs.errors import InputError
from training.validation.sharpe import (
    ReturnMoments,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    return_moments,
    sharpe_standard_error,
)


def normal(sharpe: float, observations: int) -> ReturnMoments:
    return ReturnMoments(sharpe, 0.0, 3.0, observations)


# Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier", 2012: a fund of 24 months, and a Sharpe ratio of 2 a
# year against one of 1. "The Deflated Sharpe Ratio", 2014: 2.5 a year, the best of 100.
@pytest.mark.parametrize(
    ("found", "published", "digits"),
    [
        (probabilistic_sharpe(normal(0.458, 24)), 0.982, 3),
        (probabilistic_sharpe(ReturnMoments(0.458, -2.448, 10.164, 24)), 0.913, 3),
        (minimum_track_record(normal(2 / math.sqrt(250), 1_000), 1 / math.sqrt(250)) / 250, 2.73, 2),
        (minimum_track_record(normal(2 / math.sqrt(52), 1_000), 1 / math.sqrt(52)) / 52, 2.83, 2),
        (minimum_track_record(normal(2 / math.sqrt(12), 1_000), 1 / math.sqrt(12)) / 12, 3.24, 2),
        (minimum_track_record(ReturnMoments(2 / math.sqrt(12), -0.72, 5.78, 999), 1 / math.sqrt(12)) / 12, 4.99, 2),
        (expected_maximum_sharpe(100, 0.5 / 250), 0.1132, 4),
        (deflated_sharpe(ReturnMoments(2.5 / math.sqrt(250), -3.0, 10.0, 1_250), 100, 0.5 / 250), 0.9004, 4),
    ],
)
def test_published_examples(found: float, published: float, digits: int) -> None:
    assert round(found, digits) == published


def test_the_published_example_to_a_millionth_of_its_formula() -> None:
    # Term by term, with the normal distribution from the error function of the C library.
    rate, days = 2.5 / math.sqrt(250), 1_250
    normal_quantile = NormalDist().inv_cdf
    ordinary, extreme = normal_quantile(1 - 1 / 100), normal_quantile(1 - 1 / (100 * math.e))
    luck = math.sqrt(0.5 / 250) * ((1 - 0.5772156649015329) * ordinary + 0.5772156649015329 * extreme)
    z = (rate - luck) * math.sqrt(days - 1) / math.sqrt(1 + 3 * rate + (10 - 1) / 4 * rate * rate)
    expected = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    best = ReturnMoments(rate, -3.0, 10.0, days)
    assert deflated_sharpe(best, 100, 0.5 / 250) == pytest.approx(expected, abs=1e-6)


def test_moments_told_slowly() -> None:
    returns = [0.01, -0.02, 0.03, 0.005, -0.01, 0.02, -0.04, 0.015]
    mean = sum(returns) / 8
    second, third, fourth = (sum((value - mean) ** power for value in returns) / 8 for power in (2, 3, 4))
    found = return_moments(np.array(returns))
    assert found.sharpe == pytest.approx(mean / math.sqrt(second * 8 / 7), rel=1e-12)
    assert found.skewness == pytest.approx(third / second**1.5, rel=1e-12)
    assert found.kurtosis == pytest.approx(fourth / second**2, rel=1e-12)
    assert found.observations == 8


def test_standard_error_is_the_deviation_of_simulated_ratios() -> None:
    rng = np.random.default_rng(4)
    tracks = rng.exponential(1.0, (20_000, 250)) - 0.9  # mean 0.1, deviation 1, skewness 2, kurtosis 9
    ratios = tracks.mean(axis=1) / tracks.std(axis=1, ddof=1)
    expected = sharpe_standard_error(ReturnMoments(0.1, 2.0, 9.0, 250))
    assert ratios.std() == pytest.approx(expected, rel=0.03)


def test_expected_maximum_is_near_the_maximum_of_simulated_trials() -> None:
    best = np.random.default_rng(1).normal(0, 0.2, (20_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(50, 0.04) == pytest.approx(best, rel=0.02)


def test_one_trial_is_not_deflated() -> None:
    track = normal(0.1, 250)
    assert deflated_sharpe(track, 1, 0.04) == probabilistic_sharpe(track)


def test_more_trials_deflate_more() -> None:
    found = [deflated_sharpe(normal(0.15, 250), trials, 0.003) for trials in (1, 2, 10, 100, 10_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.98
    assert found[-1] < 0.2


def test_a_track_of_the_minimum_length_is_just_enough() -> None:
    length = minimum_track_record(ReturnMoments(0.1, -1.0, 6.0, 100), 0.02)
    assert probabilistic_sharpe(ReturnMoments(0.1, -1.0, 6.0, math.ceil(length)), 0.02) >= 0.95
    assert probabilistic_sharpe(ReturnMoments(0.1, -1.0, 6.0, math.floor(length)), 0.02) < 0.95


def test_no_track_is_long_enough_for_a_ratio_below_the_benchmark() -> None:
    assert minimum_track_record(normal(0.1, 250), 0.1) == math.inf


def test_days_that_hardly_vary_have_no_moments() -> None:
    assert return_moments(np.full(30, 0.01)) is None
    assert return_moments(np.array([0.01, -0.01, 0.02, 0.0])) is None  # four


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (lambda: normal(0.1, 1), "a Sharpe ratio needs at least 2 observations, had 1"),
        (lambda: ReturnMoments(0.1, 0.0, 0.0, 100),
         r"kurtosis must be at least 1 with skewness 0, was 0 \(a normal distribution has 3\)"),
        (lambda: expected_maximum_sharpe(0, 0.1), "trials must be at least 1, were 0"),
        (lambda: expected_maximum_sharpe(5, -0.1), "variance of the trials' Sharpe ratios must be at least 0, was -0"),
        (lambda: minimum_track_record(normal(0.1, 9), confidence=95), r"confidence must be in \(0.5, 1\), was 95"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(wrong: object, line: str) -> None:
    with pytest.raises(InputError, match=line):
        wrong()  # type: ignore[operator]
