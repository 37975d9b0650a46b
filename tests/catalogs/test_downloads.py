"""Chunks of downloads: whole, and never two of one beginning."""

from datetime import date
from pathlib import Path

import pyarrow as pa

from catalogs.storage.downloads import Chunk, download_path, keep_table, week_chunks


def names_after(tmp_path: Path, *lasts: int) -> list[str]:
    for last in lasts:
        chunk = Chunk(date(2025, 7, 1), date(2025, 7, last))
        keep_table(download_path(tmp_path, "vendor", "1-MINUTE", "SPY", chunk, ".parquet"), pa.table({"a": [last]}))
    return sorted(path.name for path in tmp_path.rglob("*.parquet"))


def test_a_longer_chunk_supersedes_a_shorter_one(tmp_path: Path) -> None:
    assert names_after(tmp_path, 5, 9) == ["2025-07-01_2025-07-09.parquet"]


def test_a_shorter_chunk_leaves_a_longer_one(tmp_path: Path) -> None:
    assert names_after(tmp_path, 9, 5) == ["2025-07-01_2025-07-05.parquet", "2025-07-01_2025-07-09.parquet"]


def test_weeks_cover_every_day_once_and_end_on_fridays() -> None:
    chunks = list(week_chunks(date(2025, 1, 1), date(2025, 6, 30)))
    days = [day for chunk in chunks for day in range(chunk.first.toordinal(), chunk.last.toordinal() + 1)]
    assert days == list(range(date(2025, 1, 1).toordinal(), date(2025, 6, 30).toordinal() + 1))
    assert {chunk.last.weekday() for chunk in chunks[:-1]} == {4}
