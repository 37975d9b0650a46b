"""Column names as vendors write them."""

import pytest

from adapters.files import SourceError
from adapters.files.columns import find_columns


@pytest.mark.parametrize(
    ("names", "time", "close", "volume", "symbol"),
    [
        (["timestamp", "open", "high", "low", "close", "volume"], ("timestamp",), "close", "volume", None),
        (["DateTime", "Open", "High", "Low", "Close", "Vol"], ("DateTime",), "Close", "Vol", None),
        (["t", "ts", "o", "h", "l", "c", "v", "Ticker"], ("ts",), "c", "v", "Ticker"),
        (["Date", "Time", "Open", "High", "Low", "Last"], ("Date", "Time"), "Last", None, None),
        (["ts_event", "rtype", "open", "high", "low", "close", "symbol"], ("ts_event",), "close", None, "symbol"),
        (["timestamp", "date", "time", "open", "high", "low", "close"], ("timestamp",), "close", None, None),
    ],
)
def test_known_names(
    names: list[str], time: tuple[str, ...], close: str, volume: str | None, symbol: str | None
) -> None:
    found = find_columns(names, "x.csv")
    assert (found.time, found.prices["close"], found.symbol) == (time, close, symbol)
    assert found.volume == (() if volume is None else (volume,))


def test_columns_of_no_use_are_named() -> None:
    found = find_columns(["time", "open", "high", "low", "close", "VWAP", "trades"], "x.csv")
    assert found.unused == ("VWAP", "trades")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["when", "open", "high", "low", "close"], r"x\.csv must have a time column .*; the file has when, open"),
        (["time", "open", "price"], r"no high, low, close, the file has time, open, price"),
        ([], r"the file has none"),
    ],
)
def test_missing_columns_are_refused_with_what_there_is(names: list[str], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        find_columns(names, "x.csv")
