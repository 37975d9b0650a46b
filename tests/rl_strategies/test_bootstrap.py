"""The interval must cover the truth about as often as it says, with and without memory in the days."""

import numpy as np
import pytest

from rl_strategies.analysis.bootstrap import bootstrap_interval


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(1).normal(5, 20, 60)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_nine_days_give_no_interval() -> None:
    assert bootstrap_interval(np.arange(9.0)) is None
    assert bootstrap_interval(np.arange(10.0)) is not None


def test_constant_days_have_a_point() -> None:
    interval = bootstrap_interval(np.full(30, 7.5))
    assert (interval.low, interval.high) == (7.5, 7.5)
    assert interval.contains(7.5)
    assert not interval.contains(0.0)


def test_width_of_independent_days_is_near_the_textbook() -> None:
    values = np.random.default_rng(2).normal(0, 1, 400)
    interval = bootstrap_interval(values)
    assert interval.block_length == 7  # 400 ** (1/3) = 7.4
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.2)


def test_ninety_five_percent_covers_about_ninety_five_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    covered = [bootstrap_interval(rng.normal(0, 1, 100), samples=400).contains(0.0) for _ in range(200)]
    assert 0.88 <= np.mean(covered) <= 0.98


def test_blocks_widen_the_interval_of_days_with_memory() -> None:
    rng = np.random.default_rng(5)
    days = np.zeros(300)
    for day, shock in enumerate(rng.normal(0, 1, 300)):
        days[day] = 0.7 * days[day - 1] + shock
    shuffled = rng.permutation(days)
    kept, broken = bootstrap_interval(days), bootstrap_interval(shuffled)
    assert kept.high - kept.low > 1.3 * (broken.high - broken.low)
