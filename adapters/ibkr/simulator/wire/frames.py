"""The wire of TWS: frames with a length prefix, message numbers, and protobuf or text inside.

Up to server version 200 a message is a list of text fields, its number the first of them. From 201 on the number is
four raw bytes and a body may be protobuf, which adds 200 to the number.
"""

import struct
from collections.abc import Iterator

from google.protobuf.message import DecodeError, Message

from adapters.ibkr.simulator.wire.messages import REPLY_IDS, REQUESTS
from adapters.ibkr.simulator.wire.text_replies import to_fields
from adapters.ibkr.simulator.wire.text_requests import from_fields

OLDEST_VERSION, NEWEST_VERSION = 176, 222
PROTOBUF_VERSION = 201
PROTOBUF_OFFSET = 200
LARGEST_FRAME = 0xFFFFFF


class WireError(ValueError):
    """Bytes that are no message of the protocol; the connection that sent them is closed."""


def frame(body: bytes) -> bytes:
    """Body with its length before it, four bytes, big endian."""
    return struct.pack(">I", len(body)) + body


class Frames:
    """Cuts a stream of bytes into frames, however the network split it.

    Examples
    --------
    >>> frames = Frames()
    >>> list(frames.feed(b"\\x00\\x00\\x00\\x02a"))
    []
    >>> list(frames.feed(b"b\\x00\\x00\\x00\\x01c"))
    [b'ab', b'c']
    """

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add what arrived and yield each complete frame's body.

        Raises
        ------
        WireError
            If a length is beyond what any client sends, which means that the stream is out of step.
        """
        self._pending += data
        while len(self._pending) >= 4:
            (length,) = struct.unpack_from(">I", self._pending)
            if length > LARGEST_FRAME:
                raise WireError(f"length of a frame must be at most {LARGEST_FRAME}, was {length}")
            if len(self._pending) < 4 + length:
                return
            body, self._pending = self._pending[4 : 4 + length], self._pending[4 + length :]
            yield body


def negotiate(hello: bytes, newest: int) -> int:
    """Server version for a client's ``v100..223`` or ``v157..176 options``.

    Raises
    ------
    WireError
        If the greeting is not of that form or the ranges of client and server do not meet.
    """
    versions = hello.split(b" ")[0].removeprefix(b"v")
    low, _, high = versions.partition(b"..")
    if not (low.isdigit() and (high or low).isdigit()):
        raise WireError(f"greeting must be of the form v100..223, was {hello[:40]!r}")
    version = min(int(high or low), newest)
    if version < max(int(low), OLDEST_VERSION):
        raise WireError(f"server version must be {OLDEST_VERSION} or more for the client, was {version}")
    return version


def decode_request(body: bytes, version: int) -> Message | None:
    """A client's request as protobuf message, None where the simulator does not know its number.

    Raises
    ------
    WireError
        If the body cannot be read as the request that its number announces.
    """
    try:
        if version < PROTOBUF_VERSION:
            number, _, rest = body.partition(b"\0")
            return _request_of_text(int(number), rest, version)
        number_raw = int.from_bytes(body[:4], "big")
        if number_raw <= PROTOBUF_OFFSET:
            return _request_of_text(number_raw, body[4:], version)
        request_type = REQUESTS.get(number_raw - PROTOBUF_OFFSET)
        return request_type.FromString(body[4:]) if request_type else None
    except (ValueError, DecodeError) as error:
        raise WireError(f"request must be readable at server version {version}, was {body[:60]!r}") from error


def encode_reply(message: Message, version: int) -> bytes:
    """Frames of one reply in the form that the server version uses; empty where that version has no such message."""
    number = REPLY_IDS[type(message)]
    if version >= PROTOBUF_VERSION:
        return frame((number + PROTOBUF_OFFSET).to_bytes(4, "big") + message.SerializeToString())
    return b"".join(
        frame("".join(f"{field}\0" for field in fields).encode("ascii", "backslashreplace"))
        for fields in to_fields(message, number, version)
    )


def _request_of_text(number: int, rest: bytes, version: int) -> Message | None:
    if number not in REQUESTS:
        return None
    return from_fields(number, rest.decode("utf-8").split("\0")[:-1], version)
