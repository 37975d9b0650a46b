"""Building blocks of kernels against Python's own exact arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.features.primitives import (
    exact_push,
    exact_size,
    ring_deviation,
    ring_max,
    ring_mean,
    ring_min,
    ring_push,
    ring_rank,
    ring_size,
    ring_std,
    ring_succession,
    ring_variation,
    total_push,
    total_size,
)

PRICES = st.integers(1, 10**7).map(lambda cents: cents / 100)


@given(values=st.lists(PRICES, min_size=1, max_size=60), n=st.integers(1, 12), start=st.integers(0, 40))
def test_exact_total_is_that_of_its_window_whatever_went_before(values: list[float], n: int, start: int) -> None:
    state = np.zeros(exact_size(n))
    totals = [exact_push(state, n, value) for value in values]
    for i, total in enumerate(totals):
        assert total == math.fsum(values[max(0, i - n + 1) : i + 1])
    later = np.zeros(exact_size(n))
    again = [exact_push(later, n, value) for value in values[start:]]
    assert again[n - 1 :] == totals[start + n - 1 :]


@given(values=st.lists(PRICES.map(lambda price: math.log(price / 100) ** 2), min_size=30, max_size=60))
def test_exact_total_of_squared_returns(values: list[float]) -> None:
    state = np.zeros(exact_size(7))
    for i, value in enumerate(values):
        assert exact_push(state, 7, value) == math.fsum(values[max(0, i - 6) : i + 1])


@given(values=st.lists(st.integers(-(10**9), 10**9).map(float), min_size=1, max_size=40), n=st.integers(1, 9))
def test_total_of_whole_numbers(values: list[float], n: int) -> None:
    state = np.zeros(total_size(n))
    for i, value in enumerate(values):
        assert total_push(state, n, value) == sum(values[max(0, i - n + 1) : i + 1])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 8, 21])
def test_rings_agree_with_numpy_at_every_size_and_position(n: int) -> None:
    values = np.random.default_rng(n).normal(5000.0, 3.0, 3 * n)
    ring = np.zeros(ring_size(n))
    for i, value in enumerate(values):
        assert ring_push(ring, n, value) == (i + 1 >= n)
        if i + 1 < n:
            continue
        window = values[i + 1 - n : i + 1]
        mean = ring_mean(ring, n)
        np.testing.assert_allclose(mean, window.mean(), rtol=1e-14)
        np.testing.assert_allclose(ring_std(ring, n, mean), window.std(), rtol=1e-12)
        np.testing.assert_allclose(ring_deviation(ring, n, mean), np.abs(window - window.mean()).mean(), rtol=1e-12)
        assert (ring_max(ring, n), ring_min(ring, n)) == (window.max(), window.min())
        assert ring_rank(ring, n, window[0]) == ((window < window[0]).sum() + 0.5) / n
        centred = window - mean
        np.testing.assert_allclose(ring_succession(ring, n, mean), (centred[:-1] * centred[1:]).sum(), rtol=1e-10)
        np.testing.assert_allclose(ring_variation(ring, n, 1, 0.5), ((np.diff(window) - 0.5) ** 2).sum(), rtol=1e-12)
