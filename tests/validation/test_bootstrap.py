"""Resampled intervals: repeatable, as wide as the textbook says, and covering what they promise."""

import numpy as np
import pytest

from catalogs.errors import InputError
from training.validation.bootstrap import deepest_fall, drawdown_interval, sharpe_interval, stationary_samples
from training.validation.sharpe import ReturnMoments, sharpe_standard_error

YEAR = 252**0.5


def told_slowly(seed: int, days: int, mean_length: int, samples: int) -> list[list[int]]:
    """Day by day: a new block begins with a chance of one in its mean length, else the next day follows."""
    rng = np.random.default_rng(seed)
    begins = rng.random((samples, days)) < 1 / mean_length
    drawn = rng.integers(0, days, (samples, days))
    paths: list[list[int]] = []
    for sample in range(samples):
        path: list[int] = []
        for day in range(days):
            is_new = day == 0 or begins[sample, day]
            path.append(int(drawn[sample, day]) if is_new else (path[-1] + 1) % days)
        paths.append(path)
    return paths


def test_samples_against_the_bootstrap_told_slowly() -> None:
    assert stationary_samples(11, 3, 50, seed=4).tolist() == told_slowly(4, 11, 3, 50)


def test_blocks_have_their_mean_length() -> None:
    paths = stationary_samples(500, 8, 400, seed=1)
    follows = (np.diff(paths, axis=1) % 500 == 1).mean()
    assert follows == pytest.approx(7 / 8, abs=0.005)


def test_same_seed_same_interval() -> None:
    days = np.random.default_rng(1).normal(5, 20, 60)
    for interval in (sharpe_interval, drawdown_interval):
        assert interval(days, seed=3) == interval(days, seed=3)
        assert interval(days, seed=3) != interval(days, seed=4)


def test_few_days_and_days_without_risk_have_no_interval() -> None:
    assert sharpe_interval(np.arange(9.0)) is None
    assert sharpe_interval(np.full(30, 0.01)) is None
    assert drawdown_interval(np.arange(9.0)) is None


def test_width_of_many_independent_days_is_near_the_formula() -> None:
    rng = np.random.default_rng(2)
    found = [sharpe_interval(rng.normal(0.05, 1, 1_000), samples=500) for _ in range(20)]
    error = sharpe_standard_error(ReturnMoments(0.05, 0.0, 3.0, 1_000))
    assert np.mean([each.high - each.low for each in found]) == pytest.approx(2 * 1.96 * error * YEAR, rel=0.05)


@pytest.mark.parametrize("days", [20, 60])
def test_the_sharpe_interval_covers_the_truth(days: int) -> None:
    rng = np.random.default_rng(days)
    found = [sharpe_interval(rng.normal(0.1, 1, days), samples=300) for _ in range(1_000)]
    assert 0.93 <= np.mean([each.low <= 0.1 * YEAR <= each.high for each in found]) <= 0.99


def test_the_drawdown_interval_covers_the_drawdown_of_the_days_after() -> None:
    rng = np.random.default_rng(8)
    tracks = rng.normal(0.0, 100.0, (400, 2, 120))
    covered = 0
    for seen, after in tracks:
        interval = drawdown_interval(seen, samples=300)
        covered += interval.low <= deepest_fall(after[np.newaxis])[0] <= interval.high
    assert 0.89 <= covered / 400 <= 0.98


def test_days_that_only_gain_have_no_drawdown() -> None:
    interval = drawdown_interval(np.arange(1.0, 21.0))
    assert (interval.low, interval.high) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("numbers", "line"),
    [((0, 1, 1), "days of a bootstrap"), ((5, 0, 1), "block length of a bootstrap"), ((5, 1, 0), "samples of a boot")],
)
def test_wrong_input_is_one_line(numbers: tuple[int, int, int], line: str) -> None:
    with pytest.raises(InputError, match=line):
        stationary_samples(*numbers, seed=0)
