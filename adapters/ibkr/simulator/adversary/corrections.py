"""Execution corrections: the same execution told again under a number that differs after its last dot."""

from ibapi.protobuf.CommissionAndFeesReport_pb2 import CommissionAndFeesReport
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails

from adapters.ibkr.simulator.broker.broker import Broker, Event, Trade


def correct(broker: Broker, execution_id: str, units: int, ticks: int, told: bool = True) -> str:
    """Replace an execution by another quantity and price.

    Parameters
    ----------
    broker : Broker
    execution_id : str
        Number of the execution as last told.
    units : int
        Units, unsigned, at least one.
    ticks : int
        Price.
    told : bool
        Whether the order's owner is told at once; else it shows in later requests alone.

    Returns
    -------
    str
        The new number: ``….01`` becomes ``….02``.

    Raises
    ------
    KeyError
        If the broker knows no such execution.
    """
    index, old = _find(broker, execution_id)
    order = broker.orders[old.client_id, old.order_id]
    new_id, signed = next_revision(execution_id), order.side * max(1, units)
    cents_before = round(old.commission.commissionAndFees * 100)
    cents = order.terms.commission_cents(abs(signed))
    account = broker.account_of(order.request.account)
    account.trade(order.terms, -old.units, old.ticks, -cents_before)
    realized = account.trade(order.terms, signed, ticks, cents)
    change = abs(signed) - abs(old.units)
    order.units += change
    order.filled += change
    order.filled_tick_units += abs(signed) * ticks - abs(old.units) * old.ticks
    details, report = ExecutionDetails(), CommissionAndFeesReport()
    details.CopyFrom(old.details)
    execution = details.execution
    execution.execId, execution.shares, execution.price = new_id, str(abs(signed)), order.terms.price(ticks)
    execution.cumQty, execution.avgPrice = str(order.filled), order.average_price
    report.CopyFrom(old.commission)
    report.execId, report.commissionAndFees, report.realizedPNL = new_id, cents / 100, realized / 100
    broker.trades[index] = old._replace(units=signed, ticks=ticks, details=details, commission=report)
    broker.superseded.append(old)
    broker.account_changed = True
    if told:
        broker.events += [Event(old.client_id, details), Event(old.client_id, report)]
    return new_id


def next_revision(execution_id: str) -> str:
    """Number of the correction of an execution.

    Examples
    --------
    >>> next_revision("0000e1a7.65a1.01.01")
    '0000e1a7.65a1.01.02'
    """
    head, _, revision = execution_id.rpartition(".")
    return f"{head}.{int(revision) + 1:02d}"


def _find(broker: Broker, execution_id: str) -> tuple[int, Trade]:
    for index, trade in enumerate(broker.trades):
        if trade.details.execution.execId == execution_id:
            return index, trade
    raise KeyError(execution_id)
