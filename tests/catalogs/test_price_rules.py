"""Prices without meaning are refused at the import, with nothing stored; fractions of a point are exact."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.storage.arrow import read_bars
from catalogs.storage.ingest import import_bars
from configs import instruments_path

MINUTE_NS = 60 * 10**9


def contract(name: str, day: str) -> InstrumentSpec:
    return resolve(name, instruments_path(), date.fromisoformat(day))


def bars_at(begin: str, closes: list[float]) -> pa.Table:
    close = np.array(closes)
    ts_ns = np.datetime64(begin, "ns").astype(np.int64) + MINUTE_NS * np.arange(len(close))
    return pa.table({"ts_ns": ts_ns, **dict.fromkeys(("open", "high", "low", "close"), close), "volume": close * 0 + 5})


def imported(catalog: Path, spec: InstrumentSpec, table: pa.Table) -> None:
    import_bars(catalog, spec, "1-MINUTE", [table], [], stamp="close")


@pytest.mark.parametrize(
    ("name", "day", "fractions"),
    [
        ("ZNZ5", "2025-10-01", [112 + 33 / 64, 112 + 34 / 64, 112.5]),
        ("ZTZ5", "2025-10-01", [104 + 55 / 256, 104 + 56 / 256, 104.25]),
        ("ZBZ5", "2025-10-01", [116 + 13 / 32, 116.5, 116.0]),
    ],
)
def test_fractions_of_a_point_are_exact(tmp_path: Path, name: str, day: str, fractions: list[float]) -> None:
    imported(tmp_path, contract(name, day), bars_at(f"{day}T15:00", fractions))
    bars = read_bars(tmp_path, f"{name}.XCBT-1-MINUTE-LAST-EXTERNAL")
    assert (bars.close * bars.tick_raw / 1e16).tolist() == fractions


def test_thirty_seconds_behind_the_point_are_refused(tmp_path: Path) -> None:
    quoted = bars_at("2025-10-01T15:00", [112.16, 112.17, 112.185, 112.31])  # 112 16/32, 112 17/32, …
    with pytest.raises(InputError, match=r"100% of the bars of ZNZ5\.XCBT have prices off its tick of 0\.015625"):
        imported(tmp_path, contract("ZNZ5", "2025-10-01"), quoted)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("price", [-37.63, 0.0])
def test_a_price_at_or_below_zero_is_refused(tmp_path: Path, price: float) -> None:
    crude = bars_at("2020-04-20T18:00", [1.2, 0.4, price])
    with pytest.raises(
        InputError, match=r"CLK0\.XNYM has 1 bars with prices at or below zero, the first at 2020-04-20T18:02"
    ):
        imported(tmp_path, contract("CLK0", "2020-04-20"), crude)
    assert not list(tmp_path.rglob("*.parquet"))


def test_another_decade_of_a_name_is_refused(tmp_path: Path) -> None:
    imported(tmp_path, contract("ESU5", "2025-07-01"), bars_at("2025-07-01T15:00", [6200.0, 6200.25]))
    before = read_bars(tmp_path, "ESU5.XCME-1-MINUTE-LAST-EXTERNAL").hash
    old = bars_at("2015-07-01T15:00", [2060.0, 2060.25])
    with pytest.raises(
        InputError, match=r"holds the ESU5\.XCME that expires on 2025-09-19; this one expires on 2015-09-18"
    ):
        imported(tmp_path, contract("ESU5", "2015-07-01"), old)
    with pytest.raises(InputError, match=r"ESU5\.XCME expires on 2025-09-19, a bar is of 2015-07-01"):
        imported(
            tmp_path / "other",
            contract("ESU5", "2025-07-01"),
            pa.concat_tables([old, bars_at("2025-07-01T15:00", [6200.0])]),
        )
    assert read_bars(tmp_path, "ESU5.XCME-1-MINUTE-LAST-EXTERNAL").hash == before
