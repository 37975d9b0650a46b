"""The simulated broker: the truth about orders, fills and positions, whatever its clients believe.

Everything happens at once and in order: a request or a price goes in, what clients are to be told is appended to
`Broker.events`. No sockets and no clock of its own, so a session replays identically.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from google.protobuf.message import Message
from ibapi.protobuf.CommissionAndFeesReport_pb2 import CommissionAndFeesReport
from ibapi.protobuf.CompletedOrder_pb2 import CompletedOrder
from ibapi.protobuf.Contract_pb2 import Contract
from ibapi.protobuf.ErrorMessage_pb2 import ErrorMessage
from ibapi.protobuf.Execution_pb2 import Execution as ExecutionReport
from ibapi.protobuf.ExecutionDetails_pb2 import ExecutionDetails
from ibapi.protobuf.OrderState_pb2 import OrderState
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker import acceptance, groups
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Execution, Quote, fills
from adapters.ibkr.simulator.broker.orders import ENDED, WorkingOrder


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


class Broker:
    """Orders, executions and the account behind a simulated gateway.

    Parameters
    ----------
    account : Account
    contracts : sequence of ContractTerms
    now_ns : callable
        Simulated time, UTC nanoseconds.
    slippage_ticks : int
        Every fill is so many ticks worse than the market, limits included, as NautilusTrader's fill model does it.

    Attributes
    ----------
    orders : dict of (client_id, order_id) to WorkingOrder
        Every order ever accepted, ended ones included.
    trades : list of Trade
        Every execution, in order.
    events : list of Event
        What clients are to be told; whoever delivers it empties the list.
    account_changed : bool
        Set by every fill.
    halted : bool
        While true nothing matches and orders wait.
    largest_fill : int or None
        Fault: at most so many units per order and price.
    refuse_next : Refusal or None
        Fault: the next order is refused with this.
    """

    def __init__(
        self, account: Account, contracts: Sequence[ContractTerms], now_ns: Callable[[], int], slippage_ticks: int = 0
    ) -> None:
        self.account = account
        self.slippage_ticks = slippage_ticks
        self.contracts = {terms.con_id: terms for terms in contracts}
        self.orders: dict[tuple[int, int], WorkingOrder] = {}
        self.trades: list[Trade] = []
        self.events: list[Event] = []
        self.account_changed = False
        self.halted = False
        self.largest_fill: int | None = None
        self.refuse_next: Refusal | None = None
        self.quotes: dict[int, Quote] = {}
        self._now_ns = now_ns
        self._perm_id = 1_000_000_000

    @property
    def marks(self) -> dict[int, int]:
        """Latest price of every contract in ticks."""
        return {con_id: quote.ticks for con_id, quote in self.quotes.items()}

    def find(self, wanted: Contract) -> list[ContractTerms]:
        """Contracts that a client's description means."""
        return [terms for terms in self.contracts.values() if terms.is_meant_by(wanted)]

    def working(self, client_id: int | None = None) -> list[WorkingOrder]:
        """Orders that may still fill, of one client or of all, in the order of arrival."""
        return [
            order
            for order in self.orders.values()
            if order.is_working and order.status != "Untransmitted" and client_id in (None, order.client_id)
        ]

    def next_order_id(self, client_id: int) -> int:
        """Smallest order number that a client has not used yet."""
        return max((order_id for owner, order_id in self.orders if owner == client_id), default=0) + 1

    def place(self, client_id: int, request: PlaceOrderRequest) -> None:
        """Accept, modify, preview or refuse an order."""
        known = self.orders.get((client_id, request.orderId))
        found = self.find(request.contract)
        refusal = acceptance.refusal_of(request.order, found[0]) if len(found) == 1 else acceptance.UNKNOWN_CONTRACT
        if refusal is None and self.refuse_next is not None and not request.order.whatIf:
            refusal, self.refuse_next = self.refuse_next, None
        if refusal is not None:
            self.send_error(client_id, request.orderId, refusal)
        elif request.order.whatIf:
            self._preview(self._order_of(client_id, request, found[0]))
        elif known is None and groups.is_over(request.order.ocaGroup, self.orders):
            self.send_error(client_id, request.orderId, acceptance.GROUP_OVER)
        elif known is None:
            self._accept(self._order_of(client_id, request, found[0]))
        elif known.is_working:
            self._modify(known, request)
        else:
            over = known.status == "Filled"
            self.send_error(client_id, request.orderId, acceptance.FILLED_ALREADY if over else acceptance.DUPLICATE_ID)

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel one order of a client, and with it the children that wait for it."""
        order = self.orders.get((client_id, order_id))
        if order is None:
            self.send_error(client_id, order_id, acceptance.not_found(order_id))
        elif order.is_working:
            self._end(order, "Cancelled")
        else:
            self.send_error(client_id, order_id, acceptance.NOT_CANCELLABLE)

    def cancel_all(self) -> None:
        """Cancel every order of every client."""
        for order in self.working():
            if order.is_working:
                self._end(order, "Cancelled")

    def quote(self, con_id: int, quote: Quote) -> None:
        """Take a new price and fill what it fills."""
        self.quotes[con_id] = quote
        if self.halted:
            return
        for order in self.working():
            if order.terms.con_id == con_id and order.is_working:
                self._match(order, quote, arriving=False)

    def resume(self) -> None:
        """End a halt: orders that waited meet the latest price."""
        self.halted = False
        for order in self.working():
            if order.is_working and order.terms.con_id in self.quotes:
                self._match(order, self.quotes[order.terms.con_id], arriving=True)

    def completed(self) -> Iterator[CompletedOrder]:
        """Messages *completed order* of everything that ended."""
        for order in self.orders.values():
            if order.status in ENDED:
                shown = order.to_open_order()
                state = OrderState(
                    status=order.status, completedTime=order.completed_time, completedStatus=order.status
                )
                yield CompletedOrder(contract=shown.contract, order=shown.order, orderState=state)

    def send_error(self, client_id: int, request_id: int, refusal: Refusal) -> None:
        """Queue an error message about a request or an order (-1: about nothing in particular)."""
        message = ErrorMessage(
            id=request_id, errorTime=self._now_ns() // 1_000_000, errorCode=refusal.code, errorMsg=refusal.text
        )
        self.events.append(Event(client_id, message))

    def _order_of(self, client_id: int, request: PlaceOrderRequest, terms: ContractTerms) -> WorkingOrder:
        wanted = request.order
        self._perm_id += 1
        order = WorkingOrder(
            client_id=client_id,
            order_id=request.orderId,
            perm_id=self._perm_id,
            terms=terms,
            request=wanted,
            units=int(float(wanted.totalQuantity)),
            side=1 if wanted.action == "BUY" else -1,
            limit_ticks=terms.ticks(wanted.lmtPrice) if "LMT" in wanted.orderType else None,
            stop_ticks=terms.ticks(wanted.auxPrice) if "STP" in wanted.orderType else None,
        )
        order.request.account = wanted.account or self.account.name
        return order

    def _accept(self, order: WorkingOrder) -> None:
        self.orders[order.client_id, order.order_id] = order
        if not order.request.transmit:
            order.status = "Untransmitted"
            return
        for member in groups.family(order, self.orders):
            if member.is_working:
                self._transmit(member)

    def _transmit(self, order: WorkingOrder) -> None:
        refusal = None
        if groups.parent_of(order, self.orders) is None:
            refusal = acceptance.margin_refusal(order, self.account, self.account.equity_cents(self.marks))
        if refusal is not None:
            self._end(order, "Inactive", refusal)
            return
        waits = order.is_stop or self.halted or groups.parent_of(order, self.orders) is not None
        order.status = "PreSubmitted" if waits else "Submitted"
        self._report(order)
        self._meet_market(order)

    def _modify(self, order: WorkingOrder, request: PlaceOrderRequest) -> None:
        changed = self._order_of(order.client_id, request, order.terms)
        order.request = changed.request
        order.units = max(changed.units, order.filled)
        order.limit_ticks, order.stop_ticks = changed.limit_ticks, changed.stop_ticks
        if order.status == "Untransmitted":
            self._accept(order)
        elif order.remaining == 0:
            self._end(order, "Cancelled")
        else:
            self._report(order)
            self._meet_market(order)

    def _meet_market(self, order: WorkingOrder) -> None:
        quote = self.quotes.get(order.terms.con_id)
        if quote is not None and not self.halted:
            self._match(order, quote, arriving=True)

    def _match(self, order: WorkingOrder, quote: Quote, arriving: bool) -> None:
        wanted = groups.active_units(order, self.orders)
        if self.largest_fill is not None:
            wanted = min(wanted, self.largest_fill)
        for execution in fills(order, quote, wanted, arriving, self.slippage_ticks):
            self._fill(order, execution)

    def _fill(self, order: WorkingOrder, execution: Execution) -> None:
        commission = order.terms.commission_cents(execution.units, order.filled)
        order.record_fill(execution.units, execution.ticks)
        realized = self.account.trade(order.terms, order.side * execution.units, execution.ticks, commission)
        self.account_changed = True
        if order.status == "Filled":
            order.completed_time = time_text(self._now_ns())
        trade = self._trade(order, execution, realized, commission)
        self.trades.append(trade)
        self.events.append(Event(order.client_id, trade.details))
        self._report(order)
        self.events.append(Event(order.client_id, trade.commission))
        for other, units in groups.reductions(order, execution.units, self.orders):
            other.units -= units
            if other.remaining == 0:
                self._end(other, "Cancelled")
            else:
                self._report(other)

    def _trade(self, order: WorkingOrder, execution: Execution, realized: int, commission: int) -> Trade:
        execution_id = f"{order.perm_id:08x}.{len(self.trades) + 1:08x}.01.01"
        details = ExecutionDetails(
            reqId=-1,
            contract=order.terms.to_contract(),
            execution=ExecutionReport(
                orderId=order.order_id, execId=execution_id, time=time_text(self._now_ns()),
                acctNumber=self.account.name, exchange=order.terms.exchange, side="BOT" if order.side > 0 else "SLD",
                shares=str(execution.units), price=order.terms.price(execution.ticks), permId=order.perm_id,
                clientId=order.client_id, cumQty=str(order.filled), avgPrice=order.average_price,
                orderRef=order.request.orderRef, lastLiquidity=2,
            ),
        )  # fmt: skip
        report = CommissionAndFeesReport(
            execId=execution_id, commissionAndFees=commission / 100, currency=order.terms.currency,
            realizedPNL=realized / 100,
        )  # fmt: skip
        units = order.side * execution.units
        return Trade(order.client_id, order.terms.con_id, units, execution.ticks, self._now_ns(), details, report)

    def _preview(self, order: WorkingOrder) -> None:
        equity = self.account.equity_cents(self.marks)
        change = (order.terms, order.side * order.units)
        before, after = self.account.margin_cents(True), self.account.margin_cents(True, change)
        kept_before, kept_after = self.account.margin_cents(False), self.account.margin_cents(False, change)
        commission = order.terms.commission_cents(order.units)
        order.state = OrderState(
            initMarginBefore=before / 100, initMarginAfter=after / 100, initMarginChange=(after - before) / 100,
            maintMarginBefore=kept_before / 100, maintMarginAfter=kept_after / 100,
            maintMarginChange=(kept_after - kept_before) / 100, equityWithLoanBefore=equity / 100,
            equityWithLoanAfter=(equity - commission) / 100, equityWithLoanChange=-commission / 100,
            commissionAndFees=commission / 100, commissionAndFeesCurrency=order.terms.currency,
        )  # fmt: skip
        self.events.append(Event(order.client_id, order.to_open_order()))

    def _end(self, order: WorkingOrder, status: groups.EndStatus, refusal: Refusal = acceptance.CANCELLED) -> None:
        order.status = status
        order.completed_time = time_text(self._now_ns())
        self.send_error(order.client_id, order.order_id, refusal)
        self._report(order)
        if order.filled == 0:
            for child in groups.children_of(order, self.orders):
                self._end(child, "Cancelled")

    def _report(self, order: WorkingOrder) -> None:
        self.events.append(Event(order.client_id, order.to_open_order()))
        self.events.append(Event(order.client_id, order.to_status()))


def time_text(ts_ns: int) -> str:
    """Time as TWS writes it, in UTC.

    Examples
    --------
    >>> time_text(1_767_623_400_000_000_000)
    '20260105 14:30:00 UTC'
    """
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y%m%d %H:%M:%S UTC")
