"""The probability of backtest overfitting against the procedure, gone through split by split."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from training.validation.overfitting import backtest_overfitting


def noise(seed: int, sessions: int, trials: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 100, (sessions, trials))


def by_the_book(daily: np.ndarray, slices: int) -> tuple[float, float, list[float]]:
    """Every split by itself: the days of its halves are put together, and each trial's ratio is computed from them."""
    parts = np.array_split(daily[len(daily) % slices :], slices)
    logits, losses = [], 0
    for inside in combinations(range(slices), slices // 2):
        train = np.concatenate([parts[i] for i in inside])
        test = np.concatenate([parts[i] for i in range(slices) if i not in inside])
        before = [float(train[:, k].mean() / train[:, k].std()) for k in range(daily.shape[1])]
        after = [float(test[:, k].mean() / test[:, k].std()) for k in range(daily.shape[1])]
        best = before.index(max(before))
        place = 1 + sum(other < after[best] for other in after)
        relative = place / (daily.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
        losses += after[best] < 0
    return sum(value <= 0 for value in logits) / len(logits), losses / len(logits), logits


@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([2, 4, 6]), st.integers(24, 50))
def test_against_the_procedure_split_by_split(seed: int, trials: int, slices: int, sessions: int) -> None:
    daily = noise(seed, sessions, trials)
    found = backtest_overfitting(daily, range(sessions), slices=slices)
    probability, losses, logits = by_the_book(daily, slices)
    assert found.probability == pytest.approx(probability, abs=1e-12)
    assert found.probability_of_loss == pytest.approx(losses, abs=1e-12)
    assert found.median_logit == pytest.approx(float(np.median(logits)), abs=1e-9)
    assert found.splits == math.comb(slices, slices // 2)


def test_a_trial_that_is_always_best_is_not_overfit() -> None:
    daily = noise(1, 320, 10)
    daily[:, 3] += 60
    assert backtest_overfitting(daily, range(320)).probability == 0.0


def test_noise_is_overfit_about_every_second_time() -> None:
    found = [backtest_overfitting(noise(seed, 128, 20), range(128), slices=8).probability for seed in range(60)]
    assert 0.4 < np.mean(found) < 0.6


def test_days_that_turn_against_what_was_best_are_overfit() -> None:
    daily = noise(2, 64, 6)
    daily -= daily.mean(axis=0)  # what a trial made in one half it lost in the other
    assert backtest_overfitting(daily, range(64), slices=8).probability > 0.9


def test_policies_that_stay_flat_are_no_choice() -> None:
    found = backtest_overfitting(np.zeros((32, 4)), range(32), slices=4)
    assert found.probability == 1.0  # all ranks tie in the middle
    assert found.probability_of_loss == 0.0


def test_the_oldest_days_that_fill_no_slice_are_left_out() -> None:
    daily = noise(5, 70, 4)
    whole, cut = backtest_overfitting(daily, range(70)), backtest_overfitting(daily[6:], range(64))
    assert whole == cut
    assert whole.sessions == 64


@pytest.mark.parametrize(
    ("daily", "dates", "slices", "line"),
    [
        (noise(0, 100, 8).T, 100, 16, r"one row per session and one column per trial, had shape \(8, 100\) for 100"),
        (noise(0, 100, 1), 100, 16, "overfitting needs at least 2 trials, had 1"),
        (noise(0, 100, 3), 100, 7, "slices must be even and at least 2, were 7"),
        (noise(0, 31, 3), 31, 16, "16 slices need at least 32 sessions, had 31"),
        (np.full((40, 3), np.nan), 40, 16, "daily results must be finite"),
    ],
)
def test_wrong_input_is_one_line(daily: np.ndarray, dates: int, slices: int, line: str) -> None:
    with pytest.raises(InputError, match=line):
        backtest_overfitting(daily, range(dates), slices=slices)
