"""What NautilusTrader's clients are told, and what the broker's own word is made of."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nautilus_trader.model.identifiers import InstrumentId

from adapters.ibkr.broker_link import BrokerLink
from adapters.ibkr.order_errors import MEANINGS
from adapters.ibkr.trading import BrokerContract, client_configs, engine_config, order_tags, require_gateway

MES = BrokerContract("MES", "FUT", "CME", "202612", "XCME")
SPY = BrokerContract("SPY", "STK", "SMART", "", "EQUS")
CON_ID, OTHER = 730283085, 1
MESZ6, MNQZ6 = "MESZ6.XCME", "MNQZ6.XCME"


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
    assert not execution.fetch_all_open_orders, "orders of others are none of the session's business"
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


class Named:
    """NautilusTrader's table of requests, empty."""

    def remove(self, **names: Any) -> None:
        pass

    def get(self, **names: Any) -> None:
        return None


class Client:
    """As much of NautilusTrader's client as the link uses; answers are set by the test."""

    def __init__(self) -> None:
        self.is_ready = True
        self._is_ib_connected = asyncio.Event()
        self._is_ib_connected.set()
        self._data_farm_degraded_since_ns: int | None = None
        self._eclient = SimpleNamespace(
            wrapper=SimpleNamespace(), isConnected=lambda: True, placeOrder=self._place, reqExecutions=self._question,
            conn=object(),
        )  # fmt: skip
        self._client_id, self._next_valid_order_id = 1, 101
        self._requests = self._subscriptions = Named()
        self._fetch_all_open_orders = False
        self._internal_msg_queue_processor_task = SimpleNamespace(done=lambda: False)
        self.positions: list[Any] | None = []
        self.orders: list[Any] | None = []
        self.fills: list[Any] | None = []
        self.placed: list[tuple[str, int]] = []
        self.changed: list[tuple[int, Any]] = []
        self.cancelled: list[int] = []
        self.refuses = ""
        self.seen: list[str] = []
        self.asked_all: list[bool] = []
        self.questions: list[tuple[int, str, str]] = []

    async def get_positions(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        return self.positions

    async def get_open_orders(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        self.asked_all.append(self._fetch_all_open_orders)
        return self.orders

    async def get_executions(self, account: str) -> list[Any] | None:
        assert account == "DU1"
        for fill in self.fills or []:
            await self.process_exec_details(req_id=1, **fill)
        return self.fills

    def place_order(self, order: Any) -> None:
        if order.orderRef == self.refuses:
            raise OSError("broken pipe")
        self.placed.append((order.orderRef, order.orderId))
        order.orderRef = f"{order.orderRef}:{order.orderId}"

    def cancel_order(self, order_id: int) -> None:
        self.cancelled.append(order_id)

    def _next_req_id(self) -> int:
        return 900 + len(self.questions)

    def _question(self, number: int, wanted: Any) -> None:
        self.questions.append((number, wanted.acctCode, wanted.time))

    async def process_exec_details_end(self, req_id: int) -> None:
        self.seen.append("end")

    def _place(self, order_id: int, contract: Any, order: Any) -> None:
        self.changed.append((order_id, order))

    async def process_exec_details(self, **message: Any) -> None:
        self.seen.append("execution")

    async def process_commission_report(self, **message: Any) -> None:
        self.seen.append("commission")

    async def process_order_status(self, **message: Any) -> None:
        self.seen.append("status")

    async def process_open_order(self, **message: Any) -> None:
        self.seen.append("order")

    async def process_error(self, **message: Any) -> None:
        self.seen.append("error")
        if message["error_code"] in (1100, 2110):
            self._is_ib_connected.clear()
        elif message["error_code"] in (1101, 1102):
            self._is_ib_connected.set()

    async def process_next_valid_id(self, **message: Any) -> None:
        self._is_ib_connected.set()  # as NautilusTrader does, whatever was lost before

    process_managed_accounts = process_next_valid_id


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_execution(self, fill: Any) -> None:
        self.told.append((fill.trade_id, fill.order_ref, fill.units, fill.price))

    def on_told(self, asked_ns: int) -> None:
        self.told.append(("all", asked_ns <= time.time_ns()))

    def on_commission(self, trade_id: str, usd: float) -> None:
        self.told.append((trade_id, usd))

    def on_status(self, status: Any) -> None:
        self.told.append((status.order_ref, status.status, status.filled, status.average_price, status.why_held))

    def on_listed(self, order: Any) -> None:
        self.told.append((order.order_ref, order.kind, order.units, order.price, order.status))

    def on_answer(self, answer: Any) -> None:
        self.told.append((answer.order_ref, answer.meaning, answer.code))


def contract(con_id: int = CON_ID) -> SimpleNamespace:
    return SimpleNamespace(conId=con_id)


def resting(con_id: int = CON_ID, **fields: Any) -> SimpleNamespace:
    usual = {
        "orderId": 5, "permId": 77, "clientId": 1, "orderRef": "O-1:5", "action": "SELL", "totalQuantity": Decimal(3),
        "orderType": "STP", "auxPrice": 5990.25, "lmtPrice": 0.0, "account": "DU1", "whatIf": False,
        "order_state": SimpleNamespace(status="PreSubmitted"),
    }  # fmt: skip
    return SimpleNamespace(contract=contract(con_id), **(usual | fields))


def executed(trade_id: str, time: str = "20260105 14:31:00 UTC", con_id: int = CON_ID, **fields: Any) -> dict[str, Any]:
    usual = {
        "execId": trade_id, "orderRef": "O-1:5", "time": time, "side": "BOT", "shares": 2, "price": 6000.25,
        "acctNumber": "DU1", "clientId": 1, "orderId": 5, "permId": 77,
    }  # fmt: skip
    return {"contract": contract(con_id), "execution": SimpleNamespace(**(usual | fields))}


def status(order_id: int = 5, client_id: int = 1, perm_id: int = 77, **fields: Any) -> dict[str, Any]:
    usual = {"status": "Submitted", "filled": Decimal(1), "avg_fill_price": 6000.25, "why_held": ""}
    return {"order_id": order_id, "client_id": client_id, "perm_id": perm_id, **(usual | fields)}


def bracket(*names: str) -> list[SimpleNamespace]:
    """An entry and its children, numbers from 101."""
    return [
        SimpleNamespace(
            orderRef=name, orderId=101 + place, parentId=101 if place else 0, transmit=place == len(names) - 1,
            orderType="STP" if place else "MKT", totalQuantity=Decimal(3), auxPrice=5990.0, contract=contract(),
        )
        for place, name in enumerate(names)
    ]  # fmt: skip


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def link(client: Client, listener: Listener) -> Iterator[BrokerLink]:
    """A link to MESZ6 of account DU1."""
    made = BrokerLink("DU1", MESZ6)
    details = {InstrumentId.from_str(MESZ6): SimpleNamespace(contract=contract())}
    provider = SimpleNamespace(contract_details=details)
    made.attach(SimpleNamespace(_client=client, instrument_provider=provider))
    made.listen(MESZ6, listener)
    yield made
    assert made.failure is None


def test_the_state_is_of_the_contract_alone(link: BrokerLink, client: Client) -> None:
    client.positions = [
        SimpleNamespace(contract=contract(), quantity=Decimal(-2)),
        SimpleNamespace(contract=contract(OTHER), quantity=Decimal("9.5")),
    ]
    client.orders = [resting(), resting(OTHER), resting(orderType="LMT", lmtPrice=6010.5, action="BUY", orderRef="")]
    state = asyncio.run(link.broker_state(MESZ6))
    assert state is not None
    assert state.units == -2
    assert [(o.order_ref, o.kind, o.units, o.price, o.status) for o in state.orders] == [
        ("O-1", "STP", -3, 5990.25, "PreSubmitted"),
        ("", "LMT", 3, 6010.5, "PreSubmitted"),
    ]


def test_a_position_that_changes_while_it_is_told_is_what_was_told_last(link: BrokerLink, client: Client) -> None:
    client.positions = [SimpleNamespace(contract=contract(), quantity=Decimal(units)) for units in (-2, 3)]
    state = asyncio.run(link.broker_state(MESZ6))
    assert state is not None
    assert state.units == 3


def test_orders_of_everybody_are_asked_for_alone_where_that_is_wanted(link: BrokerLink, client: Client) -> None:
    client.orders = [resting(clientId=9, orderId=500)]
    asyncio.run(link.everybody(MESZ6))
    asyncio.run(link.broker_state(MESZ6))
    assert client.asked_all == [True, False]
    assert client._next_valid_order_id == 501, "new numbers are above every number that was shown"


@pytest.mark.parametrize("silent", ["positions", "orders"])
def test_half_an_answer_is_none(link: BrokerLink, client: Client, silent: str) -> None:
    setattr(client, silent, None)
    assert asyncio.run(link.broker_state(MESZ6)) is None


def news(client: Client, code: int) -> None:
    asyncio.run(client.process_error(req_id=-1, error_code=code, error_string="", advanced_order_reject_json=""))


@pytest.mark.parametrize("answer", ["process_next_valid_id", "process_managed_accounts"])
def test_lost_servers_are_lost_until_they_are_back_whatever_else_the_gateway_answers(
    link: BrokerLink, client: Client, answer: str
) -> None:
    news(client, 1100)
    asyncio.run(getattr(client, answer)())
    assert not link.is_connected()
    news(client, 1102)
    asyncio.run(getattr(client, answer)())
    assert link.is_connected()


def test_on_another_connection_the_servers_are_lost_only_if_it_says_so(link: BrokerLink, client: Client) -> None:
    news(client, 1100)
    client._eclient.conn = object()
    asyncio.run(client.process_managed_accounts())
    assert link.is_connected()
    news(client, 2110)
    asyncio.run(client.process_next_valid_id())
    assert not link.is_connected()


def test_a_loss_between_two_looks_is_counted(link: BrokerLink, client: Client) -> None:
    before = link.losses
    assert link.losses == before
    news(client, 1100)
    news(client, 1102)
    assert link.losses == before + 1
    client._eclient.conn = object()
    assert link.losses == before + 2


def test_nobody_is_asked_who_is_not_there(link: BrokerLink, client: Client) -> None:
    client._is_ib_connected.clear()
    assert not link.is_connected()
    assert not link.has_data()
    assert asyncio.run(link.broker_state(MESZ6)) is None
    assert asyncio.run(link.executions(MESZ6)) is None
    client._is_ib_connected.set()
    client._data_farm_degraded_since_ns = 1
    assert (link.is_connected(), link.has_data()) == (True, False)


def test_a_connection_that_ends_while_it_is_asked_answers_nothing(link: BrokerLink, client: Client) -> None:
    def ends() -> None:
        client._eclient.isConnected = lambda: False  # NautilusTrader has not noticed it yet
        raise TypeError("'<=' not supported between instances of 'int' and 'NoneType'")  # as IB's client does

    client.get_positions = _raising(ends)  # type: ignore[method-assign]
    assert asyncio.run(link.broker_state("MESZ6.XCME")) is None
    assert not link.is_connected()


def test_an_error_on_a_connection_that_stands_is_no_silence(link: BrokerLink, client: Client) -> None:
    def fails() -> None:
        raise TypeError("a fault of the program")

    client.get_executions = _raising(fails)  # type: ignore[method-assign]
    with pytest.raises(TypeError, match="a fault of the program"):
        asyncio.run(link.executions("MESZ6.XCME"))


def _raising(act: Any) -> Any:
    async def asked(account: str) -> None:
        act()

    return asked


def test_executions_are_told_at_once_and_answered_in_order(
    link: BrokerLink, client: Client, listener: Listener
) -> None:
    client.fills = [
        executed("b", "20260105 14:31:02 UTC", side="SLD", shares=1, orderRef="O-2:9", orderId=9, permId=78),
        executed("other", con_id=OTHER),
        executed("another account", acctNumber="DU2"),
        executed("a"),
    ]
    fills = asyncio.run(link.executions(MESZ6))
    assert fills is not None
    at = int(np.datetime64("2026-01-05T14:31", "ns").astype(np.int64))
    assert [(f.trade_id, f.order_ref, f.units, f.price, f.ts_ns - at) for f in fills] == [
        ("a", "O-1", 2, 6000.25, 0),
        ("b", "O-2", -1, 6000.25, 2 * 10**9),
    ]
    assert listener.told == [("b", "O-2", -1, 6000.25), ("a", "O-1", 2, 6000.25)]
    assert client.seen == ["execution"] * 4, "NautilusTrader hears of everything too"
    client.fills = None
    assert asyncio.run(link.executions(MESZ6)) is None


def test_every_contract_has_a_listener_and_a_state_of_its_own(client: Client) -> None:
    made, mes, mnq = BrokerLink("DU1", MESZ6, MNQZ6), Listener(), Listener()
    details = {InstrumentId.from_str(name): SimpleNamespace(contract=contract(con_id)) for name, con_id in
               ((MESZ6, CON_ID), (MNQZ6, OTHER))}  # fmt: skip
    made.attach(SimpleNamespace(_client=client, instrument_provider=SimpleNamespace(contract_details=details)))
    made.listen(MESZ6, mes)
    made.listen(MNQZ6, mnq)
    client.fills = [executed("a"), executed("b", con_id=OTHER, orderRef="O-2:6", orderId=6, permId=78, side="SLD")]
    client.positions = [
        SimpleNamespace(contract=contract(), quantity=Decimal(2)),
        SimpleNamespace(contract=contract(OTHER), quantity=Decimal(-5)),
    ]
    client.orders = [resting(), resting(OTHER, orderRef="O-2:6", orderId=6, permId=78)]
    for name, trade, units, order in ((MESZ6, "a", 2, "O-1"), (MNQZ6, "b", -5, "O-2")):
        state, fills = asyncio.run(made.broker_state(name)), asyncio.run(made.executions(name))
        assert state is not None
        assert fills is not None
        assert (state.units, [each.order_ref for each in state.orders]) == (units, [order])
        assert [fill.trade_id for fill in fills] == [trade]
    asyncio.run(client.process_commission_report(commission_report=SimpleNamespace(execId="b", commissionAndFees=1.0)))
    assert {told[0] for told in mes.told} == {"a"}
    assert {told[0] for told in mnq.told} == {"b"}
    assert made.failure is None


def test_executions_are_all_told_when_the_end_of_their_own_request_has_come(
    link: BrokerLink, client: Client, listener: Listener
) -> None:
    link.request_executions(MESZ6, 0, ())
    assert client.questions == [(900, "DU1", "")]
    asyncio.run(client.process_exec_details_end(req_id=1))  # of another request, sent before
    asyncio.run(client.process_exec_details(req_id=900, **executed("a.01")))
    assert listener.told == [("a.01", "O-1", 2, 6000.25)]
    asyncio.run(client.process_exec_details_end(req_id=900))
    asyncio.run(client.process_exec_details_end(req_id=900))
    assert listener.told[1:] == [("all", True)]


def test_an_answer_that_lacks_what_is_known_is_not_believed(
    link: BrokerLink, client: Client, listener: Listener
) -> None:
    at = int(np.datetime64("2026-01-05T14:31", "ns").astype(np.int64))
    link.request_executions(MESZ6, at, ["a"])
    assert client.questions == [(900, "DU1", "20260105-14:30:59")], "a second before, in UTC"
    asyncio.run(client.process_exec_details_end(req_id=900))
    assert client.questions[1:] == [(901, "DU1", "")], "the whole day"
    asyncio.run(client.process_exec_details(req_id=901, **executed("a.02")))
    asyncio.run(client.process_exec_details_end(req_id=901))
    assert listener.told == [("a.02", "O-1", 2, 6000.25), ("all", True)]
    link.request_executions(MESZ6, at, ["a"])
    link.drop_requests()
    asyncio.run(client.process_exec_details_end(req_id=902))
    assert len(listener.told) == 2, "asked on a connection that is lost"


@pytest.mark.parametrize("usd", [None, -1.0, 1.7976931348623157e308, float("nan")])
def test_a_commission_that_is_not_known_is_not_told(
    link: BrokerLink, client: Client, listener: Listener, usd: float | None
) -> None:
    asyncio.run(client.process_commission_report(commission_report=SimpleNamespace(execId="a", commissionAndFees=usd)))
    asyncio.run(client.process_commission_report(commission_report=SimpleNamespace(execId="a", commissionAndFees=1.24)))
    assert listener.told == [("a", 1.24)]


def test_a_status_belongs_to_the_order_of_that_client_and_number(
    link: BrokerLink, client: Client, listener: Listener
) -> None:
    asyncio.run(client.process_open_order(order_id=5, contract=contract(), order=resting(),
                                          order_state=SimpleNamespace(status="Submitted")))  # fmt: skip
    asyncio.run(client.process_order_status(**status()))
    asyncio.run(client.process_order_status(**status(client_id=9, perm_id=99)))
    asyncio.run(client.process_order_status(**status(order_id=0, client_id=0, perm_id=77)))
    assert listener.told == [
        ("O-1", "STP", -3, 5990.25, "Submitted"),
        ("O-1", "Submitted", 1, 6000.25, ""),
        ("O-1", "Submitted", 1, 6000.25, ""),  # by the broker's number
    ]
    assert client._next_valid_order_id == 101


@pytest.mark.parametrize(("code", "meaning"), sorted(MEANINGS.items()))
def test_every_code_has_one_meaning(
    link: BrokerLink, client: Client, listener: Listener, code: int, meaning: str
) -> None:
    (order,) = bracket("O-1")
    client.place_order(order)
    asyncio.run(client.process_error(req_id=101, error_code=code, error_string="words"))
    asyncio.run(client.process_error(req_id=999, error_code=code, error_string="another's"))
    assert listener.told == [("O-1", meaning, code)]
    assert client.seen == ["error"] * 2


def test_after_a_duplicate_number_the_next_ones_are_far_above(link: BrokerLink, client: Client) -> None:
    client.place_order(*bracket("O-1"))
    asyncio.run(client.process_error(req_id=101, error_code=103, error_string="Duplicate order id"))
    assert client._next_valid_order_id > 200


def test_a_bracket_is_on_the_wire_when_its_last_order_is(link: BrokerLink, client: Client) -> None:
    entry, target, stop = bracket("entry", "target", "stop")
    client.place_order(entry)
    client.place_order(target)
    first_ns = link.wire_ns("entry")
    client.place_order(stop)
    assert client.placed == [("entry", 101), ("target", 102), ("stop", 103)]
    assert first_ns is not None
    assert (link.wire_ns("entry") or 0) > first_ns


@pytest.mark.parametrize("refused", ["entry", "target", "stop"])
def test_what_fails_in_the_middle_of_a_list_was_never_sent(
    link: BrokerLink, client: Client, listener: Listener, refused: str
) -> None:
    client.refuses = refused
    with pytest.raises(ValueError, match="not sent: broken pipe"):
        list(map(client.place_order, bracket("entry", "target", "stop")))
    names = ["entry", "target", "stop"]
    assert [name for name, _ in client.placed] == names[: names.index(refused)]
    assert link.wire_ns("entry") is None
    told = {(name, meaning) for name, meaning, _ in listener.told}
    assert told == {("entry", "never_sent"), (refused, "never_sent")}
    assert client.cancelled == ([] if refused == "entry" else [101]), "what rests there untransmitted"


def test_an_order_without_a_connection_was_never_sent(link: BrokerLink, client: Client, listener: Listener) -> None:
    client._eclient.isConnected = lambda: False
    with pytest.raises(ValueError, match="no connection to the gateway"):
        client.place_order(*bracket("O-9"))
    assert (client.placed, listener.told) == ([], [("O-9", "never_sent", 0)])


def test_orders_are_cancelled_by_number_and_those_not_sent_yet_are_not_sent(link: BrokerLink, client: Client) -> None:
    client.place_order(*bracket("O-1"))
    link.cancel("O-1")
    link.cancel("O-2")
    assert client.cancelled == [101]
    with pytest.raises(ValueError, match="cancelled before it was sent"):
        client.place_order(*bracket("O-2"))


def test_a_change_keeps_everything_but_size_and_price(link: BrokerLink, client: Client) -> None:
    _, stop = orders = bracket("entry", "stop")
    stop.transmit = False
    for order in orders:
        client.place_order(order)
    assert link.amend("stop", 2, 5991.25)
    assert not link.amend("unknown", 2, 5991.25)
    ((number, changed),) = client.changed
    assert number == 102
    assert (changed.totalQuantity, changed.auxPrice, changed.transmit) == (Decimal(2), 5991.25, True)
    assert (changed.orderRef, changed.parentId) == ("stop:102", 101)
    client._client_id = 2
    assert not link.amend("stop", 1, 5991.25), "orders of another client id cannot be changed"


def test_after_a_restart_an_order_is_changed_as_the_broker_lists_it(link: BrokerLink, client: Client) -> None:
    listed = resting(orderId=300, transmit=True)
    asyncio.run(client.process_open_order(order_id=300, contract=contract(), order=listed,
                                          order_state=SimpleNamespace(status="Submitted")))  # fmt: skip
    assert link.amend("O-1", 2, 5991.25)
    assert (client.changed[0][0], client.changed[0][1].auxPrice) == (300, 5991.25)
    assert client._next_valid_order_id == 301, "a used number would change the order that has it"


def test_the_brokers_clock_is_told_in_whole_seconds(link: BrokerLink, client: Client) -> None:
    assert link.clock_drift_s is None
    client._eclient.wrapper.currentTime(int(time.time()) - 30)
    assert link.clock_drift_s == pytest.approx(30, abs=1.0)
