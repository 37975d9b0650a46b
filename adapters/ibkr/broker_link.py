"""Questions to the broker over the trading node's connection: position, resting orders, fills.

NautilusTrader builds its view of the account from events, and events get lost; `BrokerLink` asks the broker itself. No
answer is None: unknown is not flat.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from nautilus_trader.adapters.interactive_brokers.client.common import get_venue_order_id
from nautilus_trader.adapters.interactive_brokers.parsing.execution import timestring_to_timestamp
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId

LONGEST_PAUSE_S = 10  # between two attempts to reconnect
REFUSED_S = 0.1  # until a request that the client has forgotten is given up


@dataclass(frozen=True)
class RestingOrder:
    """An order that works at the broker.

    Attributes
    ----------
    order_ref : str
        Client order id of the sender; empty for orders made by hand.
    order_id : int
        The broker's number.
    client_id : int
    kind : str
        ``"MKT"``, ``"STP"``, ``"LMT"``, ...
    units : int
        Signed units left to fill.
    price : float
        Trigger or limit price, 0 for market orders.
    """

    order_ref: str
    order_id: int
    client_id: int
    kind: str
    units: int
    price: float


@dataclass(frozen=True)
class BrokerFill:
    """A fill as the broker reports it.

    Attributes
    ----------
    con_id : int
        The broker's number of the contract.
    trade_id : str
    order_ref : str
    ts_ns : int
        UTC nanoseconds, whole seconds.
    units : int
        Signed.
    price : float
    commission_usd : float
    """

    con_id: int
    trade_id: str
    order_ref: str
    ts_ns: int
    units: int
    price: float
    commission_usd: float


@dataclass(frozen=True)
class BrokerState:
    """Position and resting orders of one contract at the broker, asked at one moment.

    Attributes
    ----------
    units : int
        Signed position.
    orders : tuple of RestingOrder
    """

    units: int
    orders: tuple[RestingOrder, ...]


class BrokerLink:
    """Connection, account and history of one contract, through the clients of a built TradingNode.

    Made by `build_node`; every question goes over the node's own connection.
    """

    def __init__(self, account: str, instrument_id: str) -> None:
        self._account = account
        self._instrument_id = instrument_id
        self._client: Any = None
        self._execution: Any = None
        self._wire_ns: dict[str, int] = {}
        self._order_ids: dict[str, int] = {}
        self._cancelled_early: set[str] = set()
        self._drift_s: float | None = None

    def attach(self, execution_client: Any) -> None:
        """Use the node's execution client; called by the node's factory."""
        self._execution = execution_client
        self._client = client = execution_client._client
        place = client.place_order

        def place_and_note(order: Any) -> None:
            order_ref = order.orderRef
            # NautilusTrader would wait for ever for the answer to an order that never left; a ValueError it refuses.
            if not client._eclient.isConnected():
                raise ValueError("not sent: no connection to the gateway")
            if order_ref in self._cancelled_early:
                raise ValueError("not sent: cancelled before it was sent")
            self._order_ids[order_ref] = order.orderId
            try:
                place(order)
            except OSError as error:
                raise ValueError(f"not sent: {error}") from error
            self._wire_ns[order_ref] = time.time_ns()

        client.place_order = place_and_note
        client._eclient.wrapper.currentTime = self._note_time

    def cancel_unanswered(self, client_order_id: str) -> None:
        """Cancel an order of the node that is not acknowledged; one that has not been sent yet is not sent any more."""
        order_id = self._order_ids.get(client_order_id)
        if order_id is None:
            self._cancelled_early.add(client_order_id)
        elif self.is_connected():
            # On one connection the gateway hears of the order first.
            self._client.cancel_order(order_id)

    def wire_ns(self, client_order_id: str) -> int | None:
        """Clock when an order was written to the socket, UTC nanoseconds; None where it was not."""
        return self._wire_ns.get(client_order_id)

    @property
    def clock_drift_s(self) -> float | None:
        """This machine's clock minus the broker's, seconds; None before the first answer."""
        return self._drift_s

    def request_time(self) -> None:
        """Request the broker's time; the answer moves `clock_drift_s`."""
        if self.is_connected():
            self._client._eclient.reqCurrentTime()

    def _note_time(self, broker_s: int) -> None:
        # The broker counts whole seconds: half of one is the best guess.
        self._drift_s = time.time() - broker_s - 0.5

    def is_connected(self) -> bool:
        """Whether socket, API and the gateway's own servers are up."""
        client = self._client
        return bool(client is not None and client.is_ready and client._is_ib_connected.is_set())

    def _is_listening(self) -> bool:
        # One message that cannot be read ends NautilusTrader's reader, and the connection stays open unheard.
        return not self._client._internal_msg_queue_processor_task.done()

    def has_data(self) -> bool:
        """Whether the data farms deliver; bars during an outage may be incomplete."""
        return self.is_connected() and self._client._data_farm_degraded_since_ns is None

    def keep_reconnecting(self) -> None:
        """Reconnect without end, once trading has begun."""
        self._client._indefinite_reconnect = True
        # It would double its pause with every attempt, up to five minutes: a gateway that is back must be found soon.
        self._client._reconnect_delay_max = LONGEST_PAUSE_S

    def drop_requests(self) -> None:
        """Forget the requests that were open when the connection was lost: they are never answered.

        NautilusTrader keeps one open request of a kind and lets everybody wait for its answer, even if it was made
        while there was no connection.
        """
        for name in ("OpenPositions", "OpenOrders", f"Executions-{self._account}"):
            self._client._requests.remove(name=name)

    def disconnect(self) -> None:
        """Close a connection that no longer answers; NautilusTrader sees only its socket closed, and reconnects."""
        # What waits unread belongs to the old connection; a message that cannot be read would deafen the new one too.
        waiting = self._client._internal_msg_queue
        while not waiting.empty():
            waiting.get_nowait()
        self._client._eclient.disconnect()

    async def broker_state(self) -> BrokerState | None:
        """Position and resting orders; None where the broker did not answer."""
        if not self.is_connected():
            return None
        held, orders = await asyncio.gather(
            _answer(self._client.get_positions(self._account), self._is_listening),
            _answer(self._client.get_open_orders(self._account), self._is_listening),
        )
        if held is None or orders is None:
            return None
        con_id = self._con_id()
        units = sum(int(position.quantity) for position in held if position.contract.conId == con_id)
        mine = [order for order in orders if order.contract.conId == con_id]
        return BrokerState(units, tuple(_resting(order, self._filled(order)) for order in mine))

    async def executions(self) -> list[BrokerFill] | None:
        """Today's fills of the contract, oldest first, with their commissions; None where there was no answer."""
        if not self.is_connected():
            return None
        found = await _answer(self._client.get_executions(self._account), self._is_listening)
        if found is None:
            return None
        # The client leaves out what it has no commission of yet: whoever adds these up must compare with the position.
        con_id = self._con_id()
        fills = {fill.trade_id: fill for fill in map(_execution, found) if fill.con_id == con_id}
        return sorted(fills.values(), key=lambda fill: (fill.ts_ns, fill.trade_id))

    async def bars(self, bar_type: BarType, end_ns: int, days: int, regular_hours: bool) -> list[Bar]:
        """History of ``days`` days that ends at ``end_ns``; time is the bar's open, empty where nothing came."""
        contract = self._execution.instrument_provider.contract.get(bar_type.instrument_id)
        end = pd.Timestamp(end_ns, tz="UTC")
        question = self._client.get_historical_bars(
            bar_type=bar_type,
            contract=contract,
            use_rth=regular_hours,
            end_date_time=end,
            duration=f"{days} D",
            timeout=self._client._request_timeout_secs,
        )
        # The client forgets a request that was refused (error 162) and goes on waiting for it.
        name = (str(bar_type), end.strftime("%Y%m%d %H:%M:%S %Z"))
        bars = await _answer(question, is_asked=lambda: self._client._requests.get(name=name) is not None)
        return sorted(bars or [], key=lambda bar: int(bar.ts_event))

    def cancel(self, order: RestingOrder) -> None:
        """Cancel an order that the node itself does not know."""
        self._client.cancel_order(order.order_id)

    def _filled(self, order: Any) -> int:
        # What openOrder says of it is not to be relied on; the client keeps what orderStatus said.
        names = {get_venue_order_id(order.orderId, order.permId), get_venue_order_id(order.orderId, 0)}
        return max(int(self._execution._order_filled_qty.get(name, 0)) for name in names)

    def _con_id(self) -> int:
        details = self._execution.instrument_provider.contract_details[InstrumentId.from_str(self._instrument_id)]
        return int(details.contract.conId)


