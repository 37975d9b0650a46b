"""The simulated broker: the truth about orders, fills and positions, whatever its clients believe.

Everything happens at once and in order: a request or a price goes in, what clients are to be told is appended to
`Broker.events`. No sockets and no clock of its own, so a session replays identically.
"""

from collections.abc import Callable, Iterator, Sequence

from ibapi.protobuf.CompletedOrder_pb2 import CompletedOrder
from ibapi.protobuf.Contract_pb2 import Contract
from ibapi.protobuf.ErrorMessage_pb2 import ErrorMessage
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker import acceptance, groups
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.account import Account
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.judgement import BY_HAND, answer_to_order, answer_to_request, refusal_here
from adapters.ibkr.simulator.broker.matching import Execution, Quote, Slippage, every_fill, fills, in_pieces
from adapters.ibkr.simulator.broker.order_answers import (
    CANCELLED,
    HELD,
    NOTICES,
    SET_TO_DAY,
    OrderAnswers,
    refusal_with,
)
from adapters.ibkr.simulator.broker.orders import ENDED, WorkingOrder
from adapters.ibkr.simulator.broker.reports import Event as Event
from adapters.ibkr.simulator.broker.reports import Trade as Trade
from adapters.ibkr.simulator.broker.reports import completed_of, preview_of, time_text, trade_of
from adapters.ibkr.simulator.broker.rules import Answer, BrokerRules


