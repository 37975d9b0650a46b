"""Files of every kind, sound and broken, to one schema."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from adapters.files import BAR_SCHEMA, SourceError, load_bars

OPEN_NS = 1_751_549_400_000_000_000  # 3 July 2025, 09:30 in New York
FRAME = pd.DataFrame(
    {
        "timestamp": ["2025-07-03 09:30:00", "2025-07-03 09:31:00"],
        "open": [620.1, 620.2],
        "high": [620.4, 620.5],
        "low": [620.0, 620.1],
        "close": [620.2, 620.3],
        "volume": [1500, 0],
    }
)
EXPECTED = {
    "ts_ns": [OPEN_NS, OPEN_NS + 60 * 10**9],
    "open": [620.1, 620.2],
    "high": [620.4, 620.5],
    "low": [620.0, 620.1],
    "close": [620.2, 620.3],
    "volume": [1500.0, 0.0],
}


def write(folder: Path, text: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.CSV", ";"), ("a.txt", "\t"), ("a.tsv", "\t")])
def test_text_files_of_any_separator(tmp_path: Path, name: str, separator: str) -> None:
    FRAME.to_csv(tmp_path / name, sep=separator, index=False)
    loaded = load_bars(tmp_path / name, time_zone="America/New_York")
    assert loaded.table.schema == BAR_SCHEMA
    assert loaded.table.to_pydict() == EXPECTED
    assert loaded.symbol == ""
    assert loaded.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_a_byte_order_mark_and_spaces_around_names(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff" + FRAME.to_csv(index=False))
    assert load_bars(path, time_zone="America/New_York").table.to_pydict() == EXPECTED


def test_date_and_time_in_two_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "Date,Time,Open,High,Low,Close\n2025-07-03,09:30,1,2,0.5,1.5\n")
    loaded = load_bars(path, time_zone="America/New_York")
    assert loaded.table["ts_ns"].to_pylist() == [OPEN_NS]
    assert np.isnan(loaded.table["volume"].to_numpy()).all()


@pytest.mark.parametrize("as_index", [False, True])
def test_parquet_with_aware_times(tmp_path: Path, as_index: bool) -> None:
    frame = FRAME.assign(timestamp=pd.to_datetime(FRAME["timestamp"]).dt.tz_localize("America/New_York"))
    path = tmp_path / "bars.parquet"
    (frame.set_index("timestamp") if as_index else frame).to_parquet(path, index=as_index)
    assert load_bars(path).table.to_pydict() == EXPECTED


def test_missing_numbers_are_nan(tmp_path: Path) -> None:
    path = write(tmp_path, "ts,o,h,l,c,v\n1751549400,1,2,,1.5,\n1751549460,NaN,2,0.5,1.5,10\n")
    table = load_bars(path).table
    assert np.isnan(table["low"].to_numpy()).tolist() == [True, False]
    assert np.isnan(table["open"].to_numpy()).tolist() == [False, True]
    assert np.isnan(table["volume"].to_numpy()).tolist() == [True, False]


TWO_SYMBOLS = "ts,symbol,o,h,l,c,v\n1751549400,SPY,1,2,0.5,1.5,1\n1751549400,QQQ,3,4,2.5,3.5,1\n"


def test_one_of_several_symbols(tmp_path: Path) -> None:
    path = write(tmp_path, TWO_SYMBOLS)
    loaded = load_bars(path, symbol="QQQ")
    assert (loaded.symbol, loaded.table["open"].to_pylist()) == ("QQQ", [3.0])


def test_a_categorical_symbol(shared_data: Path) -> None:
    loaded = load_bars(shared_data / "us_vix_1min_20190211_15.parquet", symbol="VIX")
    assert loaded.symbol == "VIX"
    assert 10 < loaded.table["close"].to_numpy().mean() < 20


HEADER = "timestamp,open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("text", "symbol", "message"),
    [
        (TWO_SYMBOLS, None, r"holds 2 symbols \(QQQ, SPY\): choose one with --symbol"),
        (TWO_SYMBOLS, "IWM", r"--symbol must be one that bars\.csv holds \(QQQ, SPY\), was 'IWM'"),
        (HEADER + "1751549400,1,2,0.5,1.5,10\n", "SPY", "has no symbol column to choose 'SPY' from"),
        (HEADER, None, r"bars\.csv is empty: no bars"),
        ("", None, r"bars\.csv is empty: no bars"),
        (HEADER + "1751549400,1,2,0.5\n", None, "Expected 6 columns, got 4"),
        (HEADER + "1751549400,1,two,0.5,1.5,10\n", None, "column high has 'two'; write numbers such as 5908.25"),
        (HEADER + "2025-07-03 09:30,1,2,0.5,1.5,10\n", None, "times without a time zone"),
        ("when,open,high,low,close\n1,1,1,1,1\n", None, "the file has when, open, high, low, close"),
    ],
)
def test_broken_text_is_refused_in_one_line(tmp_path: Path, text: str, symbol: str | None, message: str) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        load_bars(write(tmp_path, text), symbol=symbol)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bars.parquet", b"ts,o,h,l,c\n", r"bars\.parquet is not a whole Parquet file"),
        ("bars.xlsx", b"", r"must end in \.csv, \.txt, .*\.parquet, .*, was \.xlsx"),
        ("bars", b"", "was without a suffix"),
        ("bars.csv", b"ts,o\xff\x00t", "is neither UTF-8 nor UTF-16 text"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        load_bars(tmp_path / name)


def test_half_a_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    FRAME.to_parquet(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"is not a (whole )?Parquet file"):
        load_bars(path)


def test_text_prices_in_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    FRAME.assign(close=["1.5", "n/a"]).to_parquet(path)
    with pytest.raises(SourceError, match="must have numbers in column close, was string"):
        load_bars(path, time_zone="UTC")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file .*none\.csv"):
        load_bars(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="no file"):
        load_bars(tmp_path)


def test_the_schema_holds_no_nulls(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    FRAME.assign(volume=pd.array([1, None], dtype="Int64")).to_parquet(path)
    table = load_bars(path, time_zone="UTC").table
    assert all(column.null_count == 0 for column in table.columns)
    assert pa.types.is_float64(table["volume"].type)
