"""The broker over the trading node's connection: what it says of orders, and what only it can answer.

NautilusTrader hides an execution until its commission comes, logs most error codes only, and guesses where it hears
nothing. `BrokerLink` passes every message to its listeners before NautilusTrader sees it, and asks the broker itself.
No answer is None: unknown is not flat. New orders leave through NautilusTrader; cancels and changes leave here, by the
broker's own number, because NautilusTrader refuses both for orders that its cache takes for closed.
"""

import asyncio
import contextlib
import copy
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any

from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId

from adapters.ibkr.client_socket import GatewayServers, send_silently, sending
from adapters.ibkr.clock import ClockOffset
from adapters.ibkr.node_questions import ExecutionQuestions, answer_to, bars_until, drop_unread, forget_questions
from adapters.ibkr.order_errors import meaning_of
from adapters.ibkr.order_numbers import OrderNumbers
from adapters.ibkr.order_reports import (
    BrokerFill,
    BrokerState,
    OrderAnswer,
    OrderListener,
    OrderStatus,
    fill_of,
    known_commission,
    order_of,
)

LONGEST_PAUSE_S = 10  # between two attempts to reconnect
DUPLICATE_ID = 103
AFTER_ORDERS_S = 0.05
ID_LEAP = 100  # order numbers to skip where the next one is known to be taken


