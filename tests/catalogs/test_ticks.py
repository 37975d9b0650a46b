"""Trades and quotes: in order, positive, never two versions of one time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage.ticks import write_ticks

SECOND_NS = 10**9
START_NS = 1_751_378_400 * SECOND_NS


def trades(first: int, n: int, price: float = 100.0) -> pa.Table:
    """One trade a second at one price."""
    return pa.table(
        {
            "ts_ns": [START_NS + SECOND_NS * i for i in range(first, first + n)],
            "price": [int(price * 1e9)] * n,
            "size": [10] * n,
            "side": pa.array([1] * n, pa.uint8()),
            "id": [str(i) for i in range(first, first + n)],
        }
    )


def test_tables_stream_into_one_file(spy: InstrumentSpec, catalog: Path) -> None:
    written = write_ticks(catalog, spy, "trades", (trades(first, 10) for first in (0, 10, 20)))
    assert (written.outcome, written.rows) == ("imported", 30)
    [path] = (catalog / "data" / "trade_tick" / "SPY.EQUS").glob("*.parquet")
    assert pq.read_table(path)["trade_id"].to_pylist() == [str(i) for i in range(30)]
    again = write_ticks(catalog, spy, "trades", [trades(0, 30)])
    assert again.outcome == "already imported"


def test_a_price_off_the_tick_is_rounded_and_counted(spy: InstrumentSpec, catalog: Path) -> None:
    assert write_ticks(catalog, spy, "trades", [trades(0, 3, 100.004)]).off_tick == 3


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([], "no trades of SPY.EQUS to write"),
        ([trades(5, 3), trades(0, 3)], "in order of time, but go backwards"),
        ([trades(0, 3, -1.0)], "price of SPY.EQUS must be positive, was -1"),
    ],
)
def test_what_is_no_stream_of_ticks_is_refused(
    spy: InstrumentSpec, catalog: Path, tables: list[pa.Table], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_ticks(catalog, spy, "trades", tables)
    assert not list(catalog.rglob("*.parquet"))


def test_overlapping_ticks_are_refused(spy: InstrumentSpec, catalog: Path) -> None:
    write_ticks(catalog, spy, "trades", [trades(0, 10)])
    with pytest.raises(InputError, match=r"overlap with stored ones \(2025-07-01T14:00:00Z to .*:09Z\)"):
        write_ticks(catalog, spy, "trades", [trades(9, 10)])
    assert write_ticks(catalog, spy, "trades", [trades(10, 10)]).outcome == "imported"
