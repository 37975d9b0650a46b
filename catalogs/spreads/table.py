"""The table of spreads: for each instrument, its spread in ticks by minutes from the session's open.

The unit is the tick, because fills are in ticks and the spread of a liquid instrument is one tick at any price. A file
is a CSV with the columns ``instrument``, ``minute`` and ``spread_ticks``; a future has one key for all its months.
"""

import csv
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogs.cache import written_aside
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec

BUCKET_MINUTES = 5
BUCKETS = 24 * 60 // BUCKET_MINUTES
MOST_TICKS = 10_000.0
COLUMNS = ("instrument", "minute", "spread_ticks")

SpreadRows = list[tuple[int, float]]


def spread_key(instrument: InstrumentSpec) -> str:
    """Name of an instrument in a table: root and venue of a future, ``"ES.XCME"``, else its identifier."""
    return f"{instrument.underlying or instrument.symbol}.{instrument.venue}"


def check_rows(instrument: str, rows: SpreadRows) -> None:
    """Check the rows of one instrument.

    Raises
    ------
    ValueError
        If they do not begin at minute 0, do not ascend by whole buckets, or a spread is not a sensible number.
    """
    minutes = [minute for minute, _ in rows]
    if not rows or minutes[0] != 0:
        raise ValueError(f"spreads of {instrument} must begin at minute 0, began at {minutes[0] if rows else 'none'}")
    if any(later <= earlier for earlier, later in pairwise(minutes)):
        raise ValueError(f"spreads of {instrument} must ascend by minute, were {minutes}")
    for minute, ticks in rows:
        if minute % BUCKET_MINUTES or minute >= 24 * 60:
            raise ValueError(
                f"spreads of {instrument}: a minute must be a multiple of {BUCKET_MINUTES} below 1440, was {minute}"
            )
        if not 0 <= ticks <= MOST_TICKS:
            raise ValueError(f"spreads of {instrument}: a spread must be from 0 to {MOST_TICKS:g} ticks, was {ticks}")


def spread_by_bucket(rows: SpreadRows) -> NDArray[np.float64]:
    """Spread in ticks for every five minutes from the session's open, float64[288]; a row holds until the next.

    Examples
    --------
    >>> spread_by_bucket([(0, 2.5), (10, 1.0)])[:4].tolist()
    [2.5, 2.5, 1.0, 1.0]
    """
    starts = np.array([minute // BUCKET_MINUTES for minute, _ in rows])
    ticks = np.array([spread for _, spread in rows], np.float64)
    return ticks[np.searchsorted(starts, np.arange(BUCKETS), side="right") - 1]


def read_spreads(path: Path) -> dict[str, SpreadRows]:
    """Rows of a table by instrument.

    Raises
    ------
    InputError
        If the file is missing or malformed; the message names the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = csv.DictReader(line for line in stream if not line.startswith("#"))
            if tuple(lines.fieldnames or ()) != COLUMNS:
                found = ", ".join(lines.fieldnames or ()) or "nothing"
                raise InputError(f"spread table {path}: columns must be {', '.join(COLUMNS)}, were {found}")
            table: dict[str, SpreadRows] = {}
            for number, row in enumerate(lines, start=1):
                table.setdefault(row["instrument"], []).append(_row(path, number, row))
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"spread table {path}: {said}") from error
    if not table:
        raise InputError(f"spread table {path} has no rows")
    for instrument, rows in table.items():
        try:
            check_rows(instrument, rows)
        except ValueError as error:
            raise InputError(f"spread table {path}: {error}") from error
    return table


def _row(path: Path, number: int, row: Mapping[str, str]) -> tuple[int, float]:
    try:
        return int(row["minute"]), float(row["spread_ticks"])
    except (TypeError, ValueError) as error:
        raise InputError(f"spread table {path}, row {number}: {error}") from error


def write_spreads(path: Path, table: Mapping[str, SpreadRows], notes: tuple[str, ...] = ()) -> None:
    """Write a table, whole or not at all; notes become comments above it."""
    with written_aside(path) as aside:
        lines = [*(f"# {note}" for note in notes), ",".join(COLUMNS)]
        lines += [f"{name},{minute},{ticks:.4g}" for name, rows in table.items() for minute, ticks in rows]
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
