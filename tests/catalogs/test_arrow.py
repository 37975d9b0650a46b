"""The catalog's files: equal to NautilusTrader's own, whole or not there at all."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.hygiene.cleaning import RawBars, clean
from catalogs.hygiene.report import QualityReport
from catalogs.instruments.specification import InstrumentSpec, to_nautilus
from catalogs.sessions import session_calendar
from catalogs.storage import arrow
from catalogs.storage.arrow import Written, bar_files, read_bars, stored_bar_types, write_bars
from catalogs.storage.provenance import Provenance, SourceFile, provenance_path, read_provenance

COLUMNS = ("ts_ns", "open", "high", "low", "close", "volume")
SPY_MINUTES = "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"


@pytest.fixture
def bars(spy: InstrumentSpec, minutes: Callable[..., RawBars]) -> BarSeries:
    return clean(minutes("2025-03-10T13:31", 390), spy, "1-MINUTE").bars


def history(bars: BarSeries, volume_known: bool = True) -> Provenance:
    return Provenance(
        bar_type=bars.bar_type,
        sources=(SourceFile("spy.csv", "00", len(bars)),),
        stamp="open",
        time_zone="",
        volume_known=volume_known,
        assume_volume=0,
        filled_ns=(),
        quality=QualityReport(len(bars), len(bars)),
        rows=len(bars),
        calendar="NYSE",
        calendar_hash="00",
    )


def nautilus_bars(bars: BarSeries, spec: InstrumentSpec) -> list[Bar]:
    bar_type = BarType.from_str(bars.bar_type)
    columns = (bars.open, bars.high, bars.low, bars.close)
    made = []
    for row in range(len(bars)):
        prices = [Price(spec.tick_size * int(column[row]), spec.price_precision) for column in columns]
        ts_ns = int(bars.ts_ns[row])
        made.append(Bar(bar_type, *prices, Quantity.from_int(int(bars.volume[row])), ts_ns, ts_ns))
    return made


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["spy", "mes"])
def test_files_equal_those_of_write_data(
    name: str, request: pytest.FixtureRequest, bars: BarSeries, catalog: Path, tmp_path: Path
) -> None:
    spec: InstrumentSpec = request.getfixturevalue(name)
    bars = replace(bars, bar_type=f"{spec.instrument_id}-1-MINUTE-LAST-EXTERNAL", tick_raw=spec.tick_raw)
    # A price beyond 64 bits of 1e-16 and a large volume.
    bars.high[7], bars.volume[7] = 40_000_000, 9_000_000_000
    assert write_bars(catalog, spec, bars, history(bars)) == Written("imported", 390)
    reference = tmp_path / "reference"
    ParquetDataCatalog(reference).write_data([to_nautilus(spec)])
    ParquetDataCatalog(reference).write_data(nautilus_bars(bars, spec))
    ours = [path for path in everything_in(catalog) if path.startswith("data")]
    assert ours == everything_in(reference)
    for path in ours:
        one, other = pq.read_table(catalog / path), pq.read_table(reference / path)
        assert one.schema.equals(other.schema, check_metadata=True), path
        assert one.equals(other), path
        assert pq.ParquetFile(catalog / path).num_row_groups == pq.ParquetFile(reference / path).num_row_groups


def test_nautilus_reads_what_was_written(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    write_bars(catalog, spy, bars, history(bars))
    store = ParquetDataCatalog(catalog)
    assert store.query(Bar, [bars.bar_type]) == nautilus_bars(bars, spy)
    assert [str(instrument.id) for instrument in store.instruments()] == ["SPY.EQUS"]


def test_what_nautilus_wrote_is_read(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    store = ParquetDataCatalog(catalog)
    store.write_data([to_nautilus(spy)])
    store.write_data(nautilus_bars(bars, spy))
    got = read_bars(catalog, bars.bar_type)
    assert got.volume_known
    assert got.tick_raw == 1e14
    assert all(np.array_equal(getattr(got, name), getattr(bars, name)) for name in COLUMNS)


def test_several_files_are_read_as_one_series(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    for part in (bars.slice(200, 390), bars.slice(0, 200)):
        write_bars(catalog, spy, part, history(part, volume_known=len(part) == 200))
    got = read_bars(catalog, bars.bar_type)
    assert all(np.array_equal(getattr(got, name), getattr(bars, name)) for name in COLUMNS)
    assert not got.volume_known
    assert read_bars(catalog, bars.bar_type, end_ns=int(bars.ts_ns[199])).volume_known


@pytest.mark.parametrize(("first", "last"), [(0, 389), (3, 3), (199, 200), (250, 300), (0, 10)])
def test_a_range_holds_both_its_ends(
    bars: BarSeries, spy: InstrumentSpec, catalog: Path, monkeypatch: pytest.MonkeyPatch, first: int, last: int
) -> None:
    monkeypatch.setattr(arrow, "ROW_GROUP", 100)
    for part in (bars.slice(0, 200), bars.slice(200, 390)):
        write_bars(catalog, spy, part, history(part))
    got = read_bars(catalog, bars.bar_type, int(bars.ts_ns[first]), int(bars.ts_ns[last]))
    assert np.array_equal(got.ts_ns, bars.ts_ns[first : last + 1])


def test_provenance_is_kept_beside_the_data(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    write_bars(catalog, spy, bars, history(bars))
    [data] = bar_files(catalog, bars.bar_type)
    assert data.name == "2025-03-10T13-31-00-000000000Z_2025-03-10T20-00-00-000000000Z.parquet"
    assert provenance_path(catalog, data) == catalog / "provenance" / SPY_MINUTES / f"{data.stem}.json"
    hours = session_calendar("NYSE").hash_between(int(bars.ts_ns[0]), int(bars.ts_ns[-1]))
    assert read_provenance(catalog, data) == msgspec.structs.replace(history(bars), calendar_hash=hours)


def test_broken_provenance_is_refused(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    write_bars(catalog, spy, bars, history(bars))
    [data] = bar_files(catalog, bars.bar_type)
    provenance_path(catalog, data).write_text("{")
    with pytest.raises(InputError, match="invalid provenance"):
        read_bars(catalog, bars.bar_type)


@pytest.mark.parametrize("rows", [(0, 390), (100, 200)])
def test_the_same_bars_again_change_nothing(
    bars: BarSeries, spy: InstrumentSpec, catalog: Path, rows: tuple[int, int]
) -> None:
    write_bars(catalog, spy, bars, history(bars))
    before = everything_in(catalog)
    again = bars.slice(*rows)
    assert write_bars(catalog, spy, again, history(again)) == Written("already imported", 0)
    assert everything_in(catalog) == before


@pytest.mark.parametrize(("column", "row"), [("close", 150), ("volume", 100), ("low", 199)])
def test_other_bars_of_the_same_time_are_refused(
    bars: BarSeries, spy: InstrumentSpec, catalog: Path, column: str, row: int
) -> None:
    write_bars(catalog, spy, bars.slice(0, 200), history(bars))
    before = everything_in(catalog)
    other = replace(bars, **{column: getattr(bars, column).copy()})
    getattr(other, column)[row] -= 1
    with pytest.raises(InputError, match=r"differ from the stored ones in catalog .*: 1 in all, first at") as refused:
        write_bars(catalog, spy, other.slice(100, 390), history(bars))
    assert "\n" not in str(refused.value)
    assert everything_in(catalog) == before


def test_a_failed_write_leaves_nothing(
    bars: BarSeries, spy: InstrumentSpec, catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(arrow.pq.ParquetWriter, "write_table", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_bars(catalog, spy, bars, history(bars))
    assert everything_in(catalog) == [".lock"]


def test_another_tick_for_a_stored_instrument_is_refused(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    write_bars(catalog, spy, bars.slice(0, 100), history(bars))
    coarser = msgspec.structs.replace(spy, tick_size=Decimal("0.05"))
    with pytest.raises(InputError, match=r"price_increment of SPY\.EQUS must be 0\.01, as in catalog .*; was 0\.05"):
        write_bars(catalog, coarser, bars.slice(100, 200), history(bars))


def test_no_bars_at_all_are_refused(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    with pytest.raises(InputError, match=r"no bars of SPY.EQUS-1-MINUTE-LAST-EXTERNAL to write"):
        write_bars(catalog, spy, bars.slice(0, 0), history(bars))


def test_a_file_is_no_catalog(bars: BarSeries, spy: InstrumentSpec, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("")
    with pytest.raises(InputError, match=r"catalog must be a folder; .*notes\.txt is a file"):
        write_bars(path, spy, bars, history(bars))


def test_an_unknown_bar_type_is_refused_with_what_there_is(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    with pytest.raises(InputError, match=r"no bars of QQQ in catalog .*; bar types there: none"):
        read_bars(catalog, "QQQ")
    write_bars(catalog, spy, bars, history(bars))
    assert stored_bar_types(catalog) == [SPY_MINUTES]
    with pytest.raises(InputError, match=SPY_MINUTES):
        read_bars(catalog, "QQQ.EQUS-1-MINUTE-LAST-EXTERNAL")


@pytest.mark.parametrize(("start", "end"), [("2026-01-01", None), (None, "2020-01-01"), ("2025-03-10T20:01", None)])
def test_an_empty_range_is_refused_with_what_there_is(
    bars: BarSeries, spy: InstrumentSpec, catalog: Path, start: str | None, end: str | None
) -> None:
    write_bars(catalog, spy, bars, history(bars))
    start_ns, end_ns = (None if text is None else int(np.datetime64(text, "ns").astype(int)) for text in (start, end))
    with pytest.raises(InputError, match=r"2025-03-10T13:31:00Z to 2025-03-10T20:00:00Z"):
        read_bars(catalog, bars.bar_type, start_ns, end_ns)


def test_bars_without_their_instrument_are_refused(bars: BarSeries, spy: InstrumentSpec, catalog: Path) -> None:
    ParquetDataCatalog(catalog).write_data(nautilus_bars(bars, spy))
    with pytest.raises(InputError, match=r"no instrument SPY\.EQUS in catalog"):
        read_bars(catalog, bars.bar_type)
