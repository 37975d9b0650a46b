"""Imports from end to end: stamps, provenance, and the real files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapters.files import load_bars
from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import bar_files, read_bars
from catalogs.storage.ingest import Imported, import_bars
from catalogs.storage.provenance import SourceFile, read_provenance
from configs import instruments_path

MINUTE_NS = 60 * 10**9


def test_open_stamps_become_close_times(spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path) -> None:
    raw = minutes("2025-03-10T13:30", 390)
    bars = import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="open", strict=True).bars
    assert np.array_equal(bars.ts_ns, raw.ts_ns + MINUTE_NS)


def test_the_history_of_an_import_is_kept(spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path) -> None:
    raw = minutes("2025-03-10T13:31", 390).take(np.r_[0:50, 51:390])
    source = SourceFile("spy.csv", "ab12", 389, "SPY")
    import_bars(
        catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [source],
        stamp="close", time_zone="America/New_York", assume_volume=7,
    )  # fmt: skip
    [data] = bar_files(catalog, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
    record = read_provenance(catalog, data)
    assert record is not None
    assert record.sources == (source,)
    assert (record.stamp, record.time_zone, record.assume_volume) == ("close", "America/New_York", 7)
    assert record.filled_ns == (int(raw.ts_ns[49]) + MINUTE_NS,)
    assert (record.rows, record.quality.rows_read, record.quality.count("gap_filled")) == (390, 389, 1)
    span = (int(raw.ts_ns[0]), int(raw.ts_ns[-1]))
    assert record.calendar_hash == session_calendar("NYSE").hash_between(*span)


def test_the_later_of_two_tables_wins(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], changed: Callable[..., RawBars], catalog: Path
) -> None:
    raw = minutes("2025-03-10T13:31", 390)
    corrected = changed(raw.take(np.arange(100, 110)), 3, close=101.04)
    tables = [pa.table(vars(raw)), pa.table(vars(corrected))]
    imported = import_bars(catalog, spy, "1-MINUTE", tables, [], stamp="close")
    assert imported.bars.close[103] == 10_104
    assert imported.provenance.quality.count("duplicate_conflicting") == 1
    assert imported.provenance.quality.count("duplicate_identical") == 9


def test_a_strict_violation_writes_nothing(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], changed: Callable[..., RawBars], catalog: Path
) -> None:
    raw = changed(minutes("2025-03-10T13:31", 390), 7, high=100.12345678)  # adjusted: the tape has six decimals
    with pytest.raises(InputError, match="off_tick"):
        import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close", strict=True)
    assert not catalog.exists()


def imported_from(path: Path, instrument: str, catalog: Path) -> Imported:
    loaded = load_bars(path)
    spec = resolve(instrument, load_table(instruments_path()), pd.Timestamp("2025-08-01").date())
    source = SourceFile(str(path), loaded.sha256, len(loaded.table), loaded.symbol)
    return import_bars(catalog, spec, "1-MINUTE", [loaded.table], [source], stamp="open")


def kept_rows(path: Path, first: str, last: str, zone: str) -> pd.DataFrame:
    """Bars of a file that open in the local hours from ``first`` to ``last``, as pandas selects them."""
    frame = pd.read_parquet(path).set_index("ts_event")
    return frame.tz_convert(zone).between_time(first, last)


def test_a_year_of_spy_with_sub_penny_prices(shared_data: Path, catalog: Path) -> None:
    path = shared_data / "spy_1min_202403_202504.parquet"
    imported = imported_from(path, "SPY", catalog)
    wanted = kept_rows(path, "09:30", "15:59", "America/New_York")
    half_days = wanted.index.normalize().isin(
        pd.to_datetime(["2024-07-03", "2024-11-29", "2024-12-24"]).tz_localize("America/New_York")
    )
    wanted = wanted[~half_days | (wanted.index.hour < 13)]
    bars = read_bars(catalog, imported.bars.bar_type)
    assert imported.provenance.rows == len(bars) == len(wanted)
    assert np.array_equal(bars.ts_ns, wanted.index.as_unit("ns").asi8 + MINUTE_NS)
    for name in ("open", "high", "low", "close"):
        cents = wanted[name].to_numpy() * 100
        assert np.abs(getattr(bars, name) - cents).max() <= 0.5 + 1e-6, name
    off = (np.abs(wanted[["open", "high", "low", "close"]] * 100 % 1 - 0.5) < 0.5 - 1e-4).any(axis=1)
    assert imported.provenance.quality.count("between_ticks") == off.sum()
    assert imported.provenance.quality.count("off_tick") == 0
    assert np.array_equal(bars.volume, wanted["volume"])
    assert imported_from(path, "SPY", catalog).outcome == "already imported"


def test_seven_weeks_of_es_without_volume(shared_data: Path, catalog: Path) -> None:
    path = shared_data / "es_1min_202507_202509_novol.parquet"
    imported = imported_from(path, "ESU5", catalog)
    frame = pd.read_parquet(path)
    bars = read_bars(catalog, "ESU5.XCME-1-MINUTE-LAST-EXTERNAL")
    assert not bars.volume_known
    assert (bars.volume == 0).all()
    real = ~np.isin(bars.ts_ns, imported.provenance.filled_ns)
    assert np.array_equal(bars.ts_ns[real], frame["ts_event"].astype("int64") + MINUTE_NS)
    assert np.array_equal(bars.close[real] / 4, frame["close"])
    assert (
        len(imported.provenance.filled_ns) == imported.provenance.quality.count("gap_filled") == len(bars) - len(frame)
    )


def test_a_month_of_spy_with_bad_prints_at_night(shared_data: Path, catalog: Path) -> None:
    path = shared_data / "spy_1min_ext_202507.parquet"
    imported = imported_from(path, "SPY", catalog)
    wanted = kept_rows(path, "09:30", "15:59", "America/New_York")
    wanted = wanted[(wanted.index.strftime("%Y-%m-%d") != "2025-07-03") | (wanted.index.hour < 13)]
    bars = read_bars(catalog, imported.bars.bar_type)
    assert np.array_equal(bars.ts_ns, wanted.index.as_unit("ns").asi8 + MINUTE_NS)
    # The bad prints reach down to 468; the day's real range is within 615 and 641.
    assert bars.low.min() > 61_500
    assert bars.high.max() < 64_100
