"""Bars of several instruments on one line of time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Timeline(NamedTuple):
    """Times at which at least one bar closed; t of them, K instruments.

    Attributes
    ----------
    time_ns : int64[t]
    row : int32[t, K]
        The bar that closed then; -1 where there is none.
    seen : int32[t, K]
        The last bar up to then; -1 before the first.
    """

    time_ns: NDArray[np.int64]
    row: NDArray[np.int32]
    seen: NDArray[np.int32]


def build_timeline(times: Sequence[NDArray[np.int64]]) -> Timeline:
    """Union of the instruments' close times, and where each instrument's bars lie on it.

    Parameters
    ----------
    times : sequence of int64[n_k]
        Ascending close times of each instrument; their bars are numbered one instrument after another.

    Examples
    --------
    >>> line = build_timeline([np.array([10, 20]), np.array([20, 30])])
    >>> line.time_ns.tolist(), line.row.tolist(), line.seen.tolist()
    ([10, 20, 30], [[0, -1], [1, 2], [-1, 3]], [[0, -1], [1, 2], [1, 3]])
    """
    union = np.unique(np.concatenate(times))
    row = np.full((len(union), len(times)), -1, np.int32)
    offset = 0
    for k, own in enumerate(times):
        row[np.searchsorted(union, own), k] = np.arange(offset, offset + len(own))
        offset += len(own)
    return Timeline(union, row, np.maximum.accumulate(row, axis=0))
