"""Which instrument a symbol of a DBN file is, what several publishers come to; an import is whole or nothing."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import databento_dbn as dbn
import numpy as np
import pytest

from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main

MINUTE_NS = 60 * 10**9
NANO = 10**9


class Minute(NamedTuple):
    """A bar of one publisher: minute after the first, prices in USD, volume."""

    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    publisher: int = 1


def flat(minute: int, price: float, volume: int = 5, publisher: int = 1) -> Minute:
    return Minute(minute, price, price, price, price, volume, publisher)


def dbn_file(
    path: Path,
    symbols: dict[str, list[Minute]],
    dataset: str = "GLBX.MDP3",
    begin: str = "2025-07-01T14:00",
) -> Path:
    """Minutes of some symbols from ``begin`` on, UTC, as Databento writes them."""
    first_ns = int(np.datetime64(begin, "ns").astype(np.int64))
    day = date.fromisoformat(begin[:10])
    mappings = [
        SimpleNamespace(
            raw_symbol=symbol,
            intervals=[SimpleNamespace(start_date=day, end_date=date(day.year + 1, 1, 1), symbol=str(number))],
        )
        for number, symbol in enumerate(symbols, 7)
    ]
    metadata = dbn.Metadata(
        dataset=dataset, schema=dbn.Schema.OHLCV_1M, symbols=list(symbols), start=first_ns,
        stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID, mappings=mappings,
    )  # fmt: skip
    rows = []
    for number, minutes in enumerate(symbols.values(), 7):
        for bar in minutes:
            prices = [round(price * NANO) for price in bar[1:5]]
            ts_ns = first_ns + bar.minute * MINUTE_NS
            rows.append((ts_ns, bytes(dbn.OHLCVMsg(33, bar.publisher, number, ts_ns, *prices, bar.volume))))
    path.write_bytes(metadata.encode() + b"".join(content for _, content in sorted(rows, key=lambda row: row[0])))
    return path


TWENTY = range(20)


def test_a_spread_beside_a_contract_stores_neither(tmp_path: Path, refusal: Callable[..., str]) -> None:
    both = {
        "ESU5": [flat(i, 6250.25) for i in TWENTY],
        "ESU5-ESZ5": [flat(i, 55.25) for i in TWENTY],
        "NQU5": [flat(i, 22_000.25) for i in TWENTY],
    }
    path, store = dbn_file(tmp_path / "es.dbn", both), tmp_path / "store"
    line = refusal("data", "import", path, "--catalog", store)
    assert "was 'ESU5-ESZ5'; nothing was imported, choose symbols with --symbol" in line
    assert not store.exists()
    assert main(["data", "import", str(path), "--symbol", "ESU5", "--catalog", str(store)]) == 0
    assert stored_bar_types(store) == ["ESU5.XCME-1-MINUTE-LAST-EXTERNAL"]


def test_one_bad_symbol_keeps_all_out(tmp_path: Path, refusal: Callable[..., str]) -> None:
    # ES is whole, but natural gas is below zero: nothing is stored.
    both = {"NGK0": [flat(0, 1.0), flat(1, -37.63)], "ESM0": [flat(i, 2800.25) for i in TWENTY]}
    path, store = dbn_file(tmp_path / "april.dbn", both, begin="2020-04-20T14:00"), tmp_path / "store"
    assert "NGK0.XNYM has 1 bars with prices at or below zero" in refusal("data", "import", path, "--catalog", store)
    assert stored_bar_types(store) == []


@pytest.mark.parametrize("ticker", ["ES", "NQ", "CL", "ZM"])
def test_a_share_with_the_ticker_of_a_future_is_the_share(
    tmp_path: Path, answer: Callable[..., dict], ticker: str
) -> None:
    minutes = [flat(i, 65.13 + i / 100) for i in TWENTY]
    path = dbn_file(tmp_path / "shares.dbn", {ticker: minutes, "SPY": minutes}, "XNAS.ITCH")
    told = answer("data", "import", path, "--catalog", tmp_path / "store")["imports"]
    assert {each["bar_type"] for each in told} == {
        f"{ticker}.EQUS-1-MINUTE-LAST-EXTERNAL", "SPY.EQUS-1-MINUTE-LAST-EXTERNAL",
    }  # fmt: skip
    bars = read_bars(tmp_path / "store", f"{ticker}.EQUS-1-MINUTE-LAST-EXTERNAL")
    assert bars.close.tolist() == [6513 + i for i in TWENTY]  # cents: nothing is rounded to a quarter
    assert [each["findings"] for each in told] == [[], []]


def test_a_dataset_of_something_else_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = dbn_file(tmp_path / "opra.dbn", {"SPY": [flat(0, 1.0)]}, "OPRA.PILLAR")
    line = refusal("data", "import", path, "--catalog", tmp_path / "store")
    assert "dataset OPRA.PILLAR is neither of CME Globex nor of US shares" in line


def test_another_decade_of_a_contract_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    store = str(tmp_path / "store")
    now = dbn_file(tmp_path / "now.dbn", {"ESU5": [flat(i, 6250.25) for i in TWENTY]})
    assert main(["data", "import", str(now), "--catalog", store]) == 0
    before = read_bars(Path(store), "ESU5.XCME-1-MINUTE-LAST-EXTERNAL").hash
    old = dbn_file(tmp_path / "old.dbn", {"ESU5": [flat(i, 2060.25) for i in TWENTY]}, begin="2015-07-01T14:00")
    line = refusal("data", "import", old, "--catalog", store)
    assert "ESU5.XCME" in line
    assert "2015" in line
    assert read_bars(Path(store), "ESU5.XCME-1-MINUTE-LAST-EXTERNAL").hash == before


# Two venues: XNAS (2) and BATS (5). In the first minute XNAS trades most, in the second BATS.
TWO_VENUES = {
    "SPY": [
        Minute(0, 600.01, 600.09, 600.00, 600.05, 1000, 2), Minute(0, 600.02, 600.11, 599.98, 600.07, 5, 5),
        Minute(1, 600.05, 600.06, 600.04, 600.04, 10, 2), Minute(1, 600.03, 600.05, 600.01, 600.02, 30, 5),
        *(flat(i, 600.02, 7, 2) for i in range(2, 20)),
    ]
}  # fmt: skip


def test_bars_of_several_publishers_are_combined_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = dbn_file(tmp_path / "spy.dbn", TWO_VENUES, "DBEQ.BASIC"), tmp_path / "store"
    assert main(["data", "import", str(path), "--catalog", str(store)]) == 0
    assert "2 bars combined from several publishers (XNAS, BATS): highest high" in capsys.readouterr().out.replace(
        "\n", " "
    )
    bars = read_bars(store, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
    first = [(getattr(bars, name)[:2]).tolist() for name in ("open", "high", "low", "close", "volume")]
    assert first == [[60001, 60003], [60011, 60006], [59998, 60001], [60005, 60002], [1005, 40]]
    assert len(bars) == 20


def test_a_publisher_can_be_chosen(tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]) -> None:
    path = dbn_file(tmp_path / "spy.dbn", TWO_VENUES, "DBEQ.BASIC")
    told = answer("data", "import", path, "--publisher", "bats", "--catalog", tmp_path / "store")
    assert (told["rows"], told["publishers"], told["combined"]) == (2, ["BATS"], 0)
    assert read_bars(tmp_path / "store", told["bar_type"]).volume.tolist() == [5, 30]
    line = refusal("data", "import", path, "--publisher", "IEXG", "--catalog", tmp_path / "other")
    assert "spy.dbn has no publisher 'IEXG', has XNAS, BATS" in line
    line = refusal("data", "import", path, "--strict", "--catalog", tmp_path / "other")
    assert "2 minutes of SPY from several publishers (XNAS, BATS): choose one with --publisher" in line
    assert not (tmp_path / "other").exists()


def test_repairs_of_a_dbn_file_are_shown_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    minutes = [flat(0, 6250.30), *(flat(i, 6250.25) for i in (1, 3, 4, 5, 6, 7, 8, 9, 10, 11))]
    path = dbn_file(tmp_path / "es.dbn", {"ESU5": minutes})
    assert main(["data", "import", str(path), "--catalog", str(tmp_path / "store")]) == 0
    said = capsys.readouterr().out
    assert "imported: 12 bars of ESU5.XCME-1-MINUTE-LAST-EXTERNAL" in said
    assert "off_tick" in said
    assert "gap_filled" in said


def test_definitions_value_a_point_by_the_tick_and_not_by_the_size() -> None:
    from adapters.databento.records import _multiplier  # the rule alone: no recorded file has a Treasury note

    fields = ("min_price_increment_amount", "display_factor", "min_price_increment")
    undefined = np.iinfo(np.int64).max

    def worth(*values: int) -> object:
        return _multiplier(np.array([values], [(name, "i8") for name in fields])[0])

    assert worth(125_000_000, 10_000_000, 250_000_000) == 50  # ES as Databento recorded it
    assert worth(15_625_000_000, NANO, 15_625_000) == 1000  # 15.625 USD a 64th
    assert worth(undefined, NANO, 15_625_000) is None
