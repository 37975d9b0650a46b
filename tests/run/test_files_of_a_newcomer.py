"""Files of two sessions made by hand as vendors describe them: each is imported right, or refused with what to do."""

import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from adapters.files import ReadOptions, read_file
from catalogs.storage.arrow import read_bars, stored_bar_types
from run.cli import main

NEW_YORK, CHICAGO = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")
DAYS = (datetime(2024, 11, 1, tzinfo=NEW_YORK), datetime(2024, 11, 18, tzinfo=NEW_YORK))  # summer and winter time
MINUTES = 390
Outcome = tuple[int, str]


class Bar(NamedTuple):
    """Open time and values, prices in cents."""

    time: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int


def _bars() -> list[Bar]:
    # A saw tooth around 588 USD: the close differs from the open, the high and the low, and no two are the same.
    bars = []
    for day, start in zip(DAYS, (57_100, 58_800), strict=True):
        for i in range(MINUTES):
            time = (day + timedelta(hours=9, minutes=30 + i)).astimezone(NEW_YORK)
            level = start + (i * 7) % 60
            bars.append(Bar(time, level + 2, level + 9, level - 3, level + 5 - 4 * (i % 2), 1_000 + 13 * i))
    return bars


BARS = _bars()


def lines(template: str, time: str, zone: ZoneInfo = NEW_YORK, bars: Sequence[Bar] = BARS) -> str:
    """One line for each bar: ``{t}`` its time, ``{o} {h} {l} {c} {v}`` the numbers."""
    return "".join(
        template.format(
            t=bar.time.astimezone(zone).strftime(time),
            o=f"{bar.open / 100:.2f}",
            h=f"{bar.high / 100:.2f}",
            l=f"{bar.low / 100:.2f}",
            c=f"{bar.close / 100:.2f}",
            v=bar.volume,
        )
        + "\n"
        for bar in bars
    )


