"""Downloads kept by chunk: an interrupted fetch continues where it stopped and pays for nothing twice."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.cache import written_aside

_SATURDAY = 5


@dataclass(frozen=True)
class Chunk:
    """First and last day of one request, inclusive."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first}_{self.last}"


def month_chunks(first: date, last: date) -> Iterator[Chunk]:
    """Calendar months from ``first`` to ``last``, cut at both.

    Examples
    --------
    >>> [str(chunk) for chunk in month_chunks(date(2025, 1, 30), date(2025, 2, 3))]
    ['2025-01-30_2025-01-31', '2025-02-01_2025-02-03']
    """
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield Chunk(first, min(last, following - timedelta(days=1)))
        first = following


def week_chunks(first: date, last: date, weeks: int = 4) -> Iterator[Chunk]:
    """Chunks that end on Fridays, ``weeks`` weeks long: no Globex session is cut.

    Examples
    --------
    >>> [str(chunk) for chunk in week_chunks(date(2025, 1, 1), date(2025, 1, 13), weeks=1)]
    ['2025-01-01_2025-01-03', '2025-01-04_2025-01-10', '2025-01-11_2025-01-13']
    """
    while first <= last:
        until_friday = (_SATURDAY - 1 - first.weekday()) % 7
        end = first + timedelta(days=until_friday + 7 * (weeks - 1))
        yield Chunk(first, min(last, end))
        first = end + timedelta(days=1)


def day_chunks(first: date, last: date) -> Iterator[Chunk]:
    """Single days, for ticks: one day of them is as much as memory should hold."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        yield Chunk(day, day)


def download_path(catalog: Path, vendor: str, series: str, symbol: str, chunk: Chunk, suffix: str) -> Path:
    """File of a chunk: ``downloads/massive/1-MINUTE-raw/AAPL/2025-01-01_2025-01-31.parquet``."""
    return catalog / "downloads" / vendor / series / symbol.replace(":", "_") / f"{chunk}{suffix}"


def keep_table(path: Path, table: pa.Table) -> None:
    """Write a chunk and remove those that it supersedes: shorter ones that begin on the same day."""
    with written_aside(path) as aside:
        pq.write_table(table, aside)
    for other in path.parent.glob(f"{path.stem.partition('_')[0]}_*{path.suffix}"):
        if other.stem < path.stem:
            other.unlink()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
