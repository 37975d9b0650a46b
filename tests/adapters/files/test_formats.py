"""Each format, written out by hand, gives back the same three bars, with what its vendor says of its stamps."""

import gzip
import itertools
import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import zstandard

from adapters.files import FORMATS, ReadOptions, SourceError, read_file

NEW_YORK = "America/New_York"
# 3 July 2025, 09:30 to 09:32 in New York: open, high, low, close, volume.
OPEN_NS = 1_751_549_400_000_000_000
MINUTE_NS = 60_000_000_000
BARS = [
    (620.10, 620.40, 620.00, 620.20, 1500),
    (620.20, 620.50, 620.10, 620.30, 900),
    (620.25, 620.30, 620.05, 620.10, 70),
]
LOCAL = ["09:30", "09:31", "09:32"]
ENDS = ["09:31", "09:32", "09:33"]


def lines(template: str, clocks: list[str] = LOCAL) -> str:
    """One line for each bar: ``{t}`` the time of day, ``{o} {h} {l} {c} {v}`` the numbers, ``{O}`` ten thousandths."""
    rows = [
        template.format(
            t=clock,
            m=clock.replace(":", ""),
            n=OPEN_NS + i * MINUTE_NS,
            o=o,
            h=h,
            l=low,
            c=c,
            v=v,
            O=round(o * 10_000),
            H=round(h * 10_000),
            L=round(low * 10_000),
            C=round(c * 10_000),
        )
        for i, (clock, (o, h, low, c, v)) in enumerate(zip(clocks, BARS, strict=True))
    ]
    return "\n".join(rows) + "\n"


FLAT_HEADER = "ticker,volume,open,close,high,low,window_start,transactions\n"
FLAT = FLAT_HEADER + lines("SPY,{v},{o},{c},{h},{l},{n},3")
DATABENTO = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
UTC = ["13:30", "13:31", "13:32"]


class Case(NamedTuple):
    """A file: its header, the template of a line with its times of day, and what is to be found."""

    format: str
    file: str
    header: str
    template: str
    clocks: list[str] = LOCAL
    symbol: str = ""
    stamp: str = "open"
    options: ReadOptions = ReadOptions()

    @property
    def text(self) -> str:
        return self.header + lines(self.template, self.clocks)


