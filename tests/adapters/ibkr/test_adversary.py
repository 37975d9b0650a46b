"""Messages that come late, twice, in another order, changed or not at all, with a clock of the tests' own."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from ibapi.protobuf.AllOpenOrdersRequest_pb2 import AllOpenOrdersRequest
from ibapi.protobuf.CurrentTimeRequest_pb2 import CurrentTimeRequest
from ibapi.protobuf.ExecutionRequest_pb2 import ExecutionRequest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from ibapi.protobuf.PositionsRequest_pb2 import PositionsRequest
from ibapi.protobuf.StartApiRequest_pb2 import StartApiRequest

from adapters.ibkr.simulator.adversary.channels import channel_of
from adapters.ibkr.simulator.adversary.delivery import LARGEST_DOUBLE
from adapters.ibkr.simulator.adversary.draw import random_adversary
from adapters.ibkr.simulator.adversary.policies import (
    FRIENDLY,
    ORDER_CHANNELS,
    Adversary,
    ChannelPolicy,
    CommissionPolicy,
    CorrectionPolicy,
    OtherAccount,
    StalePositions,
)
from adapters.ibkr.simulator.answers import handle
from adapters.ibkr.simulator.broker.rules import BrokerRules, OrderRule
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.wire.frames import encode_reply

MES_ID = 730283085
VERSION = 222


class Desk:
    """A gateway whose wall clock stands still, and one client of it."""

    def __init__(self, gateway: Gateway, terms: Any) -> None:
        self.gateway, self.terms = gateway, terms
        self.now_s = 100.0
        gateway.clock_s = lambda: self.now_s
        self.session = self.join(1)

    def join(self, client_id: int) -> ClientSession:
        """A further client, connected."""
        session = ClientSession(VERSION)
        handle(self.gateway, session, StartApiRequest(clientId=client_id))
        self.gateway.release()
        session.outbox.clear()
        return session

    def buy(self, order_id: int, units: int = 1, kind: str = "MKT", price: float = 0.0) -> None:
        """Order of client 1; negative units sell."""
        action = "BUY" if units > 0 else "SELL"
        order = Order(action=action, totalQuantity=str(abs(units)), orderType=kind, transmit=True, tif="GTC")
        order.lmtPrice, order.auxPrice = price, price
        self.ask(PlaceOrderRequest(orderId=order_id, contract=self.terms.to_contract(), order=order))

    def ask(self, request: Any) -> None:
        """Send a request."""
        handle(self.gateway, self.session, request)

    def wait(self, seconds: float) -> None:
        """Let the wall clock pass."""
        self.now_s += seconds
        self.gateway.release()

    def heard(self, kind: str = "") -> list[Any]:
        """Take what has arrived, of one kind or all."""
        messages, self.session.outbox = self.session.outbox, []
        return [message for message in messages if kind in ("", message.DESCRIPTOR.name)]

    def kinds(self) -> list[str]:
        """Take the kinds of what has arrived."""
        return [message.DESCRIPTOR.name for message in self.heard()]

    def units(self) -> int:
        """Position at the broker."""
        return self.gateway.broker.account.units(MES_ID)


@pytest.fixture
def desk(gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> Desk:
    """Market at 6001.50 (24006 ticks)."""
    return Desk(gateway_of(ib.minute_bars(*ib.RISING)), ib.MES)


def positions(desk: Desk) -> list[str]:
    desk.heard()
    desk.ask(PositionsRequest())
    return [row.position for row in desk.heard("Position")]


def test_a_friendly_gateway_has_no_way_of_its_own(desk: Desk) -> None:
    desk.gateway.behave(FRIENDLY)
    assert desk.gateway.delivery is None


@pytest.mark.parametrize("channel", ORDER_CHANNELS)
def test_every_channel_has_a_delay_of_its_own(desk: Desk, channel: Any) -> None:
    desk.gateway.behave(Adversary(channels={channel: ChannelPolicy(delay_s=(0.5, 0.5))}))
    late = desk.join(2)
    handle(desk.gateway, late, PositionsRequest())
    desk.buy(1)
    desk.buy(2, 1, "MOC")
    desk.ask(PositionsRequest())
    assert channel not in {channel_of(message) for message in (*desk.heard(), *late.outbox)}
    desk.wait(0.4)
    assert desk.heard() == []
    desk.wait(0.11)
    arrived = {channel_of(message) for message in (*desk.heard(), *late.outbox)}
    assert channel in arrived or channel in ("next_id", "accounts")


def test_a_delay_can_be_counted_in_steps_of_the_market(desk: Desk) -> None:
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(delay_steps=(3, 3))}))
    desk.buy(1)
    for _ in range(2):
        desk.gateway.step()
        desk.gateway.release()
    assert desk.heard("ExecutionDetails") == []
    desk.gateway.step()
    desk.gateway.release()
    assert len(desk.heard("ExecutionDetails")) == 1


def test_late_messages_keep_their_order_unless_they_may_overtake(desk: Desk) -> None:
    for overtakes in (False, True):
        policy = ChannelPolicy(delay_s=(0.0, 1.0), overtakes=overtakes)
        desk.gateway.behave(Adversary(seed=5, channels={"order_status": policy}))
        base = 100 * (1 + overtakes)
        for number in range(base, base + 20):
            desk.buy(number)
        for _ in range(100):
            desk.wait(0.02)
        told = [message.orderId for message in desk.heard("OrderStatus")]
        assert (told == sorted(told)) is not overtakes


def test_messages_are_told_again(desk: Desk) -> None:
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(repeats=2)}))
    desk.buy(1)
    assert len(desk.heard("ExecutionDetails")) == 3
    desk.ask(ExecutionRequest(reqId=4))
    kinds = desk.kinds()
    assert (kinds.count("ExecutionDetails"), kinds.count("ExecutionDetailsEnd")) == (3, 1)


def test_what_is_lost_is_shown_when_it_is_asked_for(desk: Desk) -> None:
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(loss=1.0)}))
    desk.buy(1)
    assert "ExecutionDetails" not in desk.kinds()
    desk.ask(ExecutionRequest(reqId=4))
    assert desk.kinds() == ["ExecutionDetails", "CommissionAndFeesReport", "ExecutionDetailsEnd"]


def test_rows_of_an_answer_may_be_lost_and_whole_answers_too(desk: Desk) -> None:
    desk.buy(1)
    desk.heard()
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(loss_in_answers=1.0)}))
    desk.ask(ExecutionRequest(reqId=4))
    assert desk.kinds() == ["CommissionAndFeesReport", "ExecutionDetailsEnd"]
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(unanswered=1.0)}))
    desk.ask(ExecutionRequest(reqId=5))
    assert desk.heard() == []


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((), ["ExecutionDetails", "OpenOrder", "OrderStatus", "CommissionAndFeesReport"]),
        (
            ("commission", "order_status", "execution"),
            ["CommissionAndFeesReport", "OpenOrder", "OrderStatus", "ExecutionDetails"],
        ),
    ],
)
def test_a_burst_has_the_order_that_is_asked_for(desk: Desk, order: Any, expected: list[str]) -> None:
    desk.buy(1, 1, "LMT", 6000.75)  # the next low
    desk.heard()
    desk.gateway.behave(Adversary(burst_order=order))
    while not desk.units():
        desk.gateway.step()
    assert desk.kinds() == expected


def test_positions_may_be_those_before_the_last_fills(desk: Desk) -> None:
    desk.gateway.behave(Adversary(stale_positions=StalePositions(fills=1, seconds=0.3)))
    desk.buy(1, 2)
    assert positions(desk) == []
    desk.wait(0.31)
    assert positions(desk) == ["2"]
    desk.buy(2, -2)
    assert positions(desk) == ["2"]
    desk.wait(0.31)
    assert [row.position for row in desk.heard("Position")] == ["0"]  # a subscription hears of it no earlier
    assert positions(desk) == ["0"]


def test_an_answer_that_comes_late_is_that_of_its_request(desk: Desk) -> None:
    desk.gateway.behave(Adversary(channels={"position": ChannelPolicy(delay_s=(1.0, 1.0))}))
    desk.buy(1, 3)
    desk.ask(PositionsRequest())
    desk.buy(2, -3)
    desk.wait(1.0)
    assert [row.position for row in desk.heard("Position")] == ["3", "0"]  # the second was not asked for


@pytest.mark.parametrize(("amount", "told"), [("pending", -1.0), ("unset", LARGEST_DOUBLE)])
def test_a_commission_may_be_told_wrongly_and_then_right(desk: Desk, amount: Any, told: float) -> None:
    desk.gateway.behave(Adversary(commissions=CommissionPolicy(amount, corrected_after_s=1.0)))
    desk.buy(1, 2)
    assert [report.commissionAndFees for report in desk.heard("CommissionAndFeesReport")] == [told]
    desk.ask(ExecutionRequest(reqId=4))
    assert [report.commissionAndFees for report in desk.heard("CommissionAndFeesReport")] == [told]
    desk.wait(1.0)
    assert [report.commissionAndFees for report in desk.heard("CommissionAndFeesReport")] == [1.24]
    desk.ask(ExecutionRequest(reqId=5))
    assert [report.commissionAndFees for report in desk.heard("CommissionAndFeesReport")] == [1.24]


@pytest.mark.parametrize("version", [176, 200, 222])
def test_the_largest_double_can_be_written_on_every_wire(desk: Desk, version: int) -> None:
    desk.gateway.behave(Adversary(commissions=CommissionPolicy("unset")))
    desk.buy(1)
    (report,) = desk.heard("CommissionAndFeesReport")
    assert len(encode_reply(report, version)) < 120


@pytest.mark.parametrize(("told", "both"), [(True, "last"), (False, "both")])
def test_an_execution_is_corrected_afterwards(desk: Desk, told: bool, both: Any) -> None:
    policy = CorrectionPolicy(1.0, units=1, ticks=2, after_s=0.5, told=told)
    desk.gateway.behave(Adversary(corrections=policy, rules=BrokerRules(corrections_in_requests=both)))
    desk.buy(1, 2)
    (first,) = desk.heard("ExecutionDetails")
    desk.wait(0.5)
    live = [message.execution.execId for message in desk.heard("ExecutionDetails")]
    corrected = first.execution.execId[:-2] + "02"
    assert (live, desk.units()) == ([corrected] if told else [], 3)
    desk.ask(ExecutionRequest(reqId=4))
    asked = [message.execution.execId for message in desk.heard("ExecutionDetails")]
    assert asked == ([first.execution.execId] if both == "both" else []) + [corrected]


def test_inactive_orders_stay_in_the_list_of_open_orders(desk: Desk) -> None:
    desk.gateway.behave(Adversary(orders=(OrderRule("inactive"),)))
    desk.buy(1, 1, "LMT", 6000.0)
    desk.heard()
    desk.ask(AllOpenOrdersRequest())
    assert [(message.orderId, message.status) for message in desk.heard("OrderStatus")] == [(1, "Inactive")]


def test_settings_that_change_elsewhere_keep_the_counts_of_answers(desk: Desk) -> None:
    adversary = Adversary(orders=(OrderRule(201, times=1),))
    desk.gateway.behave(adversary)
    desk.buy(1)
    desk.gateway.behave(msgspec.structs.replace(adversary, clock_offset_s=1.0))
    desk.buy(2)
    assert desk.units() == 1
    desk.gateway.behave(FRIENDLY)
    assert not desk.gateway.broker.answers


def test_a_master_client_hears_of_everybody(desk: Desk) -> None:
    other = desk.join(2)
    desk.gateway.behave(Adversary(tells_foreign=True))
    desk.buy(1)
    assert {"ExecutionDetails", "OrderStatus"} <= {message.DESCRIPTOR.name for message in other.outbox}


def test_the_clock_of_the_broker_is_told_with_its_offset(desk: Desk) -> None:
    desk.ask(CurrentTimeRequest())
    (true,) = desk.heard("CurrentTime")
    desk.gateway.behave(Adversary(clock_offset_s=-3.0))
    desk.ask(CurrentTimeRequest())
    assert desk.heard("CurrentTime")[0].currentTime == true.currentTime - 3


def test_a_login_may_have_several_accounts_in_euro(desk: Desk) -> None:
    adversary = Adversary(other_accounts=(OtherAccount("DU2", 3),), base_currency="EUR", usd_per_euro=1.25)
    desk.gateway.behave(adversary)
    fresh = ClientSession(VERSION)
    handle(desk.gateway, fresh, StartApiRequest(clientId=3))
    assert "DU1234567,DU2" in {getattr(message, "accountsList", "") for message in fresh.outbox}
    desk.ask(PositionsRequest())
    assert [(row.account, row.position) for row in desk.heard("Position")] == [("DU2", "3")]
    assert desk.gateway.broker.account.summary(desk.gateway.broker.marks)["NetLiquidation"] == "80000.00"


def test_what_is_late_for_a_client_that_left_is_dropped(desk: Desk) -> None:
    desk.gateway.behave(Adversary(channels={"execution": ChannelPolicy(delay_s=(1.0, 1.0))}))
    desk.buy(1)
    desk.heard()
    desk.gateway.leave(desk.session)
    desk.wait(1.0)
    assert desk.heard() == []


def test_the_same_seed_meets_the_same_answers(gateway_of: Callable[..., Gateway], ib: SimpleNamespace) -> None:
    def run(seed: int) -> list[str]:
        desk = Desk(gateway_of(ib.minute_bars(*ib.RISING)), ib.MES)
        policies = {channel: ChannelPolicy(delay_s=(0.0, 2.0), loss=0.3, repeats=1) for channel in ORDER_CHANNELS}
        desk.gateway.behave(Adversary(seed=seed, channels=policies))
        for number in range(1, 15):
            desk.buy(number, -1 if number % 2 else 1)
            desk.gateway.step()
            desk.wait(0.1)
        desk.wait(5.0)
        return desk.kinds()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_random_adversaries_repeat_and_cover_everything() -> None:
    drawn = [random_adversary(seed, expires=True) for seed in range(300)]
    assert drawn == [random_adversary(seed, expires=True) for seed in range(300)]
    for struct in (
        Adversary,
        BrokerRules,
        ChannelPolicy,
        OrderRule,
        CommissionPolicy,
        CorrectionPolicy,
        StalePositions,
    ):
        for name in struct.__struct_fields__:
            if (struct, name) in ((Adversary, "usd_per_euro"), (OrderRule, "client_id")):
                continue
            assert len({str(getattr(each, name)) for each in _parts(drawn, struct)}) > 1, (struct, name)
    assert {rule.answer for each in drawn for rule in each.orders} >= {
        103, 110, 200, 201, 202, 203, 321, 399, 404, 460, 161, 10147, 10148, 10289, 10293, 10349,
        "inactive", "pending_cancel", "dropped",
    }  # fmt: skip
    assert {channel for each in drawn for channel in each.channels} == set(ORDER_CHANNELS)
    assert "expire" in {act.name for each in drawn for act in each.acts}


def _parts(drawn: list[Adversary], struct: Any) -> list[Any]:
    fields = [value for each in drawn for value in (each, *(getattr(each, name) for name in each.__struct_fields__))]
    fields += [policy for each in drawn for policy in each.channels.values()]
    fields += [rule for each in drawn for rule in each.orders]
    return [value for value in fields if type(value) is struct]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_clients_are_told_the_books_of_the_broker_add_up(desk: Desk, seed: int) -> None:
    desk.gateway.behave(random_adversary(seed))
    broker = desk.gateway.broker
    account = next(iter(broker.accounts))
    for number in range(1, 40):
        kind, price = (("MKT", 0.0), ("LMT", 6000.0), ("STP", 6010.0))[number % 3]
        side = 1 if (number + seed) % 2 else -1
        order = Order(action="BUY" if side > 0 else "SELL", totalQuantity="2", orderType=kind, transmit=number % 5 > 0)
        order.lmtPrice, order.auxPrice, order.account, order.tif = price, price, account, "GTC"
        order.parentId = number - 1 if number % 5 == 1 else 0
        desk.ask(PlaceOrderRequest(orderId=number, contract=desk.terms.to_contract(), order=order))
        if number % 4 == 0:
            broker.cancel(1, number - 1)
        desk.gateway.step()
        desk.wait(0.2)
    mine = [trade for trade in broker.trades if trade.con_id == MES_ID]
    assert broker.accounts[account].units(MES_ID) == sum(trade.units for trade in mine)
    assert all(0 <= order.filled <= order.units for order in broker.orders.values())


def test_an_adversary_can_be_written_as_yaml() -> None:
    adversary = random_adversary(3)
    assert msgspec.yaml.decode(msgspec.yaml.encode(adversary), type=Adversary) == adversary
