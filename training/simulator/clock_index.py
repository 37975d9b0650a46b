"""The clock: one ascending index of times over the bars of several instruments."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClockIndex(NamedTuple):
    """The t times at which at least one bar of K instruments closed.

    Attributes
    ----------
    time_ns : int64[t]
    row : int32[t, K]
        Bar that closed at that time; -1 if none did.
    seen : int32[t, K]
        Last bar up to that time; -1 before the first.
    """

    time_ns: NDArray[np.int64]
    row: NDArray[np.int32]
    seen: NDArray[np.int32]


def build_clock_index(times: Sequence[NDArray[np.int64]]) -> ClockIndex:
    """Union of the instruments' close times, with the bars of each instrument at every time.

    Parameters
    ----------
    times : sequence of int64[n_k]
        Ascending close times of each instrument; their bars are numbered one instrument after another.

    Examples
    --------
    >>> clock = build_clock_index([np.array([10, 20]), np.array([20, 30])])
    >>> clock.time_ns.tolist(), clock.row.tolist(), clock.seen.tolist()
    ([10, 20, 30], [[0, -1], [1, 2], [-1, 3]], [[0, -1], [1, 2], [1, 3]])
    """
    union = np.unique(np.concatenate(times))
    row = np.full((len(union), len(times)), -1, np.int32)
    offset = 0
    for k, own in enumerate(times):
        row[np.searchsorted(union, own), k] = np.arange(offset, offset + len(own))
        offset += len(own)
    return ClockIndex(union, row, np.maximum.accumulate(row, axis=0))