class BrokerLink:
    """Connection, account and history of the traded contracts, through the clients of a built TradingNode.

    Made by `build_node`; every question goes over the node's own connection.
    """

    def __init__(self, account: str, *instrument_ids: str) -> None:
        self._account = account
        self._instrument_ids = instrument_ids
        self._client: Any = None
        self._execution: Any = None
        self._questions: Any = None
        self._servers: Any = None
        self._listeners: dict[str, OrderListener] = {}
        self._con_ids: dict[str, int] = {}
        self._wire_ns: dict[str, int] = {}
        self._numbers = OrderNumbers()
        self._orders: dict[str, Any] = {}  # as last sent by this process, otherwise as listed
        self._fills: dict[str, dict[str, BrokerFill]] = {name: {} for name in instrument_ids}
        self._cancelled_early: set[str] = set()
        self._clock = ClockOffset()
        self.failure: Exception | None = None

    def attach(self, execution_client: Any) -> None:
        """Use the node's execution client; called by the node's factory."""
        self._execution = execution_client
        self._client = client = execution_client._client
        self._questions, self._servers = ExecutionQuestions(client, self._account), GatewayServers(client)
        send_silently(execution_client)
        client.place_order = self._noting(client.place_order)
        client.next_order_id = self._next_order_id
        client._eclient.wrapper.currentTime = self._note_time
        # Both spell out every message for a log that is off, which takes as long as sending it.
        client._eclient.logRequest = client._eclient.wrapper.logAnswer = lambda *_: None
        for name, take in (
            ("process_exec_details", self._take_execution),
            ("process_exec_details_end", self._take_executions_end),
            ("process_commission_report", self._take_commission),
            ("process_order_status", self._take_status),
            ("process_open_order", self._take_order),
            ("process_error", self._take_error),
        ):
            setattr(client, name, self._tapped(getattr(client, name), take))

    def listen(self, instrument_id: str, listener: OrderListener) -> None:
        """Tell a listener from now on what the broker says of orders, and of executions in this contract."""
        self._listeners[instrument_id] = listener

    # Sending ------------------------------------------------------------------------------------------------------

    def _noting(self, place: Callable[[Any], None]) -> Callable[[Any], None]:
        def place_and_note(order: Any) -> None:
            name = order.orderRef
            try:
                # NautilusTrader would wait for ever for the answer to an order that never left.
                if not self._is_open():
                    raise ValueError("no connection to the gateway")
                if name in self._cancelled_early:
                    raise ValueError("cancelled before it was sent")
                self._note_number(name, self._client_id, order.orderId, 0)
                self._orders[name] = order
                with sending(self._client, is_last=order.transmit):
                    place(order)
            except (OSError, ValueError) as error:
                self._note_unsent(name, order, f"not sent: {error}")
                raise ValueError(f"not sent: {error}") from error  # NautilusTrader then refuses the order
            now_ns = time.time_ns()
            self._wire_ns[name] = now_ns
            parent = self._parent(order)
            if parent and order.transmit:
                self._wire_ns[parent] = now_ns  # nothing of a bracket works before its last order

        return place_and_note

    def _next_order_id(self) -> int:
        # NautilusTrader requests the next number with every order, before it sends that: here that comes after.
        order_id = int(self._client._next_valid_order_id)
        self._client._next_valid_order_id = order_id + 1
        with contextlib.suppress(RuntimeError):  # no loop: nothing is sent
            asyncio.get_running_loop().call_later(AFTER_ORDERS_S, self._request_ids)
        return order_id

    def _request_ids(self) -> None:
        if self.is_connected():
            self._client._eclient.reqIds(-1)

    def _note_unsent(self, name: str, order: Any, reason: str) -> None:
        names = [name]
        parent = self._parent(order)
        if parent:
            names.append(parent)
            if self.is_connected():
                self._client.cancel_order(order.parentId)  # it rests there untransmitted
        for each in names:
            self._wire_ns.pop(each, None)
            self._answer_of(each, reason)

    def _parent(self, order: Any) -> str:
        return self._numbers.ref(self._client_id, order.parentId) if order.parentId else ""

    def _answer_of(self, name: str, reason: str) -> None:
        self._tell(lambda listener: listener.on_answer(OrderAnswer(name, "never_sent", 0, reason)))

    def cancel(self, client_order_id: str) -> None:
        """Cancel an own order; one that has not been sent yet is not sent any more."""
        number = self._numbers.of(client_order_id)
        if number is None:
            self._cancelled_early.add(client_order_id)
        elif self.is_connected() and number[0] == self._client_id:
            # On one connection the gateway hears of the order first.
            self._client.cancel_order(number[1])

    def amend(self, client_order_id: str, units: int, price: float) -> bool:
        """Change size and price of an own order that works; False where it cannot be sent now.

        Parameters
        ----------
        client_order_id : str
        units : int
            Size, filled units included.
        price : float
            Trigger or limit price.
        """
        number, order = self._numbers.of(client_order_id), self._orders.get(client_order_id)
        if number is None or order is None or number[0] != self._client_id or not self.is_connected():
            return False
        changed = copy.copy(order)
        changed.totalQuantity = type(order.totalQuantity)(units)
        if order.orderType.startswith("STP"):
            changed.auxPrice = price
        else:
            changed.lmtPrice = price
        changed.transmit = True
        try:
            self._client._eclient.placeOrder(number[1], changed.contract, changed)
        except OSError:
            return False
        self._orders[client_order_id] = changed
        return True

    def wire_ns(self, client_order_id: str) -> int | None:
        """Clock when an order was written to the socket, UTC nanoseconds; None where it was not."""
        return self._wire_ns.get(client_order_id)

    # What the broker says -----------------------------------------------------------------------------------------

    def _tapped(self, process: Callable[..., Awaitable[None]], take: Callable[..., None]) -> Callable[..., Any]:
        async def tap(**message: Any) -> None:
            try:
                take(**message)
            except Exception as error:  # noqa: BLE001 - NautilusTrader's reader must go on
                self.failure = error
            await process(**message)

        return tap

    def _tell(self, tell: Callable[[OrderListener], None], instrument_id: str = "") -> None:
        for name, listener in self._listeners.items():
            if instrument_id in ("", name):  # a status names no contract; who does not know the order ignores it
                tell(listener)

    def _take_execution(self, req_id: int, contract: Any, execution: Any) -> None:
        self._questions.note(req_id, execution.execId)
        instrument_id = self._instrument_of(contract)
        if execution.acctNumber != self._account or not instrument_id:
            return
        fill = fill_of(contract, execution)
        if not fill.order_ref:
            fill = replace(fill, order_ref=self._numbers.ref(fill.client_id, fill.order_id, fill.perm_id))
        else:
            self._note_number(fill.order_ref, fill.client_id, fill.order_id, fill.perm_id)
        self._fills[instrument_id][fill.trade_id] = fill
        self._tell(lambda listener: listener.on_execution(fill), instrument_id)

    def _take_executions_end(self, req_id: int) -> None:
        told = self._questions.end(req_id)
        if told is not None:
            instrument_id, asked_ns = told
            self._tell(lambda listener: listener.on_told(asked_ns), instrument_id)

    def _take_commission(self, commission_report: Any, **_: Any) -> None:
        usd = known_commission(commission_report.commissionAndFees)
        if usd is not None:
            name = next((name for name, fills in self._fills.items() if commission_report.execId in fills), "")
            self._tell(lambda listener: listener.on_commission(commission_report.execId, usd), name)

    def _take_status(self, order_id: int, status: str, perm_id: int, client_id: int, **more: Any) -> None:
        name = self._numbers.ref(client_id, order_id, perm_id)
        if name:
            told = OrderStatus(
                name, status, int(more["filled"]), float(more["avg_fill_price"]), more.get("why_held") or ""
            )
            self._tell(lambda listener: listener.on_status(told))

    def _take_order(self, contract: Any, order: Any, order_state: Any, **_: Any) -> None:
        if order.account != self._account or not self._instrument_of(contract) or order.whatIf:
            return
        listed = order_of(order, order_state.status)
        if not listed.order_ref:
            return
        self._note_number(listed.order_ref, listed.client_id, listed.order_id, listed.perm_id)
        if listed.order_ref not in self._orders:
            kept = copy.copy(order)
            kept.contract = contract
            self._orders[listed.order_ref] = kept
        self._tell(lambda listener: listener.on_listed(listed))

    def _take_error(self, req_id: int, error_code: int, error_string: str, **_: Any) -> None:
        self._servers.hear(error_code)
        name, client = self._numbers.ref(self._client_id, req_id), self._client
        if not name or client._subscriptions.get(req_id=req_id) or client._requests.get(req_id=req_id):
            return
        if error_code == DUPLICATE_ID:
            self._skip_numbers(self._client._next_valid_order_id + ID_LEAP)
        answer = OrderAnswer(name, meaning_of(error_code), error_code, error_string.replace("\n", " "))
        self._tell(lambda listener: listener.on_answer(answer))

    def _note_number(self, name: str, client_id: int, order_id: int, perm_id: int) -> None:
        self._numbers.note(name, client_id, order_id, perm_id)
        if order_id > 0 and client_id == self._client_id:
            self._skip_numbers(order_id + 1)

    def _skip_numbers(self, next_id: int) -> None:
        # A used number would change the order that has it.
        self._client._next_valid_order_id = max(self._client._next_valid_order_id, next_id)

    @property
    def _client_id(self) -> int:
        return int(self._client._client_id)

    def accounts(self) -> set[str]:
        """Accounts of the login."""
        return set(self._client.accounts())

    # Connection ---------------------------------------------------------------------------------------------------

    @property
    def clock_drift_s(self) -> float | None:
        """This machine's clock minus the broker's, seconds; None before the first answer."""
        return self._clock.offset_s

    def request_time(self) -> None:
        """Request the broker's time; the answer moves `clock_drift_s`."""
        if self.is_connected():
            self._clock.ask()
            self._client._eclient.reqCurrentTime()

    def _note_time(self, broker_s: int) -> None:
        self._clock.hear(broker_s)

    def is_connected(self) -> bool:
        """Whether socket, API and the gateway's own servers are up."""
        client = self._client
        # NautilusTrader notices that its socket is closed a second later.
        return bool(client is not None and client.is_ready and client._is_ib_connected.is_set() and self._is_open())

    @property
    def losses(self) -> int:
        """How often the connection or the gateway's own servers were lost, however shortly."""
        return int(self._servers.losses)

    def _is_open(self) -> bool:
        return bool(self._client._eclient.isConnected())

    def _is_listening(self) -> bool:
        # One message that cannot be read ends NautilusTrader's reader, and the connection stays open unheard.
        return not self._client._internal_msg_queue_processor_task.done()

    def is_behind(self) -> bool:
        """Whether messages of the broker wait unread: an answer may be among them."""
        return self._is_listening() and not self._client._internal_msg_queue.empty()

    def has_data(self) -> bool:
        """Whether the data farms deliver; bars during an outage may be incomplete."""
        return self.is_connected() and self._client._data_farm_degraded_since_ns is None

    def keep_reconnecting(self) -> None:
        """Reconnect without end, once trading has begun."""
        self._client._indefinite_reconnect = True
        # It would double its pause with every attempt, up to five minutes: a gateway that is back must be found soon.
        self._client._reconnect_delay_max = LONGEST_PAUSE_S
        # Under another client id, which it would take in the end, a session cannot cancel or change its own orders.
        self._client._client_id_reuse_limit = sys.maxsize

    def drop_requests(self) -> None:
        """Forget the requests that were open when the connection was lost: they are never answered.

        NautilusTrader keeps one open request of a kind and lets everybody wait for its answer, even if it was made
        while there was no connection.
        """
        forget_questions(self._client, self._account)
        self._questions.forget()

    def disconnect(self) -> None:
        """Close a connection that no longer answers; NautilusTrader sees only its socket closed, and reconnects."""
        drop_unread(self._client)
        self._client._eclient.disconnect()

    async def broker_state(self, instrument_id: str) -> BrokerState | None:
        """Position and the orders of this client in a contract; None where the broker did not answer."""
        return await self._state(instrument_id)

    async def everybody(self, instrument_id: str) -> BrokerState | None:
        """As `broker_state`, with the orders of every client and those made by hand."""
        kept, self._client._fetch_all_open_orders = self._client._fetch_all_open_orders, True
        try:
            return await self._state(instrument_id)
        finally:
            self._client._fetch_all_open_orders = kept

    async def _state(self, instrument_id: str) -> BrokerState | None:
        if not self.is_connected():
            return None
        held, orders = await asyncio.gather(
            answer_to(self._client.get_positions(self._account), self.is_connected, self._is_listening),
            answer_to(self._client.get_open_orders(self._account), self.is_connected, self._is_listening),
        )
        if held is None or orders is None:
            return None
        if orders:
            # New numbers must be above every number that this client has been shown.
            self._skip_numbers(max(int(order.orderId) for order in orders) + 1)
        con_id = self._con_id(instrument_id)
        # A fill during the answer is told within it: the last row of a contract counts.
        units = {position.contract.conId: int(position.quantity) for position in held}.get(con_id, 0)
        mine = [order for order in orders if order.contract.conId == con_id]
        return BrokerState(units, tuple(order_of(order, order.order_state.status) for order in mine))

    async def executions(self, instrument_id: str) -> list[BrokerFill] | None:
        """Today's executions of a contract, anybody's, oldest first; None where there was no answer.

        Its listener has heard of every one of them.
        """
        if not self.is_connected():
            return None
        question = self._client.get_executions(self._account)
        if await answer_to(question, self.is_connected, self._is_listening) is None:
            return None
        return sorted(self._fills[instrument_id].values(), key=lambda fill: (fill.ts_ns, fill.trade_id))

    def request_executions(self, instrument_id: str, since_ns: int, known: Collection[str]) -> None:
        """Ask for the executions since a time; see `ExecutionQuestions.ask`."""
        if self.is_connected():
            self._questions.ask(instrument_id, since_ns, known)

    async def bars(self, bar_type: BarType, end_ns: int, days: int, regular_hours: bool) -> list[Bar]:
        """History of ``days`` days that ends at ``end_ns``; see `bars_until`. The time of a bar is its open."""
        contract = self._execution.instrument_provider.contract.get(bar_type.instrument_id)
        return await bars_until(self._client, self.is_connected, contract, bar_type, end_ns, days, regular_hours)

    def _con_id(self, instrument_id: str) -> int:
        if instrument_id not in self._con_ids:
            details = self._execution.instrument_provider.contract_details[InstrumentId.from_str(instrument_id)]
            self._con_ids[instrument_id] = int(details.contract.conId)
        return self._con_ids[instrument_id]

    def _instrument_of(self, contract: Any) -> str:
        return next((name for name in self._instrument_ids if self._con_id(name) == contract.conId), "")
