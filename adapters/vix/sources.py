"""Sources of daily volatility indices: CBOE, FRED, Yahoo, a file."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa

from adapters.errors import SourceError
from adapters.files import DBN_SUFFIXES
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
        raise SourceError(f"FRED has no {index}")
    text = source.text("graph/fredgraph.csv", {"id": _FRED_SERIES[index]})
    return parse_daily_csv(text, f"FRED {_FRED_SERIES[index]}")


def from_yahoo(client: YahooClient, index: str, last: date) -> pa.Table:
    """Daily values of an index from Yahoo until ``last``, as `from_cboe`."""
    bars = client.daily(f"^{index}", _FIRST, last)
    days = [datetime.fromtimestamp(ts_ns // 10**9, _NEW_YORK).date() for ts_ns in bars["ts_ns"].to_pylist()]
    prices = [bars[name] for name in ("open", "high", "low", "close")]
    return pa.Table.from_arrays([pa.array(days, pa.date32()), *prices], schema=DAILY_SCHEMA)


def from_file(path: Path) -> pa.Table:
    """Daily values from a CSV file in a layout of `parse_daily_csv`, or a DBN file of daily bars of one symbol.

    Raises
    ------
    SourceError
        If it cannot be read, or is neither.
    """
    if path.name.endswith(DBN_SUFFIXES):
        return _from_dbn(path)
    try:
        return parse_daily_csv(path.read_text(encoding="utf-8-sig"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} as text: {' '.join(str(error).split())}") from error


def _from_dbn(path: Path) -> pa.Table:
    from adapters.databento import bar_tables, open_dbn

    with open_dbn(path) as file:
        if file.schema != "ohlcv-1d":
            raise SourceError(f"{path.name} must hold daily bars (ohlcv-1d), was {file.schema}")
        tables = {symbol: bars.table for symbol, bars in bar_tables(file).items()}
    if len(tables) != 1:
        raise SourceError(f"{path.name} must hold one symbol, was {', '.join(tables) or 'none'}")
    [bars] = tables.values()
    days = [datetime.fromtimestamp(ts_ns // 10**9, UTC).date() for ts_ns in bars["ts_ns"].to_pylist()]
    prices = [bars[name] for name in ("open", "high", "low", "close")]
    return pa.Table.from_arrays([pa.array(days, pa.date32()), *prices], schema=DAILY_SCHEMA)
