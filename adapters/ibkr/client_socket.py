"""The socket of NautilusTrader's client: messages read and decoded in the event loop, brackets written in one piece.

NautilusTrader's client hands every message from thread to thread four times before it acts on it, which takes longer
than a decision. IB's own reader, which it uses, also drops a burst whose size is a multiple of 4096 bytes.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ibapi.comm import read_fields
from ibapi.common import PROTOBUF_MSG_ID
from nautilus_trader.adapters.interactive_brokers.client.client import InteractiveBrokersClient

READ_BYTES = 1 << 16
DECODED_AT_ONCE_BYTES = 1 << 13  # history is longer: decoding it must not stop everything else
MESSAGES_IN_A_ROW = 16  # of history come many thousands, which must not stop everything else
LENGTH_BYTES = NUMBER_BYTES = 4
FREED_S = 1.0  # until the gateway has noticed the end of a connection
SERVERS_LOST, SERVERS_BACK = (1100, 2110), (1101, 1102)
CORK = getattr(socket, "TCP_CORK", None)  # Linux alone; elsewhere every order is a packet of its own


def read_in_loop() -> None:
    """Let NautilusTrader's clients read in the event loop; called before they are built."""
    if hasattr(InteractiveBrokersClient, "_decode_elsewhere"):
        return
    InteractiveBrokersClient._decode_elsewhere = InteractiveBrokersClient._process_message
    InteractiveBrokersClient._process_message = _decode
    InteractiveBrokersClient._run_tws_incoming_msg_reader = _read
    InteractiveBrokersClient.submit_to_msg_handler_queue = _hand_over
    InteractiveBrokersClient._run_msg_handler_processor = _handle
    InteractiveBrokersClient._connect_over = InteractiveBrokersClient._connect
    InteractiveBrokersClient._connect = _connect_alone


class MessageReader:
    """Puts the messages of one connection into a queue, until it is closed.

    Parameters
    ----------
    connection : ibapi.connection.Connection
        Connected; its socket is closed by its ``disconnect`` alone.
    queue : asyncio.Queue

    Attributes
    ----------
    is_over : asyncio.Event
        Set once the connection is closed, by whichever side.
    """

    def __init__(self, connection: Any, queue: "asyncio.Queue[bytes]") -> None:
        self._connection, self._queue, self._socket = connection, queue, connection.socket
        self._loop = asyncio.get_running_loop()
        self._rest = bytearray()
        self.is_over = asyncio.Event()
        self._close = connection.disconnect
        connection.disconnect = self._disconnect
        self._loop.add_reader(self._socket, self._on_readable)

    def stop(self) -> None:
        """Read no more."""
        if not self.is_over.is_set():
            self._loop.remove_reader(self._socket)
            self.is_over.set()

    def _disconnect(self) -> None:
        self.stop()  # first: the number of a closed socket may belong to another one at once
        self._close()

    def _on_readable(self) -> None:
        try:
            content = self._socket.recv(READ_BYTES)
        except (TimeoutError, BlockingIOError):
            return
        except OSError:
            content = b""
        if content:
            self._rest += content
            self._take_whole()
        else:
            self._connection.disconnect()

    def _take_whole(self) -> None:
        content, begin = self._rest, 0
        while len(content) - begin >= LENGTH_BYTES:
            first = begin + LENGTH_BYTES
            end = first + int.from_bytes(content[begin:first], "big")
            if end > len(content):
                break
            if end > first:
                self._queue.put_nowait(bytes(content[first:end]))
            begin = end
        del content[:begin]


