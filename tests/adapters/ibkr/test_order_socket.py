"""A bracket leaves in one piece, over a real connection."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.ibkr.client_socket import CORK, sending

pytestmark = pytest.mark.skipif(CORK is None, reason="this system sends every order as a packet of its own")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        far.settimeout(10)
        with near, far:
            yield near, far


def client_of(near: socket.socket | None) -> Any:
    return SimpleNamespace(_eclient=SimpleNamespace(conn=SimpleNamespace(socket=near)))


def is_held(near: socket.socket) -> bool:
    return bool(near.getsockopt(socket.IPPROTO_TCP, CORK))


def test_nothing_of_a_bracket_leaves_before_its_last_order(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    client = client_of(near)
    for name, is_last in ((b"entry ", False), (b"target ", False), (b"stop", True)):
        with sending(client, is_last):
            near.sendall(name)
        assert is_held(near) is not is_last
    assert far.recv(4096) == b"entry target stop"


def test_an_order_that_stands_alone_leaves_at_once(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    with sending(client_of(near), is_last=True):
        near.sendall(b"exit")
    assert not is_held(near)
    assert far.recv(4096) == b"exit"


def test_where_an_order_fails_nothing_is_held_back(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    client = client_of(near)
    with sending(client, is_last=False):
        near.sendall(b"entry ")
    with pytest.raises(ValueError, match="broken"), sending(client, is_last=False):
        raise ValueError("broken")
    near.sendall(b"cancel")  # of the entry, which rests untransmitted
    assert not is_held(near)
    received = b""
    while len(received) < len(b"entry cancel"):
        received += far.recv(4096)
    assert received == b"entry cancel"


def test_without_a_connection_nothing_is_held_back() -> None:
    with sending(client_of(None), is_last=False):
        pass
