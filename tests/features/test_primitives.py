"""Building blocks of kernels against Python's own exact arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.features.primitives import ring_back, ring_push, ring_size, total_push, total_size


@given(values=st.lists(st.integers(-(10**9), 10**9).map(float), min_size=1, max_size=40), n=st.integers(1, 9))
def test_total_of_whole_numbers(values: list[float], n: int) -> None:
    state = np.zeros(total_size(n))
    for i, value in enumerate(values):
        assert total_push(state, n, value) == sum(values[max(0, i - n + 1) : i + 1])


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_ring_gives_back_what_was_pushed(n: int) -> None:
    values, ring = np.arange(10.0, 10.0 + 3 * n), np.zeros(ring_size(n))
    for i, value in enumerate(values):
        assert ring_push(ring, n, value) == (i + 1 >= n)
        for age in range(min(i + 1, n)):
            assert ring_back(ring, n, age) == values[i - age]
