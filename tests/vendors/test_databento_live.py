"""Databento's live feed over plain TCP: greeting, challenge, subscription, records, the end."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import databento_dbn as dbn
import pytest

from adapters.databento.live import LiveBar, live_bars
from adapters.errors import SourceError

KEY = "db-0123456789abcdefghijklmnopqrs"
MINUTE_NS = 60 * 10**9
START_NS = 1_751_378_400 * 10**9


def mapping(number: int, name: str) -> bytes:
    message = dbn.SymbolMappingMsg(
        1, number, START_NS, dbn.SType.RAW_SYMBOL, name, dbn.SType.INSTRUMENT_ID, str(number), 0, 0
    )
    return bytes(message)


def bar(number: int, minute: int, price: float, volume: int = 7) -> bytes:
    nano = int(price * 1e9)
    ticks = (nano, nano + 250_000_000, nano - 250_000_000, nano)
    return bytes(dbn.OHLCVMsg(33, 1, number, START_NS + minute * MINUTE_NS, *ticks, volume))


@pytest.fixture
def feed() -> Iterator[Callable[..., SimpleNamespace]]:
    """``feed(records)``: a gateway that lets one client in, sends the records and hangs up; ``.port``, ``.heard``."""
    sockets, threads = [], []

    def start(records: list[bytes]) -> SimpleNamespace:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)
        made = SimpleNamespace(port=listener.getsockname()[1], heard=[])

        def talk() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"lsg_version=0.6.0\ncram=challenge\n")
                made.heard.append(dict(part.split("=", 1) for part in lines.readline().decode().strip().split("|")))
                wanted = hashlib.sha256(f"challenge|{KEY}".encode()).hexdigest() + f"-{KEY[-5:]}"
                if made.heard[0]["auth"] != wanted:
                    connection.sendall(b"success=0|error=Authentication failed.\n")
                    return
                connection.sendall(b"success=1|session_id=5\n")
                while "start_session" not in made.heard[-1]:
                    line = lines.readline().decode().strip()
                    made.heard.append(dict(part.split("=", 1) for part in line.split("|")))
                metadata = dbn.Metadata(
                    dataset="GLBX.MDP3", start=0, stype_in=None, stype_out=dbn.SType.INSTRUMENT_ID, schema=None
                )
                connection.sendall(metadata.encode() + b"".join(records))

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        threads.append(thread)
        return made

    yield start
    for listener in sockets:
        listener.close()
    for thread in threads:
        thread.join(5)


def received(port: int, key: str = KEY, schema: str = "ohlcv-1m") -> tuple[list[LiveBar], str]:
    """Bars until the feed ends, and what was said at its end."""
    bars = []
    try:
        for each in live_bars(key, "GLBX.MDP3", ["ESU5", "NQU5"], schema=schema, gateway="127.0.0.1", port=port):
            bars.append(each)
    except SourceError as ended:
        return bars, str(ended)
    raise AssertionError("the end of the feed must be told")


def test_bars_arrive_once_and_the_end_is_told(feed: Callable[..., SimpleNamespace]) -> None:
    records = [
        mapping(1, "ESU5"), mapping(2, "NQU5"), bar(1, 0, 6200.25), bar(2, 0, 22_500.0), bar(1, 1, 6200.5),
        bar(1, 1, 6200.5), bar(1, 0, 6199.0), bar(1, 2, 6201.0, volume=9),
    ]  # fmt: skip
    server = feed(records)
    bars, ended = received(server.port)
    assert bars == [
        LiveBar("ESU5", START_NS + 1 * MINUTE_NS, 6200.25, 6200.5, 6200.0, 6200.25, 7),
        LiveBar("NQU5", START_NS + 1 * MINUTE_NS, 22_500.0, 22_500.25, 22_499.75, 22_500.0, 7),
        LiveBar("ESU5", START_NS + 2 * MINUTE_NS, 6200.5, 6200.75, 6200.25, 6200.5, 7),
        LiveBar("ESU5", START_NS + 3 * MINUTE_NS, 6201.0, 6201.25, 6200.75, 6201.0, 9),
    ]
    assert "closed the live feed" in ended or "live feed ended" in ended
    asked = server.heard[1]
    assert (asked["schema"], asked["stype_in"], asked["symbols"]) == ("ohlcv-1m", "raw_symbol", "ESU5,NQU5")


def test_an_hour_closes_an_hour_later(feed: Callable[..., SimpleNamespace]) -> None:
    [first], _ = received(feed([mapping(1, "ESU5"), bar(1, 0, 6200.25)]).port, schema="ohlcv-1h")
    assert first.close_ns == START_NS + 60 * MINUTE_NS


def test_a_wrong_key_is_told_and_not_shown(feed: Callable[..., SimpleNamespace]) -> None:
    wrong = "db-burglar0123456789abcdefghijkl"
    bars, ended = received(feed([]).port, key=wrong)
    assert bars == []
    assert "Authentication failed" in ended
    assert "burglar" not in ended


def test_an_error_of_the_feed_is_told(feed: Callable[..., SimpleNamespace]) -> None:
    bars, ended = received(feed([bytes(dbn.ErrorMsg(START_NS, "Unknown symbol ESU5"))]).port)
    assert bars == []
    assert "refused: Unknown symbol ESU5" in ended


def test_a_schema_without_bars_is_refused() -> None:
    with pytest.raises(SourceError, match="must be one of ohlcv-1m, ohlcv-1h, was trades"):
        next(live_bars(KEY, "GLBX.MDP3", ["ESU5"], schema="trades"))
