"""What a catalog is said to hold, on three sessions of which one has holes and one is missing."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage.ingest import import_bars
from catalogs.storage.inventory import check, inventory

BAR_TYPE = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"


@pytest.fixture
def filled_catalog(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], without: Callable[..., RawBars], catalog: Path
) -> Path:
    """Monday 10 March 2025 whole, Tuesday with holes, Wednesday missing, Thursday whole with one jump."""
    tuesday = without(minutes("2025-03-11T13:31", 390), [100, 200, 201, 202, 203, 204])
    thursday = minutes("2025-03-13T13:31", 390)
    for name in ("open", "high", "low", "close"):
        getattr(thursday, name)[300:] += 10
    thursday.volume[:39] = 0
    for raw in (minutes("2025-03-10T13:31", 390), tuesday, thursday):
        import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")
    return catalog


def test_inventory_counts_bars_sessions_and_filled_minutes(filled_catalog: Path) -> None:
    [stored] = inventory(filled_catalog)
    assert stored.bar_type == BAR_TYPE
    assert (stored.rows, stored.sessions, stored.filled) == (390 + 385 + 390, 3, 1)
    assert (stored.first, stored.last) == ("2025-03-10T13:31:00Z", "2025-03-13T20:00:00Z")
    assert stored.volume_known


def test_check_finds_what_is_missing(filled_catalog: Path) -> None:
    coverage = check(filled_catalog, BAR_TYPE)
    assert (coverage.sessions, coverage.complete_sessions, coverage.missing_bars) == (3, 2, 5)
    assert coverage.missing_sessions == (date(2025, 3, 12),)
    [tuesday] = coverage.incomplete_sessions
    assert (tuesday.session_date, tuesday.bars, tuesday.expected) == (date(2025, 3, 11), 385, 390)
    assert coverage.zero_volume_share == pytest.approx((39 + 1) / 1165)
    # From 102.99 to 113.00 within Thursday; the fall back to 100.00 overnight is no one-bar move.
    assert coverage.largest_moves[0].ts == "2025-03-13T18:31:00Z"
    assert coverage.largest_moves[0].percent == pytest.approx(100 * (113.00 / 102.99 - 1), abs=1e-4)
    assert len(coverage.largest_moves) == 5
    assert abs(coverage.largest_moves[1].percent) < 0.06


def test_an_unknown_volume_has_no_zero_share(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path
) -> None:
    raw = minutes("2025-03-10T13:31", 390, volume=np.nan)
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")
    assert check(catalog, BAR_TYPE).zero_volume_share is None
    assert not inventory(catalog)[0].volume_known


def test_files_without_provenance_are_known_by_their_instrument(filled_catalog: Path) -> None:
    for record in (filled_catalog / "provenance").rglob("*.json"):
        record.unlink()
    [stored] = inventory(filled_catalog)
    assert (stored.sessions, stored.volume_known, stored.filled) == (3, True, 0)


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert inventory(tmp_path) == []
    with pytest.raises(InputError, match="bar types there: none"):
        check(tmp_path, BAR_TYPE)
