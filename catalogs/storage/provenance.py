"""Where each file of the catalog came from and what was done to it, as JSON beside the data."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from catalogs.hygiene.report import QualityReport, merge_reports


class SourceFile(msgspec.Struct, frozen=True):
    """One file that bars were imported from; ``symbol`` is empty where the file named none."""

    path: str
    sha256: str
    rows: int
    symbol: str = ""


class Provenance(msgspec.Struct, frozen=True):
    """History of one catalog file.

    Attributes
    ----------
    bar_type : str
    sources : tuple of SourceFile
    stamp : {"open", "close", "mixed"}
        Which end of a bar the sources' times marked; mixed where joined files differ.
    time_zone : str
        Zone in which sources without one were read; empty for UTC or explicit offsets.
    volume_known : bool
        False where a source had no volume; then ``assume_volume`` is stored where it was missing.
    assume_volume : int
    filled_ns : tuple of int
        Close times of the flat bars that filled short gaps, UTC nanoseconds.
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
    """Where the provenance of a catalog file lies: ``provenance/<bar type>/<same stem>.json``."""
    return catalog / "provenance" / data_file.parent.name / f"{data_file.stem}.json"


def read_provenance(catalog: Path, data_file: Path) -> Provenance | None:
    """Provenance of a catalog file, or None if it was written by another program.

    Raises
    ------
    InputError
        If it is there but cannot be read.
    """
    path = provenance_path(catalog, data_file)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Provenance)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise InputError(f"provenance {path} must be valid JSON, was not: {error}") from error


def encode_provenance(provenance: Provenance) -> bytes:
    """Indented JSON, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(provenance), indent=2)


def merge_provenance(records: Sequence[Provenance], calendar_hash: str) -> Provenance:
    """History of one file joined from several, in the order of time.

    Every source is named once. Findings are added up, those of one import that was stored in parts counted once.

    Parameters
    ----------
    records : sequence of Provenance
        At least one, all of one bar type and calendar.
    calendar_hash : str
        Of the joined range.
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
