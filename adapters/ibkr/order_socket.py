"""How orders are written to the gateway's socket: a bracket in one piece, and nothing spelled out for a log before."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CORK = getattr(socket, "TCP_CORK", None)  # Linux alone; elsewhere every order is a packet of its own


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