LOCAL_ZONE = ReadOptions(time_zone=NEW_YORK)
MT5 = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
CASES = [
    Case("massive", "2025-07-03.csv", FLAT_HEADER, "SPY,{v},{o},{c},{h},{l},{n},3", symbol="SPY"),
    Case(
        "databento", "pretty.csv", DATABENTO,
        "2025-07-03T{t}:00.000000000Z,33,1,7,{o:.9f},{h:.9f},{l:.9f},{c:.9f},{v},SPY", UTC, "SPY",
    ),
    Case("databento", "raw.csv", DATABENTO, "{n},33,1,7,{O}00000,{H}00000,{L}00000,{C}00000,{v},SPY", UTC, "SPY"),
    Case(
        "tradingview", "tv.csv", "time,open,high,low,close,Volume,Plot,Plot\n",
        "2025-07-03T{t}:00-04:00,{o},{h},{l},{c},{v},1,2",
    ),
    Case(
        "ninjatrader", "ES 09-25.Last.txt", "", "20250703 {m}00;{o};{h};{l};{c};{v}", ENDS, stamp="close",
        options=LOCAL_ZONE,
    ),
    Case(
        "sierra", "ESU25.txt",
        "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n",
        "2025/7/3, {t}:00, {o}, {h}, {l}, {c}, {v}, 3, 1, 2", options=LOCAL_ZONE,
    ),
    Case("metatrader5", "mt5.csv", MT5, "2025.07.03\t{t}:00\t{o}\t{h}\t{l}\t{c}\t8\t{v}\t1", options=LOCAL_ZONE),
    Case("kibot", "SPY.txt", "", "07/03/2025,{t},{o},{h},{l},{c},{v}"),
    Case("firstrate", "SPY_1min.txt", "", "2025-07-03 {t}:00,{o},{h},{l},{c},{v}"),
    Case(
        "tradestation", "ts.txt", '"Date","Time","Open","High","Low","Close","Vol","OI"\n',
        "07/03/2025,{t},{o},{h},{l},{c},{v},0", ENDS, stamp="close",
        options=ReadOptions(time_zone=NEW_YORK, dates="mdy"),
    ),
    Case(
        "alphavantage", "av.csv", "timestamp,open,high,low,close,volume\n2025-07-03 09:33:00,1,1,1,1,1\n",
        "2025-07-03 {t}:00,{o},{h},{l},{c},{v}",
    ),
    Case("alpaca", "alpaca.csv", "t,o,h,l,c,v,n,vw\n", "2025-07-03T{t}:00Z,{o},{h},{l},{c},{v},9,620", UTC),
    Case(
        "alpaca", "frame.csv", "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n",
        "SPY,2025-07-03 {t}:00+00:00,{o},{h},{l},{c},{v},9.0,620", UTC, "SPY",
    ),
    Case(
        "yfinance", "yf.csv",
        "Price,Close,High,Low,Open,Volume\nTicker,BRK-B,BRK-B,BRK-B,BRK-B,BRK-B\nDatetime,,,,,\n",
        "2025-07-03 {t}:00+00:00,{c},{h},{l},{o},{v}", UTC, "BRK.B",
    ),
    Case(
        "ib", "ib.csv", "date,open,high,low,close,volume,average,barCount\n",
        "20250703 {t}:00 US/Eastern,{o},{h},{l},{c},{v},620,4",
    ),
    Case(
        "export", "ours.csv", "ts_close,open,high,low,close,volume,symbol\n",
        "2025-07-03 {t}:00.000000000Z,{o},{h},{l},{c},{v},SPY.EQUS", ["13:31", "13:32", "13:33"], "SPY.EQUS", "close",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.file}")
def test_a_format_is_known_by_its_content(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.file
    path.write_text(case.text, encoding="utf-8")
    if case.format == "alphavantage":  # the newest comes first
        first, *rest = case.text.splitlines()
        path.write_text("\n".join([first, *sorted(rest[1:], reverse=True)]))
    [held] = read_file(path, case.options)
    assert (held.format.name, held.symbol, held.stamp) == (case.format, case.symbol, case.stamp)
    late_ns = MINUTE_NS if case.stamp == "close" else 0
    rows = sorted(zip(*(held.table[column].to_pylist() for column in held.table.column_names), strict=True))
    assert rows == [(OPEN_NS + i * MINUTE_NS + late_ns, *bar) for i, bar in enumerate(BARS)]
    if case.options.time_zone is not None:
        with pytest.raises(SourceError, match="pass --tz"):
            read_file(path, ReadOptions(dates="mdy"))


def test_a_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "german.txt"
    path.write_text(lines("20250703 {m}00;{o};{h};{l};{c};{v}", ENDS).replace(".", ","))
    [held] = read_file(path, LOCAL_ZONE)
    assert held.table["close"].to_pylist() == [620.20, 620.30, 620.10]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_metatrader_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    text = next(case.text for case in CASES if case.format == "metatrader5")
    path = tmp_path / "mt5.csv"
    path.write_bytes(b"\xff\xfe" * (encoding == "utf-16-le") + text.encode(encoding))
    [held] = read_file(path, ReadOptions(time_zone=NEW_YORK))
    assert held.table["close"].to_pylist() == [620.20, 620.30, 620.10]


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".zip"])
def test_compressed_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"2025-07-03.csv{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("2025-07-03.csv", FLAT)
    else:
        pack = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
        path.write_bytes(pack(FLAT.encode()))
    [held] = read_file(path, ReadOptions())
    assert (held.symbol, held.table["volume"].to_pylist()) == ("SPY", [1500.0, 900.0, 70.0])


@pytest.mark.parametrize("suffix", [".gz", ".zip"])
def test_half_an_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bars.csv{suffix}"
    path.write_bytes(gzip.compress(FLAT.encode() * 500)[:300])
    with pytest.raises(SourceError, match=r"is not a whole|must be a table of numbers: Truncated"):
        read_file(path, ReadOptions())


def test_several_files_in_one_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", FLAT)
        archive.writestr("b.csv", FLAT)
    with pytest.raises(SourceError, match=r"bars\.zip must hold one file, holds 2"):
        read_file(path, ReadOptions())


def test_lean_minutes_in_ten_thousandths(tmp_path: Path) -> None:
    rows = lines("{t},{O},{H},{L},{C},{v}")
    for clock, milliseconds in zip(LOCAL, (34_200_000, 34_260_000, 34_320_000), strict=True):  # since midnight
        rows = rows.replace(clock, str(milliseconds))
    path = tmp_path / "20250703_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20250703_spy_minute_trade.csv", rows)
    [held] = read_file(path, ReadOptions())
    assert (held.format.name, held.symbol, held.stamp, held.divisor) == ("lean", "SPY", "open", 10_000)
    assert held.table["ts_ns"].to_pylist() == [OPEN_NS + i * MINUTE_NS for i in range(3)]
    assert held.table["close"].to_pylist() == [620.20, 620.30, 620.10]


