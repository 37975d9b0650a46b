"""What the simulated broker refuses, with the codes and words of TWS.

Source: https://interactivebrokers.github.io/tws-api/message_codes.html
"""

from typing import NamedTuple

from ibapi.protobuf.Order_pb2 import Order

from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.orders import ORDER_TYPES, WorkingOrder
from adapters.ibkr.simulator.wire.text_requests import ORDER_UNSUPPORTED


class Refusal(NamedTuple):
    """Error code and text of an order that is not accepted."""

    code: int
    text: str


UNKNOWN_CONTRACT = Refusal(200, "No security definition has been found for the request")
DUPLICATE_ID = Refusal(103, "Duplicate order id")
FILLED_ALREADY = Refusal(104, "Cannot modify a filled order.")
TIMES_IN_FORCE = ("", "GTC", "DAY")
REJECTED = 201
GROUP_OVER = Refusal(REJECTED, "Order rejected - reason:OCA group is already filled.")
MISSING_PARENT = Refusal(10006, "Missing parent order.")
GROUP_CHANGE = Refusal(10326, "OCA group revision is not allowed.")
NO_ACCOUNT = Refusal(435, "You must specify an account.")
WRONG_ACCOUNT = Refusal(321, "Error validating request: invalid account code")
NOT_CANCELLABLE = Refusal(161, "Cancel attempted when order is not in a cancellable state.")
CANCELLED = Refusal(202, "Order Canceled - reason:")


def not_found(order_id: int) -> Refusal:
    """Refusal to cancel an order that the broker does not know."""
    return Refusal(10147, f"OrderId {order_id} that needs to be cancelled is not found.")


def expired(code: int) -> Refusal:
    """Refusal of an order in a contract whose last trade is over."""
    return Refusal(code, "Order rejected - reason:The contract has expired")


def refusal_of(order: Order, terms: ContractTerms) -> Refusal | None:
    """Why an order is malformed, None where it is not."""
    if any(getattr(order, name) for name in ORDER_UNSUPPORTED):
        return Refusal(321, "Error validating request: the simulated gateway supports no scale, hedge or algorithm")
    if order.orderType not in ORDER_TYPES:
        return Refusal(387, "Unsupported order type for this exchange and security type.")
    if order.action not in ("BUY", "SELL"):
        return Refusal(321, f"Error validating request: action must be BUY or SELL, was {order.action!r}")
    if order.tif not in TIMES_IN_FORCE:
        return Refusal(321, f"Error validating request: time in force must be GTC or DAY, was {order.tif!r}")
    size = order.totalQuantity
    if not _is_whole(size) or float(size) <= 0:
        return Refusal(434, f"The order size must be a whole number above zero, was {size!r}")
    prices = [order.lmtPrice] * ("LMT" in order.orderType) + [order.auxPrice] * ("STP" in order.orderType)
    if any(terms.ticks(price) is None for price in prices):
        return Refusal(110, "The price does not conform to the minimum price variation for this contract.")
    return None


def margin_refusal(order: WorkingOrder, account: Account, equity_cents: int) -> Refusal | None:
    """Refusal of an order that would raise the initial margin above the equity."""
    now = account.margin_cents(initial=True)
    after = account.margin_cents(initial=True, change=(order.terms, order.side * order.remaining))
    if after <= now or after <= equity_cents:
        return None
    return Refusal(
        REJECTED,
        "Order rejected - reason:We are unable to accept your order. Your Available Funds are insufficient: "
        f"equity with loan value {equity_cents / 100:.2f} USD, initial margin {after / 100:.2f} USD",
    )


def _is_whole(size: str) -> bool:
    try:
        return float(size).is_integer()
    except ValueError:
        return False
