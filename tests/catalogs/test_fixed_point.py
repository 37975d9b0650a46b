"""Stored numbers against Python's own integers of any size."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogs.errors import InputError
from catalogs.storage.fixed_point import ONE_RAW, decode, encode

QUARTER_RAW = 25 * 10**14
UNITS_RAW = [QUARTER_RAW, 10**14, 10**16, 3 * 10**12, 10**16 // 32, 7]


def column(*values: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([value.to_bytes(16, "little", signed=True) for value in values], pa.binary(16))])


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1), st.sampled_from(UNITS_RAW))
def test_bytes_are_those_of_the_exact_product(units: list[int], unit_raw: int) -> None:
    stored = encode(np.array(units), unit_raw)
    assert [int.from_bytes(value, "little") for value in stored.to_pylist()] == [unit * unit_raw for unit in units]
    assert decode(pa.chunked_array([stored]), unit_raw, "close").tolist() == units


@given(st.integers(0, 2**40), st.integers(1, QUARTER_RAW - 1))
def test_a_price_between_two_ticks_is_refused(ticks: int, rest: int) -> None:
    with pytest.raises(InputError, match=r"close must be a whole multiple of 0\.25, was .* in row 1"):
        decode(column(QUARTER_RAW, ticks * QUARTER_RAW + rest), QUARTER_RAW, "close")


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(InputError, match=r"whole multiple of 0\.25, was -37\.5 in row 0"):
        decode(column(-150 * QUARTER_RAW), QUARTER_RAW, "close")


def test_chunks_and_slices_are_read_where_they_start() -> None:
    whole = column(*(ONE_RAW * value for value in range(10)))
    pieces = pa.chunked_array([whole.chunk(0).slice(2, 3), whole.chunk(0).slice(7)])
    assert decode(pieces, ONE_RAW, "volume").tolist() == [2, 3, 4, 7, 8, 9]


def test_an_empty_column_is_empty() -> None:
    assert decode(pa.chunked_array([], pa.binary(16)), ONE_RAW, "volume").tolist() == []


def test_prices_stored_in_eight_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="16 bytes"):
        decode(pa.chunked_array([pa.array([b"12345678"], pa.binary(8))]), ONE_RAW, "volume")
