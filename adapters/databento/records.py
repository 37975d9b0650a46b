"""Records of a DBN file as Arrow tables per symbol, a bounded number of records at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from adapters.databento.files import DbnFile
from adapters.databento.publishers import publisher_name
from adapters.databento.schemas import kind_of
from adapters.errors import SourceError
from adapters.files.loader import BAR_SCHEMA
from adapters.files.publishers import chosen, combined_bars

# Times are those at which Databento received the message; prices are integers of 1e-9 USD.
TRADE_SCHEMA = pa.schema(
    [("ts_ns", pa.int64()), ("price", pa.int64()), ("size", pa.int64()), ("side", pa.uint8()), ("id", pa.string())]
)
QUOTE_SCHEMA = pa.schema([(name, pa.int64()) for name in ("ts_ns", "bid_price", "ask_price", "bid_size", "ask_size")])
RECORDS = 200_000

_UNDEFINED = np.iinfo(np.int64).max
_NANO = 1e9
_SIDES = {b"B": 1, b"A": 2}  # who was the aggressor, in NautilusTrader's numbers: 1 buyer, 2 seller, 0 neither


@dataclass(frozen=True)
class Definition:
    """Terms of one instrument as the exchange published them.

    Attributes
    ----------
    symbol, exchange : str
    is_future : bool
    tick_size : Decimal
        USD.
    multiplier : Decimal or None
        USD per point, from the value of a tick; 1 for a share, None where the exchange left that value out. The
        contract size is not it: a Treasury note's is its face value of 100,000 USD.
    expiration_ns : int
        UTC nanoseconds; 0 where there is none.
    """

    symbol: str
    exchange: str
    is_future: bool
    tick_size: Decimal
    multiplier: Decimal | None
    expiration_ns: int


@dataclass(frozen=True)
class SymbolBars:
    """Bars of one symbol.

    Attributes
    ----------
    table : pyarrow.Table
        `adapters.files.BAR_SCHEMA`, stamped with the open.
    publishers : tuple of str
        Venues that the bars are from.
    combined : int
        Times at which bars of several publishers became one.
    """

    table: pa.Table
    publishers: tuple[str, ...]
    combined: int


def bar_tables(file: DbnFile, publisher: str | None = None) -> dict[str, SymbolBars]:
    """Bars of every symbol that has any.

    Parameters
    ----------
    file : DbnFile
    publisher : str, optional
        Venue to take, as `adapters.databento.publishers` names it; by default all are combined.

    Raises
    ------
    SourceError
        If a record belongs to no symbol of the file, or as `adapters.files.publishers` refuses.
    """
    parts: dict[str, list[NDArray]] = {}
    for symbol, rows in _by_symbol(file):
        parts.setdefault(symbol, []).append(rows)
    return {
        symbol: _symbol_bars(chosen(np.concatenate(blocks), publisher, publisher_name, file.path.name), file.path.name)
        for symbol, blocks in sorted(parts.items())
    }


def tick_tables(file: DbnFile, publisher: str | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Trades (`TRADE_SCHEMA`) or quotes (`QUOTE_SCHEMA`), at most `RECORDS` at a time, with their symbol.

    Quotes with an empty side are left out: NautilusTrader has no quote without a price. Trades of several publishers
    follow each other as they came.

    Raises
    ------
    SourceError
        If quotes are of several publishers and none is chosen: two venues' best prices are not one best price.
    """
    is_trades = kind_of(file.schema, file.path.name) == "trades"
    for symbol, block in _by_symbol(file):
        rows = block if publisher is None else chosen(block, publisher, publisher_name, file.path.name)
        if is_trades:
            yield symbol, _trades(rows)
            continue
        if len(venues := _publishers(rows)) > 1:
            raise SourceError(f"quotes of {symbol} are of several publishers: choose one of {', '.join(venues)}")
        yield symbol, _quotes(rows)


