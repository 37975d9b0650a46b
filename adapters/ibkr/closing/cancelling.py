"""Cancel the orders of a scope: all at once where that is allowed, else each over a connection of its owner.

Assumed of Interactive Brokers: ``cancelOrder`` reaches only orders of the same client id, and orders made by hand in
TWS only under client id 0, which binds them; ``reqGlobalCancel`` reaches every order of every client and, as it takes
no account, those of every account of the login. Sources:
https://interactivebrokers.github.io/tws-api/cancel_order.html and
https://interactivebrokers.github.io/tws-api/open_orders.html. If a gateway refuses what is asked here, its words are
reported and the order counts as working.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from adapters.ibkr.closing.book import Pace
from adapters.ibkr.closing.scope import RestingOrder, Scope, WholeAccount
from adapters.ibkr.connection import GatewayError, connected_as

ANSWER_S = 2.0
POLL_S = 0.05
ENDED = ("Filled", "Cancelled", "ApiCancelled", "Inactive")


@dataclass
class _Asked:
    """How often an order was cancelled and when it may be again."""

    times: int = 0
    next_s: float = float("-inf")


class Cancelling:
    """Cancels the working orders of a scope, each a few times with growing pauses.

    Parameters
    ----------
    account : str
    scope : Scope
    pace : Pace
    report : callable
        Receives one line for each action.
    """

    def __init__(self, account: str, scope: Scope, pace: Pace, report: Callable[[str], None]) -> None:
        self._account, self._scope, self._pace, self._report = account, scope, pace, report
        self._asked: dict[tuple[int, int, int], _Asked] = {}

    def cancel(self, client: Any, resting: Sequence[RestingOrder]) -> None:
        """Cancel those of the working orders that are due."""
        now_s = time.monotonic()
        due = []
        for order in resting:
            asked = self._asked.setdefault(order.key, _Asked())
            if asked.times < self._pace.attempts and asked.next_s <= now_s:
                asked.times += 1
                asked.next_s = now_s + self._pace.after(asked.times)
                due.append(order)
        if not due:
            return
        self._report(f"cancelling {len(due)} working orders")
        if self.is_global(client):
            client.reqGlobalCancel()
        else:
            cancel_orders(client, due, client.RequestTimeout, self._report)

    def is_global(self, client: Any) -> bool:
        """Whether a global cancel reaches nothing outside the scope."""
        return isinstance(self._scope, WholeAccount) and client.managedAccounts() == [self._account]

    def is_over(self, resting: Sequence[RestingOrder]) -> bool:
        """Whether everything was tried for these orders."""
        asked = [self._asked.get(order.key, _Asked()) for order in resting]
        return all(each.times >= self._pace.attempts and each.next_s <= time.monotonic() for each in asked)


def cancel_orders(
    client: Any, orders: Sequence[RestingOrder], timeout_s: float, report: Callable[[str], None] = lambda _: None
) -> None:
    """Cancel orders one by one; whether they are gone is for the caller to ask.

    Parameters
    ----------
    client : ib_insync.IB
        Connected; orders of its own client id are cancelled over it.
    orders : sequence of RestingOrder
    timeout_s : float
        For a connection under another client id.
    report : callable
        Receives a line for every order that could not be cancelled.
    """

    def owner(order: RestingOrder) -> int:
        return order.client_id

    for client_id, own in groupby(sorted(orders, key=owner), key=owner):
        if client_id == client.client.clientId:
            for order in own:
                client.client.cancelOrder(order.order_id, "")
            continue
        wanted = {order.perm_id for order in own}
        try:
            with connected_as(client, client_id, timeout_s) as other:
                _cancel_own(other, wanted, report)
        except (GatewayError, OSError, TimeoutError) as error:
            report(f"{len(wanted)} orders of client {client_id} cannot be cancelled: {error or 'no answer'}")


def _cancel_own(client: Any, perm_ids: set[int], report: Callable[[str], None]) -> None:
    answered: set[int] = set()

    def note(about: int, code: int, text: str, *_: Any) -> None:
        if about in numbers and code != 202:
            report(f"order {about} of client {client.client.clientId} is not cancelled: {code} {text}")
            answered.add(about)

    if client.client.clientId == 0:
        client.reqAutoOpenOrders(True)
    # By the broker's number: the owner's may stand for another order by now.
    trades = {trade.order.orderId: trade for trade in client.reqOpenOrders() if trade.order.permId in perm_ids}
    numbers = set(trades)
    client.errorEvent += note
    for number in numbers:
        client.client.cancelOrder(number, "")
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        answered |= {number for number, trade in trades.items() if trade.orderStatus.status in ENDED}
        if answered >= numbers:
            break
        client.sleep(POLL_S)
    client.errorEvent -= note
