"""Where daily volatility indices come from: CBOE, FRED, Yahoo, a file."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from adapters.errors import SourceError
from adapters.http import HttpSource
from adapters.vix.daily import DAILY_SCHEMA, parse_daily_csv
from adapters.yahoo import YahooClient

CBOE_BASE = "https://cdn.cboe.com/api/global/us_indices/daily_prices"
FRED_BASE = "https://fred.stlouisfed.org"
INDICES = ("VIX", "VIX9D", "VIX3M")

_FRED_SERIES = {"VIX": "VIXCLS", "VIX3M": "VXVCLS"}
_NEW_YORK = ZoneInfo("America/New_York")
_FIRST = date(1990, 1, 2)


def from_cboe(source: HttpSource, index: str) -> pa.Table:
    """Whole history of an index from the CBOE, as `adapters.vix.DAILY_SCHEMA`.

    Raises
    ------
    SourceError
        If the service fails or its answer is no table of values.
    """
    return parse_daily_csv(source.text(f"{index}_History.csv"), f"CBOE {index}")


def from_fred(source: HttpSource, index: str) -> pa.Table:
    """Closing values of an index from FRED, as `from_cboe`; it has no VIX9D."""
    if index not in _FRED_SERIES:
        raise SourceError(f"FRED must have {index}, has none")
    text = source.text("graph/fredgraph.csv", {"id": _FRED_SERIES[index]})
    return parse_daily_csv(text, f"FRED {_FRED_SERIES[index]}")


def from_yahoo(client: YahooClient, index: str, last: date) -> pa.Table:
    """Daily values of an index from Yahoo until ``last``, as `from_cboe`."""
    bars = client.daily(f"^{index}", _FIRST, last)
    days = [datetime.fromtimestamp(ts_ns // 10**9, _NEW_YORK).date() for ts_ns in bars["ts_ns"].to_pylist()]
    prices = [bars[name] for name in ("open", "high", "low", "close")]
    return pa.Table.from_arrays([pa.array(days, pa.date32()), *prices], schema=DAILY_SCHEMA)


def from_file(path: Path) -> pa.Table:
    """Daily values from a CSV file in one of the layouts of `adapters.vix.parse_daily_csv`."""
    try:
        return parse_daily_csv(path.read_text(encoding="utf-8-sig"), path.name)
    except OSError as error:
        raise SourceError(f"file must be readable, was {path}: {error.strerror}") from error
