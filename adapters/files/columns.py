"""Columns of a file by the names that vendors use, in any case."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.errors import SourceError

# In order of preference where a file has several.
TIME_NAMES = ("timestamp", "datetime", "time", "dt", "ts", "date", "ts_event")
SYMBOL_NAMES = ("symbol", "ticker", "raw_symbol", "instrument", "instrument_id")
PRICE_NAMES = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
}
VOLUME_NAMES = ("volume", "vol", "v")


@dataclass(frozen=True)
class Columns:
    """Names of a file's columns by meaning.

    Attributes
    ----------
    time : tuple of str
        One column, or two that hold date and time of day.
    prices : dict of str to str
        ``open``, ``high``, ``low`` and ``close``.
    volume, symbol : str or None
        None where the file has none.
    unused : tuple of str
        Columns that mean nothing to this adapter.
    """

    time: tuple[str, ...]
    prices: dict[str, str]
    volume: str | None
    symbol: str | None
    unused: tuple[str, ...]


def find_columns(names: Sequence[str], source: str) -> Columns:
    """Match a file's column names.

    Parameters
    ----------
    names : sequence of str
        Names as in the file.
    source : str
        Name of the file, for the error.

    Returns
    -------
    Columns

    Raises
    ------
    SourceError
        If there is no time, or not all four prices.

    Examples
    --------
    >>> found = find_columns(["Date", "Time", "Open", "High", "Low", "Close", "Vol", "VWAP"], "spy.csv")
    >>> found.time, found.volume, found.unused
    (('Date', 'Time'), 'Vol', ('VWAP',))
    """
    lowered: dict[str, str] = {}
    for name in names:
        lowered.setdefault(name.strip().lower(), name)
    has = f"the file has {', '.join(names) or 'none'}"
    if {"date", "time"} <= lowered.keys() and not {"timestamp", "datetime"} & lowered.keys():
        time: tuple[str, ...] = (lowered["date"], lowered["time"])
    else:
        found = _first(lowered, TIME_NAMES)
        if found is None:
            raise SourceError(f"{source} must have a time column ({', '.join(TIME_NAMES)}); {has}")
        time = (found,)
    prices = {price: _first(lowered, known) for price, known in PRICE_NAMES.items()}
    missing = [price for price, name in prices.items() if name is None]
    if missing:
        raise SourceError(f"{source} must have columns open, high, low, close; no {', '.join(missing)}, {has}")
    volume, symbol = _first(lowered, VOLUME_NAMES), _first(lowered, SYMBOL_NAMES)
    chosen = {name: column for name, column in prices.items() if column is not None}
    used = {*time, *chosen.values(), volume, symbol}
    return Columns(time, chosen, volume, symbol, tuple(name for name in names if name not in used))


def _first(lowered: dict[str, str], known: Sequence[str]) -> str | None:
    return next((lowered[name] for name in known if name in lowered), None)
