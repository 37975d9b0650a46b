"""What the broker says beside what the session believes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from rl_strategies.live.broker.link import BrokerState, RestingOrder
from rl_strategies.live.journal.session_journal import OrderRow

Difference = Literal["position", "naked", "orphans", "oversized"]


@dataclass(frozen=True)
class Comparison:
    """Outcome of one comparison.

    Attributes
    ----------
    difference : {"position", "naked", "orphans", "oversized"} or None
        The gravest one. ``position``: another number of units is held. ``naked``: units are held without a stop that
        covers them. ``orphans``: orders work that protect nothing. ``oversized``: exits work for more units than are
        held, and would open a position.
    said : str
        One line.
    orphans : tuple of RestingOrder
        Orders to be cancelled.
    """

    difference: Difference | None
    said: str = ""
    orphans: tuple[RestingOrder, ...] = ()


def compare(
    truth: BrokerState, units: int, orders: Mapping[str, OrderRow], groups: Collection[str], wants_stop: bool
) -> Comparison:
    """Compare the broker's word with the session.

    Parameters
    ----------
    truth : BrokerState
        Asked while no order of the session was in flight.
    units : int
        Signed units that the session believes to hold.
    orders : mapping of str to OrderRow
        Orders of the session.
    groups : collection of str
        Groups of orders around units that are still held.
    wants_stop : bool
        Whether every unit must have a stop at the broker.
    """
    if truth.units != units:
        return Comparison("position", f"the broker holds {truth.units} units, the session {units}")
    exit_side = (units < 0) - (units > 0)
    exits = [order for order in truth.orders if order.units * exit_side > 0]
    stops = sum(abs(order.units) for order in exits if order.kind.startswith("STP"))
    limits = sum(abs(order.units) for order in exits if order.kind == "LMT")
    if wants_stop and stops < abs(units):
        return Comparison("naked", f"{units} units are held with stops for {stops}")
    orphans = tuple(order for order in truth.orders if _is_orphan(order, units, orders, groups))
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
    return row.role not in ("stop", "target") or row.group not in groups
