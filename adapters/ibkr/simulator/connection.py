"""One TCP connection of a client: greeting, frames in, frames out, connection faults."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from google.protobuf.message import Message

from adapters.ibkr.simulator.answers import handle
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.reports import time_text
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.gateway import NOTHING, Gateway
from adapters.ibkr.simulator.wire.frames import Frames, WireError, decode_request, encode_reply, frame, negotiate

GREETING = b"API\0"
# ibapi reads 4096 bytes at a time and drops a burst that ends exactly there when nothing follows for a second.
CLIENT_BUFFER = 4096
FILLER = Refusal(2158, "Sec-def data farm connection is OK:secdefnj")

log = logging.getLogger(__name__)


class ConnectionOwner(Protocol):
    """The server that a connection belongs to; see `adapters.ibkr.simulator.server.GatewayServer`."""

    gateway: Gateway
    newest_version: int
    connections: list["Connection"]
    after_connect: list[Callable[["Connection"], None]]
    requests_seen: int

    def flush(self) -> None:
        """Send everything that waits."""


class Connection(asyncio.Protocol):
    """Protocol of one client's connection.

    Parameters
    ----------
    server : ConnectionOwner
        Owner, which holds the gateway.

    Attributes
    ----------
    session : ClientSession or None
        None until the greeting is done.
    silent : bool
        Fault: nothing is read or written; what accumulates is dealt with once the silence ends.
    ends_on_buffer : bool
        Fault: the next burst is filled up to end exactly on the client's buffer.
    """

    def __init__(self, server: ConnectionOwner) -> None:
        self.session: ClientSession | None = None
        self.silent = False
        self.ends_on_buffer = False
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._greeting = b""
        self._frames = Frames()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop, which NautilusTrader sets where it is imported, has transports of another class.
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.append(self)
        for act in self._server.after_connect:
            act(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self.session is not None:
            self._server.gateway.leave(self.session)
        if self in self._server.connections:
            self._server.connections.remove(self)

    def data_received(self, data: bytes) -> None:
        self._server.requests_seen += 1
        try:
            self._read(data)
        except WireError as error:
            log.warning("closing a connection: %s", error)
            self.close()
        self._server.flush()

    def flush(self) -> None:
        """Send what waits in the session's outbox."""
        if self.session is None or self._transport is None or self.silent:
            return
        waiting, self.session.outbox = self.session.outbox, []
        if not waiting:
            return
        burst = self._burst(waiting)
        if self.ends_on_buffer:
            self.ends_on_buffer = False
            burst += self._filler(-len(burst) % CLIENT_BUFFER)
        elif len(burst) % CLIENT_BUFFER == 0:
            burst += self._burst([self._server.gateway.error(NOTHING, FILLER)])
        self._transport.write(burst)

    def send_raw(self, body: bytes) -> None:
        """Send a frame whose body need not be a message."""
        if self._transport is not None:
            self._transport.write(frame(body))

    def close(self) -> None:
        """End the connection in order, after what was written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End the connection with RST: the client's next read or write fails."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def silence(self, on: bool) -> None:
        """Stop or resume reading and writing while the connection stays open."""
        self.silent = on
        if self._transport is None:
            return
        if on:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            self.flush()

    def forget(self) -> None:
        """Half-open: the gateway knows the client no more, the client still believes in the connection."""
        self.silence(True)
        if self.session is not None:
            self._server.gateway.leave(self.session)
            self.session.outbox.clear()

    def _read(self, data: bytes) -> None:
        if self.session is None:
            self._greeting += data
            if len(self._greeting) < len(GREETING):
                return
            if not self._greeting.startswith(GREETING):
                raise WireError(f"a connection must begin with API, was {self._greeting[:20]!r}")
            if not self._greet():
                return
            data = b""
        for body in self._frames.feed(data):
            self._handle(body)

    def _greet(self) -> bool:
        greeting = Frames()
        for hello in greeting.feed(self._greeting[len(GREETING) :]):
            version = negotiate(hello, self._server.newest_version)
            self.session = ClientSession(version)
            self.send_raw(f"{version}\0{time_text(self._server.gateway.broker_ns())}\0".encode())
            return True
        return False

    def _handle(self, body: bytes) -> None:
        assert self.session is not None
        if not handle(self._server.gateway, self.session, decode_request(body, self.session.version)):
            self.flush()
            self.close()

    def _burst(self, messages: list[Message]) -> bytes:
        assert self.session is not None
        return b"".join(encode_reply(message, self.session.version) for message in messages)

    def _filler(self, size: int) -> bytes:
        empty = len(self._burst([self._server.gateway.error(NOTHING, Refusal(FILLER.code, ""))]))
        size += CLIENT_BUFFER if size < empty + 8 else 0
        for padding in range(size):
            burst = self._burst([self._server.gateway.error(NOTHING, Refusal(FILLER.code, "x" * padding))])
            if len(burst) == size:
                return burst
        raise AssertionError(f"a notice of {size} bytes can be written")