def definitions(file: DbnFile) -> list[Definition]:
    """Definitions, the last of every symbol."""
    found = {}
    for block in file.store.to_ndarray(count=RECORDS):
        for row in block:
            definition = _definition(row)
            found[definition.symbol] = definition
    return list(found.values())


def _by_symbol(file: DbnFile) -> Iterator[tuple[str, NDArray]]:
    intervals = [
        (symbol, int(part["symbol"]), np.datetime64(part["start_date"], "ns"), np.datetime64(part["end_date"], "ns"))
        for symbol, parts in file.store.mappings.items()
        for part in parts
        if part["symbol"]
    ]
    for block in file.store.to_ndarray(count=RECORDS):
        day = block["ts_recv" if "ts_recv" in block.dtype.names else "ts_event"].astype("datetime64[ns]")
        left = np.ones(len(block), np.bool_)
        for symbol, instrument, start, end in intervals:
            rows = left & (block["instrument_id"] == instrument) & (day >= start) & (day < end)
            left &= ~rows
            if rows.any():
                yield symbol, block[rows]
        if left.any():
            stray = int(block["instrument_id"][np.argmax(left)])
            raise SourceError(f"{file.path.name} names no symbol for instrument {stray}")


def _symbol_bars(rows: NDArray, source: str) -> SymbolBars:
    bars, combined = combined_bars(rows, source)
    prices = [_price(bars[name]) for name in ("open", "high", "low", "close")]
    columns = [bars["ts_event"].astype(np.int64), *prices, bars["volume"].astype(np.float64)]
    table = pa.Table.from_arrays([pa.array(column) for column in columns], schema=BAR_SCHEMA)
    return SymbolBars(table, _publishers(rows), combined)


def _publishers(rows: NDArray) -> tuple[str, ...]:
    if rows.dtype.names is None or "publisher_id" not in rows.dtype.names:
        return ()
    return tuple(publisher_name(number) for number in np.unique(rows["publisher_id"]).tolist())


def _price(column: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(column == _UNDEFINED, np.nan, column / _NANO)


def _trades(rows: NDArray) -> pa.Table:
    side = np.zeros(len(rows), np.uint8)
    for letter, number in _SIDES.items():
        side[rows["side"] == letter] = number
    columns = [rows["ts_recv"].astype(np.int64), rows["price"], rows["size"].astype(np.int64), side]
    ids = pa.array(rows["sequence"].astype(str))
    return pa.Table.from_arrays([*(pa.array(column) for column in columns), ids], schema=TRADE_SCHEMA)


def _quotes(rows: NDArray) -> pa.Table:
    both = rows[(rows["bid_px_00"] != _UNDEFINED) & (rows["ask_px_00"] != _UNDEFINED)]
    names = ("ts_recv", "bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00")
    return pa.Table.from_arrays([pa.array(both[name].astype(np.int64)) for name in names], schema=QUOTE_SCHEMA)


def _definition(row: np.void) -> Definition:
    is_future = row["instrument_class"] == b"F"
    expiration = int(row["expiration"])
    return Definition(
        symbol=row["raw_symbol"].decode(),
        exchange=row["exchange"].decode(),
        is_future=is_future,
        tick_size=Decimal(int(row["min_price_increment"])).scaleb(-9).normalize(),
        multiplier=_multiplier(row) if is_future else Decimal(1),
        expiration_ns=expiration if is_future and expiration < _UNDEFINED else 0,
    )


def _multiplier(row: np.void) -> Decimal | None:
    # The value of a tick is in the venue's display prices (Databento, "Computing tick value and contract notional").
    amount, factor, increment = (
        int(row[name]) for name in ("min_price_increment_amount", "display_factor", "min_price_increment")
    )
    if _UNDEFINED in (amount, factor, increment) or min(amount, factor, increment) <= 0:
        return None
    return (Decimal(amount) * 10**9 / factor / increment).normalize()