class Broker:
    """Orders, executions and the account behind a simulated gateway.

    Parameters
    ----------
    account : Account
    contracts : sequence of ContractTerms
    now_ns : callable
        Simulated time, UTC nanoseconds.

    Attributes
    ----------
    slippage : Slippage
        Ticks by which fills are worse than the market; none unless it is set.
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
    rules : BrokerRules
        What it does where the documentation leaves it open.
    answers : OrderAnswers
        Faults: refusals and silences on demand; orders made by hand do not meet them.
    accounts : dict of str to Account
        Every account of the login, that of the parameter first.
    other_contracts : dict of int to ContractTerms
        Contracts that are known and may be held, but have no market of their own here.
    superseded : list of Trade
        Executions as they were before a correction.
    expired : set of int
        Contracts whose last trade is over.
    shown_ids : dict of int to int
        Greatest order number of all orders that each client has been shown.
    """

    def __init__(self, account: Account, contracts: Sequence[ContractTerms], now_ns: Callable[[], int]) -> None:
        self.account = account
        self.slippage: Slippage = every_fill(0)
        self.contracts = {terms.con_id: terms for terms in contracts}
        self.orders: dict[tuple[int, int], WorkingOrder] = {}
        self.trades: list[Trade] = []
        self.events: list[Event] = []
        self.account_changed = False
        self.halted = False
        self.largest_fill: int | None = None
        self.refuse_next: Refusal | None = None
        self.quotes: dict[int, Quote] = {}
        self.rules = BrokerRules()
        self.answers = OrderAnswers()
        self.accounts = {account.name: account}
        self.other_contracts: dict[int, ContractTerms] = {}
        self.superseded: list[Trade] = []
        self.expired: set[int] = set()
        self._fates: dict[tuple[int, int], Answer] = {}
        self._awake: set[int] = set()
        self.shown_ids: dict[int, int] = {}
        self._now_ns = now_ns
        self._perm_id = 1_000_000_000

    @property
    def marks(self) -> dict[int, int]:
        """Latest price of every contract in ticks."""
        return {con_id: quote.ticks for con_id, quote in self.quotes.items()}

    def find(self, wanted: Contract) -> list[ContractTerms]:
        """Contracts that a client's description means."""
        known = (*self.contracts.values(), *self.other_contracts.values())
        return [terms for terms in known if terms.is_meant_by(wanted)]

    def account_of(self, name: str) -> Account:
        """Account of a name; the first where it is none of the login's."""
        return self.accounts.get(name, self.account)

    def working(self, client_id: int | None = None) -> list[WorkingOrder]:
        """Orders that may still fill, of one client or of all, in the order of arrival."""
        return [
            order
            for order in self.orders.values()
            if order.is_working and order.status != "Untransmitted" and client_id in (None, order.client_id)
        ]

    def listed(self, client_id: int | None = None) -> list[WorkingOrder]:
        """Orders that a client sees as open: those that work, and inactive ones that stay in the list."""
        shown = [order for order in self.orders.values() if order.is_listed and client_id in (None, order.client_id)]
        orders = [*self.working(client_id), *shown]
        return sorted(orders, key=lambda order: order.perm_id) if shown else orders

    def next_order_id(self, client_id: int) -> int:
        """Smallest order number that a client has not used yet, or what the rules make of it."""
        if self.rules.next_id == "stuck":
            return 1
        everyone = self.rules.next_id == "above_all"
        return max((order_id for owner, order_id in self.orders if everyone or owner == client_id), default=0) + 1

    def place(self, client_id: int, request: PlaceOrderRequest) -> None:
        """Accept, modify, preview or refuse an order, as it deserves or as `answers` have it."""
        if self.answers and self._is_answered(client_id, request):
            return
        self.admit(client_id, request)

    def admit(self, client_id: int, request: PlaceOrderRequest) -> None:
        """Accept, modify, preview or refuse an order as it deserves."""
        known = self.orders.get((client_id, request.orderId))
        found = self.find(request.contract)
        refusal = acceptance.refusal_of(request.order, found[0]) if len(found) == 1 else acceptance.UNKNOWN_CONTRACT
        refusal = refusal or refusal_here(self, client_id, request, found[0])
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
        else:
            self._cancel(order)

    def cancel_all(self, client_id: int = BY_HAND) -> None:
        """Global cancel, asked for by a client; the rules say whose orders it reaches."""
        reach = self.rules.global_cancel
        for order in self.working(client_id if reach == "own" else None):
            if order.is_working and reach != "ignored" and not (reach == "api" and order.client_id == BY_HAND):
                self._cancel(order)

    def expire(self, now_ns: int) -> None:
        """End the contracts whose last trade is over."""
        for terms in self.contracts.values():
            if terms.last_trade_ns and now_ns >= terms.last_trade_ns and terms.con_id not in self.expired:
                self.end_contract(terms.con_id)

    def end_contract(self, con_id: int) -> None:
        """End a contract: its orders are cancelled, positions are settled at the last price without an execution."""
        self.expired.add(con_id)
        for order in list(self.orders.values()):
            if order.is_working and order.terms.con_id == con_id:
                self._end(order, "Cancelled")
        for account in self.accounts.values():
            account.settle(con_id, self.quotes[con_id].ticks)
        self.account_changed = True

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
                yield completed_of(order)

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

    def _is_answered(self, client_id: int, request: PlaceOrderRequest) -> bool:
        key, wanted = (client_id, request.orderId), request.order
        known, found = self.orders.get(key), self.find(request.contract)
        answer = answer_to_request(self, client_id, request, found[0] if found else None)
        if answer is None or answer == "dropped":
            return answer is not None
        if answer in NOTICES:
            self.send_error(client_id, request.orderId, refusal_with(int(answer)))
            wanted.tif = "DAY" if answer == SET_TO_DAY else wanted.tif
            return False
        if answer == "inactive" and known is not None and known.is_working:
            self._meet_fate(known, answer)
        elif known is None and answer in ("inactive", CANCELLED, HELD):
            self._fates[key] = answer
            return False
        elif isinstance(answer, int):
            self.send_error(client_id, request.orderId, refusal_with(answer))
        return True

    def _cancel(self, order: WorkingOrder) -> None:
        answer = answer_to_order(self, "cancel", order)
        if isinstance(answer, int):
            self.send_error(order.client_id, order.order_id, refusal_with(answer))
        elif answer == "dropped":
            return
        elif not order.is_working or order.status == "PendingCancel":
            self.send_error(order.client_id, order.order_id, acceptance.NOT_CANCELLABLE)
        elif answer == "pending_cancel":
            order.status = "PendingCancel"
            self._report(order)
        else:
            self._end(order, "Cancelled")

    def _meet_fate(self, order: WorkingOrder, fate: Answer | None) -> bool:
        if fate == HELD:
            order.why_held = "locate"
            self.send_error(order.client_id, order.order_id, refusal_with(HELD))
            return False
        if fate == "inactive":
            order.is_listed = True
            self._end(order, "Inactive", None)
        elif isinstance(fate, int):
            self._report(order)
            self._end(order, "Cancelled" if fate == CANCELLED else "Inactive", refusal_with(fate))
        return fate is not None

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
        if self._fates and self._meet_fate(order, self._fates.pop((order.client_id, order.order_id), None)):
            return
        if groups.parent_of(order, self.orders) is None:
            account = self.account_of(order.request.account)
            refusal = acceptance.margin_refusal(order, account, account.equity_cents(self.marks))
        if refusal is not None:
            self._end(order, "Inactive", refusal)
            return
        waits = order.is_stop or self.halted or groups.active_units(order, self.orders, self.rules) <= 0
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
        wanted = groups.active_units(order, self.orders, self.rules)
        if self.largest_fill is not None:
            wanted = min(wanted, self.largest_fill)
        executions = fills(order, quote, wanted, arriving, self.slippage)
        for execution in in_pieces(executions, self.rules.pieces):
            self._fill(order, execution)

    def _fill(self, order: WorkingOrder, execution: Execution) -> None:
        commission = order.terms.commission_cents(execution.units, order.filled)
        order.record_fill(execution.units, execution.ticks)
        account = self.account_of(order.request.account)
        realized = account.trade(order.terms, order.side * execution.units, execution.ticks, commission)
        self.account_changed = True
        if order.status == "Filled":
            order.completed_time = time_text(self._now_ns())
        trade = trade_of(order, execution, len(self.trades) + 1, self._now_ns(), realized, commission)
        self.trades.append(trade)
        self.events.append(Event(order.client_id, trade.details))
        self._report(order)
        self.events.append(Event(order.client_id, trade.commission))
        for other, units in groups.reductions(order, execution.units, self.orders, self.rules):
            other.units -= units
            if other.remaining == 0:
                self._end(other, "Cancelled")
            else:
                self._report(other)
        self._wake_children(order)

    def _wake_children(self, parent: WorkingOrder) -> None:
        for child in groups.children_of(parent, self.orders):
            if child.perm_id in self._awake or groups.active_units(child, self.orders, self.rules) <= 0:
                continue
            self._awake.add(child.perm_id)
            if self._meet_fate(child, answer_to_order(self, "activate", child)) or child.is_stop:
                continue
            child.status = "Submitted"
            self._report(child)

    def _preview(self, order: WorkingOrder) -> None:
        account = self.account_of(order.request.account)
        order.state = preview_of(order, account, account.equity_cents(self.marks))
        self.events.append(Event(order.client_id, order.to_open_order()))

    def _end(
        self, order: WorkingOrder, status: groups.EndStatus, refusal: Refusal | None = acceptance.CANCELLED
    ) -> None:
        was_routed, order.status = order.status == "Submitted", status
        order.completed_time = time_text(self._now_ns())
        if refusal is not None:
            self.send_error(order.client_id, order.order_id, refusal)
        self._report(order)
        if order.filled == 0 or self.rules.partly_filled_parent == "cancel":
            for child in groups.children_of(order, self.orders):
                self._end(child, "Cancelled")
        elif self.rules.children == "complete":
            self._wake_children(order)
        if was_routed and order.request.ocaGroup and self.rules.groups == "block":
            self._release_group(order.request.ocaGroup)

    def _release_group(self, group: str) -> None:
        for order in self.working():
            if order.is_working and order.request.ocaGroup == group and not groups.is_blocked(order, self.orders):
                self._meet_market(order)

    def _report(self, order: WorkingOrder) -> None:
        self.events.append(Event(order.client_id, order.to_open_order()))
        self.events.append(Event(order.client_id, order.to_status()))
