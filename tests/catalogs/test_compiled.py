"""A bound kernel does what the kernel does with all of its arguments."""

import numpy as np
import pytest

from catalogs.compiled import bound, kernel


def add_scaled(total, scale, value, times):  # type: ignore[no-untyped-def]
    """A kernel of four arguments."""
    total[0] += scale * value * times
    return times + 1


@pytest.mark.parametrize("function", [kernel(add_scaled), add_scaled], ids=["compiled", "without numba"])
def test_a_bound_kernel_writes_where_the_kernel_writes(function) -> None:  # type: ignore[no-untyped-def]
    total = np.zeros(1)
    add = bound(function, total, 2.0, free=(float, int))
    assert add(1.5, 3) == 4
    assert add(10, 1) == 2, "an int stands for a float, as everywhere in Python"
    assert total.tolist() == [29.0]  # 2 × 1.5 × 3 + 2 × 10 × 1


def test_what_is_written_in_place_is_seen_and_two_bindings_do_not_mix() -> None:
    first, second = np.zeros(1), np.ones(1)
    add = kernel(add_scaled)
    to_first, to_second = (bound(add, total, 1.0, free=(float, int)) for total in (first, second))
    first[:] = 5.0
    to_first(1.0, 1)
    to_second(1.0, 1)
    assert (first[0], second[0]) == (6.0, 2.0)


def test_records_are_taken() -> None:
    book = np.zeros(2, np.dtype((np.record, [("units", np.int64), ("price", np.float64)])))

    @kernel
    def buy(book, k, units, price):  # type: ignore[no-untyped-def]
        book[k].units += units
        book[k].price = price

    bound(buy, book, 1, free=(int, float))(3, 2.5)
    assert book.tolist() == [(0, 0.0), (3, 2.5)]


def test_a_wrong_number_of_arguments_is_refused() -> None:
    add = bound(kernel(add_scaled), np.zeros(1), 1.0, free=(float, int))
    with pytest.raises(TypeError):
        add(1.0)
