"""Yahoo Finance's chart service (``/v8/finance/chart``), made for its own pages and without a contract."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.errors import SourceError
from adapters.files.loader import BAR_SCHEMA
from adapters.http import HttpSource
from adapters.symbols import vendor_symbol

BASE = "https://query1.finance.yahoo.com"
USER_AGENT = "Mozilla/5.0"  # without a browser's name the service answers 429
MINUTE_DAYS = 29  # how far back one-minute bars reach

_WINDOW = timedelta(days=7)  # the most that one request for minutes may span
_FIELDS = ("open", "high", "low", "close", "volume")


class YahooClient:
    """Requests to Yahoo.

    Parameters
    ----------
    source : HttpSource
        With a browser's user agent.
    """

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def minutes(self, symbol: str, first: date, last: date) -> pa.Table:
        """One-minute bars of regular hours over days, both included.

        Parameters
        ----------
        symbol : str
            ``"SPY"``; a share class as ``"BRK.B"``.
        first, last : date
            Not more than `MINUTE_DAYS` ago.

        Returns
        -------
        pyarrow.Table
            `adapters.files.BAR_SCHEMA`, stamped with the open. Prices are adjusted for splits, not for dividends.

        Raises
        ------
        SourceError
            If the symbol is unknown, or the service refuses or fails.
        """
        parts, begin = [], first
        while begin <= last:
            end = min(last + timedelta(days=1), begin + _WINDOW)
            parts.append(self._chart(vendor_symbol("yahoo", symbol), "1m", begin, end))
            begin = end
        return pa.concat_tables(parts) if parts else BAR_SCHEMA.empty_table()

    def daily(self, symbol: str, first: date, last: date) -> pa.Table:
        """Daily bars, as `minutes` gives minutes; ``"^VIX"`` is an index."""
        return self._chart(symbol, "1d", first, last + timedelta(days=1))

    def _chart(self, symbol: str, interval: str, first: date, end: date) -> pa.Table:
        params = {
            "interval": interval,
            "period1": _epoch(first),
            "period2": _epoch(end),
            "includePrePost": "false",
        }
        content = self._source.json(f"v8/finance/chart/{symbol}", params)
        try:
            result = content["chart"]["result"]
            if not result:
                raise SourceError(f"Yahoo does not know {symbol}: {_said(content)}")
            return _table(result[0], interval)
        except (KeyError, TypeError, IndexError) as error:
            raise SourceError(f"Yahoo's answer for {symbol} is not a chart ({error!r})") from error


def _table(result: dict[str, Any], interval: str) -> pa.Table:
    ts_ns = np.array(result.get("timestamp", []), np.int64) * 10**9
    quote = result["indicators"]["quote"][0] if len(ts_ns) else {name: [] for name in _FIELDS}
    columns = {name: np.array(quote[name], np.float64) for name in _FIELDS}
    kept = ~np.isnan(columns["close"])  # a minute in which nothing traded has no price
    if interval == "1m":
        kept &= ts_ns % (60 * 10**9) == 0  # the last row may be the quote of this very moment
    return pa.table({"ts_ns": ts_ns[kept], **{n: c[kept] for n, c in columns.items()}}, schema=BAR_SCHEMA)


def _said(content: Any) -> str:
    error = content["chart"].get("error") or {}
    return " ".join(str(error.get("description", "nothing")).split())


def _epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