@pytest.mark.parametrize(
    "answer",
    [
        {"bars": {"SPY": []}, "next_page_token": None},
        {"bars": [], "symbol": "SPY"},
        {"ticker": "SPY", "results": []},
    ],
)
def test_answers_as_json(tmp_path: Path, answer: dict) -> None:
    keys = ("o", "h", "l", "c", "v")
    times = [
        1_751_549_400_000 + i * 60_000 if "results" in answer else f"2025-07-03T{clock}:00Z"
        for i, clock in enumerate(UTC)
    ]
    bars = [dict(zip(keys, bar, strict=True)) | {"t": time} for bar, time in zip(BARS, times, strict=True)]
    if "results" in answer:
        answer["results"] = bars
    else:
        answer["bars"] = {"SPY": bars} if isinstance(answer["bars"], dict) else bars
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    [held] = read_file(path, ReadOptions())
    assert (held.symbol, held.stamp, held.format.is_share) == ("SPY", "open", True)
    assert held.table["ts_ns"].to_pylist() == [OPEN_NS + i * MINUTE_NS for i in range(3)]


def test_yfinance_of_several_tickers_leaves_out_minutes_without_a_trade(tmp_path: Path) -> None:
    index = pd.date_range("2025-07-03 13:30", periods=3, freq="min", tz="UTC", name="Datetime")
    fields = pd.MultiIndex.from_product(
        [["Close", "High", "Low", "Open", "Volume"], ["AAPL", "SPY"]], names=["Price", "Ticker"]
    )
    frame = pd.DataFrame(620.0, index, fields)
    frame.loc[index[1], (slice(None), "AAPL")] = np.nan
    frame.to_csv(tmp_path / "two.csv")
    apple, spy = read_file(tmp_path / "two.csv", ReadOptions())
    assert (apple.symbol, len(apple.table), spy.symbol, len(spy.table)) == ("AAPL", 2, "SPY", 3)


def test_parquet_whose_index_has_no_name(tmp_path: Path) -> None:
    index = pd.date_range("2025-07-03 09:30", periods=3, freq="min", tz=NEW_YORK)
    frame = pd.DataFrame(BARS, index, ["open", "high", "low", "close", "volume"])
    frame.to_parquet(tmp_path / "frame.parquet")
    [held] = read_file(tmp_path / "frame.parquet", ReadOptions())
    assert held.table["ts_ns"].to_pylist() == [OPEN_NS + i * MINUTE_NS for i in range(3)]


def test_epochs_of_metatrader_count_a_local_clock(tmp_path: Path) -> None:
    # 09:30 on a server in Athens, written as if it were UTC: 06:30 UTC in summer.
    path = tmp_path / "rates.csv"
    path.write_text("time,open,high,low,close,tick_volume,spread,real_volume\n1751535000,1,2,0.5,1.5,7,1,30\n")
    with pytest.raises(SourceError, match="pass --tz"):
        read_file(path, ReadOptions())
    [held] = read_file(path, ReadOptions(time_zone="Europe/Athens"))
    assert held.table["ts_ns"].to_pylist() == [(1_751_535_000 - 3 * 3600) * 10**9]
    assert held.table["volume"].to_pylist() == [30.0]


def test_price_changes_are_no_volume(tmp_path: Path) -> None:
    path = tmp_path / "mt4.csv"
    path.write_text(lines("2025.07.03,{t},{o},{h},{l},{c},{v}"))
    [held] = read_file(path, ReadOptions(time_zone=NEW_YORK))
    assert held.format.name == "metatrader4"
    assert np.isnan(held.table["volume"].to_numpy()).all()


def test_the_layout_of_ninjatrader_without_volume_may_be_histdata(tmp_path: Path) -> None:
    path = tmp_path / "DAT_ASCII_SPXUSD_M1.txt"
    path.write_text(lines("20250703 {m}00;{o};{h};{l};{c};0", ["08:30", "08:31", "08:32"]))
    with pytest.raises(SourceError, match="--format ninjatrader or --format histdata"):
        read_file(path, ReadOptions(time_zone="UTC"))
    [held] = read_file(path, ReadOptions(format="histdata"))
    # Eastern standard time all year: 08:30 is 13:30 UTC, also in July.
    assert (held.stamp, held.table["ts_ns"][0].as_py()) == ("open", OPEN_NS)


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(lines("SPY;03.07.2025;{t};{v};{o};{h};{l};{c};x"))
    with pytest.raises(SourceError, match="say what they are, for example --columns date,time,open"):
        read_file(path, ReadOptions(time_zone=NEW_YORK))
    columns = ("symbol", "date", "time", "volume", "open", "high", "low", "close", "skip")
    with pytest.raises(SourceError, match="--dates mdy or --dates dmy"):
        read_file(path, ReadOptions(time_zone=NEW_YORK, columns=columns))
    [held] = read_file(path, ReadOptions(time_zone=NEW_YORK, columns=columns, dates="dmy"))
    assert (held.symbol, held.table["ts_ns"][0].as_py()) == ("SPY", OPEN_NS)
    with pytest.raises(SourceError, match="for each of the 9 columns"):
        read_file(path, ReadOptions(columns=("time", "open", "high", "low", "close")))
    with pytest.raises(SourceError, match="--format must be one of export, "):
        read_file(path, ReadOptions(format="excel"))


