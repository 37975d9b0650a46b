"""Files joined: the same bars, one history, whole at every moment."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from nautilus_trader.model.data import Bar
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage import consolidate as module
from catalogs.storage.arrow import bar_files, read_bars
from catalogs.storage.consolidate import consolidate
from catalogs.storage.ingest import import_bars
from catalogs.storage.inventory import check
from catalogs.storage.provenance import SourceFile, encode_provenance, provenance_path, read_provenance

BAR_TYPE = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
DAYS = ("2025-03-10T13:31", "2025-03-11T13:31", "2025-03-12T13:31")


@pytest.fixture
def daily(spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path) -> Path:
    """Three days appended one by one, the second with a hole that was filled."""
    for number, first in enumerate(DAYS):
        raw = minutes(first, 390)
        if number == 1:
            raw = raw.take(np.r_[0:50, 51:390])
        source = SourceFile(f"{number}.csv", "00", len(raw))
        import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [source], stamp="close")
    return catalog


def test_joined_files_hold_the_same_bars(daily: Path) -> None:
    before = read_bars(daily, BAR_TYPE)
    result = consolidate(daily, BAR_TYPE)
    assert (result.files_before, result.files_after) == (3, 1)
    assert read_bars(daily, BAR_TYPE).hash == before.hash
    assert len(ParquetDataCatalog(daily).query(Bar, [BAR_TYPE])) == 3 * 390
    assert consolidate(daily, BAR_TYPE).files_before == 1


def test_the_history_of_every_part_is_kept(daily: Path) -> None:
    consolidate(daily, BAR_TYPE)
    [data] = bar_files(daily, BAR_TYPE)
    record = read_provenance(daily, data)
    assert record is not None
    assert [source.path for source in record.sources] == ["0.csv", "1.csv", "2.csv"]
    assert (record.rows, record.quality.rows_read, record.quality.count("gap_filled")) == (1170, 1169, 1)
    assert len(record.filled_ns) == 1
    assert len(list((daily / "provenance").rglob("*.json"))) == 1
    assert check(daily, BAR_TYPE).changed_hours == 0


def test_an_import_stored_in_two_parts_is_counted_once(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path
) -> None:
    raw = minutes(DAYS[0], 390)
    middle, whole = (SourceFile(name, "00", 390) for name in ("middle.csv", "whole.csv"))
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw.take(np.arange(100, 200))))], [middle], stamp="close")
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [whole], stamp="close")
    consolidate(catalog, BAR_TYPE)
    [data] = bar_files(catalog, BAR_TYPE)
    record = read_provenance(catalog, data)
    assert record is not None
    assert (record.rows, record.quality.rows_read) == (390, 100 + 390)


def test_unknown_volume_joins_no_known_one(daily: Path, spy: InstrumentSpec, minutes: Callable[..., RawBars]) -> None:
    raw = minutes("2025-03-13T13:31", 390, volume=np.nan)
    import_bars(daily, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")
    assert consolidate(daily, BAR_TYPE).files_after == 2
    known_until = int(minutes("2025-03-12T13:31", 390).ts_ns[-1])
    assert read_bars(daily, BAR_TYPE, end_ns=known_until).volume_known


def test_what_other_hours_cleaned_is_told_and_not_joined(daily: Path) -> None:
    path = bar_files(daily, BAR_TYPE)[1]
    record = read_provenance(daily, path)
    assert record is not None
    provenance_path(daily, path).write_bytes(encode_provenance(msgspec.structs.replace(record, calendar_hash="old")))
    assert check(daily, BAR_TYPE).changed_hours == 1
    assert consolidate(daily, BAR_TYPE).files_after == 3


def test_a_kill_before_the_old_files_go_shows_no_bar_twice(daily: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_bars(daily, BAR_TYPE).hash

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module.Path, "unlink", killed)
        with pytest.raises(Killed):
            consolidate(daily, BAR_TYPE)
    assert len(list((daily / "data" / "bar" / BAR_TYPE).glob("*.parquet"))) == 4
    assert read_bars(daily, BAR_TYPE).hash == before
    assert consolidate(daily, BAR_TYPE).files_after == 1
    assert len(list((daily / "data" / "bar" / BAR_TYPE).glob("*.parquet"))) == 1
