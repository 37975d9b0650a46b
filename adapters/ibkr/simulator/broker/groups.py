"""Orders that depend on one another: brackets (parent and children) and one-cancels-all groups.

The children of a parent together work for no more units than it has filled. A fill inside a group cancels the others
(type 1) or takes as many units from them (types 2 and 3); the children of one parent behave as type 3 by themselves.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from adapters.ibkr.simulator.broker.orders import WorkingOrder

Orders = Mapping[tuple[int, int], WorkingOrder]
EndStatus = Literal["Cancelled", "Inactive"]
CANCEL_OTHERS = 1


def parent_of(order: WorkingOrder, orders: Orders) -> WorkingOrder | None:
    """The order that this one waits for."""
    return orders.get((order.client_id, order.request.parentId)) if order.request.parentId else None


def children_of(order: WorkingOrder, orders: Orders) -> list[WorkingOrder]:
    """Orders still working that wait for this one."""
    return [
        child
        for child in orders.values()
        if child.is_working and child.client_id == order.client_id and child.request.parentId == order.order_id
    ]


def family(order: WorkingOrder, orders: Orders) -> list[WorkingOrder]:
    """The order with parent and children, parent first: what one transmission sends."""
    head = parent_of(order, orders) or order
    waiting = [head, *children_of(head, orders)]
    return [member for member in waiting if member is order or member.status == "Untransmitted"]


def active_units(order: WorkingOrder, orders: Orders) -> int:
    """Units of an order that may fill now."""
    parent = parent_of(order, orders)
    if parent is None:
        return order.remaining
    siblings = [child for child in orders.values() if parent_of(child, orders) is parent]
    return min(order.remaining, parent.filled - sum(child.filled for child in siblings))


def is_over(group: str, orders: Orders) -> bool:
    """Whether an order of a one-cancels-all group has filled: nothing may join it any more."""
    return bool(group) and any(
        order.request.ocaGroup == group and order.status == "Filled" for order in orders.values()
    )


def reductions(order: WorkingOrder, filled: int, orders: Orders) -> Iterator[tuple[WorkingOrder, int]]:
    """Orders that a fill takes units from, and how many."""
    group, parent_id = order.request.ocaGroup, order.request.parentId
    for other in list(orders.values()):
        if other is order or not other.is_working:
            continue
        same_group = bool(group) and other.request.ocaGroup == group
        same_parent = bool(parent_id) and other.client_id == order.client_id and other.request.parentId == parent_id
        if same_group and order.request.ocaType == CANCEL_OTHERS:
            yield other, other.remaining
        elif same_group or same_parent:
            yield other, min(filled, other.remaining)
