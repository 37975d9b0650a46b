"""Formats of files with bars: one row for each, and how a file of it is recognised.

A row states only what the vendor's own description fixes. What it leaves open is asked of the user.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from adapters.errors import SourceError
from adapters.files.timestamps import DateOrder

EASTERN = "America/New_York"
_O = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Format:
    """What a vendor's files mean.

    Attributes
    ----------
    name : str
        As ``--format`` takes it.
    title : str
        As people call it.
    stamp : {"open", "close", ""}
        End of a bar that its time marks; empty if the vendor does not fix it.
    zone : str
        IANA zone of times that name none; empty if the vendor does not fix it.
    headers : tuple of frozenset of str
        Alternatives: names, as written, that the first line holds.
    without : frozenset of str
        Names that it does not hold.
    layout : tuple of str
        Meaning of the columns by position, in files whose first line is a bar.
    separator : str
        Between values of such files; empty for any.
    leading : tuple of str
        Patterns of their first columns.
    dates : {"mdy", "dmy"}, optional
        Order of numeric dates.
    whole_price : float
        What a price is divided by where all prices are whole numbers; 1 for no encoding.
    local_epochs : bool
        Whole epochs count seconds of a local clock, not of UTC.
    volume_is_units : bool
        False if the volume counts price changes.
    is_share : bool
        Every symbol is a US share, also one that is the root of a future too.
    drop : str
        End of a symbol that names the market.
    source : str
        Page that says so.
    """

    name: str
    title: str
    stamp: Literal["open", "close", ""]
    zone: str = ""
    headers: tuple[frozenset[str], ...] = ()
    without: frozenset[str] = frozenset()
    layout: tuple[str, ...] = ()
    separator: str = ""
    leading: tuple[str, ...] = ()
    dates: DateOrder | None = None
    whole_price: float = 1.0
    local_epochs: bool = False
    volume_is_units: bool = True
    is_share: bool = False
    drop: str = ""
    source: str = ""


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


# The first that fits counts; the last fits every file.
FORMATS = (
    Format("export", "rl-intraday data export", "close", headers=(_names("ts_close", "open", "symbol"),)),
    Format(
        "massive-futures", "Massive (Polygon) flat file of futures", "open",
        headers=(_names("ticker", "window_start", "session_end_date"),),
        source="massive.com/docs/flat-files/futures/minute-aggregates",
    ),
    Format(
        "massive", "Massive (Polygon) flat file", "open", headers=(_names("ticker", "window_start"),), is_share=True,
        source="massive.com/docs/flat-files/stocks/minute-aggregates",
    ),
    Format("massive-json", "Massive (Polygon) aggregates", "open", is_share=True, source="massive.com/docs/rest"),
    Format(
        "databento", "Databento CSV", "open", headers=(_names("ts_event", "rtype", "publisher_id"),), whole_price=1e9,
        source="databento.com/docs/schemas-and-data-formats/ohlcv",
    ),
    Format(
        "alpaca", "Alpaca", "open", is_share=True,
        headers=(_names("t", "o", "h", "l", "c", "v", "n", "vw"), _names("symbol", "timestamp", "trade_count", "vwap")),
        source="docs.alpaca.markets/reference/stockbars",
    ),
    Format("alpaca-json", "Alpaca", "open", is_share=True, source="docs.alpaca.markets/reference/stockbars"),
    Format(
        "yfinance", "yfinance", "open", is_share=True, headers=(_names("Datetime", "Open", "High", "Low", "Close"),),
        source="ranaroussi.github.io/yfinance",
    ),
    Format(
        "ib", "Interactive Brokers historical data", "open",
        headers=(
            _names("date", "open", "close", "average", "barCount"),
            _names("date", "open", "close", "wap", "count"),
            _names("date", "open", "close", "wap", "barCount"),
        ),
        source="interactivebrokers.com/campus/ibkr-api-page/twsapi-doc",
    ),
    Format(
        "sierra", "Sierra Chart", "open",
        headers=(_names("Date", "Time", "Open", "High", "Low", "Last", "NumberOfTrades", "BidVolume", "AskVolume"),),
        source="sierrachart.com/index.php?page=doc/TextCSVDataFormat.html",
    ),
    Format(
        "metatrader5", "MetaTrader 5", "open", headers=(_names("<DATE>", "<OPEN>", "<TICKVOL>"),),
        source="metatrader5.com/en/terminal/help/trading_advanced/custom_instruments",
    ),
    Format(
        "metatrader5-python", "MetaTrader 5 package for Python", "open", local_epochs=True,
        headers=(_names("time", "open", "tick_volume", "real_volume"),),
        source="mql5.com/en/docs/python_metatrader5/mt5copyratesfrom_py",
    ),
    Format(
        "metatrader4", "MetaTrader 4", "open", layout=("date", "time", *_O), volume_is_units=False,
        leading=(r"\d{4}\.\d{2}\.\d{2}", r"\d{1,2}:\d{2}"), source="metatrader4.com/en/trading-platform/help",
    ),
    Format(
        "stooq", "Stooq", "", headers=(_names("<TICKER>", "<PER>", "<DATE>", "<TIME>", "<OPENINT>"),), drop=".US",
        source="stooq.com/db",
    ),
    Format(
        "metastock", "MetaStock text", "", headers=(_names("<TICKER>", "<PER>", "<DATE>", "<TIME>", "<OPEN>"),),
    ),
    Format(
        "tradestation", "TradeStation", "close",
        headers=(
            _names("Date", "Time", "Open", "High", "Low", "Close", "Up", "Down"),
            _names("Date", "Time", "Open", "High", "Low", "Close", "Vol", "OI"),
            _names("Date", "Time", "Open", "High", "Low", "Close", "Volume", "OpenInt"),
            _names("Date", "Time", "O", "H", "L", "C", "V", "OI"),
        ),
        source="help.tradestation.com, ASCII 3rd party data guidelines",
    ),
    Format(
        "tradingview", "TradingView", "open", headers=(_names("time", "open", "high", "low", "close"),),
        without=_names("volume", "date", "timestamp", "datetime"),
        source="tradingview.com/support, export of chart data",
    ),
    Format(
        "alphavantage", "Alpha Vantage", "open", EASTERN, is_share=True,
        headers=(_names("timestamp", "open", "high", "low", "close", "volume"),),
        source="alphavantage.co/documentation",
    ),
    Format(
        "ninjatrader", "NinjaTrader 8", "close", layout=("time", *_O), separator=";", leading=(r"\d{8} \d{6}",),
        source="ninjatrader.com/support/helpGuides/nt8/importing.htm",
    ),
    Format(
        "histdata", "HistData.com", "open", "Etc/GMT+5", layout=("time", *_O), separator=";", leading=(r"\d{8} \d{6}",),
        volume_is_units=False, source="histdata.com/f-a-q/data-files-detailed-specification",
    ),
    Format(
        "kibot", "Kibot", "open", EASTERN, layout=("date", "time", *_O), separator=",",
        leading=(r"\d{2}/\d{2}/\d{4}", r"\d{2}:\d{2}"), dates="mdy", source="kibot.com/Data_Format.aspx",
    ),
    Format(
        "firstrate", "FirstRate Data", "open", EASTERN, layout=("time", *_O), separator=",",
        leading=(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}",), source="firstratedata.com, readme of each download",
    ),
    Format(
        "lean", "LEAN minutes", "open", layout=("milliseconds", *_O), separator=",", leading=(r"\d{1,8}",),
        whole_price=1e4, source="quantconnect.com/docs/v2/lean-engine/data-format/us-equity",
    ),
    Format(
        "lean-hour", "LEAN hours", "open", layout=("time", *_O), separator=",", leading=(r"\d{8} \d{2}:\d{2}",),
        whole_price=1e4, source="quantconnect.com/docs/v2/lean-engine/data-format/us-equity",
    ),
    Format(
        "dukascopy", "Dukascopy", "open", "UTC", dates="dmy",
        headers=(_names("Gmt time", "Open", "High", "Low", "Close"),), source="dukascopy.com, historical data export",
    ),
    Format(
        "barchart", "Barchart", "",
        headers=(_names("Time", "Open", "Latest", "%Change"), _names("Time", "Open", "Last", "%Chg")),
        source="barchart.com, historical data download",
    ),
    Format("generic", "columns by name", ""),
)  # fmt: skip
GENERIC = FORMATS[-1]


def format_named(name: str) -> Format:
    """Format by its name.

    Raises
    ------
    SourceError
        If there is none.
    """
    for each in FORMATS:
        if each.name == name:
            return each
    raise SourceError(f"--format must be one of {', '.join(each.name for each in FORMATS)}; was {name!r}")


def format_with_header(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Format:
    """Format of a file whose first line holds names.

    Parameters
    ----------
    names : sequence of str
        As written, without blanks around them.
    rows : sequence of sequence of str
        Some rows below.
    """
    held = frozenset(names)
    for each in FORMATS:
        if any(header <= held for header in each.headers) and not each.without & held:
            if each.name == "alphavantage" and not _descends(names, rows):
                continue
            return each
    return GENERIC


def format_without_header(row: Sequence[str], separator: str) -> Format | None:
    """Format of a file whose first line is a bar; None if no row of the table fits.

    Parameters
    ----------
    row : sequence of str
        Values of the first line.
    separator : str
        What separates them.
    """
    for each in FORMATS:
        lengths = (len(each.layout), len(each.layout) - 1)  # with volume, and without
        fits = each.layout and each.separator in ("", separator) and len(row) in lengths
        if fits and all(re.fullmatch(pattern, text) for pattern, text in zip(each.leading, row, strict=False)):
            return each
    return None


def _descends(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    # The names are those of many files; that the newest bar comes first, in local time, is Alpha Vantage's habit.
    times = [row[list(names).index("timestamp")] for row in rows]
    local = all(re.fullmatch(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", time) for time in times)
    return local and len(times) > 1 and times == sorted(times, reverse=True)
