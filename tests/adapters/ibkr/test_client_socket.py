"""The gateway's messages in the event loop: whole, in order, once, however the network cuts them."""

import asyncio
import itertools
import socket
import struct
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from ibapi.connection import Connection
from nautilus_trader.adapters.interactive_brokers.client.client import InteractiveBrokersClient
from nautilus_trader.adapters.interactive_brokers.client.common import Requests
from nautilus_trader.adapters.interactive_brokers.common import IBContract
from nautilus_trader.common.component import Logger
from nautilus_trader.model.data import Bar, BarType

from adapters.ibkr import client_socket, node_questions
from adapters.ibkr.client_socket import DECODED_AT_ONCE_BYTES, MESSAGES_IN_A_ROW, MessageReader, read_in_loop
from adapters.ibkr.node_questions import answer_to, bars_until

WAIT_S = 10.0
BUFFER_BYTES = 4096  # IB's own reader waits for more after so many


def framed(message: bytes) -> bytes:
    """As TWS frames a message: its length in four bytes, most significant first."""
    return struct.pack("!I", len(message)) + message


def connected() -> tuple[Connection, socket.socket]:
    """IB's own connection, as it is after its connect, and the gateway's end of it."""
    near, far = socket.socketpair()
    near.settimeout(1)
    connection = Connection("gate", 4002)
    connection.socket = near
    return connection, far


async def read(parts: list[bytes], count: int) -> list[bytes]:
    """Messages that are read from such parts, one after the other."""
    connection, far = connected()
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    reader = MessageReader(connection, queue)
    try:
        for part in parts:
            far.sendall(part)
            await asyncio.sleep(0)
        return [await asyncio.wait_for(queue.get(), WAIT_S) for _ in range(count)]
    finally:
        reader.stop()
        assert queue.empty()
        connection.disconnect()
        far.close()


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 300), max_size=6))
def test_messages_come_whole_and_in_order_wherever_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(framed, messages))
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert asyncio.run(read(parts, len(messages))) == messages


