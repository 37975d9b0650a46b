"""Frames, greetings and requests that are not what they should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ibkr.simulator.wire.frames import Frames, WireError, decode_request, frame, negotiate


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 50))
def test_frames_survive_any_split(bodies: list[bytes], piece: int) -> None:
    stream = b"".join(frame(body) for body in bodies)
    frames = Frames()
    found = [body for start in range(0, len(stream), piece) for body in frames.feed(stream[start : start + piece])]
    assert found == bodies


def test_a_stream_out_of_step_is_noticed() -> None:
    with pytest.raises(WireError, match="length of a frame must be at most 16777215, was 1195725856"):
        list(Frames().feed(b"GET / HTTP/1.1"))


@pytest.mark.parametrize(
    ("hello", "newest", "version"),
    [(b"v100..223", 222, 222), (b"v100..223", 176, 176), (b"v157..176", 222, 176), (b"v100..200 +PACEAPI", 222, 200)],
)
def test_the_lower_newest_version_wins(hello: bytes, newest: int, version: int) -> None:
    assert negotiate(hello, newest) == version


@pytest.mark.parametrize("hello", [b"", b"v", b"hello", b"v100..", b"v100..151", b"v201..223"])
def test_greetings_that_cannot_be_met_are_refused(hello: bytes) -> None:
    with pytest.raises(WireError):
        negotiate(hello, 200)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b"not a number\x00", 176),
        (b"3\x00one\x00", 176),
        (b"\x00\x00\x00\xcb\xff\xff\xff", 222),
        (b"8\x001\x00x\x00", 200),
    ],
)
def test_unreadable_requests_are_refused(body: bytes, version: int) -> None:
    with pytest.raises(WireError, match="request must be readable"):
        decode_request(body, version)


def test_an_unknown_request_is_none() -> None:
    assert decode_request(b"22\x001\x00", 176) is None
    assert decode_request((200 + 22).to_bytes(4, "big"), 222) is None
