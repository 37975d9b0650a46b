"""What the broker writes down about an order: the record of an execution, and the preview of a what-if order."""

from datetime import UTC, datetime
from typing import NamedTuple

from google.protobuf.message import Message
from ibapi.protobuf.CommissionAndFeesReport_pb2 import CommissionAndFeesReport
from ibapi.protobuf.CompletedOrder_pb2 import CompletedOrder
from ibapi.protobuf.Execution_pb2 import Execution as ExecutionReport
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.OrderState_pb2 import OrderState

from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.matching import Execution
from adapters.ibkr.simulator.broker.orders import WorkingOrder


class Event(NamedTuple):
    """A message for the client that owns the order."""

    client_id: int
    message: Message


class Trade(NamedTuple):
    """One execution as the broker keeps it."""

    client_id: int
    con_id: int
    units: int
    ticks: int
    ts_ns: int
    details: ExecutionDetails
    commission: CommissionAndFeesReport
    order_id: int = 0


def trade_of(order: WorkingOrder, execution: Execution, number: int, ts_ns: int, realized: int, fee: int) -> Trade:
    """Record of an execution.

    Parameters
    ----------
    order : WorkingOrder
        With the execution booked.
    execution : Execution
    number : int
        Counts all executions of the broker from 1.
    ts_ns : int
    realized, fee : int
        Cents that it realised and cost.
    """
    execution_id = f"{order.perm_id:08x}.{number:08x}.01.01"
    details = ExecutionDetails(
        reqId=-1,
        contract=order.terms.to_contract(),
        execution=ExecutionReport(
            orderId=order.shown_id, execId=execution_id, time=time_text(ts_ns), acctNumber=order.request.account,
            exchange=order.terms.exchange, side="BOT" if order.side > 0 else "SLD", shares=str(execution.units),
            price=order.terms.price(execution.ticks), permId=order.perm_id, clientId=order.client_id,
            cumQty=str(order.filled), avgPrice=order.average_price, orderRef=order.request.orderRef, lastLiquidity=2,
        ),
    )  # fmt: skip
    report = CommissionAndFeesReport(
        execId=execution_id, commissionAndFees=fee / 100, currency=order.terms.currency, realizedPNL=realized / 100
    )
    units = order.side * execution.units
    return Trade(order.client_id, order.terms.con_id, units, execution.ticks, ts_ns, details, report, order.order_id)


def completed_of(order: WorkingOrder) -> CompletedOrder:
    """Message *completed order*."""
    shown = order.to_open_order()
    state = OrderState(status=order.status, completedTime=order.completed_time, completedStatus=order.status)
    return CompletedOrder(contract=shown.contract, order=shown.order, orderState=state)


def preview_of(order: WorkingOrder, account: Account, equity: int) -> OrderState:
    """Margin in the account's base currency and commission of an order; ``equity`` is the account's, in cents."""
    change = (order.terms, order.side * order.units)
    before, after = account.margin_cents(True), account.margin_cents(True, change)
    kept_before, kept_after = account.margin_cents(False), account.margin_cents(False, change)
    commission = order.terms.commission_cents(order.units)
    unit = 100 * float(account.usd_per[account.base_currency])
    return OrderState(
        initMarginBefore=before / unit, initMarginAfter=after / unit, initMarginChange=(after - before) / unit,
        maintMarginBefore=kept_before / unit, maintMarginAfter=kept_after / unit,
        maintMarginChange=(kept_after - kept_before) / unit, equityWithLoanBefore=equity / unit,
        equityWithLoanAfter=(equity - commission) / unit, equityWithLoanChange=-commission / unit,
        commissionAndFees=commission / 100, commissionAndFeesCurrency=order.terms.currency,
    )  # fmt: skip


def time_text(ts_ns: int) -> str:
    """Time as TWS writes it, in UTC.

    Examples
    --------
    >>> time_text(1_767_623_400_000_000_000)
    '20260105 14:30:00 UTC'
    """
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y%m%d %H:%M:%S UTC")


def ns_of_time(text: str) -> int:
    """Time of a filter for executions, in the form that is UTC.

    Examples
    --------
    >>> ns_of_time("20260105-14:30:00")
    1767623400000000000
    """
    return int(datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1_000_000_000