async def _answer(question: Coroutine[Any, Any, Any], is_asked: Callable[[], bool] = lambda: True) -> Any:
    # The node's own checks ask the same and wait for the same answer: whose patience ends first cancels it for both.
    asked = asyncio.ensure_future(question)
    try:
        while not (await asyncio.wait([asked], timeout=REFUSED_S))[0] and is_asked():
            pass
    finally:
        asked.cancel()
    return asked.result() if asked.done() and not asked.cancelled() else None


def _resting(order: Any, filled: int) -> RestingOrder:
    left = int(order.totalQuantity) - filled
    sign = 1 if order.action == "BUY" else -1
    price = order.auxPrice if order.orderType.startswith("STP") else order.lmtPrice
    return RestingOrder(
        order_ref=order.orderRef.rsplit(":", 1)[0],
        order_id=int(order.orderId),
        client_id=int(order.clientId),
        kind=order.orderType,
        units=sign * left,
        price=0.0 if order.orderType == "MKT" else float(price),
    )


def _execution(detail: Mapping[str, Any]) -> BrokerFill:
    told, cost = detail["execution"], detail["commission_report"]
    sign = 1 if told.side == "BOT" else -1
    return BrokerFill(
        con_id=int(detail["contract"].conId),
        trade_id=told.execId,
        order_ref=told.orderRef.rsplit(":", 1)[0],
        ts_ns=int(timestring_to_timestamp(told.time).value),
        units=sign * int(told.shares),
        price=float(told.price),
        commission_usd=float(cost.commissionAndFees or 0.0),
    )
