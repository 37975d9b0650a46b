"""NautilusTrader's orders for a live session, built by hand.

`order_factory.bracket` makes take profits post-only, which Interactive Brokers refuses. NautilusTrader's adapter sends
an order list with the parent's number in every child, and lets the last one alone transmit: nothing of it works before
all of it is there.
"""

import secrets
from collections.abc import Callable
from typing import Any

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.enums import OrderSide, TriggerType
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId, OrderListId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.model.orders import LimitOrder, MarketOrder, Order, OrderList, StopMarketOrder


class Tickets:
    """Makes orders of one instrument.

    Parameters
    ----------
    factory : OrderFactory
        Knows the trader and the strategy.
    clock : Clock
    instrument_id : InstrumentId
    price : callable
        Takes ticks, returns a price.
    tags : callable
        Takes an order's group; returns the tags that tell the broker of it.
    """

    def __init__(
        self,
        factory: Any,
        clock: Any,
        instrument_id: InstrumentId,
        price: Callable[[int], Price],
        tags: Callable[[str], list[str]],
    ) -> None:
        self._names = (factory.trader_id, factory.strategy_id, instrument_id)
        self._clock, self._price, self._tags = clock, price, tags
        # No two sessions, days or restarts make the same id.
        self._nonce = secrets.token_hex(5)
        self._count = 0

    def new_name(self) -> str:
        """A client order id that nobody has used."""
        self._count += 1
        return f"O-{self._nonce}-{self._count}"

    def market(self, name: str, side: int, units: int, group: str = "", closes: bool = True) -> Order:
        """A market order."""
        return MarketOrder(*self._head(name, side, units), *self._foot(), reduce_only=closes, tags=self._tags(group))

    def stop(self, name: str, side: int, units: int, ticks: int, group: str, parent: str = "") -> Order:
        """A stop; waits for its parent where one is named."""
        head = (*self._head(name, side, units), self._price(ticks), TriggerType.DEFAULT)
        return StopMarketOrder(
            *head, *self._foot(), reduce_only=True, parent_order_id=_parent(parent), tags=self._tags(group)
        )

    def limit(self, name: str, side: int, units: int, ticks: int, group: str, parent: str = "") -> Order:
        """A limit order; waits for its parent where one is named."""
        head = (*self._head(name, side, units), self._price(ticks))
        return LimitOrder(
            *head, *self._foot(), reduce_only=True, parent_order_id=_parent(parent), tags=self._tags(group)
        )

    def as_list(self, orders: list[Order]) -> OrderList:
        """Orders that are sent together, parent first."""
        return OrderList(OrderListId(f"L-{orders[0].client_order_id.value}"), orders)

    def _head(self, name: str, side: int, units: int) -> tuple[Any, ...]:
        order_side = OrderSide.BUY if side > 0 else OrderSide.SELL
        return (*self._names, ClientOrderId(name), order_side, Quantity.from_int(units))

    def _foot(self) -> tuple[Any, ...]:
        return UUID4(), self._clock.timestamp_ns()


def _parent(name: str) -> ClientOrderId | None:
    return ClientOrderId(name) if name else None
