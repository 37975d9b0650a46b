"""Whatever happens in between, a client that listens to the end knows the broker's truth, each fill exactly once."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ibapi.protobuf.CancelOrderRequest_pb2 import CancelOrderRequest
from ibapi.protobuf.GlobalCancelRequest_pb2 import GlobalCancelRequest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest
from ibapi.protobuf.PositionsRequest_pb2 import PositionsRequest
from ibapi.protobuf.StartApiRequest_pb2 import StartApiRequest

from adapters.ibkr.simulator.answers import handle
from adapters.ibkr.simulator.client_session import ClientSession
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.server import GatewayServer

NUMBERS = st.integers(1, 8)
PLACE = st.fixed_dictionaries(
    {
        "number": NUMBERS,
        "action": st.sampled_from(["BUY", "SELL"]),
        "units": st.integers(1, 5),
        "kind": st.sampled_from(["MKT", "LMT", "STP"]),
        "ticks": st.integers(-8, 8),
        "parent": st.one_of(st.just(0), NUMBERS),
        "group": st.sampled_from(["", "one", "two"]),
        "oca": st.sampled_from([1, 2, 3]),
        "transmit": st.booleans(),
    }
)
FAULT = st.sampled_from(
    [
        ("servers_lost", 1), ("servers_back", 1), ("late_fills", 1), ("late_fills", 0), ("halt", 1), ("halt", 0),
        ("partial_fills", 1), ("partial_fills", 0), ("reject_order", 1), ("data_farm", 0), ("data_farm", 1),
    ]
)  # fmt: skip
ACT = st.one_of(
    st.tuples(st.just("place"), PLACE),
    st.tuples(st.just("step"), st.integers(1, 6)),
    st.tuples(st.just("cancel"), NUMBERS),
    st.tuples(st.just("cancel all"), st.none()),
    st.tuples(st.just("fault"), FAULT),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACT, max_size=40))
def test_reports_add_up_to_the_truth(
    acts: list[tuple[str, Any]], gateway_of: Callable[..., Gateway], ib: SimpleNamespace
) -> None:
    gateway = gateway_of(ib.minute_bars(*ib.RISING, volume=12))
    server, session = GatewayServer(gateway), ClientSession(222)
    handle(gateway, session, StartApiRequest(clientId=1))
    handle(gateway, session, PositionsRequest())
    for name, value in acts:
        play(name, value, server, session, ib)
    for name, value in (("servers_back", 1), ("late_fills", 0)):
        FAULTS[name](server, value)
    check(gateway, session, ib)


def play(name: str, value: Any, server: GatewayServer, session: ClientSession, ib: SimpleNamespace) -> None:
    gateway = server.gateway
    if name == "step":
        server.step(value)
    elif name == "place":
        handle(
            gateway,
            session,
            PlaceOrderRequest(orderId=value["number"], contract=ib.MES.to_contract(), order=order(value)),
        )
    elif name == "cancel":
        handle(gateway, session, CancelOrderRequest(orderId=value))
    elif name == "cancel all":
        handle(gateway, session, GlobalCancelRequest())
    else:
        FAULTS[value[0]](server, value[1])


def order(wish: dict[str, Any]) -> Order:
    price = (24_006 + wish["ticks"]) / 4
    parent = wish["parent"] if wish["parent"] < wish["number"] else 0
    return Order(
        action=wish["action"], totalQuantity=str(wish["units"]), orderType=wish["kind"], lmtPrice=price, auxPrice=price,
        parentId=parent, ocaGroup=wish["group"], ocaType=wish["oca"], transmit=wish["transmit"],
    )  # fmt: skip


def check(gateway: Gateway, session: ClientSession, ib: SimpleNamespace) -> None:
    broker, told = gateway.broker, session.outbox
    kinds = {kind: [message for message in told if message.DESCRIPTOR.name == kind] for kind in KINDS}
    executed = [trade.details.execution.execId for trade in broker.trades]
    assert [message.execution.execId for message in kinds["ExecutionDetails"]] == executed
    assert [message.execId for message in kinds["CommissionAndFeesReport"]] == executed
    position = broker.account.units(ib.MES.con_id)
    assert position == sum(trade.units for trade in broker.trades)
    assert not broker.trades or int(kinds["Position"][-1].position) == position
    last = {message.orderId: message for message in kinds["OrderStatus"]}
    for (_, number), placed in broker.orders.items():
        assert 0 <= placed.filled <= placed.units
        if placed.status != "Untransmitted":
            assert (last[number].status, int(last[number].filled)) == (placed.status, placed.filled)
    # Cash is what the fills moved: bought and sold at their prices, less commission, plus what is still open.
    flow = -sum(trade.units * trade.ticks for trade in broker.trades) + position * broker.marks[ib.MES.con_id]
    commission = sum(round(trade.commission.commissionAndFees * 100) for trade in broker.trades)
    assert broker.account.equity_cents(broker.marks) == 10_000_000 + flow * 125 - commission


KINDS = ("ExecutionDetails", "CommissionAndFeesReport", "Position", "OrderStatus")
