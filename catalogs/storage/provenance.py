"""Provenance: where each catalog file came from and how it was cleaned, as JSON beside the data."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from catalogs.hygiene.report import QualityReport, merge_reports


class SourceFile(msgspec.Struct, frozen=True):
    """One file that bars were imported from; ``symbol`` and ``format`` are empty where they are not known."""

    path: str
    sha256: str
    rows: int
    symbol: str = ""
    format: str = ""


class Provenance(msgspec.Struct, frozen=True):
    """Provenance of one catalog file.

    Attributes
    ----------
    bar_type : str
    sources : tuple of SourceFile
    stamp : {"open", "close", "mixed"}
        Whether the sources' times mark open or close; mixed if joined files differ.
    time_zone : str
        Time zone assumed for sources without one; empty for UTC or explicit offsets.
    volume_known : bool
        False if a source lacks volume; ``assume_volume`` is then stored in its place.
    assume_volume : int
    filled_ns : tuple of int
        Close times of the flat bars that fill short gaps, UTC nanoseconds.
    quality : QualityReport
    rows : int
        Bars stored.
    calendar : str
        Name of the session calendar.
    calendar_hash : str
        `catalogs.sessions.SessionCalendar.hash_between` of the first and last bar.
    """

    bar_type: str
    sources: tuple[SourceFile, ...]
    stamp: str
    time_zone: str
    volume_known: bool
    assume_volume: int
    filled_ns: tuple[int, ...]
    quality: QualityReport
    rows: int
    calendar: str
    calendar_hash: str


def provenance_path(catalog: Path, data_file: Path) -> Path:
    """File of the provenance of a catalog file: ``provenance/<bar type>/<same stem>.json``."""
    return catalog / "provenance" / data_file.parent.name / f"{data_file.stem}.json"


def read_provenance(catalog: Path, data_file: Path) -> Provenance | None:
    """Provenance of a catalog file, or None if it was written by another program.

    Raises
    ------
    InputError
        If it exists but cannot be read.
    """
    path = provenance_path(catalog, data_file)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Provenance)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise InputError(f"invalid provenance {path}: {error}") from error


def encode_provenance(provenance: Provenance) -> bytes:
    """Indented JSON, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(provenance), indent=2)


def merge_provenance(records: Sequence[Provenance], calendar_hash: str) -> Provenance:
    """Provenance of one file joined from several, in order of time.

    Every source is named once. Findings are summed; those of one import stored in parts count once.

    Parameters
    ----------
    records : sequence of Provenance
        At least one record, all of one bar type and calendar.
    calendar_hash : str
        Hash of the calendar over the joined range.
    """
    stamps = {record.stamp for record in records}
    zones = {record.time_zone for record in records} - {""}
    imports = dict.fromkeys((record.sources, record.quality) for record in records)
    return msgspec.structs.replace(
        records[0],
        sources=tuple(dict.fromkeys(source for record in records for source in record.sources)),
        stamp=stamps.pop() if len(stamps) == 1 else "mixed",
        time_zone=", ".join(sorted(zones)),
        volume_known=all(record.volume_known for record in records),
        filled_ns=tuple(ts_ns for record in records for ts_ns in record.filled_ns),
        quality=merge_reports([report for _, report in imports]),
        rows=sum(record.rows for record in records),
        calendar_hash=calendar_hash,
    )
