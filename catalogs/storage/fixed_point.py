"""Columns of NautilusTrader's stored numbers (128-bit little-endian integers of 1e-16) to and from whole units.

A price in ticks times the tick in 1e-16, or a volume times 1e16, is the stored integer. It exceeds 64 bits, so both
ways work on two 64-bit words and stay exact.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalogs.errors import InputError

WIDTH = 16  # bytes
ONE_RAW = 10**16  # a volume of 1

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


def encode(units: NDArray[np.int64], unit_raw: int) -> pa.FixedSizeBinaryArray:
    """Encode ``units × unit_raw``.

    Parameters
    ----------
    units : int64[n]
        Ticks, or units of volume; not negative.
    unit_raw : int
        One unit in 1e-16: 25 * 10**14 for a tick of 0.25.

    Returns
    -------
    pyarrow.FixedSizeBinaryArray
        n values of 16 bytes.

    Examples
    --------
    >>> int.from_bytes(encode(np.array([3]), 25 * 10**14)[0].as_py(), "little")
    7500000000000000
    """
    words = _product(units.astype(np.uint64), unit_raw)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(WIDTH), len(units), [None, pa.py_buffer(words)])


def decode(column: pa.ChunkedArray, unit_raw: int, what: str) -> NDArray[np.int64]:
    """Whole units of a stored column; the inverse of `encode`.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        16-byte values without nulls.
    unit_raw : int
        One unit in 1e-16.
    what : str
        Name of the column, for errors.

    Returns
    -------
    int64[n]

    Raises
    ------
    InputError
        If a value is negative or not a whole number of units, or the column is not stored in 16 bytes.

    Notes
    -----
    A multiple of an odd number d is divided exactly by multiplying with the inverse of d modulo 2**64 (Warren,
    Hacker's Delight, 10-16), after the power of two in ``unit_raw`` is shifted out. Multiplying back finds
    values that were no multiple.
    """
    if column.type != pa.binary(WIDTH):
        raise InputError(f"{what} must be stored in {WIDTH} bytes (high precision), was {column.type}")
    words = _words(column)
    shift = (unit_raw & -unit_raw).bit_length() - 1
    inverse = pow(unit_raw >> shift, -1, 2**64)
    shifted = words[:, 0]
    if shift:
        shifted = (words[:, 0] >> np.uint64(shift)) | (words[:, 1] << np.uint64(64 - shift))
    units = shifted * np.uint64(inverse)
    wrong = (_product(units, unit_raw) != words).any(axis=1) | (units > np.uint64(2**63 - 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = int.from_bytes(words[row].tobytes(), "little", signed=True) / ONE_RAW
        rule = f"a whole multiple of {unit_raw / ONE_RAW:g}"
        raise InputError(f"{what} must be {rule}, was {value:.10g} in row {row}")
    return units.astype(np.int64)


def _words(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    parts = []
    for chunk in column.chunks:
        data = np.frombuffer(chunk.buffers()[1], "<u8").reshape(-1, 2)
        parts.append(data[chunk.offset : chunk.offset + len(chunk)])
    return np.concatenate(parts) if parts else np.empty((0, 2), np.uint64)


def _product(units: NDArray[np.uint64], unit_raw: int) -> NDArray[np.uint64]:
    # Long multiplication in base 2**32: uint64 arithmetic wraps modulo 2**64, which the low word wants.
    k0, k1 = np.uint64(unit_raw & 0xFFFF_FFFF), np.uint64(unit_raw >> 32)
    n0, n1 = units & _LOW, units >> _HALF
    low = n0 * k0
    middle = n1 * k0 + (low >> _HALF)
    carry = n0 * k1 + (middle & _LOW)
    words = np.empty((len(units), 2), np.uint64)
    words[:, 0] = units * np.uint64(unit_raw)
    words[:, 1] = n1 * k1 + (middle >> _HALF) + (carry >> _HALF)
    return words
