"""Leave a position by its own stop: the stop's price is moved through the market, so that there is always a stop.

Assumed of Interactive Brokers: the price of a working stop may be amended by the client that placed it, and a stop that
the market has passed triggers at once (https://interactivebrokers.github.io/tws-api/modifying_orders.html). If that is
otherwise, or no take profit names a price beyond the market, nothing is lost: the stop still works.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from adapters.ibkr.closing.broker_answers import contract_name, order_of
from adapters.ibkr.closing.scope import Scope

WORKING = ("PreSubmitted", "Submitted")
POLL_S = 0.05


def leave_by_stops(client: Any, account: str, scope: Scope, timeout_s: float, report: Callable[[str], None]) -> int:
    """Move the stops of a scope to the price of their take profit, and wait until they have filled.

    Parameters
    ----------
    client : ib_insync.IB
        Connected under the client id that placed the orders.
    account : str
    scope : Scope
        Whose stops.
    timeout_s : float
    report : callable
        Receives one line for each action.

    Returns
    -------
    int
        Stops that have filled.

    Raises
    ------
    OSError, TimeoutError
        If the connection breaks or the orders are not told.
    """
    own = [trade for trade in client.reqOpenOrders() if _is_own(trade, account, scope)]
    moved = []
    for stop in own:
        price = _price_beyond(stop, own)
        if price is not None:
            report(f"moving the stop of {stop.order.totalQuantity:g} {contract_name(stop.contract)} through the market")
            stop.order.auxPrice, stop.order.transmit = price, True
            client.placeOrder(stop.contract, stop.order)
            moved.append(stop)
    until = time.monotonic() + timeout_s
    while not all(stop.isDone() for stop in moved) and time.monotonic() < until:
        client.sleep(POLL_S)
    return sum(stop.orderStatus.status == "Filled" for stop in moved)


def _is_own(trade: Any, account: str, scope: Scope) -> bool:
    is_here = trade.order.account in ("", account) and trade.orderStatus.status in WORKING
    return is_here and scope.owns(order_of(trade))


def _price_beyond(stop: Any, own: Sequence[Any]) -> float | None:
    # A take profit that works is beyond the market, on the other side than the stop.
    if stop.order.orderType != "STP":
        return None
    for other in own:
        is_same = other.contract.conId == stop.contract.conId and other.order.action == stop.order.action
        if is_same and other.order.orderType == "LMT":
            return float(other.order.lmtPrice)
    return None
