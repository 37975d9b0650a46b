"""Orders that depend on one another: brackets (parent and children) and one-cancels-all groups.

By default the children of a parent together work for no more units than it has filled. A fill inside a group cancels
the others (type 1) or takes as many units from them (types 2 and 3); the children of one parent behave as type 3 by
themselves. `BrokerRules` says what else a broker may do.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.broker.rules import BrokerRules

Orders = Mapping[tuple[int, int], WorkingOrder]
EndStatus = Literal["Cancelled", "Inactive"]
CANCEL_OTHERS, REDUCE_WITH_BLOCK = 1, 2
FRIENDLY = BrokerRules()


def parent_of(order: WorkingOrder, orders: Orders) -> WorkingOrder | None:
    """The order that this one waits for."""
    return orders.get((order.client_id, order.request.parentId)) if order.request.parentId else None


def lacks_parent(client_id: int, parent_id: int, orders: Orders) -> bool:
    """Whether a parent is asked for that is unknown or ended without a fill."""
    parent = orders.get((client_id, parent_id))
    return bool(parent_id) and (parent is None or (not parent.is_working and parent.filled == 0))


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


def active_units(order: WorkingOrder, orders: Orders, rules: BrokerRules = FRIENDLY) -> int:
    """Units of an order that may fill now."""
    if order.why_held or (rules.groups == "block" and is_blocked(order, orders)):
        return 0
    parent = parent_of(order, orders)
    if parent is None:
        return order.remaining
    if rules.children == "first_fill":
        return order.remaining if parent.filled else 0
    if rules.children == "complete" and parent.is_working:
        return 0
    siblings = [child for child in orders.values() if parent_of(child, orders) is parent]
    return min(order.remaining, parent.filled - sum(child.filled for child in siblings))


def is_blocked(order: WorkingOrder, orders: Orders) -> bool:
    """Whether an order of type 2 waits because a limit order of its group, which came earlier, is at the exchange."""
    group = order.request.ocaGroup
    if not group or order.request.ocaType != REDUCE_WITH_BLOCK:
        return False
    return any(
        other.request.ocaGroup == group
        and other.perm_id < order.perm_id
        and other.status == "Submitted"
        and other.limit_ticks is not None
        for other in orders.values()
    )


def is_over(group: str, orders: Orders) -> bool:
    """Whether an order of a one-cancels-all group has filled: nothing may join it any more."""
    return bool(group) and any(
        order.request.ocaGroup == group and order.status == "Filled" for order in orders.values()
    )


def reductions(
    order: WorkingOrder, filled: int, orders: Orders, rules: BrokerRules = FRIENDLY
) -> Iterator[tuple[WorkingOrder, int]]:
    """Orders that a fill takes units from, and how many."""
    group, parent_id = order.request.ocaGroup, order.request.parentId
    cancels = rules.groups == "cancel" or (rules.groups != "reduce" and order.request.ocaType == CANCEL_OTHERS)
    for other in list(orders.values()):
        if other is order or not other.is_working:
            continue
        same_group = bool(group) and other.request.ocaGroup == group
        same_parent = bool(parent_id) and other.client_id == order.client_id and other.request.parentId == parent_id
        if same_group and cancels:
            yield other, other.remaining
        elif same_group or same_parent:
            yield other, other.remaining if rules.groups == "cancel" else min(filled, other.remaining)