@pytest.fixture
def bring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``bring(file, text, …)``: exit code and last line of the errors."""

    def call(file: str, text: str, *words: str) -> Outcome:
        path = tmp_path / file
        path.write_text(text)
        code = main(["data", "import", str(path), *words, "--catalog", str(tmp_path / "catalog")])
        return code, capsys.readouterr().err.strip().rpartition("\n")[2]

    return call


@pytest.fixture
def check(tmp_path: Path) -> Callable[[], None]:
    """Assert that the catalog holds the bars, each closed a minute after it opened, and nothing else."""

    def call() -> None:
        [name] = stored_bar_types(tmp_path / "catalog")
        stored = read_bars(tmp_path / "catalog", name)
        columns = (stored.ts_ns, stored.open, stored.high, stored.low, stored.close, stored.volume)
        assert name == "SPY.EQUS-1-MINUTE-LAST-EXTERNAL"
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
            ((int(bar.time.timestamp()) + 60) * 10**9, *bar[1:]) for bar in BARS
        ]

    return call


SPY = ("--instrument", "SPY")
LOCAL = (*SPY, "--tz", "America/New_York")


@pytest.mark.parametrize("word", ["Gmt time", "Local time"])
def test_dukascopy_in_gmt_and_with_an_offset(bring: Callable, check: Callable, word: str) -> None:
    # The export widget writes 18.11.2024 14:30:00.000, and with local times 18.11.2024 09:30:00.000 GMT-0500.
    header = f"{word},Open,High,Low,Close,Volume\n"
    offset = word == "Local time"
    time = "%d.%m.%Y %H:%M:00.000" + (" GMT%z" if offset else "")
    text = header + lines("{t},{o}0,{h}0,{l}0,{c}0,{v}", time, NEW_YORK if offset else ZoneInfo("UTC"))
    assert bring("SPY.USUSD_Candlestick_1_M_BID.csv", text, *SPY)[0] == 0
    check()


@pytest.mark.parametrize(
    ("header", "time", "row"),
    [
        ("Time,Open,High,Low,Latest,Change,%Change,Volume", "%Y-%m-%d %H:%M", '"{t}",{o},{h},{l},{c},-0.02,-0.01%,{v}'),
        ("Time,Open,High,Low,Last,Change,%Chg,Volume", "%m/%d/%Y %H:%M", "{t},{o},{h},{l},{c},-0.02,-0.01%,{v}"),
    ],
)
def test_barchart_with_its_last_line(bring: Callable, check: Callable, header: str, time: str, row: str) -> None:
    last = '"Downloaded from Barchart.com as of 11-19-2024 08:12am CST"\n'
    text = f"{header}\n{lines(row, time, CHICAGO, BARS[::-1])}{last}"
    words = (*SPY, "--tz", "America/Chicago")
    assert "say --stamp open or --stamp close" in bring("spy.csv", text, *words)[1]
    assert bring("spy.csv", text, *words, "--stamp", "open")[0] == 0
    check()


def test_another_last_line_is_refused(bring: Callable) -> None:
    text = (
        "time,open,high,low,close,volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%dT%H:%M:00%z") + "Total: 780\n"
    )
    code, line = bring("spy.csv", text, *SPY)
    assert code == 2
    assert "Total: 780" in line


def test_iqfeeds_order_is_not_taken_for_firstrates(bring: Callable, check: Callable) -> None:
    # iqfeed.net, historical data via TCP/IP: time stamp, high, low, open, close, (total volume,) period volume.
    text = lines("{t},{h},{l},{o},{c},{v}", "%Y-%m-%d %H:%M:00")
    code, line = bring("SPY.csv", text, *SPY)
    assert code == 2
    assert "are the columns in another order, see --columns?" in line
    code, _ = bring("SPY.csv", text, *LOCAL, "--columns", "time,high,low,open,close,volume")
    assert code == 0
    check()


@pytest.mark.parametrize("order", ["{o},{c},{h},{l}", "{o},{h},{c},{l}", "{o},{l},{h},{c}", "{c},{l},{o},{h}"])
def test_any_other_order_of_prices_is_refused(bring: Callable, order: str) -> None:
    code, line = bring("SPY.csv", lines("{t}," + order + ",{v}", "%Y-%m-%d %H:%M:00"), *SPY)
    assert code == 2
    assert "high must be the highest" in line


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_clock_that_lost_am_and_pm_is_refused(bring: Callable, newest_first: bool) -> None:
    bars = BARS[::-1] if newest_first else BARS
    header, row = "Date,Time,Open,High,Low,Close,Volume\n", "{t},{o},{h},{l},{c},{v}"
    code, line = bring("spy.csv", header + lines(row, "%Y-%m-%d,%I:%M", bars=bars), *LOCAL)
    assert code == 2
    assert "a clock of twelve hours without AM and PM" in line


def test_the_same_clock_with_am_and_pm(bring: Callable, check: Callable) -> None:
    text = "Ticker,Date/Time,Open,High,Low,Close,Volume\n" + lines(
        "SPY,{t},{o},{h},{l},{c},{v}", "%m/%d/%Y %I:%M:00 %p"
    )
    assert bring("amibroker.csv", text, "--tz", "America/New_York")[0] == 0
    check()


def test_a_morning_that_ends_at_one_is_no_clock_of_twelve_hours(bring: Callable) -> None:
    # 09:30 to 12:59, then the next day: no hour above 12, and none is missing.
    bars = [bar for bar in BARS if bar.time.hour < 13]
    text = "time,open,high,low,close,volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%d %H:%M", bars=bars)
    assert bring("spy.csv", text, *LOCAL)[0] == 0


def test_a_decimal_comma_after_rows_of_whole_prices(tmp_path: Path) -> None:
    # NinjaTrader in German: 5908 and 5908,25. Which comma separates decimals shows in some rows only.
    rows = [f"20241118 15{i:02d}00;5908{',25' if i == 3 else ''};5909;5907;5908;{90 + i}\n" for i in range(1, 60)]
    (tmp_path / "MES 12-24.Last.txt").write_text("".join(rows))
    [part] = read_file(tmp_path / "MES 12-24.Last.txt", ReadOptions(time_zone="UTC"))
    assert part.table["open"].to_pylist() == [5908.25 if i == 3 else 5908.0 for i in range(1, 60)]


@pytest.mark.parametrize("number", ["1,234", "$588.10", "15.9K"])
def test_a_number_as_people_write_it_is_named(bring: Callable, number: str) -> None:
    # The column is named by its place in the file, with columns before it that are not read.
    row = f'7,{{t}},588.10,588.20,588.00,588.15,"{number}"\n'.format(t="2024-11-18 09:30")
    code, line = bring("spy.csv", "No,Date,Open,High,Low,Close,Volume\n" + row, *LOCAL)
    assert code == 2
    assert f"column Volume has '{number}'; write numbers such as 5908.25" in line


@pytest.mark.parametrize(
    ("said", "words"),
    [("America/New_York", "1 hours early"), ("America/Denver", "1 hours late"), ("UTC", "5 hours early")],
)
def test_times_of_chicago_said_to_be_of_another_zone_are_refused(bring: Callable, said: str, words: str) -> None:
    text = "Date,Time,Open,High,Low,Close,Volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%d,%H:%M", CHICAGO)
    code, line = bring("spy.csv", text, *SPY, "--tz", said)
    assert code == 2
    assert words in line
    assert bring("spy.csv", text, *SPY, "--tz", "America/Chicago")[0] == 0


@pytest.mark.parametrize(("first", "last"), [(8, 20), (4, 16), (8, 15)])
def test_extended_hours_and_parts_of_days_are_no_other_zone(bring: Callable, first: int, last: int) -> None:
    days = [day + timedelta(hours=first) for day in DAYS]
    times = [day + timedelta(minutes=i) for day in days for i in range(60 * (last - first))]
    bars = [BARS[i % len(BARS)]._replace(time=time) for i, time in enumerate(times)]
    text = "time,open,high,low,close,volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%dT%H:%M:00%z", bars=bars)
    assert bring("spy.csv", text, *SPY)[0] == 0


@pytest.mark.parametrize("above", ["sep=,", "# Symbol: SPY"])
def test_lines_above_the_names_of_columns_are_named(bring: Callable, above: str) -> None:
    text = f"{above}\ntime,open,high,low,close,volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%d %H:%M")
    code, line = bring("spy.csv", text, *LOCAL)
    assert code == 2
    assert "delete the lines above them" in line


def test_an_archive_made_on_a_mac(tmp_path: Path, bring: Callable, check: Callable) -> None:
    text = "time,open,high,low,close,real volume\n" + lines("{t},{o},{h},{l},{c},{v}", "%Y-%m-%d %H:%M")
    with zipfile.ZipFile(tmp_path / "spy.zip", "w") as archive:
        archive.writestr("spy.csv", text)
        archive.writestr("__MACOSX/._spy.csv", b"\x00\x05\x16\x07")
    words = (str(tmp_path / "spy.zip"), *LOCAL, "--catalog", str(tmp_path / "catalog"))
    assert main(["data", "import", *words]) == 0
    check()


@pytest.mark.parametrize("text", ['{"candles": [{"open": 588.1}], "symbol": "SPY"}', '{"values": [], "status": "ok"}'])
def test_json_of_another_vendor_is_refused_with_what_to_do(bring: Callable, text: str) -> None:
    code, line = bring("spy.json", text, *SPY)
    assert code == 2
    assert "write others as CSV with a header" in line