class GatewayServers:
    """Whether the gateway reaches its own servers, by its messages.

    NautilusTrader forgets error 1100 with the next order number or list of accounts that the gateway sends, and then
    takes the servers for connected; here it does not.

    Parameters
    ----------
    client : InteractiveBrokersClient
        Its handlers of such messages are wrapped.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lost_on: Any = None
        self._last: Any = None
        self._losses = 0
        for name in ("process_next_valid_id", "process_managed_accounts"):
            setattr(client, name, self._doubting(getattr(client, name)))

    def hear(self, code: int) -> None:
        """Take an error code."""
        if code in SERVERS_LOST:
            self._lost_on = self._client._eclient.conn
            self._losses += 1
        elif code in SERVERS_BACK:
            self._lost_on = None

    @property
    def losses(self) -> int:
        """How often the servers or the connection were lost or replaced, however shortly."""
        connection = self._client._eclient.conn
        if connection is not self._last:
            self._last = connection
            self._losses += 1
        return self._losses

    def _doubting(self, process: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def doubt(**message: Any) -> None:
            await process(**message)
            if self._lost_on is not None and self._lost_on is self._client._eclient.conn:
                self._client._is_ib_connected.clear()

        return doubt


async def _connect_alone(client: Any) -> None:
    # NautilusTrader forgets a connection on which the servers turn out to be lost, and leaves it open: the gateway then
    # refuses the next one, as the client id is in use.
    left = client._eclient.conn
    if left is not None and left.isConnected():
        left.disconnect()
        await asyncio.sleep(FREED_S)
    await client._connect_over()


async def _read(client: Any) -> None:
    connection = client._eclient.conn
    if connection is not None and connection.isConnected():
        # Otherwise what is sent waits until the gateway has acknowledged what was sent before: 40 ms.
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = MessageReader(connection, client._internal_msg_queue)
        with contextlib.suppress(asyncio.CancelledError):
            await reader.is_over.wait()
        reader.stop()
    if not client.is_disposed:
        client._is_ib_connected.clear()


async def _decode(client: Any, message: bytes) -> bool:
    """As NautilusTrader decodes it: False ends the client's reader, and so does an error."""
    if len(message) > DECODED_AT_ONCE_BYTES:
        return bool(await client._decode_elsewhere(message))
    decoder = client._eclient.decoder
    if client._use_raw_int_msg_id():
        number, content = int.from_bytes(message[:NUMBER_BYTES], "big"), message[NUMBER_BYTES:]
    else:
        word, _, content = message.partition(b"\0")
        number = int(word)
    if number > PROTOBUF_MSG_ID:
        decoder.processProtoBuf(content, number - PROTOBUF_MSG_ID)
    else:
        decoder.interpret(read_fields(content), number)
    return True


def _hand_over(client: Any, task: Any) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # decoded in a thread: waking the loop for each of thousands would take longer than the rest
        decoded = client.__dict__.setdefault("_decoded_elsewhere", deque())
        decoded.append(task)
        if len(decoded) == 1:
            client._loop.call_soon_threadsafe(_take_over, client)
    else:
        client._msg_handler_task_queue.put_nowait(task)


def _take_over(client: Any) -> None:
    decoded = client._decoded_elsewhere
    while decoded:
        client._msg_handler_task_queue.put_nowait(decoded.popleft())


async def _handle(client: Any) -> None:
    queue = client._msg_handler_task_queue
    handled = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            task = await queue.get()
            try:
                await task()
            except Exception as error:  # noqa: BLE001 - as NautilusTrader: the messages after it count too
                client._log.exception(f"Exception in message handler task {task}", error)
            handled += 1
            if not handled % MESSAGES_IN_A_ROW:
                await asyncio.sleep(0)


@contextmanager
def sending(client: Any, is_last: bool) -> Iterator[None]:
    """Send an order; one of a bracket waits for the last, so that the gateway gets them in one packet.

    Parameters
    ----------
    client : InteractiveBrokersClient
    is_last : bool
        Whether the order transmits what was sent before it.
    """
    connected = getattr(getattr(client._eclient, "conn", None), "socket", None)
    waits = False
    try:
        _set_cork(connected, True)
        yield
        waits = not is_last
    finally:
        if not waits:
            _set_cork(connected, False)


def _set_cork(connected: socket.socket | None, is_set: bool) -> None:
    if CORK is not None and connected is not None:
        connected.setsockopt(socket.IPPROTO_TCP, CORK, is_set)


def send_silently(execution_client: Any) -> None:
    """Let NautilusTrader's client send brackets without spelling each order out for its log first."""

    def submit_order_list(command: Any) -> None:
        execution_client.create_task(execution_client._submit_order_list(command), log_msg="submit_order_list")

    execution_client.submit_order_list = submit_order_list
