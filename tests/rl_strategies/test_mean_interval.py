"""The interval must cover the truth about as often as it says, with and without memory in the days."""

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.analysis.mean_interval import mean_interval


def days_with_memory(rng: np.random.Generator, n: int, memory: float) -> np.ndarray:
    days = np.zeros(n + 50)
    for day, shock in enumerate(rng.normal(0, 1, n + 50)):
        days[day] = memory * days[day - 1] + shock
    return days[50:]


def covered(tracks: list[np.ndarray]) -> float:
    return float(np.mean([mean_interval(track).contains(0.0) for track in tracks]))


def test_nine_days_give_no_interval() -> None:
    assert mean_interval(np.arange(9.0)) is None
    assert mean_interval(np.arange(10.0)) is not None


def test_constant_days_have_a_point() -> None:
    interval = mean_interval(np.full(30, 7.5))
    assert (interval.low, interval.high) == (7.5, 7.5)
    assert interval.contains(7.5)
    assert not interval.contains(0.0)


def test_width_of_independent_days_is_near_the_textbook() -> None:
    values = np.random.default_rng(2).normal(0, 1, 400)
    interval = mean_interval(values)
    assert interval.block_length == 7  # 400 ** (1/3) = 7.4
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.2)


@pytest.mark.parametrize("days", [10, 20, 60])
@pytest.mark.parametrize("kind", ["normal", "heavy"])
def test_ninety_five_percent_covers_ninety_five_in_a_hundred_of_few_days(days: int, kind: str) -> None:
    # The percentile bootstrap that stood here covered 86, 87 and 91 in a hundred.
    rng = np.random.default_rng(days)
    draw = {"normal": lambda: rng.normal(0, 1, days), "heavy": lambda: rng.standard_t(4, days)}[kind]
    assert 0.94 <= covered([draw() for _ in range(2_000)]) <= 0.98


def test_a_little_memory_costs_little() -> None:
    rng = np.random.default_rng(3)
    assert covered([days_with_memory(rng, 60, 0.2) for _ in range(1_000)]) > 0.91  # s / √n alone covers 89 in a hundred


def test_blocks_widen_the_interval_of_days_with_memory() -> None:
    rng = np.random.default_rng(5)
    days = days_with_memory(rng, 300, 0.7)
    shuffled = rng.permutation(days)
    kept, broken = mean_interval(days), mean_interval(shuffled)
    assert kept.high - kept.low > 1.3 * (broken.high - broken.low)


def test_a_higher_level_is_wider() -> None:
    days = np.random.default_rng(1).normal(5, 20, 60)
    wide, narrow = mean_interval(days, level=0.99), mean_interval(days, level=0.9)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(InputError, match=r"level must be in \(0, 1\), was"):
        mean_interval(np.arange(10.0), level=level)
