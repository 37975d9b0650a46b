"""Exported bars, read by pandas and by the importer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapters.files import load_bars
from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage.arrow import read_bars
from catalogs.storage.export import export_bars
from catalogs.storage.ingest import import_bars

BAR_TYPE = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("volume", [1_000.0, np.nan])
def test_what_is_exported_imports_to_equal_bars(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path, tmp_path: Path, suffix: str, volume: float
) -> None:
    raw = minutes("2025-03-10T13:31", 390, volume=volume)
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")
    out = tmp_path / f"spy{suffix}"
    assert export_bars(catalog, BAR_TYPE, out) == 390
    loaded = load_bars(out)
    assert (loaded.symbol, loaded.stamp) == ("SPY.EQUS", "close")
    again = tmp_path / "again"
    import_bars(again, spy, "1-MINUTE", [loaded.table], [], stamp="close", strict=True)
    assert read_bars(again, BAR_TYPE).hash == read_bars(catalog, BAR_TYPE).hash


def test_pandas_reads_the_range_asked_for(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path, tmp_path: Path
) -> None:
    raw = minutes("2025-03-10T13:31", 390)
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(raw))], [], stamp="close")
    export_bars(catalog, BAR_TYPE, tmp_path / "part.parquet", int(raw.ts_ns[10]), int(raw.ts_ns[19]))
    frame = pd.read_parquet(tmp_path / "part.parquet")
    assert list(frame.columns) == ["ts_close", "open", "high", "low", "close", "volume", "symbol"]
    assert frame["ts_close"].iloc[0] == pd.Timestamp("2025-03-10T13:41", tz="UTC")
    assert np.array_equal(frame["close"], np.round(100.10 + 0.01 * np.arange(10), 2))
    assert set(frame["symbol"]) == {"SPY.EQUS"}


def test_another_suffix_is_refused(
    spy: InstrumentSpec, minutes: Callable[..., RawBars], catalog: Path, tmp_path: Path
) -> None:
    import_bars(catalog, spy, "1-MINUTE", [pa.table(vars(minutes("2025-03-10T13:31", 390)))], [], stamp="close")
    with pytest.raises(InputError, match=r"must end in \.csv or \.parquet, was bars\.xlsx"):
        export_bars(catalog, BAR_TYPE, tmp_path / "bars.xlsx")
