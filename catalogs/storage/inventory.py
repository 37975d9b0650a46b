"""Inventory of a catalog, and how complete its bars are."""

from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.hygiene.report import iso_utc
from catalogs.hygiene.suspicion import (
    LevelStep,
    Outlier,
    SplitSuspicion,
    find_level_steps,
    find_outliers,
    find_splits,
)
from catalogs.instruments.bar_types import bar_length_ns, instrument_id_of
from catalogs.instruments.stored import stored_end_ns
from catalogs.sessions import SessionCalendar, session_calendar
from catalogs.storage.arrow import bar_files, interval, read_bars, stored_bar_types
from catalogs.storage.provenance import Provenance, read_provenance

LARGEST_MOVES = 5


class StoredBars(msgspec.Struct, frozen=True):
    """Summary of one bar type in a catalog.

    Attributes
    ----------
    bar_type : str
    rows, sessions : int
        Bars, and sessions with at least one.
    first, last : str
        Close times, ISO 8601, UTC.
    volume_known : bool
    filled : int
        Flat bars that fill short gaps.
    """

    bar_type: str
    rows: int
    sessions: int
    first: str
    last: str
    volume_known: bool
    filled: int


class SessionCoverage(msgspec.Struct, frozen=True):
    """A session with fewer bars than its length allows."""

    session_date: date
    bars: int
    expected: int


class Move(msgspec.Struct, frozen=True):
    """Change of the close from one bar to the next in the same session, in percent."""

    ts: str
    percent: float


class Coverage(msgspec.Struct, frozen=True):
    """How complete the bars of one type are.

    Attributes
    ----------
    bar_type : str
    rows, sessions : int
    complete_sessions : int
        Sessions with a bar for every interval.
    missing_bars : int
        Missing bars in all sessions that have at least one.
    missing_sessions : tuple of date
        Sessions between first and last without any bar.
    incomplete_sessions : tuple of SessionCoverage
        Those sessions, fewest bars first.
    zero_volume_share : float or None
        Share of bars without volume, 0 to 1; None if the volume is unknown.
    largest_moves : tuple of Move
        At most five, largest first.
    outside_sessions : int
        Bars outside every session of today's calendar.
    changed_hours : int
        Files cleaned by other trading hours than today's calendar has: import them again.
    outliers : tuple of Outlier
    splits : tuple of SplitSuspicion
        Shares only.
    level_steps : tuple of LevelStep
        Lasting steps of the price, over gaps and appended files too.
    """

    bar_type: str
    rows: int
    sessions: int
    complete_sessions: int
    missing_bars: int
    missing_sessions: tuple[date, ...]
    incomplete_sessions: tuple[SessionCoverage, ...]
    zero_volume_share: float | None
    largest_moves: tuple[Move, ...]
    outside_sessions: int
    changed_hours: int
    outliers: tuple[Outlier, ...]
    splits: tuple[SplitSuspicion, ...]
    level_steps: tuple[LevelStep, ...]


def inventory(catalog: Path) -> list[StoredBars]:
    """Every bar type in a catalog, sorted by name; empty for a folder without bars.

    Parameters
    ----------
    catalog : Path

    Returns
    -------
    list of StoredBars

    Raises
    ------
    InputError
        If a provenance file cannot be read.
    """
    return [_stored(catalog, bar_type) for bar_type in stored_bar_types(catalog)]


def check(catalog: Path, bar_type: str) -> Coverage:
    """Compare stored bars with the session calendar.

    Parameters
    ----------
    catalog : Path
    bar_type : str

    Returns
    -------
    Coverage

    Raises
    ------
    InputError
        As `catalogs.storage.arrow.read_bars`.
    """
    bars = read_bars(catalog, bar_type)
    calendar = _calendar(catalog, bar_type)
    session = calendar.locate(bars.ts_ns)
    present, counts = np.unique(session[session >= 0], return_counts=True)
    length_ns = calendar.close_ns[present] - calendar.open_ns[present]
    expected = -(-length_ns // bar_length_ns(bar_type))
    short = np.flatnonzero(counts < expected)
    short = short[np.argsort(counts[short], kind="stable")]
    is_share = calendar.name == "NYSE"
    absent = np.setdiff1d(np.arange(present[0], present[-1] + 1), present)
    return Coverage(
        bar_type=bar_type,
        rows=len(bars),
        sessions=len(present),
        complete_sessions=len(present) - len(short),
        missing_bars=int((expected - counts)[short].sum()),
        missing_sessions=tuple(calendar.session_date[absent].tolist()),
        incomplete_sessions=tuple(
            SessionCoverage(calendar.session_date[present[i]].item(), int(counts[i]), int(expected[i])) for i in short
        ),
        zero_volume_share=float(np.mean(bars.volume == 0)) if bars.volume_known else None,
        largest_moves=_largest_moves(bars, session),
        outside_sessions=int((session < 0).sum()),
        changed_hours=sum(_hours_changed(catalog, path) for path in bar_files(catalog, bar_type)),
        outliers=find_outliers(bars, session),
        splits=find_splits(bars, session, calendar) if is_share else (),
        level_steps=find_level_steps(bars),
    )


def _stored(catalog: Path, bar_type: str) -> StoredBars:
    files = bar_files(catalog, bar_type)
    stamps = [pq.read_table(path, columns=["ts_event"], partitioning=None)["ts_event"] for path in files]
    ts_ns = np.concatenate([column.to_numpy() for column in stamps]).astype(np.int64)
    session = _calendar(catalog, bar_type).locate(ts_ns)
    records = _records(catalog, bar_type)
    return StoredBars(
        bar_type=bar_type,
        rows=len(ts_ns),
        sessions=len(np.unique(session[session >= 0])),
        first=iso_utc(int(ts_ns[0])),
        last=iso_utc(int(ts_ns[-1])),
        volume_known=all(record.volume_known for record in records),
        filled=sum(len(record.filled_ns) for record in records),
    )


def _records(catalog: Path, bar_type: str) -> list[Provenance]:
    records = [read_provenance(catalog, path) for path in bar_files(catalog, bar_type)]
    return [record for record in records if record is not None]


def _calendar(catalog: Path, bar_type: str) -> SessionCalendar:
    # Up to a contract's last trade, so that the day of its expiry is as short as it was. Files of another program have
    # no provenance; the kind of instrument decides.
    name = instrument_id_of(bar_type)
    names = {record.calendar for record in _records(catalog, bar_type)}
    if names:
        return session_calendar(names.pop(), stored_end_ns(catalog, name))
    is_share = (catalog / "data" / "equity" / name).is_dir()
    return session_calendar("NYSE" if is_share else "CME Globex Equity", stored_end_ns(catalog, name))


def _hours_changed(catalog: Path, path: Path) -> bool:
    record = read_provenance(catalog, path)
    if record is None:
        return False
    return record.calendar_hash != session_calendar(record.calendar).hash_between(*interval(path))


def _largest_moves(bars: BarSeries, session: NDArray[np.int64]) -> tuple[Move, ...]:
    percent = 100 * np.diff(bars.close) / bars.close[:-1]
    percent[np.diff(session) != 0] = 0
    largest = np.argsort(-np.abs(percent), kind="stable")[:LARGEST_MOVES]
    return tuple(Move(iso_utc(int(bars.ts_ns[i + 1])), round(float(percent[i]), 4)) for i in largest)
