"""Positions, orders and executions as ib_insync hands them over, asked for at once and in the terms of a flatten."""

import time
from decimal import Decimal
from typing import Any

from adapters.ibkr.closing.book import Executed
from adapters.ibkr.closing.scope import RestingOrder
from adapters.ibkr.connection import ib_insync

# After these nothing of an order works (https://interactivebrokers.github.io/tws-api/message_codes.html). After any
# other code it counts as working until its status or its executions say otherwise: 10349, 399 and 404 are notices.
REFUSED = frozenset({103, 110, 200, 201, 202, 203, 321, 322, 387, 388, 434, 460, 10289, 10293})


def ask(client: Any, account: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Positions and orders of all accounts, and the executions of one, with those told unasked.

    Raises
    ------
    OSError, TimeoutError
        If one of the answers does not come.
    """
    positions, trades, fills = client._run(
        client.reqPositionsAsync(),
        client.reqAllOpenOrdersAsync(),
        client.reqExecutionsAsync(ib_insync.ExecutionFilter(acctCode=account)),
    )
    return positions, trades, [*fills, *client.fills()]


def await_old_answers(client: Any) -> None:
    """Wait for what was asked before and given up.

    Positions and open orders are answered without a number: a late answer would pass for that to the next question.

    Raises
    ------
    TimeoutError
        If they do not come.
    """
    until = time.monotonic() + client.RequestTimeout
    while any(name in client.wrapper._futures for name in ("positions", "openOrders")):
        if time.monotonic() > until:
            raise TimeoutError
        client.sleep(0.05)


def execution_of(fill: Any) -> Executed:
    """Execution of an ``ib_insync.Fill``."""
    told = fill.execution
    side = 1 if told.side in ("BOT", "BUY") else -1
    return Executed(told.execId, fill.contract.conId, side * decimal(told.shares), told.clientId, told.orderRef)


def order_of(trade: Any) -> RestingOrder:
    """Order of an ``ib_insync.Trade``."""
    order = trade.order
    return RestingOrder(
        trade.contract.conId, order.clientId, order.orderId, order.permId, order.orderRef, order.account
    )


def contract_name(contract: Any) -> str:
    """What a person calls a contract."""
    return contract.localSymbol or contract.symbol or str(contract.conId)


def decimal(number: float) -> Decimal:
    """Units as the broker writes them."""
    return Decimal(str(number)).normalize()


def one_line(text: str) -> str:
    """Text of the broker without its line breaks."""
    return " ".join(text.split())
