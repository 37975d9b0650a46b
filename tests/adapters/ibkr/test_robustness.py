"""Clients that send nonsense hurt nobody but themselves."""

import logging
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibapi.protobuf.HistoricalDataRequest_pb2 import HistoricalDataRequest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from ibapi.protobuf.StartApiRequest_pb2 import StartApiRequest

from adapters.ibkr.simulator.answers import handle
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.server import ThreadedServer

WORDS = st.sampled_from(["", "BUY", "SELL", "MKT", "LMT", "STP", "STP LMT", "GTC", "nan", "-1", "1e400", "7", "\u2603"])
NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, 6000.0, 6000.25, -6000.0]))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    action=WORDS, kind=WORDS, size=WORDS, tif=WORDS, limit=NUMBERS, stop=NUMBERS,
    number=st.integers(-(2**31), 2**31 - 1), what_if=st.booleans(), transmit=st.booleans(),
)  # fmt: skip
def test_any_order_is_accepted_or_refused(
    action: str, kind: str, size: str, tif: str, limit: float, stop: float, number: int, what_if: bool, transmit: bool,
    gateway_of: Callable[..., Gateway], ib: SimpleNamespace,
) -> None:  # fmt: skip
    gateway = gateway_of(ib.minute_bars(*ib.RISING))
    session = ClientSession(222)
    handle(gateway, session, StartApiRequest(clientId=1))
    session.outbox.clear()
    order = Order(
        action=action, orderType=kind, totalQuantity=size, tif=tif, lmtPrice=limit, auxPrice=stop, whatIf=what_if,
        transmit=transmit, parentId=number, ocaGroup=tif, ocaType=1,
    )  # fmt: skip
    handle(gateway, session, PlaceOrderRequest(orderId=number, contract=ib.MES.to_contract(), order=order))
    gateway.step()
    assert session.outbox or not transmit


@pytest.mark.parametrize(
    "end", ["yesterday", "20260105", "20260105 25:00:00", "20260105 14:30:00 Mars/Base", "../../etc"]
)
def test_a_time_that_is_none_is_error_321(end: str, gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> None:
    assert _history_codes(end, gateway_of(ib.minute_bars(*ib.RISING)), ib) == [321]


@pytest.mark.parametrize("end", ["20260105 14:32:00 UTC", "20260105-14:32:00", "20260105 08:32:00 US/Central"])
def test_every_form_of_time_is_understood(end: str, gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> None:
    gateway = gateway_of(ib.minute_bars(*ib.RISING))
    session = _started(gateway)
    handle(gateway, session, _history(end, ib))
    assert [bar.date for bar in session.outbox[0].historicalDataBars] == ["1767623400", "1767623460"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_any_bytes_leave_other_clients_alone(
    content: bytes, client: Any, gateway: ThreadedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as intruder:
        intruder.sendall(b"API\0\x00\x00\x00\x09v100..222" + content)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as intruder:
        intruder.sendall(content)
    client.heard.clear()
    client.reqIds(1)
    assert client.wait("nextValidId") == (1,)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def _started(gateway: Gateway) -> ClientSession:
    session = ClientSession(222)
    handle(gateway, session, StartApiRequest(clientId=1))
    session.outbox.clear()
    return session


def _history(end: str, ib: SimpleNamespace) -> HistoricalDataRequest:
    return HistoricalDataRequest(
        reqId=1, contract=ib.MES.to_contract(), endDateTime=end, duration="1 D", barSizeSetting="1 min", formatDate=2
    )


def _history_codes(end: str, gateway: Gateway, ib: SimpleNamespace) -> list[int]:
    session = _started(gateway)
    handle(gateway, session, _history(end, ib))
    return [message.errorCode for message in session.outbox]
