"""Consolidation: the many small files that daily appends leave behind become one."""

from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from catalogs.sessions import session_calendar
from catalogs.storage.arrow import ROW_GROUP, bar_files, bar_folder, file_name, interval
from catalogs.storage.lock import writing
from catalogs.storage.provenance import (
    Provenance,
    encode_provenance,
    merge_provenance,
    provenance_path,
    read_provenance,
)


class Consolidated(msgspec.Struct, frozen=True):
    """Number of files of one bar type before and after."""

    bar_type: str
    files_before: int
    files_after: int


def consolidate(catalog: Path, bar_type: str) -> Consolidated:
    """Join the files of one bar type; the bars do not change.

    Only neighbours with one schema and one kind of provenance are joined: bars of unknown volume never make known ones
    unknown, and files cleaned by trading hours that have changed since stay visible to
    `catalogs.storage.inventory.check`. Readers always see either the old files or the new one, even after a kill.

    Parameters
    ----------
    catalog : Path
    bar_type : str

    Returns
    -------
    Consolidated

    Raises
    ------
    InputError
        As `catalogs.storage.lock.writing`, or if provenance cannot be read.
    """
    with writing(catalog) as staging:
        _remove_superseded(catalog, bar_type)
        files = bar_files(catalog, bar_type)
        for _, neighbours in groupby(files, key=lambda path: _kind(catalog, path)):
            joined = list(neighbours)
            if len(joined) > 1:
                _join(catalog, staging, joined)
                _remove_superseded(catalog, bar_type)
        return Consolidated(bar_type, len(files), len(bar_files(catalog, bar_type)))


def _kind(catalog: Path, path: Path) -> tuple[object, ...]:
    schema = pq.read_schema(path).serialize().to_pybytes()
    record = read_provenance(catalog, path)
    if record is None:
        return (schema,)
    if record.calendar_hash != session_calendar(record.calendar).hash_between(*interval(path)):
        return (path,)  # cleaned by other trading hours: never joined
    return schema, record.volume_known, record.assume_volume, record.calendar


def _join(catalog: Path, staging: Path, files: list[Path]) -> None:
    span = (interval(files[0])[0], interval(files[-1])[1])
    data = staging / file_name(*span)
    with pq.ParquetWriter(data, pq.read_schema(files[0])) as writer:
        for path in files:
            writer.write_table(pq.read_table(path, partitioning=None), row_group_size=ROW_GROUP)
    target = files[0].parent / data.name
    records = [record for path in files if (record := read_provenance(catalog, path)) is not None]
    if records:
        hours = session_calendar(records[0].calendar).hash_between(*span)
        _write_record(catalog, staging, target, merge_provenance(records, hours))
    data.replace(target)


def _write_record(catalog: Path, staging: Path, target: Path, record: Provenance) -> None:
    aside = staging / f"{target.stem}.json"
    aside.write_bytes(encode_provenance(record))
    aside.replace(provenance_path(catalog, target))


def _remove_superseded(catalog: Path, bar_type: str) -> None:
    # `bar_files` leaves out files inside a wider one: after a kill these have been joined already.
    kept = set(bar_files(catalog, bar_type))
    for path in bar_folder(catalog, bar_type).glob("[0-9]*.parquet"):
        if path not in kept:
            path.unlink()
            provenance_path(catalog, path).unlink(missing_ok=True)
