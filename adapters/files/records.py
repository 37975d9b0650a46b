"""Files that are no plain table: vendors' JSON answers, yfinance's wide CSV; each as one table with a symbol column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.errors import SourceError
from adapters.files.text import Sheet, read_columns
from adapters.symbols import own_symbol

_WIDE = ("Price", "Ticker")


def read_json(path: Path) -> tuple[str, pa.Table]:
    """Bars of a JSON answer of Alpaca or Massive.

    Returns
    -------
    str
        Name of the format.
    pyarrow.Table
        Columns ``t, o, h, l, c, v, symbol``.

    Raises
    ------
    SourceError
        If it is no JSON or an answer of another kind.
    """
    try:
        answer = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path.name} is not JSON: {error}") from error
    if isinstance(answer, dict) and "bars" in answer:
        bars = answer["bars"]
        by_symbol = {answer.get("symbol") or "": bars} if isinstance(bars, list) else bars
        return "alpaca-json", _tabled(by_symbol or {}, path.name)
    if isinstance(answer, dict) and "results" in answer:
        return "massive-json", _tabled({answer.get("ticker") or "": answer["results"] or []}, path.name)
    raise SourceError(
        f"{path.name} must be an answer of Alpaca ('bars') or Massive ('results') as JSON: "
        "write others as CSV with a header"
    )


def is_wide(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a text file is what yfinance writes: names of fields above names of tickers."""
    return len(rows) > 2 and {rows[0][0], rows[1][0]} == set(_WIDE)


def read_wide(sheet: Sheet) -> pa.Table:
    """Bars of yfinance's CSV with three header lines, of one ticker or several.

    Returns
    -------
    pyarrow.Table
        Columns ``Datetime, Open, High, Low, Close, Volume, symbol``, tickers one after the other.

    Raises
    ------
    SourceError
        If a field is missing.
    """
    fields, tickers = sorted(sheet.rows[:2], key=lambda row: _WIDE.index(row[0]))
    names = ["Datetime", *(f"{field} {ticker}" for field, ticker in zip(fields[1:], tickers[1:], strict=True))]
    skip = 2 if sheet.rows[2][1:] and any(sheet.rows[2][1:]) else 3
    types: dict[str, pa.DataType] = dict.fromkeys(names[1:], pa.float64()) | {"Datetime": pa.string()}
    table = read_columns(sheet, names, skip, types)
    parts = [_of_ticker(table, ticker, sheet.path.name) for ticker in dict.fromkeys(tickers[1:])]
    return pa.concat_tables(parts)


def _of_ticker(table: pa.Table, ticker: str, source: str) -> pa.Table:
    columns = {"Datetime": table["Datetime"]}
    for field in ("Open", "High", "Low", "Close", "Volume"):
        name = f"{field} {ticker}"
        if name not in table.column_names:
            raise SourceError(f"{source} must have {field} of {ticker}, has {', '.join(table.column_names)}")
        columns[field] = table[name]
    columns["symbol"] = pa.chunked_array([pa.array([own_symbol("yahoo", ticker)] * len(table), pa.string())])
    # With several tickers every minute has a row for each, also where it did not trade.
    return pa.table(columns).filter(pc.is_valid(columns["Close"]))


def _tabled(by_symbol: dict[str, list[dict[str, Any]]], source: str) -> pa.Table:
    parts = []
    for symbol, bars in by_symbol.items():
        try:
            columns = {name: [bar[name] for bar in bars] for name in ("t", "o", "h", "l", "c")}
            volume = np.array([bar.get("v", np.nan) for bar in bars], np.float64)
        except (KeyError, TypeError) as error:
            what = symbol or "the file"
            raise SourceError(f"{source}: bars of {what} must have t, o, h, l, c; no {error}") from error
        parts.append(pa.table({**columns, "v": volume, "symbol": [symbol] * len(bars)}) if bars else None)
    held = [part for part in parts if part is not None]
    if not held:
        raise SourceError(f"{source} is empty: no bars")
    return pa.concat_tables(held, promote_options="permissive")
