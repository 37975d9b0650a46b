"""What a session owns at the broker, as one look shows it: own units, own stops, own orders."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from adapters.ibkr.closing.book import Executions
from adapters.ibkr.closing.broker_answers import ask, contract_name, decimal, execution_of, order_of
from adapters.ibkr.closing.scope import OwnTrades
from run.trade.guard.decision import Holding

STOPS = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")
WORKING = ("PreSubmitted", "Submitted")
OVER = ("Filled", "Cancelled", "ApiCancelled", "Inactive")
ZERO = Decimal(0)


class BrokerView(NamedTuple):
    """One look.

    Attributes
    ----------
    holdings : tuple of Holding
    now : datetime
        The broker's clock.
    """

    holdings: tuple[Holding, ...]
    now: datetime


def look(client: Any, account: str, own: OwnTrades) -> BrokerView:
    """Ask the broker; changes nothing there.

    Parameters
    ----------
    client : ib_insync.IB
        Connected.
    account : str
    own : OwnTrades

    Raises
    ------
    OSError, TimeoutError
        If an answer does not come.
    """
    now = client.reqCurrentTime()
    positions, trades, fills = ask(client, account)
    executed = Executions((*own.carried(), *(execution_of(fill) for fill in fills if _is_on(account, fill))))
    shown = {row.contract.conId: decimal(row.position) for row in positions if row.account == account}
    names = {row.contract.conId: contract_name(row.contract) for row in (*positions, *trades, *fills)}
    resting = list({order_of(trade).key: trade for trade in trades if _is_resting(account, own, trade)}.values())
    holdings = tuple(
        _holding(con_id, names.get(con_id, str(con_id)), own, executed, shown.get(con_id, ZERO), resting)
        for con_id in sorted(own.con_ids)
    )
    return BrokerView(holdings, now)


def _is_on(account: str, fill: Any) -> bool:
    return bool(fill.execution.acctNumber == account)


def _is_resting(account: str, own: OwnTrades, trade: Any) -> bool:
    is_here = trade.order.account in ("", account) and trade.orderStatus.status not in OVER
    return is_here and own.owns(order_of(trade))


def _holding(
    con_id: int, name: str, own: OwnTrades, executed: Executions, shown: Decimal, resting: Iterable[Any]
) -> Holding:
    units = own.claims(con_id)(Executions(each for each in executed if each.con_id == con_id))
    held = ZERO if units * shown <= 0 else (min(units, shown) if units > 0 else max(units, shown))
    orders = [trade for trade in resting if trade.contract.conId == con_id]
    stopped = sum((_stops(trade, orders) for trade in orders if _closes(trade, units)), ZERO)
    return Holding(name, units, held, stopped, len(orders))


def _closes(trade: Any, units: Decimal) -> bool:
    order, status = trade.order, trade.orderStatus
    is_stop = order.orderType in STOPS and status.status in WORKING and not status.whyHeld
    return is_stop and (order.action == "SELL") == (units > 0)


def _stops(trade: Any, orders: Iterable[Any]) -> Decimal:
    left = decimal(trade.order.totalQuantity) - decimal(trade.orderStatus.filled)
    for other in orders:
        # A child works for as many units as its parent has filled.
        if trade.order.parentId and (other.order.clientId, other.order.orderId) == (
            trade.order.clientId,
            trade.order.parentId,
        ):
            return min(left, decimal(other.orderStatus.filled))
    return left
