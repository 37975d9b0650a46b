"""What others do on the account: orders made by hand in TWS, other clients, holdings from elsewhere."""

from dataclasses import replace
from datetime import time
from decimal import Decimal

from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.broker import Broker
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.judgement import BY_HAND
from adapters.ibkr.simulator.broker.matching import Quote
from adapters.ibkr.simulator.broker.orders import WorkingOrder

FOREIGN_SHARE = ContractTerms(
    con_id=265598,
    symbol="AAPL",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="NASDAQ",
    local_symbol="AAPL",
    tick_size=Decimal("0.01"),
    commission_per_unit=Decimal("0.005"),
    commission_minimum=Decimal(1),
    isin="US0378331005",
    time_zone="US/Eastern",
    regular_open=time(9, 30),
    regular_close=time(16, 0),
)
EURO_SHARE = replace(
    FOREIGN_SHARE, con_id=14204, symbol="SAP", local_symbol="SAP", exchange="IBIS", primary_exchange="IBIS",
    isin="DE0007164600", currency="EUR", time_zone="Europe/Berlin",
)  # fmt: skip
FOREIGN_TICKS = 20_000
OTHER_CLIENT = 77
FAR_TICKS = 400  # by which resting orders of others lie away from the market


def add_account(broker: Broker, name: str, cash_cents: int, units: int = 0) -> None:
    """Add an account to the login, with so many units of the first contract; one that is known stays as it is."""
    if name not in broker.accounts:
        first = next(iter(broker.contracts.values()))
        account = Account(name, cash_cents, broker.account.base_currency, broker.account.usd_per)
        account.hold(first, Decimal(units), broker.quotes[first.con_id].ticks)
        broker.accounts[name] = account


def list_share(broker: Broker, terms: ContractTerms = FOREIGN_SHARE, ticks: int = FOREIGN_TICKS) -> ContractTerms:
    """Let the broker know a share that nobody here trades."""
    if terms.con_id not in broker.quotes:
        broker.other_contracts[terms.con_id] = terms
        broker.quotes[terms.con_id] = Quote(ticks, 1_000_000, opens=False)
    return terms


def by_hand(broker: Broker, terms: ContractTerms, units: int, kind: str = "MKT", ticks: int = 0) -> WorkingOrder | None:
    """Order made in TWS: client 0, number 0 and no reference on the wire.

    Parameters
    ----------
    broker : Broker
    terms : ContractTerms
    units : int
        Signed.
    kind : {"MKT", "LMT", "STP"}
    ticks : int
        Price, unless at the market.

    Returns
    -------
    WorkingOrder or None
        None where it was refused.
    """
    number = min((order_id for client_id, order_id in broker.orders if client_id == BY_HAND), default=0) - 1
    return _place(broker, BY_HAND, number, terms, units, kind, ticks, "")


def by_client(
    broker: Broker, terms: ContractTerms, units: int, kind: str = "MKT", ticks: int = 0,
    client_id: int = OTHER_CLIENT, order_id: int | None = None, order_ref: str = "",
) -> WorkingOrder | None:  # fmt: skip
    """Order of another API client, by default under the number that somebody else's newest order has."""
    taken = max((number for owner, number in broker.orders if owner not in (client_id, BY_HAND)), default=1)
    number = taken if order_id is None else order_id
    while (client_id, number) in broker.orders:
        number += 1
    return _place(broker, client_id, number, terms, units, kind, ticks, order_ref)


def resting_ticks(broker: Broker, terms: ContractTerms, units: int) -> int:
    """Price of a limit order far from the market."""
    side = 1 if units > 0 else -1
    return max(1, broker.quotes[terms.con_id].ticks - side * FAR_TICKS)


def _place(
    broker: Broker, client_id: int, number: int, terms: ContractTerms, units: int, kind: str, ticks: int, order_ref: str
) -> WorkingOrder | None:
    order = Order(
        action="BUY" if units > 0 else "SELL", totalQuantity=str(abs(units)), orderType=kind, tif="GTC", transmit=True,
        orderRef=order_ref, account=broker.account.name, outsideRth=True,
    )  # fmt: skip
    if kind == "LMT":
        order.lmtPrice = terms.price(ticks)
    elif kind == "STP":
        order.auxPrice = terms.price(ticks)
    broker.admit(client_id, PlaceOrderRequest(orderId=number, contract=terms.to_contract(), order=order))
    return broker.orders.get((client_id, number))
