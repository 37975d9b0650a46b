"""Outliers, splits and sources that disagree, planted and found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalogs.bars import BarSeries
from catalogs.hygiene.cleaning import RawBars
from catalogs.hygiene.suspicion import compare_sources
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage.arrow import read_bars
from catalogs.storage.ingest import import_bars
from catalogs.storage.inventory import check

BAR_TYPE = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
MINUTE_NS = 60 * 10**9
Minutes = Callable[..., RawBars]


def store(catalog: Path, spec: InstrumentSpec, *days: RawBars) -> None:
    for raw in days:
        import_bars(catalog, spec, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")


def test_a_print_that_comes_back_is_an_outlier_a_move_that_lasts_is_none(
    spy: InstrumentSpec, minutes: Minutes, catalog: Path
) -> None:
    raw = minutes("2025-03-10T13:31", 390)
    raw.low[50] = 95.0
    for name in ("open", "high", "low", "close"):
        getattr(raw, name)[200:] += 5.0
    store(catalog, spy, raw)
    [outlier] = check(catalog, BAR_TYPE).outliers
    # Bars rise a cent a minute from 100.00, so the close before row 50 was 100.49: down 5.49 from it.
    assert outlier.ts == "2025-03-10T14:21:00Z"
    assert outlier.percent == pytest.approx(-100 * 5.49 / 100.49, abs=1e-3)


@pytest.mark.parametrize(("factor", "ratio"), [(0.5, 2.0), (1 / 3, 3.0), (10.0, 0.1), (0.52, 2.0), (0.8, None)])
def test_an_opening_at_a_simple_fraction_is_a_suspected_split(
    spy: InstrumentSpec, minutes: Minutes, catalog: Path, factor: float, ratio: float | None
) -> None:
    after = minutes("2025-03-11T13:31", 390)
    for name in ("open", "high", "low", "close"):
        getattr(after, name)[:] *= 1.0389 * factor  # the day before closed at 103.89
    store(catalog, spy, minutes("2025-03-10T13:31", 390), after)
    found = check(catalog, BAR_TYPE).splits
    assert [(split.session_date, split.ratio) for split in found] == (
        [] if ratio is None else [(date(2025, 3, 11), ratio)]
    )


@pytest.fixture
def wandering(spy: InstrumentSpec, minutes: Minutes, catalog: Path) -> BarSeries:
    raw = minutes("2025-03-10T13:31", 390)
    store(catalog, spy, raw)
    bars = read_bars(catalog, BAR_TYPE)
    walk = 10_000 + np.cumsum(np.random.default_rng(7).integers(-9, 10, len(bars)))
    return replace(bars, open=walk, high=walk, low=walk, close=walk)


def test_equal_sources_agree(wandering: BarSeries) -> None:
    same = compare_sources(wandering, wandering.slice(10, 390), "other", MINUTE_NS)
    assert (same.common, same.only_here, same.only_there) == (380, 0, 0)
    assert (same.differing_closes, same.shift_bars) == (0, 0)


def test_a_series_that_never_moves_has_no_late_clock(wandering: BarSeries) -> None:
    still = replace(wandering, close=np.full(390, 10_000))
    assert compare_sources(still, still, "other", MINUTE_NS).shift_bars == 0


@pytest.mark.parametrize("late", [-2, -1, 1, 3])
def test_a_late_clock_is_found(wandering: BarSeries, late: int) -> None:
    shifted = replace(wandering, ts_ns=wandering.ts_ns + late * MINUTE_NS)
    assert compare_sources(shifted, wandering, "other", MINUTE_NS).shift_bars == late


def test_differing_and_missing_bars_are_counted(wandering: BarSeries) -> None:
    close = wandering.close.copy()
    close[5] += 1
    close[6] += 40
    other = replace(wandering, close=close)
    keep = np.delete(np.arange(390), [100, 101, 102])
    columns = ("ts_ns", "open", "high", "low", "close", "volume")
    holed = replace(other, **{name: getattr(other, name)[keep] for name in columns})
    result = compare_sources(wandering, holed, "other", MINUTE_NS)
    assert (result.differing_closes, result.largest_difference_ticks) == (1, 40)
    assert (result.common, result.only_here, result.only_there) == (387, 3, 0)


def test_a_year_of_real_minutes_has_few_outliers_and_no_split(
    shared_data: Path, spy: InstrumentSpec, catalog: Path
) -> None:
    from adapters.files import load_bars

    loaded = load_bars(shared_data / "spy_1min_202403_202504.parquet")
    import_bars(catalog, spy, "1-MINUTE", [loaded.table], [], stamp="open")
    coverage = check(catalog, BAR_TYPE)
    assert coverage.splits == ()
    assert len(coverage.outliers) < 5
    assert coverage.outside_sessions == 0
