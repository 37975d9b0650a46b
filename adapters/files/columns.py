"""Columns of a file by the names that vendors use, in any case."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.errors import SourceError

# In order of preference where a file has several.
TIME_NAMES = (
    "ts_close", "window_start", "timestamp", "datetime", "time", "dt", "ts", "date", "ts_event", "t", "milliseconds",
    "__index_level_0__", "index", "date/time", "date-time", "dates", "gmt time", "utc time", "local time",
)  # fmt: skip
SYMBOL_NAMES = ("symbol", "ticker", "raw_symbol", "instrument", "instrument_id")
PRICE_NAMES = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last", "latest", "last_price"),
}
VOLUME_NAMES = ("volume", "vol", "v", "real_volume", "real volume")
PUBLISHER = "publisher_id"  # one bar a minute from each
MEANINGS = ("date", "time", "open", "high", "low", "close", "volume", "symbol", "skip")


@dataclass(frozen=True)
class Columns:
    """Names of a file's columns by meaning.

    Attributes
    ----------
    time : tuple of str
        One column, or two that hold date and time of day.
    prices : dict of str to str
        ``open``, ``high``, ``low`` and ``close``.
    volume : tuple of str
        Columns that add up to it; empty where the file has none.
    symbol, publisher : str or None
        None where the file has none.
    unused : tuple of str
        Columns that mean nothing to this adapter.
    """

    time: tuple[str, ...]
    prices: dict[str, str]
    volume: tuple[str, ...]
    symbol: str | None
    publisher: str | None
    unused: tuple[str, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of prices and volume."""
        return (*self.prices.values(), *self.volume)


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
    (('Date', 'Time'), ('Vol',), ('VWAP',))
    """
    lowered: dict[str, str] = {}
    for name in names:
        lowered.setdefault(name.strip().strip("<>").lower(), name)
    has = f"the file has {', '.join(names) or 'none'}"
    if {"date", "time"} <= lowered.keys() and not {"timestamp", "datetime"} & lowered.keys():
        time: tuple[str, ...] = (lowered["date"], lowered["time"])
    else:
        found = _first(lowered, TIME_NAMES)
        if found is None:
            raise SourceError(f"{source} must have a time column ({', '.join(TIME_NAMES)}); {has}: rename it")
        time = (found,)
    prices = {price: _first(lowered, known) for price, known in PRICE_NAMES.items()}
    missing = [price for price, name in prices.items() if name is None]
    if missing:
        raise SourceError(
            f"{source} must have columns open, high, low, close; no {', '.join(missing)}, {has}: rename them"
        )
    chosen = {name: column for name, column in prices.items() if column is not None}
    volume, symbol, publisher = _volume(lowered), _first(lowered, SYMBOL_NAMES), lowered.get(PUBLISHER)
    used = {*time, *chosen.values(), *volume, symbol, publisher}
    return Columns(time, chosen, volume, symbol, publisher, tuple(name for name in names if name not in used))


def _volume(lowered: dict[str, str]) -> tuple[str, ...]:
    found = _first(lowered, VOLUME_NAMES)
    if found is not None:
        return (found,)
    return (lowered["up"], lowered["down"]) if {"up", "down"} <= lowered.keys() else ()


def _first(lowered: dict[str, str], known: Sequence[str]) -> str | None:
    return next((lowered[name] for name in known if name in lowered), None)
