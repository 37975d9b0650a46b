"""Comparison of the broker's position and orders with the session's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from rl_strategies.live.broker.link import BrokerState, RestingOrder
from rl_strategies.live.journal.session_journal import BARRIERS, OrderRow

Difference = Literal["position", "naked", "orphans", "oversized"]


@dataclass(frozen=True)
class Comparison:
    """Outcome of one comparison.

    Attributes
    ----------
    difference : {"position", "naked", "orphans", "oversized"} or None
        The gravest difference. ``position``: another number of units is held. ``naked``: stops cover fewer units than
        are held. ``orphans``: orders work that protect nothing. ``oversized``: exits work for more units than are held,
        and would open a position.
    description : str
        The difference in one line.
    orphans : tuple of RestingOrder
        Orders to cancel.
    """

    difference: Difference | None
    description: str = ""
    orphans: tuple[RestingOrder, ...] = ()


def compare(
    broker: BrokerState, units: int, orders: Mapping[str, OrderRow], groups: Collection[str], wants_stop: bool
) -> Comparison:
    """Compare the broker's position and orders with the session's.

    Parameters
    ----------
    broker : BrokerState
        Requested while no order of the session was in flight.
    units : int
        Signed units that the session holds by its own fills.
    orders : mapping of str to OrderRow
        Orders of the session.
    groups : collection of str
        Groups of orders around units that are still held.
    wants_stop : bool
        Whether every unit must have a stop at the broker.
    """
    if broker.units != units:
        return Comparison("position", f"the broker holds {broker.units} units, the session {units}")
    exit_side = (units < 0) - (units > 0)
    exits = [order for order in broker.orders if order.units * exit_side > 0]
    stops = sum(abs(order.units) for order in exits if order.kind.startswith("STP"))
    limits = sum(abs(order.units) for order in exits if order.kind == "LMT")
    if wants_stop and stops < abs(units):
        return Comparison("naked", f"{units} units are held with stops for {stops}")
    orphans = tuple(order for order in broker.orders if _is_orphan(order, units, orders, groups))
    if orphans:
        names = ", ".join(f"{order.kind} {order.units:+d}" for order in orphans)
        return Comparison("orphans", f"orders that protect nothing: {names}", orphans)
    if max(stops, limits) > abs(units):
        return Comparison("oversized", f"{units} units are held with exits for {max(stops, limits)}")
    return Comparison(None)


def _is_orphan(order: RestingOrder, units: int, orders: Mapping[str, OrderRow], groups: Collection[str]) -> bool:
    row = orders.get(order.order_ref)
    if units == 0 or row is None:
        return True
    return row.role not in BARRIERS or row.group not in groups
