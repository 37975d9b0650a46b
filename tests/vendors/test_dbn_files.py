"""DBN files as Databento's own clients ship them: every schema is stored as NautilusTrader would, or refused why."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import databento
import numpy as np
import pytest
import zstandard
from nautilus_trader.adapters.databento.loaders import DatabentoDataLoader
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from adapters.databento import kind_of, open_dbn, tick_tables
from adapters.errors import SourceError
from catalogs.errors import InputError
from catalogs.storage.arrow import read_bars
from run.data.dbn import Choices, import_opened
from run.data.stored import Stored

SESSION = Path("nautilus_databento") / "historical_bars_catalog" / "databento"
BARS = SESSION / "futures_ohlcv-1m_2024-07-01T23-40_2024-07-02T00-10.dbn.zst"
TRADES = SESSION / "futures_trades_2024-07-01T23-58_2024-07-02T00-02.dbn.zst"
QUOTES = SESSION / "futures_mbp-1_2024-07-01T23-58_2024-07-02T00-02.dbn.zst"
GLOBEX = Path("databento_python") / "tests" / "data" / "GLBX.MDP3"
KINDS = ("bars", "trades", "quotes", "definitions")
MINUTE_NS = 60 * 10**9


def test_minutes_of_two_futures(vendor_bytes: Path, tmp_path: Path, answer: Callable[..., dict]) -> None:
    told = answer("data", "import", vendor_bytes / BARS, "--catalog", tmp_path)["imports"]
    assert [(each["bar_type"], each["rows"]) for each in told] == [
        ("ESU4.XCME-1-MINUTE-LAST-EXTERNAL", 30), ("NQU4.XCME-1-MINUTE-LAST-EXTERNAL", 30),
    ]  # fmt: skip
    frame = databento.DBNStore.from_bytes((vendor_bytes / BARS).read_bytes()).to_df()
    frame = frame[frame["symbol"] == "ESU4"]
    bars = read_bars(tmp_path, "ESU4.XCME-1-MINUTE-LAST-EXTERNAL")
    assert np.array_equal(bars.ts_ns, frame.index.astype("int64") + MINUTE_NS)
    assert np.array_equal(bars.close / 4, frame["close"])
    assert np.array_equal(bars.volume, frame["volume"])


@pytest.mark.parametrize(
    ("file", "kind", "count"),
    [(TRADES, TradeTick, 120), (QUOTES, QuoteTick, 2288), (GLOBEX / "test_data.bbo-1m.dbn.zst", QuoteTick, 4)],
)
def test_ticks_equal_those_of_nautilus_own_loader(
    vendor_bytes: Path, tmp_path: Path, answer: Callable[..., dict], file: Path, kind: type, count: int
) -> None:
    told = answer("data", "import", vendor_bytes / file, "--catalog", tmp_path)
    assert (told["rows"], told["off_tick"]) == (count, 0)
    instrument = told["instrument_id"]
    wanted = DatabentoDataLoader().from_dbn_file(
        vendor_bytes / file, instrument_id=InstrumentId.from_str(instrument), price_precision=2
    )
    assert ParquetDataCatalog(tmp_path).query(kind, [instrument]) == wanted
    assert answer("data", "import", vendor_bytes / file, "--catalog", tmp_path)["outcome"] == "already imported"


def test_definitions_become_instruments_of_our_venue(
    vendor_bytes: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    answer("data", "import", vendor_bytes / SESSION / "futures_definition.dbn.zst", "--catalog", tmp_path)
    stored = {str(each.id): each for each in ParquetDataCatalog(tmp_path).instruments()}
    assert sorted(stored) == ["ESU4.XCME", "NQU4.XCME"]
    assert str(stored["ESU4.XCME"].multiplier) == "50"
    assert stored["NQU4.XCME"].expiration_utc.isoformat() == "2024-09-20T13:30:00+00:00"


def outcome(path: Path, catalog: Path) -> str:
    """Kind of what a file was imported as, or the reason why not."""
    try:
        with open_dbn(path) as file:
            records = import_opened([file], Choices(), catalog, Stored())
            assert all(record["rows"] > 0 for record in records)
            return kind_of(file.schema, path.name)
    except (SourceError, InputError) as error:
        assert not list(catalog.rglob("*.parquet")), path
        return str(error)


@pytest.mark.parametrize(
    ("folder", "count"), [("databento_dbn", 81), ("databento_python", 62), ("nautilus_databento", 6)]
)
def test_every_file_is_imported_or_refused_with_a_reason(
    vendor_bytes: Path, tmp_path: Path, folder: str, count: int
) -> None:
    suffixes = (".zst", ".dbn", ".dbz", ".frag")
    files = sorted(path for path in (vendor_bytes / folder).rglob("*") if path.name.endswith(suffixes))
    told = {str(path): outcome(path, tmp_path / str(number)) for number, path in enumerate(files)}
    assert len(told) == count
    for path, said in told.items():
        schema = Path(path).name.split(".")[1]
        if schema in ("mbo", "mbp-10", "imbalance", "statistics", "status", "ohlcv-1s", "ohlcv-1d"):
            assert "is not imported" in said or "DBZ" in said, (path, said)
        assert said in ("bars", "trades", "quotes", "definitions") or ("\n" not in said and len(said) > 20), (
            path,
            said,
        )
    if folder == "databento_python":
        globex = {Path(path).name.split(".")[1]: said for path, said in told.items() if "GLBX.MDP3" in path}
        assert globex["ohlcv-1m"] == globex["ohlcv-1h"] == "bars"
        assert globex["mbp-1"] == globex["tbbo"] == globex["bbo-1s"] == globex["bbo-1m"] == "quotes"
        assert (globex["trades"], globex["definition"]) == ("trades", "definitions")


def cut(path: Path, share: float, target: Path, plain: bool) -> Path:
    content = path.read_bytes()
    if plain:
        content = zstandard.ZstdDecompressor().stream_reader(content).read()
    target.write_bytes(content[: int(len(content) * share)])
    return target


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_file_cut_off_anywhere_is_refused(
    vendor_bytes: Path, tmp_path: Path, refusal: Callable[..., str], share: float, plain: bool
) -> None:
    path = cut(vendor_bytes / BARS, share, tmp_path / f"cut.dbn{'' if plain else '.zst'}", plain)
    line = refusal("data", "import", path, "--catalog", tmp_path / "store")
    assert "is cut off inside" in line or "is not a DBN file" in line
    assert not (tmp_path / "store").exists()


def test_a_damaged_byte_is_refused(vendor_bytes: Path, tmp_path: Path) -> None:
    content = bytearray((vendor_bytes / QUOTES).read_bytes())
    content[len(content) // 2] ^= 0x40
    (tmp_path / "bad.dbn.zst").write_bytes(content)
    with pytest.raises(SourceError, match=r"damaged|cut off|not a DBN file"), open_dbn(tmp_path / "bad.dbn.zst"):
        pass


def test_a_quote_with_an_empty_side_is_left_out() -> None:
    undefined = np.iinfo(np.int64).max
    fields = ("ts_recv", "instrument_id", "bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00")
    sides = [(5, 6), (undefined, 6), (5, undefined)]
    rows = np.array([(10**18 + i, 7, *both, 1, 1) for i, both in enumerate(sides)], [(name, "i8") for name in fields])
    day = {"start_date": "2001-01-01", "end_date": "2030-01-01", "symbol": "7"}
    store = SimpleNamespace(mappings={"ESU4": [day]}, to_ndarray=lambda count: [rows])
    [(symbol, quotes)] = tick_tables(SimpleNamespace(schema="mbp-1", path=Path("es.dbn"), store=store))
    assert (symbol, quotes["bid_price"].to_pylist(), quotes["ts_ns"].to_pylist()) == ("ESU4", [5], [10**18])
