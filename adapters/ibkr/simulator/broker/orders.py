"""An order at the simulated broker: what was asked, what is filled, how it appears to its owner."""

from dataclasses import dataclass, field
from typing import Literal

from ibapi.protobuf.OpenOrder_pb2 import OpenOrder
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.OrderState_pb2 import OrderState
from ibapi.protobuf.OrderStatus_pb2 import OrderStatus

from adapters.ibkr.simulator.broker.contracts import ContractTerms

Status = Literal["Untransmitted", "PreSubmitted", "Submitted", "PendingCancel", "Filled", "Cancelled", "Inactive"]
ENDED: tuple[Status, ...] = ("Filled", "Cancelled", "Inactive")
ORDER_TYPES = ("MKT", "LMT", "STP", "STP LMT")


@dataclass
class WorkingOrder:
    """State of one order.

    Attributes
    ----------
    client_id, order_id, perm_id : int
        Owner, the owner's number, the broker's number.
    terms : ContractTerms
    request : Order
        Request, as last sent by the owner.
    units : int
        Size still wanted plus filled; shrinks where a group reduces it.
    side : int
        1 to buy, -1 to sell.
    limit_ticks, stop_ticks : int or None
    filled : int
        Units.
    filled_tick_units : int
        Sum of price in ticks times units, for the mean fill price.
    last_ticks : int
        Price of the latest fill.
    triggered : bool
        Whether a stop has been reached.
    why_held : str
        Why the order waits at the broker (``"locate"``); empty where it does not.
    is_listed : bool
        Shown among the open orders though it is over.
    """

    client_id: int
    order_id: int
    perm_id: int
    terms: ContractTerms
    request: Order
    units: int
    side: int
    limit_ticks: int | None
    stop_ticks: int | None
    filled: int = 0
    filled_tick_units: int = 0
    last_ticks: int = 0
    triggered: bool = False
    why_held: str = ""
    is_listed: bool = False
    status: Status = "PreSubmitted"
    completed_time: str = ""
    state: OrderState = field(default_factory=OrderState)

    @property
    def remaining(self) -> int:
        """Units not filled yet."""
        return self.units - self.filled

    @property
    def is_working(self) -> bool:
        """Whether the order may still fill."""
        return self.status not in ENDED

    @property
    def shown_id(self) -> int:
        """Order number that clients see; 0 where the order was made by hand."""
        return max(0, self.order_id)

    @property
    def is_stop(self) -> bool:
        """Whether the order waits for its stop price."""
        return self.stop_ticks is not None and not self.triggered

    @property
    def average_price(self) -> float:
        """Mean fill price, 0 before the first fill."""
        return float(self.terms.tick_size) * self.filled_tick_units / self.filled if self.filled else 0.0

    def record_fill(self, units: int, ticks: int) -> None:
        """Book an execution of ``units``."""
        self.filled += units
        self.filled_tick_units += units * ticks
        self.last_ticks = ticks
        if self.remaining == 0:
            self.status = "Filled"
        elif self.status != "PendingCancel":
            self.status = "Submitted"

    def to_status(self) -> OrderStatus:
        """Message *order status*."""
        return OrderStatus(
            orderId=self.shown_id,
            status=self.status,
            filled=str(self.filled),
            remaining=str(self.remaining),
            avgFillPrice=self.average_price,
            permId=self.perm_id,
            parentId=self.request.parentId,
            lastFillPrice=self.terms.price(self.last_ticks),
            clientId=self.client_id,
            whyHeld=self.why_held,
            mktCapPrice=0.0,
        )

    def to_open_order(self) -> OpenOrder:
        """Message *open order*."""
        order = Order()
        order.CopyFrom(self.request)
        order.clientId, order.orderId, order.permId = self.client_id, self.shown_id, self.perm_id
        order.totalQuantity = str(self.units)
        order.filledQuantity = str(self.filled)
        state = OrderState()
        state.CopyFrom(self.state)
        state.status = self.status
        return OpenOrder(orderId=self.shown_id, contract=self.terms.to_contract(), order=order, orderState=state)
