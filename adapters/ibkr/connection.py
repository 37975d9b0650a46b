"""A short-lived connection to TWS or IB Gateway through ib_insync, for tools beside the trading node.

ib_insync is archived; it serves the emergency flatten, the doctor and history, never the trading node.
"""

import asyncio
import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters.symbols import vendor_symbol

with warnings.catch_warnings():
    # eventkit asks for the thread's event loop at import: Python 3.12 deprecates that where there is none, and uvloop,
    # which NautilusTrader's live node installs, refuses it.
    warnings.simplefilter("ignore", DeprecationWarning)
    asyncio.set_event_loop(_at_import := asyncio.new_event_loop())
    import ib_insync as ib_insync

    asyncio.set_event_loop(None)
    _at_import.close()

ID_IN_USE = 326


class GatewayError(ConnectionError):
    """The gateway cannot be used; one line says what was tried and what happened."""


@contextmanager
def gateway(
    host: str, port: int, client_ids: tuple[int, ...], timeout_s: float, synchronised: bool = True
) -> Iterator[Any]:
    """Connected ``ib_insync.IB`` for the length of a ``with`` block.

    Parameters
    ----------
    host : str
    port : int
        7497 and 4002 for paper, 7496 and 4001 for live are the gateway's defaults.
    client_ids : tuple of int
        Tried in order: an id that another process holds is answered with error 326.
    timeout_s : float
        Timeout of the connection and of every request.
    synchronised : bool
        Whether positions, orders, executions and account values are asked for while connecting, as ib_insync does it,
        one after the other. Where every answer takes seconds that alone outlasts ``timeout_s``.

    Yields
    ------
    ib_insync.IB

    Raises
    ------
    GatewayError
        If nothing answers, or every client id is in use.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    logging.getLogger("ib_insync").setLevel(logging.CRITICAL)  # what fails is raised below in one line
    try:
        client = _connect(host, port, client_ids, timeout_s, synchronised)
        try:
            yield client
        finally:
            client.disconnect()
            loop.run_until_complete(asyncio.sleep(0.05))  # lets the transport close before its loop does
    finally:
        _end(loop)


@contextmanager
def connected_as(client: Any, client_id: int, timeout_s: float) -> Iterator[Any]:
    """Second connection to the gateway of ``client``, under a given client id, for the length of a ``with`` block.

    Parameters
    ----------
    client : ib_insync.IB
        Connected; its event loop serves both.
    client_id : int
    timeout_s : float
        Timeout of the connection and of every request.

    Yields
    ------
    ib_insync.IB
        Connected, without positions, orders and executions asked for.

    Raises
    ------
    GatewayError
        If the id is in use or nothing answers.
    """
    other = ib_insync.IB()
    other.RequestTimeout = timeout_s
    codes = _watched_errors(other)
    try:
        with _reasons(client.client.host, client.client.port, timeout_s):
            _open(other, client.client.host, client.client.port, client_id, timeout_s)
        if ID_IN_USE in codes or not other.isConnected():
            raise GatewayError(f"client id {client_id} is in use")
        yield other
    finally:
        other.disconnect()


def _open(client: Any, host: str, port: int, client_id: int, timeout_s: float) -> None:
    client.wrapper.clientId = client_id
    ib_insync.util.run(client.client.connectAsync(host, port, client_id, timeout_s), timeout=timeout_s)


@contextmanager
def _reasons(host: str, port: int, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, OSError) as error:
        reason = str(error) or f"no answer within {timeout_s:g} s"
        if f"[Errno {errno.ECONNREFUSED}]" in reason:
            reason = "connection refused"
        raise GatewayError(f"no gateway on {host}:{port}: {reason}") from error


def _connect(host: str, port: int, client_ids: tuple[int, ...], timeout_s: float, synchronised: bool) -> Any:
    for client_id in client_ids:
        client = ib_insync.IB()
        client.RequestTimeout = timeout_s
        codes = _watched_errors(client)
        try:
            with _reasons(host, port, timeout_s):
                if synchronised:
                    client.connect(host, port, clientId=client_id, timeout=timeout_s)
                else:
                    _open(client, host, port, client_id, timeout_s)
        except GatewayError:
            if ID_IN_USE not in codes:
                raise
        if ID_IN_USE not in codes:
            return client
        client.disconnect()
    raise GatewayError(f"client ids {client_ids} are all in use on {host}:{port}")


def _watched_errors(client: Any) -> list[int]:
    codes: list[int] = []

    def note(_about: int, code: int, *_: Any) -> None:
        codes.append(code)
        if code == ID_IN_USE:
            client.client.apiStart.emit()  # or ib_insync waits for its whole timeout, which an emergency has not

    client.errorEvent += note
    return codes


def _end(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    asyncio.set_event_loop(None)


def find_contract(client: Any, symbol: str, kind: str, exchange: str, expiry: str = "") -> Any:
    """The broker's contract of a description.

    Parameters
    ----------
    client : ib_insync.IB
        Connected.
    symbol, kind, exchange, expiry : str
        As in a live configuration.

    Raises
    ------
    LookupError
        If the description does not mean exactly one contract.
    """
    asked = ib_insync.Contract(
        symbol=vendor_symbol("ibkr", symbol), secType=kind, exchange=exchange, currency="USD",
        lastTradeDateOrContractMonth=expiry,
    )  # fmt: skip
    details = client.reqContractDetails(asked)
    if len(details) != 1:
        name = " ".join(filter(None, [symbol, expiry, "on", exchange]))
        raise LookupError(f"contract {name} must be one at the gateway, was {len(details)}")
    return details[0].contract
