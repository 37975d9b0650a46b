"""The REST service of Massive: pages followed to the end, times and prices as the project keeps them.

The vendor's own client retries without asking a limiter and waits through stalls for ever, so requests go through
`adapters.http`; addresses and fields are the vendor's (https://massive.com/docs).
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from adapters.errors import SourceError
from adapters.files.loader import BAR_SCHEMA
from adapters.http import HttpSource

BASE = "https://api.massive.com"

# ``ratio``: new shares per old one. ``cash``: USD per share. The other one is null.
ACTION_SCHEMA = pa.schema(
    [("date", pa.date32()), ("kind", pa.string()), ("ratio", pa.float64()), ("cash", pa.float64())]
)

_NEW_YORK = ZoneInfo("America/New_York")
_PAGE = 50_000  # the most that the vendor gives at once


class MassiveClient:
    """Requests to Massive.

    Parameters
    ----------
    source : HttpSource
        With the key in its ``Authorization`` header.
    """

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def bars(self, ticker: str, minutes: int, first: date, last: date, *, adjusted: bool) -> pa.Table:
        """Bars of one ticker over days, ends included; ask for a month at most.

        Parameters
        ----------
        ticker : str
            ``"AAPL"``, ``"I:VIX"``.
        minutes : int
            Length of a bar.
        first, last : date
        adjusted : bool
            Whether past prices are divided by later splits.

        Returns
        -------
        pyarrow.Table
            `adapters.files.BAR_SCHEMA`, stamped with the open; empty where nothing traded. The volume of an index
            is missing.

        Raises
        ------
        SourceError
            If the vendor refuses or fails, or repeats a page.
        """
        path = f"v2/aggs/ticker/{ticker}/range/{minutes}/minute/{first}/{last}"
        params = {"adjusted": str(adjusted).lower(), "sort": "asc", "limit": _PAGE}
        rows = [row for page in self._pages(path, params) for row in page]
        return _bar_table(rows, ticker)

    def days(self, ticker: str, first: date, last: date) -> pa.Table:
        """Daily values of an index or share: ``date, open, high, low, close``; raises as `bars`."""
        path = f"v2/aggs/ticker/{ticker}/range/1/day/{first}/{last}"
        pages = self._pages(path, {"adjusted": "false", "sort": "asc", "limit": _PAGE})
        bars = _bar_table([row for page in pages for row in page], ticker)
        stamps = [datetime.fromtimestamp(ts_ns // 10**9, _NEW_YORK).date() for ts_ns in bars["ts_ns"].to_pylist()]
        return bars.drop_columns(["ts_ns", "volume"]).add_column(0, "date", pa.array(stamps, pa.date32()))

    def corporate_actions(self, ticker: str) -> pa.Table:
        """Splits and dividends of one ticker, by day of effect.

        Returns
        -------
        pyarrow.Table
            `ACTION_SCHEMA`.
        """
        splits = self._results("v3/reference/splits", {"ticker": ticker, "limit": 1000})
        dividends = self._results("v3/reference/dividends", {"ticker": ticker, "limit": 1000})
        rows = [
            {"date": _day(row["execution_date"]), "kind": "split", "ratio": row["split_to"] / row["split_from"]}
            for row in splits
        ]
        rows += [
            {"date": _day(row["ex_dividend_date"]), "kind": "dividend", "cash": row["cash_amount"]} for row in dividends
        ]
        return pa.Table.from_pylist(sorted(rows, key=lambda row: (row["date"], row["kind"])), schema=ACTION_SCHEMA)

    def tickers(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Tickers by the vendor's own filters: ``{"market": "stocks", "active": "true"}``."""
        return list(self._results("v3/reference/tickers", {**params, "limit": 1000}))

    def details(self, ticker: str) -> dict[str, Any]:
        """Reference data of one ticker: name, exchange, shares outstanding, …"""
        return dict(self._source.json(f"v3/reference/tickers/{ticker}")["results"])

    def financials(self, ticker: str) -> list[dict[str, Any]]:
        """Statements of one ticker as the vendor has them, latest first."""
        return list(self._results("vX/reference/financials", {"ticker": ticker, "limit": 100}))

    def snapshots(self, tickers: list[str]) -> list[dict[str, Any]]:
        """Last trade, quote and day of several tickers."""
        path = "v2/snapshot/locale/us/markets/stocks/tickers"
        return list(self._source.json(path, {"tickers": ",".join(tickers)}).get("tickers", []))

    def _results(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for page in self._pages(path, params):
            yield from page

    def _pages(self, path: str, params: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        address, asked = path, set[str]()
        query: Mapping[str, Any] | None = params
        while address:
            if address in asked:
                raise SourceError(f"{self._source.name} sent a page of {path} twice")
            asked.add(address)
            content = self._source.json(address, query)
            if not isinstance(content, dict):
                raise SourceError(
                    f"{self._source.name}'s answer to {path} must be an object, was {type(content).__name__}"
                )
            yield content.get("results") or []
            address, query = content.get("next_url") or "", None


def _bar_table(rows: list[dict[str, Any]], ticker: str) -> pa.Table:
    columns = {"ts_ns": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    try:
        values = {name: [row[key] for row in rows] for name, key in columns.items() if key not in ("t", "v")}
        ts_ns = np.array([row["t"] for row in rows], np.int64) * 1_000_000
    except KeyError as error:
        raise SourceError(f"a bar of {ticker} has no field {error}") from None
    if len(ts_ns) and (np.diff(ts_ns) <= 0).any():
        raise SourceError(f"bars of {ticker} do not ascend: fetch them again")
    volume = [row.get("v", np.nan) for row in rows]
    return pa.table({"ts_ns": ts_ns, **values, "volume": volume}, schema=BAR_SCHEMA)


def _day(text: str) -> date:
    return date.fromisoformat(text)
