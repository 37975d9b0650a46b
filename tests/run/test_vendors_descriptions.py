"""Ten files made from what vendors and platforms write about their own formats, each page named, none of our making.

Each is imported to the bars that the page describes, or refused with a line that says what to do.
"""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(file, text, …)``: exit code, and the last line of the errors, of importing a text."""

    def call(file: str, text: str | bytes, *words: str) -> tuple[int, str]:
        path = tmp_path / file
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        capsys.readouterr()
        code = main(["data", "import", str(path), *words, "--catalog", str(tmp_path / "catalog")])
        err = capsys.readouterr().err.strip()
        return code, err.splitlines()[-1] if err else ""

    return call


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[tuple]]:
    """Bars of the only bar type in the catalog: close time in UTC, prices in USD, volume."""

    def call() -> list[tuple]:
        [name] = stored_bar_types(tmp_path / "catalog")
        bars = read_bars(tmp_path / "catalog", name)
        tick = bars.tick_raw / 1e16
        columns = [(column * tick).round(6).tolist() for column in (bars.open, bars.high, bars.low, bars.close)]
        clocks = bars.ts_ns.astype("datetime64[ns]").astype("datetime64[m]").astype(str).tolist()
        return [(name.partition("-")[0], *row) for row in zip(clocks, *columns, bars.volume.tolist(), strict=True)]

    return call


def test_ninjatraders_own_sample(run: Run, stored: Callable) -> None:
    # ninjatrader-support.com/HelpGuideV6/Import.html: yyyyMMdd HHmmss;open;high;low;close;volume. The import dialog of
    # version 8 offers ends or starts of bars, and any zone; its own exports are ends, in UTC.
    text = (
        "20061023 004400;1377.25;1377.50;1377.25;1377.25;86\r\n20061023 004500;1377.25;1377.25;1377.00;1377.25;27\r\n"
    )
    assert "pass --tz" in run("ES 12-06.txt", text, "--instrument", "ESZ6")[1]
    assert run("ES 12-06.txt", text, "--instrument", "ESZ6", "--tz", "UTC")[0] == 0
    assert stored() == [
        ("ESZ6.XCME", "2006-10-23T00:44", 1377.25, 1377.5, 1377.25, 1377.25, 86),
        ("ESZ6.XCME", "2006-10-23T00:45", 1377.25, 1377.25, 1377.0, 1377.25, 27),
    ]


def test_kibots_description(run: Run, stored: Callable) -> None:
    # kibot.com/Data_Format.aspx: Date,Time,Open,High,Low,Close,Volume; mm/dd/yyyy, hh:mm, US Eastern; 10:00 is the bar
    # from 10:00 to 10:01.
    assert run("WMT.txt", "01/12/2010,10:00,53.7,53.78,53.7,53.75,48213\n", "--instrument", "WMT")[0] == 0
    assert stored() == [("WMT.EQUS", "2010-01-12T15:01", 53.7, 53.78, 53.7, 53.75, 48213)]


def test_tradestations_guidelines(run: Run, stored: Callable) -> None:
    # help.tradestation.com, ASCII 3rd party data guidelines: the closing time of the bar, in exchange time, 24 hours,
    # also as HHMM; the example's header and date.
    text = '"Date","Time",O,H,L,C,V,OI\n12/12/2003,940,53,55,48,49.200000,700,0\n'
    text += "12/12/2003,1340,53,55,48,49.200000,800,0\n"
    code, said = run("MSFT.txt", text, "--instrument", "MSFT", "--tz", "America/New_York")
    assert code == 2
    assert "does not show whether day or month comes first: '12/12/2003'" in said
    assert "--dates mdy or --dates dmy" in said
    assert run("MSFT.txt", text, "--instrument", "MSFT", "--tz", "America/New_York", "--dates", "mdy")[0] == 0
    assert stored() == [
        ("MSFT.EQUS", "2003-12-12T14:40", 53, 55, 48, 49.2, 700),
        ("MSFT.EQUS", "2003-12-12T18:40", 53, 55, 48, 49.2, 800),
    ]


def test_leans_description(tmp_path: Path, run: Run, stored: Callable) -> None:
    # github.com/QuantConnect/Lean, Data/equity/readme.md: milliseconds since midnight in New York, deci-cents, shares;
    # 20140605_aapl_minute_trade.csv in 20140605_trade.zip.
    path = tmp_path / "20140605_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20140605_aapl_minute_trade.csv", "34200000,6460500,6469900,6456000,6465050,193810\n")
    assert run(path.name, path.read_bytes())[0] == 0
    # 646.505 was traded between two cents: 646.50 or 646.51 is as near.
    [(name, clock, *prices, volume)] = stored()
    assert (name, clock, volume) == ("AAPL.EQUS", "2014-06-05T13:31", 193810)
    assert prices == pytest.approx([646.05, 646.99, 645.60, 646.505], abs=0.0051)


def test_massives_flat_file_of_futures(run: Run, stored: Callable) -> None:
    # massive.com/docs/flat-files/futures/minute-aggregates: window_start is the start of the aggregate, Unix
    # nanoseconds; session_end_date the trading date.
    text = (
        "ticker,exchange,open,high,low,close,volume,dollar_volume,transactions,window_start,session_end_date\n"
        "ESU5,4,6300.25,6301.00,6300.00,6300.75,120,756000,40,1751580000000000000,2025-07-04\n"
        "ES,4,6300.25,6301.00,6300.00,6300.75,120,756000,40,1751580000000000000,2025-07-04\n"
    )
    assert run("2025-07-03.csv", text, "--symbol", "ESU5")[0] == 0
    assert stored() == [("ESU5.XCME", "2025-07-03T22:01", 6300.25, 6301.0, 6300.0, 6300.75, 120)]


def test_databento_as_its_catalog_shows_it(run: Run, stored: Callable) -> None:
    # databento.com/catalog: prices are signed integers of 1e-9, ts_event the inclusive start of the bar in nanoseconds;
    # a price that is not there is the largest 64-bit integer.
    none = 2**63 - 1
    header = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
    rows = (
        "1751549400000000000,33,95,15144,620100000000,620400000000,620000000000,620200000000,1500,SPY\n"
        f"1751549460000000000,33,95,15144,{none},{none},{none},{none},0,SPY\n"
        "1751549520000000000,33,95,15144,620200000000,620300000000,620100000000,620250000000,70,SPY\n"
    )
    assert run("equs-mini.ohlcv-1m.csv", header + rows)[0] == 0
    assert stored() == [
        ("SPY.EQUS", "2025-07-03T13:31", 620.1, 620.4, 620.0, 620.2, 1500),
        ("SPY.EQUS", "2025-07-03T13:32", 620.2, 620.2, 620.2, 620.2, 0),  # a short gap is filled flat
        ("SPY.EQUS", "2025-07-03T13:33", 620.2, 620.3, 620.1, 620.25, 70),
    ]


def test_interactive_brokers_two_notations(run: Run, stored: Callable) -> None:
    # IBKR's error 10314: "yyyymmdd hh:mm:ss xx/xxxx" names the zone, "yyyymmdd-hh:mm:ss" is UTC.
    header = "date,open,high,low,close,volume,average,barCount\n"
    assert (
        run("utc.csv", header + "20250703-13:30:00,620.1,620.4,620.0,620.2,15,620.2,9\n", "--instrument", "SPY")[0] == 0
    )
    text = header + "20250703 09:31:00 US/Eastern,620.2,620.5,620.1,620.3,9,620.3,4\n"
    assert run("zone.csv", text, "--instrument", "SPY")[0] == 0
    assert [row[1] for row in stored()] == ["2025-07-03T13:31", "2025-07-03T13:32"]
    text = header + "20250703 09:32:00 EST,620.2,620.5,620.1,620.3,9,620.3,4\n"
    assert "times of zone 'EST', which means several zones: pass --tz" in run("est.csv", text, "--instrument", "SPY")[1]


def test_stooqs_layout_says_nothing_of_stamps(run: Run, stored: Callable) -> None:
    # stooq.com/db: <TICKER>,<PER>,<DATE>,<TIME>,…; AAPL.US is a US share. Nothing is said of zone or end of the bar.
    text = (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "AAPL.US,5,20250703,153500,212.1,212.9,212.0,212.8,52310,0\n"
        "AAPL.US,5,20250703,154000,212.8,213.0,212.5,212.6,41120,0\n"
    )
    words = ("--bar", "5-MINUTE")
    assert "pass --tz" in run("aapl.us.txt", text, *words)[1]
    assert "say --stamp open or --stamp close" in run("aapl.us.txt", text, *words, "--tz", "Europe/Warsaw")[1]
    assert run("aapl.us.txt", text, *words, "--tz", "Europe/Warsaw", "--stamp", "close")[0] == 0
    assert stored() == [
        ("AAPL.EQUS", "2025-07-03T13:35", 212.1, 212.9, 212.0, 212.8, 52310),
        ("AAPL.EQUS", "2025-07-03T13:40", 212.8, 213.0, 212.5, 212.6, 41120),
    ]


def test_histdatas_layout_is_that_of_ninjatrader(run: Run) -> None:
    # histdata.com, detailed specification: DAT_ASCII_…_M1, 20120201 000000;1.306600;…;0, Eastern standard time without
    # daylight saving. The layout is NinjaTrader's, whose stamps are closes.
    text = (
        "20120201 000000;1.306600;1.306600;1.306560;1.306560;0\n20120201 000100;1.306570;1.306570;1.306470;1.306560;0\n"
    )
    code, said = run("DAT_ASCII_EURUSD_M1_201202.csv", text, "--instrument", "SPY", "--tz", "UTC")
    assert code == 2
    assert "may be of NinjaTrader (times mark closes) or of HistData.com (opens, no volume)" in said
    assert "--format ninjatrader or --format histdata" in said


def test_tslabs_layout_is_named_by_hand(run: Run, stored: Callable) -> None:
    # doc.tslab.pro, offline data provider: MM/dd/yyyy;HH:mm;open;high;low;close;volume; without a header, UTC, the time
    # of the start, and a semicolon at the end of every line.
    text = "07/03/2025;13:30;620.1;620.4;620.0;620.2;1500;\n07/31/2025;13:30;630.1;630.4;630.0;630.2;1600;\n"
    code, said = run("spy.txt", text, "--instrument", "SPY", "--tz", "UTC")
    assert code == 2
    assert "is of no known format: say what they are, for example --columns date,time,open" in said
    columns = ("--columns", "date,time,open,high,low,close,volume,skip")
    assert run("spy.txt", text, "--instrument", "SPY", "--tz", "UTC", *columns)[0] == 0
    assert [row[1:3] for row in stored()] == [("2025-07-03T13:31", 620.1), ("2025-07-31T13:31", 630.1)]


def test_alpacas_answer_page_by_page(run: Run, stored: Callable) -> None:
    # docs.alpaca.markets, historical bars: {"bars": {"SPY": [{"t": RFC-3339, "o", "h", "l", "c", "v", "n", "vw"}]},
    # "next_page_token": …}; t is the left edge of the bar.
    bar = {"t": "2025-07-03T13:30:00Z", "o": 620.1, "h": 620.4, "l": 620, "c": 620.2, "v": 1500, "n": 9, "vw": 620.2}
    assert run("page.json", json.dumps({"bars": {"SPY": [bar]}, "next_page_token": "U1BZfE0="}))[0] == 0
    assert stored() == [("SPY.EQUS", "2025-07-03T13:31", 620.1, 620.4, 620.0, 620.2, 1500)]
