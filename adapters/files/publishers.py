"""Publishers of bars: the venues that a file has bars of for one minute, one of them chosen, or their bars combined.

Databento's consolidated datasets of US shares have a bar of every venue for one minute; read one after the other, the
last one would win.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adapters.errors import SourceError


def chosen(rows: NDArray, publisher: str | None, name_of: Callable[[int], str], source: str) -> NDArray:
    """Records of one publisher, or all of them without a choice.

    Parameters
    ----------
    rows : structured array
        With a column ``publisher_id``.
    publisher : str or None
        Name as ``name_of`` gives it, in any case.
    name_of : callable
        Name of a publisher by its number.
    source : str
        Named in the error.

    Raises
    ------
    SourceError
        If the records have no such publisher.
    """
    if publisher is None:
        return rows
    numbers = np.unique(rows["publisher_id"]).tolist()
    wanted = [number for number in numbers if name_of(number) == publisher.upper()]
    if not wanted:
        raise SourceError(f"{source} has no publisher {publisher!r}, has {', '.join(map(name_of, numbers))}")
    return rows[np.isin(rows["publisher_id"], wanted)]


def combined_bars(rows: NDArray, source: str) -> tuple[NDArray, int]:
    """One bar for each time, from the bars of several publishers.

    The highest high and the lowest low, the sum of the volumes; open and close of the publisher with the most volume,
    the first of them in the file if there are several.

    Parameters
    ----------
    rows : structured array
        Columns ``ts_event, publisher_id, open, high, low, close, volume``.
    source : str
        Named in the error.

    Returns
    -------
    structured array
        Ascending by time; unchanged if there is one publisher.
    int
        Times that had several bars.

    Raises
    ------
    SourceError
        If one publisher has two bars of one time.
    """
    if len(np.unique(rows["publisher_id"])) < 2:
        return rows, 0
    pairs = np.stack([rows["ts_event"].astype(np.int64), rows["publisher_id"].astype(np.int64)], axis=1)
    if len(np.unique(pairs, axis=0)) < len(rows):
        raise SourceError(f"{source} has two bars of one publisher at one time")
    most_first = np.lexsort((np.arange(len(rows)), -rows["volume"].astype(np.float64), rows["ts_event"]))
    ordered = rows[most_first]
    starts = np.flatnonzero(np.diff(ordered["ts_event"], prepend=ordered["ts_event"][0] - 1))
    bars = ordered[starts].copy()
    bars["high"] = np.fmax.reduceat(ordered["high"], starts)  # a missing price is no price
    bars["low"] = np.fmin.reduceat(ordered["low"], starts)
    bars["volume"] = np.add.reduceat(ordered["volume"], starts)
    return bars, int((np.diff(np.append(starts, len(ordered))) > 1).sum())