def test_a_ticker_may_be_na_and_a_row_without_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text(FLAT + "NA,1,2,2,3,1,1751549400000000000,1\nTRUE,1,2,2,3,1,1751549400000000000,1\n")
    assert [held.symbol for held in read_file(path, ReadOptions())] == ["NA", "SPY", "TRUE"]
    path.write_text(FLAT + ",1,2,2,3,1,1751549400000000000,1\n")
    with pytest.raises(SourceError, match=r"row 4 has no symbol, others have \(SPY\): choose with --symbol"):
        read_file(path, ReadOptions())
    [held] = read_file(path, ReadOptions(), ("SPY",))
    assert len(held.table) == 3


def test_bars_of_several_publishers_become_one_in_whatever_order_they_come(tmp_path: Path) -> None:
    path = tmp_path / "venues.csv"
    rows = [
        "2025-07-03T13:30:00Z,33,39,7,620.1,620.4,620.0,620.2,5,SPY",
        "2025-07-03T13:30:00Z,33,41,7,620.3,620.6,620.2,620.5,70,SPY",
        "2025-07-03T13:30:00Z,33,43,7,620.2,620.3,619.8,619.9,6,SPY",
        "2025-07-03T13:31:00Z,33,39,7,620.5,620.7,620.4,620.6,9,SPY",
    ]
    for order in itertools.permutations(rows):
        path.write_text(DATABENTO + "\n".join(order) + "\n")
        [held] = read_file(path, ReadOptions())
        # Open and close of publisher 41, which traded most; the extremes are those of 41 and of 43.
        assert [column.to_pylist() for column in held.table.columns[1:]] == [
            [620.3, 620.5], [620.6, 620.7], [619.8, 620.4], [620.5, 620.6], [81.0, 9.0],
        ]  # fmt: skip
        assert (held.publishers, held.combined) == (("39", "41", "43"), 1)


def test_one_publisher_is_taken_where_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "venues.csv"
    row = "2025-07-03T13:30:00Z,33,{p},7,620.1,620.2,620.0,{close},5,SPY\n"
    path.write_text(DATABENTO + row.format(p=2, close=620.1) + row.format(p=5, close=620.2))
    venues = {2: "XNAS", 5: "BATS"}.__getitem__
    for name, close in (("xnas", 620.1), ("BATS", 620.2)):
        [held] = read_file(path, ReadOptions(publisher=name, publisher_name=venues))
        assert held.table["close"].to_pylist() == [close]
        assert (held.publishers, held.combined) == ((name.upper(),), 0)
    with pytest.raises(SourceError, match=r"venues\.csv has no publisher 'IEXG', has XNAS, BATS"):
        read_file(path, ReadOptions(publisher="IEXG", publisher_name=venues))
    path.write_text(DATABENTO + 2 * row.format(p=2, close=620.1) + row.format(p=5, close=620.2))
    with pytest.raises(SourceError, match=r"venues\.csv has two bars of one publisher at one time"):
        read_file(path, ReadOptions())


def test_a_publisher_cannot_be_chosen_from_a_file_that_names_none(tmp_path: Path) -> None:
    path = tmp_path / "flat.csv"
    path.write_text(FLAT)
    with pytest.raises(SourceError, match=r"flat\.csv has no column publisher_id to choose 'XNAS' from"):
        read_file(path, ReadOptions(publisher="XNAS"))


def test_encoded_and_plain_prices_in_one_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    rows = "".join(
        f"{OPEN_NS + i * MINUTE_NS},33,1,7,620100000000,620200000000,620000000000,620100000000,5,SPY\n"
        for i in range(60)
    )
    path.write_text(DATABENTO + rows + f"{OPEN_NS + 60 * MINUTE_NS},33,1,7,620.1,620.2,620.0,620.1,5,SPY\n")
    with pytest.raises(SourceError, match=r"prices in units of 1/1,000,000,000 and others in plain units"):
        read_file(path, ReadOptions())


def test_every_format_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    table = text.split("| `--format` |")[1].split("\n\n")[0]
    assert [each.name for each in FORMATS if f"`{each.name}`" not in table] == []
