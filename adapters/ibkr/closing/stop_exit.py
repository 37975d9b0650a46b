"""Leave a position that has a stop so that it has one until the exit has filled.

The stop itself is moved through the market, to the price of the take profit. Where there is none, or the stop does not
fill, a market order joins the stop's one-cancels-all group, so that either ends the other. The stop is never cancelled:
if neither fills, the position keeps it.

Assumed of Interactive Brokers: the price of a working stop may be amended by the client that placed it, and a stop that
the market has passed triggers at once (https://interactivebrokers.github.io/tws-api/modifying_orders.html); orders of
one group end or reduce one another (https://interactivebrokers.github.io/tws-api/oca.html). If a broker holds back an
order that joins a group with a resting limit order, the take profit is in the way: it is cancelled before.
"""

import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from adapters.ibkr.closing.broker_answers import REFUSED, contract_name, one_line, order_of
from adapters.ibkr.closing.scope import CLOSING_REF, Scope
from adapters.ibkr.connection import ib_insync

WORKING = ("PreSubmitted", "Submitted")
POLL_S = 0.05
CANCEL_S = 1.0  # wait for the take profit's end at most so long
BEYOND = 0.005  # of the price: so far beyond the market a stop without a take profit is moved
HISTORY = "3600 S"


class StopExit:
    """Leaves by the stops of a scope; remembers what it sent over as many connections as it takes.

    Parameters
    ----------
    account : str
    timeout_s : float
        Wait so long for a fill.
    report : callable
        Receives one line for each action.
    """

    def __init__(self, account: str, timeout_s: float, report: Callable[[str], None]) -> None:
        self._account, self._timeout_s, self._report = account, timeout_s, report
        self._token = secrets.token_hex(3)
        self._sent = 0
        self._joined: set[int] = set()  # groups' stops, by the broker's number, whose exit may still fill

    def run(self, client: Any, scope: Scope) -> None:
        """Leave by every stop of the scope; what came of it is for the caller to ask.

        Parameters
        ----------
        client : ib_insync.IB
            Connected under the client id that placed the stops.
        scope : Scope

        Raises
        ------
        OSError, TimeoutError
            If the connection breaks or an answer does not come.
        """
        own = self._own(client, scope)
        moved = [stop for stop in own if _is_stop(stop) and self._move(client, stop, own)]
        self._await(client, moved)
        own = self._own(client, scope) if moved else own
        self._await(client, [self._join(client, stop, own, scope) for stop in own if self._may_join(stop, own)])

    def _own(self, client: Any, scope: Scope) -> list[Any]:
        shown = client.reqOpenOrders()
        return [trade for trade in shown if self._is_here(trade) and scope.owns(order_of(trade))]

    def _is_here(self, trade: Any) -> bool:
        return trade.order.account in ("", self._account) and trade.orderStatus.status in WORKING

    def _move(self, client: Any, stop: Any, own: Sequence[Any]) -> bool:
        target = _target(stop, own)
        price = target.order.lmtPrice if target is not None else None
        if price is None and not stop.order.ocaGroup:
            price = _beyond_the_market(client, stop)
        if price is None:
            return False
        self._report(f"moving the stop of {_named(stop)} through the market")
        stop.order.auxPrice, stop.order.transmit = float(price), True
        client.placeOrder(stop.contract, stop.order)
        return True

    def _may_join(self, stop: Any, own: Sequence[Any]) -> bool:
        if not _is_stop(stop) or not stop.order.ocaGroup or stop.order.permId in self._joined:
            return False
        return not any(_is_sibling(other, stop) and other.order.orderType == "MKT" for other in own)

    def _join(self, client: Any, stop: Any, own: Sequence[Any], scope: Scope) -> Any:
        self._cancel_targets(client, stop, own)
        self._sent += 1
        self._joined.add(stop.order.permId)
        number, left = client.client.getReqId(), stop.order.totalQuantity - stop.orderStatus.filled
        order = ib_insync.MarketOrder(
            stop.order.action, left, orderId=number, tif="DAY", outsideRth=True, account=self._account,
            orderRef=f"{CLOSING_REF}-{scope.tag}-{self._token}-{self._sent}",
            ocaGroup=stop.order.ocaGroup, ocaType=stop.order.ocaType,
        )  # fmt: skip

        def error(about: int, code: int, text: str, *_: Any) -> None:
            if about == number:
                self._report(f"exit of {_named(stop)}: {code} {one_line(text)}")
                if code in REFUSED:
                    self._joined.discard(stop.order.permId)

        client.errorEvent += error
        self._report(f"closing {_named(stop)} at the market, in the group of its stop")
        return client.placeOrder(stop.contract, order)

    def _cancel_targets(self, client: Any, stop: Any, own: Sequence[Any]) -> None:
        targets = [each for each in own if _is_sibling(each, stop) and each.order.orderType == "LMT"]
        for target in targets:
            client.client.cancelOrder(target.order.orderId, "")
        self._await(client, targets, CANCEL_S)

    def _await(self, client: Any, orders: Sequence[Any], timeout_s: float | None = None) -> None:
        until = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        while not all(order.isDone() for order in orders) and time.monotonic() < until:
            client.sleep(POLL_S)


def _is_stop(trade: Any) -> bool:
    return bool(trade.order.orderType == "STP")


def _is_sibling(other: Any, stop: Any) -> bool:
    return bool(other.contract.conId == stop.contract.conId and other.order.action == stop.order.action)


def _target(stop: Any, own: Sequence[Any]) -> Any:
    # A take profit that works is beyond the market, on the other side than the stop.
    return next((each for each in own if _is_sibling(each, stop) and each.order.orderType == "LMT"), None)


def _beyond_the_market(client: Any, stop: Any) -> float | None:
    bars = client.reqHistoricalData(
        stop.contract, "", HISTORY, "1 min", "TRADES", useRTH=False, formatDate=2, timeout=client.RequestTimeout
    )
    details = client.reqContractDetails(stop.contract)
    if not bars or not details:
        return None
    tick, is_sale = details[0].minTick, stop.order.action == "SELL"
    wanted = bars[-1].close * (1 + BEYOND if is_sale else 1 - BEYOND) / tick
    return float(round((math.ceil(wanted) if is_sale else math.floor(wanted)) * tick, 10))


def _named(trade: Any) -> str:
    return f"{trade.order.totalQuantity:g} {contract_name(trade.contract)}"
