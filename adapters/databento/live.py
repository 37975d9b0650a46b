"""Databento's live feed: every closed bar once, and an error when the feed ends."""

import queue
from collections.abc import Iterator
from typing import Any, NamedTuple

import databento
import databento_dbn
from databento.common.error import BentoError

from adapters.databento.schemas import BARS, kind_of
from adapters.errors import SourceError

PORT = 13_000
HEARTBEAT_S = 10

_LOOK_S = 0.1  # how often a silent feed is looked at

_MINUTE_NS = 60 * 10**9
_LENGTH_NS = {"1-MINUTE": _MINUTE_NS, "1-HOUR": 60 * _MINUTE_NS}
_NANO = 1e9


class LiveBar(NamedTuple):
    """One closed bar: ``close_ns`` is its time, UTC nanoseconds; prices in USD."""

    symbol: str
    close_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: int


def live_bars(
    key: str,
    dataset: str,
    symbols: list[str],
    *,
    schema: str = "ohlcv-1m",
    gateway: str | None = None,
    port: int = PORT,
) -> Iterator[LiveBar]:
    """Bars of some contracts, from now on until the caller stops.

    A bar arrives when its interval is over; an interval without trade has none. After a reconnect the feed may send a
    bar again or an older one: both are left out.

    Parameters
    ----------
    key : str
    dataset : str
        ``"GLBX.MDP3"``, …
    symbols : list of str
        Real contracts, ``["MESZ6"]``.
    schema : str
        ``ohlcv-1m`` or ``ohlcv-1h``.
    gateway : str, optional
        Host; the vendor's by default.
    port : int

    Yields
    ------
    LiveBar

    Raises
    ------
    SourceError
        If the schema has no bars, the feed refuses the key or a symbol, or it ends: what comes next is not known then.
    """
    if kind_of(schema, "Databento live") != "bars":
        raise SourceError(f"schema of the live feed must be one of {', '.join(BARS)}, was {schema}")
    client = databento.Live(key=key, gateway=gateway, port=port, heartbeat_interval_s=HEARTBEAT_S)
    # The package's own iterator loses what arrives before it is ready, so records are collected from the start.
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.add_callback(records.put)
    try:
        client.subscribe(dataset=dataset, schema=schema, stype_in="raw_symbol", symbols=symbols)
        client.start()
        yield from _closed_bars(_until_closed(client, records), _LENGTH_NS[BARS[schema]])
    except BentoError as error:
        raise SourceError(f"Databento's live feed ended: {' '.join(str(error).split())}") from None
    finally:
        client.terminate()
    raise SourceError("Databento closed the live feed")


def _until_closed(client: databento.Live, records: "queue.SimpleQueue[Any]") -> Iterator[Any]:
    while True:
        try:
            yield records.get(timeout=_LOOK_S)
        except queue.Empty:
            if not client.is_connected():
                return


def _closed_bars(records: Iterator[Any], length_ns: int) -> Iterator[LiveBar]:
    names: dict[int, str] = {}
    last_ns: dict[str, int] = {}
    for record in records:
        if isinstance(record, databento_dbn.SymbolMappingMsg):
            names[record.instrument_id] = str(record.stype_in_symbol)
        elif isinstance(record, databento_dbn.ErrorMsg):
            raise SourceError(f"Databento's live feed refused: {' '.join(str(record.err).split())}")
        elif isinstance(record, databento_dbn.OHLCVMsg):
            symbol, close_ns = names[record.instrument_id], record.ts_event + length_ns
            if close_ns <= last_ns.get(symbol, 0):
                continue
            last_ns[symbol] = close_ns
            opened, high, low, close = (value / _NANO for value in (record.open, record.high, record.low, record.close))
            yield LiveBar(symbol, close_ns, opened, high, low, close, record.volume)
