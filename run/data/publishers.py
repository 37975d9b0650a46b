"""Bars of several publishers in the files of one instrument: what is said of them, and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from catalogs.errors import InputError


@dataclass(frozen=True)
class Published:
    """Bars of one instrument in one file.

    Attributes
    ----------
    source : str
        Name of the file.
    table : pyarrow.Table
        With a column ``ts_ns``.
    publishers : tuple of str
        Venues that the bars are from; empty if the file does not say.
    combined : int
        Times at which bars of several publishers became one.
    """

    source: str
    table: pa.Table
    publishers: tuple[str, ...]
    combined: int


def check_publishers(name: str, parts: Sequence[Published], *, strict: bool) -> None:
    """Refuse what would make the last publisher win, and under ``strict`` also what was combined.

    Parameters
    ----------
    name : str
        Symbol or instrument, for the error.
    parts : sequence of Published
        Its files.
    strict : bool

    Raises
    ------
    InputError
        If two files have bars of one time from different publishers, or ``strict`` is set and bars were combined.
    """
    for part in parts:
        if part.combined and strict:
            raise InputError(
                f"strict import refused: {part.source} has {part.combined:,} minutes of {name} from several "
                f"publishers ({', '.join(part.publishers)}): choose one with --publisher"
            )
    for one, other in combinations(parts, 2):
        if one.publishers == other.publishers:
            continue
        common = np.intersect1d(one.table["ts_ns"].to_numpy(), other.table["ts_ns"].to_numpy())
        if len(common):
            both = " and ".join(f"{', '.join(part.publishers) or 'unknown'} in {part.source}" for part in (one, other))
            raise InputError(
                f"{len(common):,} minutes of {name} are from different publishers in two files ({both}): choose one "
                "with --publisher, or import one of the files"
            )


def publisher_facts(parts: Sequence[Published]) -> dict[str, Any]:
    """What an import record says of publishers: their names, and how many bars were combined."""
    names = dict.fromkeys(name for part in parts for name in part.publishers)
    return {"publishers": list(names), "combined": sum(part.combined for part in parts)}
