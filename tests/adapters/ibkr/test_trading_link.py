"""What NautilusTrader's clients are told, and what the broker's own word is made of."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nautilus_trader.adapters.interactive_brokers.client.common import get_venue_order_id
from nautilus_trader.model.identifiers import InstrumentId

from adapters.ibkr.broker_link import BrokerLink
from adapters.ibkr.trading import BrokerContract, client_configs, engine_config, order_tags, require_gateway

MES = BrokerContract("MES", "FUT", "CME", "202612", "XCME")
SPY = BrokerContract("SPY", "STK", "SMART", "", "EQUS")
CON_ID, OTHER = 730283085, 1


# Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "oca"), [("", ("", 0)), ("O-1-2", ("O-1-2", 2))])
def test_orders_work_at_all_hours_and_reduce_each_other_within_their_group(group: str, oca: tuple[str, int]) -> None:
    (tag,) = order_tags(group)
    told = json.loads(tag.removeprefix("IBOrderTags:"))
    assert told["outsideRth"] is True
    # 2: filled quantities reduce the others, which are blocked from overfilling.
    assert (told.get("ocaGroup") or "", told.get("ocaType") or 0) == oca


@pytest.mark.parametrize("regular_hours", [True, False])
def test_both_clients_share_one_connection_and_one_contract(regular_hours: bool) -> None:
    data, execution = client_configs("gate", 4002, 7, "DU1", MES, regular_hours=regular_hours, timeout_s=9)
    for config in (data, execution):
        assert (config.ibg_host, config.ibg_port, config.ibg_client_id) == ("gate", 4002, 7)
        assert (config.connection_timeout, config.request_timeout_secs) == (9, 9)
        (contract,) = config.instrument_provider.load_contracts
        assert (contract.secType, contract.symbol, contract.exchange, contract.currency) == ("FUT", "MES", "CME", "USD")
        assert contract.lastTradeDateOrContractMonth == "202612"
        assert config.instrument_provider.symbol_to_mic_venue == {"MES": "XCME"}
    assert data.use_regular_trading_hours is regular_hours
    assert execution.account_id == "DU1"
    assert execution.fetch_all_open_orders, "orders of an earlier life of the session are its own too"
    assert execution.routing.default


def test_a_share_has_no_expiry() -> None:
    data, _ = client_configs("gate", 4002, 7, "DU1", SPY, regular_hours=True, timeout_s=9)
    (contract,) = data.instrument_provider.load_contracts
    assert (contract.secType, contract.exchange, contract.lastTradeDateOrContractMonth) == ("STK", "SMART", "")
    assert data.instrument_provider.symbol_to_mic_venue == {"SPY": "EQUS"}


def test_what_is_followed_is_loaded_beside_what_is_traded() -> None:
    data, execution = client_configs("gate", 4002, 7, "DU1", MES, regular_hours=False, timeout_s=9, followed=[SPY])
    for config in (data, execution):
        contracts = {(each.secType, each.symbol) for each in config.instrument_provider.load_contracts}
        assert contracts == {("FUT", "MES"), ("STK", "SPY")}
        assert config.instrument_provider.symbol_to_mic_venue == {"MES": "XCME", "SPY": "EQUS"}


def test_the_engine_asks_again_and_again_also_for_closed_orders() -> None:
    config = engine_config()
    assert config.reconciliation
    assert 0 < config.open_check_interval_secs <= 10
    assert not config.open_check_open_only
    assert 0 < config.position_check_interval_secs <= 10


def test_a_gateway_that_listens_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_gateway("127.0.0.1", server.getsockname()[1], 1.0)
        port = server.getsockname()[1]
    with pytest.raises(ConnectionError, match=rf"no gateway on 127\.0\.0\.1:{port}: .*refused") as said:
        require_gateway("127.0.0.1", port, 1.0)
    assert "\n" not in str(said.value)


# The broker's word ------------------------------------------------------------------------------------------------


class Client:
    """As much of NautilusTrader's client as the link asks; answers are set by the test."""

    def __init__(self) -> None:
        self.is_ready = True
        self._is_ib_connected = asyncio.Event()
        self._is_ib_connected.set()
        self._data_farm_degraded_since_ns: int | None = None
        self._eclient = SimpleNamespace(wrapper=SimpleNamespace(), isConnected=lambda: True)
        self.positions: list[Any] | None = []
        self.orders: list[Any] | None = []
        self.fills: list[Any] | None = []
        self.placed: list[str] = []
        self.refuses = False

    async def get_positions(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        return self.positions

    async def get_open_orders(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        return self.orders

    async def get_executions(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        return self.fills

    def place_order(self, order: Any) -> None:
        if self.refuses:
            raise OSError("broken pipe")
        self.placed.append(order.orderRef)


def contract(con_id: int = CON_ID) -> SimpleNamespace:
    return SimpleNamespace(conId=con_id)


def resting(con_id: int = CON_ID, **fields: Any) -> SimpleNamespace:
    usual = {
        "orderId": 5, "permId": 77, "clientId": 1, "orderRef": "O-1:5", "action": "SELL", "totalQuantity": 3,
        "orderType": "STP", "auxPrice": 5990.25, "lmtPrice": 0.0,
    }  # fmt: skip
    return SimpleNamespace(contract=contract(con_id), **(usual | fields))


def executed(trade_id: str, time: str, con_id: int = CON_ID, **fields: Any) -> dict[str, Any]:
    usual = {"execId": trade_id, "orderRef": "O-1:5", "time": time, "side": "BOT", "shares": 2, "price": 6000.25}
    return {
        "contract": contract(con_id),
        "execution": SimpleNamespace(**(usual | fields)),
        "commission_report": SimpleNamespace(commissionAndFees=1.24),
    }


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def link(client: Client) -> Iterator[BrokerLink]:
    """A link to MESZ6 of account DU1."""
    made = BrokerLink("DU1", "MESZ6.XCME")
    details = {InstrumentId.from_str("MESZ6.XCME"): SimpleNamespace(contract=contract())}
    provider = SimpleNamespace(contract_details=details)
    made.attach(SimpleNamespace(_client=client, instrument_provider=provider, _order_filled_qty={}))
    return made


def test_truth_is_of_the_contract_alone(link: BrokerLink, client: Client) -> None:
    client.positions = [
        SimpleNamespace(contract=contract(), quantity=-2),
        SimpleNamespace(contract=contract(OTHER), quantity=9),
    ]
    client.orders = [
        resting(),
        resting(OTHER),
        resting(orderType="LMT", lmtPrice=6010.5, action="BUY", orderRef="", orderId=6),
        resting(orderType="MKT", totalQuantity=1, orderId=7),
    ]
    link._execution._order_filled_qty = {get_venue_order_id(5, 0): 1}
    truth = asyncio.run(link.broker_state())
    assert truth is not None
    assert truth.units == -2
    assert [(o.order_ref, o.order_id, o.kind, o.units, o.price) for o in truth.orders] == [
        ("O-1", 5, "STP", -2, 5990.25),
        ("", 6, "LMT", 3, 6010.5),
        ("O-1", 7, "MKT", -1, 0.0),
    ]


@pytest.mark.parametrize("silent", ["positions", "orders"])
def test_half_an_answer_is_none(link: BrokerLink, client: Client, silent: str) -> None:
    setattr(client, silent, None)
    assert asyncio.run(link.broker_state()) is None


def test_nobody_is_asked_who_is_not_there(link: BrokerLink, client: Client) -> None:
    client._is_ib_connected.clear()
    assert not link.is_connected()
    assert not link.has_data()
    assert asyncio.run(link.broker_state()) is None
    assert asyncio.run(link.executions()) is None
    client._is_ib_connected.set()
    client._data_farm_degraded_since_ns = 1
    assert (link.is_connected(), link.has_data()) == (True, False)


def test_executions_come_once_in_order_with_sign_and_cost(link: BrokerLink, client: Client) -> None:
    client.fills = [
        executed("b", "20260105 14:31:02 UTC", side="SLD", shares=1, orderRef="O-2:9"),
        executed("other", "20260105 14:30:00 UTC", con_id=OTHER),
        executed("a", "20260105 14:31:00 UTC"),
        executed("a", "20260105 14:31:00 UTC"),
    ]
    fills = asyncio.run(link.executions())
    assert fills is not None
    at = int(np.datetime64("2026-01-05T14:31", "ns").astype(np.int64))
    assert [(f.trade_id, f.order_ref, f.units, f.price, f.commission_usd, f.ts_ns - at) for f in fills] == [
        ("a", "O-1", 2, 6000.25, 1.24, 0),
        ("b", "O-2", -1, 6000.25, 1.24, 2 * 10**9),
    ]
    client.fills = None
    assert asyncio.run(link.executions()) is None


def test_an_order_is_on_the_wire_when_it_was_written_and_not_before(link: BrokerLink, client: Client) -> None:
    order = SimpleNamespace(orderRef="O-9", orderId=9)
    assert link.wire_ns("O-9") is None
    client.refuses = True
    with pytest.raises(ValueError, match="not sent: broken pipe"):
        client.place_order(order)
    assert link.wire_ns("O-9") is None
    client.refuses = False
    client.place_order(order)
    assert client.placed == ["O-9"]
    assert (link.wire_ns("O-9") or 0) > 0


def test_an_order_without_a_connection_is_refused_instead_of_waited_for(link: BrokerLink, client: Client) -> None:
    client._eclient.isConnected = lambda: False
    with pytest.raises(ValueError, match="no connection to the gateway"):
        client.place_order(SimpleNamespace(orderRef="O-9", orderId=9))
    assert client.placed == []


def test_the_brokers_clock_is_told_in_whole_seconds(link: BrokerLink, client: Client) -> None:
    assert link.clock_drift_s is None
    client._eclient.wrapper.currentTime(int(time.time()) - 30)
    assert link.clock_drift_s == pytest.approx(30, abs=1.0)