@pytest.mark.parametrize("size", [BUFFER_BYTES, 2 * BUFFER_BYTES, client_socket.READ_BYTES])
def test_a_burst_of_a_whole_buffer_is_not_waited_for(size: int) -> None:
    messages = [b"a" * 100, b"b" * (size - 100 - 2 * 4)]
    assert sum(len(framed(message)) for message in messages) == size
    assert asyncio.run(read([b"".join(map(framed, messages))], 2)) == messages


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("ends", ["gateway", "client"])
def test_the_end_of_a_connection_ends_its_reader(
    ends: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def run() -> None:
        connection, far = connected()
        reader = MessageReader(connection, asyncio.Queue())
        if ends == "gateway":
            far.close()
        else:
            connection.disconnect()
        await asyncio.wait_for(reader.is_over.wait(), WAIT_S)
        far.close()
        assert not connection.isConnected()
        # The next connection gets the number of the socket that was closed, and is heard.
        again, far_again = connected()
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        following = MessageReader(again, queue)
        far_again.sendall(framed(b"hello"))
        assert await asyncio.wait_for(queue.get(), WAIT_S) == b"hello"
        following.stop()
        again.disconnect()
        far_again.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


class Decoder:
    """Notes what is decoded, and in which thread."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Any, bool]] = []

    def interpret(self, fields: tuple[bytes, ...], number: int) -> None:
        self.seen.append((number, fields, threading.current_thread() is threading.main_thread()))

    def processProtoBuf(self, content: bytes, number: int) -> None:
        self.seen.append((number, content, threading.current_thread() is threading.main_thread()))


def client_of(decoder: Decoder, is_raw: bool) -> Any:
    """As much of NautilusTrader's client as decoding takes."""
    read_in_loop()
    log = SimpleNamespace(debug=lambda *_: None)
    client = SimpleNamespace(_eclient=SimpleNamespace(decoder=decoder), _use_raw_int_msg_id=lambda: is_raw, _log=log)
    client._decode_elsewhere = lambda message: InteractiveBrokersClient._decode_elsewhere(client, message)
    return client


@pytest.mark.parametrize(
    ("is_raw", "message", "expected"),
    [
        (False, b"9\x001\x00105\x00", (9, (b"1", b"105"))),  # text, before server version 201
        (True, (9).to_bytes(4, "big") + b"1\x00105\x00", (9, (b"1", b"105"))),  # text behind a number in binary
        (True, (203).to_bytes(4, "big") + b"\x08\x65", (3, b"\x08\x65")),  # protobuf: 200 above the text's number
    ],
)
def test_a_message_is_decoded_by_its_kind(is_raw: bool, message: bytes, expected: tuple[int, Any]) -> None:
    decoder = Decoder()
    client = client_of(decoder, is_raw)
    assert asyncio.run(InteractiveBrokersClient._process_message(client, message))
    assert decoder.seen == [(*expected, True)]


def test_history_is_decoded_beside_the_loop() -> None:
    decoder = Decoder()
    content = b"\x08" * DECODED_AT_ONCE_BYTES
    assert asyncio.run(
        InteractiveBrokersClient._process_message(client_of(decoder, True), (217).to_bytes(4, "big") + content)
    )
    assert decoder.seen == [(17, content, False)]


def test_what_cannot_be_decoded_ends_the_reader_as_it_ends_nautilus_traders() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(InteractiveBrokersClient._process_message(client_of(Decoder(), False), b"no number\x00"))


class Handling:
    """As much of NautilusTrader's client as handing over and handling take."""

    def __init__(self) -> None:
        read_in_loop()
        self._loop = asyncio.get_running_loop()
        self._msg_handler_task_queue: asyncio.Queue[Any] = asyncio.Queue()
        self.errors: list[str] = []
        self._log = SimpleNamespace(exception=lambda text, error: self.errors.append(f"{text}: {error}"))
        self.handled: list[int] = []

    def message(self, number: int, error: Exception | None = None) -> Any:
        async def handle() -> None:
            self.handled.append(number)
            if error is not None:
                raise error

        return handle

    async def until(self, count: int) -> None:
        running = asyncio.create_task(InteractiveBrokersClient._run_msg_handler_processor(self))  # type: ignore[arg-type]
        while len(self.handled) < count:
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_an_error_in_one_message_does_not_lose_the_next() -> None:
    async def run() -> Handling:
        handling = Handling()
        for number in range(3):
            message = handling.message(number, ValueError("unknown") if number == 1 else None)
            InteractiveBrokersClient.submit_to_msg_handler_queue(handling, message)  # type: ignore[arg-type]
        await asyncio.wait_for(handling.until(3), WAIT_S)
        return handling

    handling = asyncio.run(run())
    assert handling.handled == [0, 1, 2]
    (error,) = handling.errors
    assert error.endswith("unknown")


def test_messages_of_a_thread_are_handled_in_their_order() -> None:
    async def run() -> list[int]:
        handling = Handling()

        def decode() -> None:
            for number in range(100):
                InteractiveBrokersClient.submit_to_msg_handler_queue(handling, handling.message(number))  # type: ignore[arg-type]

        await asyncio.gather(asyncio.to_thread(decode), asyncio.wait_for(handling.until(100), WAIT_S))
        return handling.handled

    assert asyncio.run(run()) == list(range(100))


def test_thousands_of_messages_do_not_stop_everything_else() -> None:
    async def run() -> list[int]:
        handling = Handling()
        for number in range(10 * MESSAGES_IN_A_ROW):
            InteractiveBrokersClient.submit_to_msg_handler_queue(handling, handling.message(number))  # type: ignore[arg-type]
        others: list[int] = []

        async def another() -> None:
            while True:
                others.append(len(handling.handled))
                await asyncio.sleep(0)

        beside = asyncio.create_task(another())
        await asyncio.wait_for(handling.until(10 * MESSAGES_IN_A_ROW), WAIT_S)
        beside.cancel()
        return others

    others = asyncio.run(run())
    assert max(b - a for a, b in itertools.pairwise(others)) <= MESSAGES_IN_A_ROW


def test_an_answer_that_comes_while_the_request_is_given_up_is_an_answer() -> None:
    async def run() -> Any:
        told = asyncio.get_running_loop().create_future()

        async def question() -> str:
            return str(await told)

        def is_asked() -> bool:  # the client forgets the request in the moment in which it is answered
            if not told.done():
                told.set_result("bars")
            return False

        return await answer_to(question(), lambda: True, is_asked)

    assert asyncio.run(run()) == "bars"


def test_a_request_that_was_refused_has_no_answer() -> None:
    async def run() -> Any:
        async def question() -> str:
            await asyncio.Event().wait()
            return "never"

        return await answer_to(question(), lambda: True, lambda: False)

    assert asyncio.run(run()) is None


class AskedClient:
    """The parts of IB's client that a question for history needs, with a gateway that ``answers`` or stays silent."""

    _await_request = InteractiveBrokersClient._await_request
    _end_request = InteractiveBrokersClient._end_request
    get_historical_bars = InteractiveBrokersClient.get_historical_bars

    def __init__(self, answers: Callable[["AskedClient"], None], timeout_s: float) -> None:
        self._requests, self._request_timeout_secs = Requests(), timeout_s
        self._log = Logger("asked")
        self._eclient = SimpleNamespace(
            reqHistoricalData=lambda **asked: answers(self), cancelHistoricalData=lambda **asked: None
        )

    def _next_req_id(self) -> int:
        return 7


async def asked_for_bars(answers: Callable[[AskedClient], None], timeout_s: float) -> list[Bar]:
    """Bars that a session is given."""
    client = AskedClient(answers, timeout_s)
    bar_type = BarType.from_str("SPY.EQUS-1-MINUTE-LAST-EXTERNAL")
    return await bars_until(client, lambda: True, IBContract(secType="STK"), bar_type, 10**18, 1, True)


def test_history_that_is_not_answered_in_time_is_told_from_one_that_is_refused() -> None:
    with pytest.raises(TimeoutError, match=r"history did not answer within 0\.2 s"):
        asyncio.run(asked_for_bars(lambda client: None, 0.2))
    refused = asked_for_bars(lambda client: client._end_request(7, success=False), 60.0)
    assert asyncio.run(refused) == []
    assert asyncio.run(asked_for_bars(lambda client: client._end_request(7), 60.0)) == []


def test_a_request_that_a_lost_connection_left_behind_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_questions, "LEFT_BEHIND_S", 0.1)
    bar_type, end_ns = BarType.from_str("SPY.EQUS-1-MINUTE-LAST-EXTERNAL"), 10**18

    async def run() -> AskedClient:
        client = AskedClient(lambda client: None, 0.1)
        name = (str(bar_type), "20010909 01:46:40 UTC")  # of the same end
        client._requests.add(req_id=6, name=name, handle=lambda: None)
        with pytest.raises(TimeoutError, match=r"history did not answer within 0\.1 s"):
            await bars_until(client, lambda: True, IBContract(secType="STK"), bar_type, end_ns, 1, True)
        return client

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S))._requests.get_futures() == []


@pytest.mark.parametrize("is_open", [True, False])
def test_a_connection_that_was_left_open_is_closed_before_the_next(
    is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_socket, "FREED_S", 0.0)
    did: list[str] = []

    async def connect() -> None:
        did.append("connect")

    left = SimpleNamespace(isConnected=lambda: is_open, disconnect=lambda: did.append("close"))
    for conn in (left, None):
        client = SimpleNamespace(_eclient=SimpleNamespace(conn=conn), _connect_over=connect)
        asyncio.run(client_socket._connect_alone(client))
    assert did == [*["close"] * is_open, "connect", "connect"]
