"""Invariants of the broker's state, checked again and again while a session is being harmed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.ibkr.simulator.broker.broker import Broker, Trade
from adapters.ibkr.simulator.broker.groups import active_units, parent_of
from adapters.ibkr.simulator.broker.orders import WorkingOrder
from adapters.ibkr.simulator.server import GatewayServer

TRADING_CLIENT = 1
UNPROTECTED_S = 5.0
ORPHANED_S = 10.0


@dataclass
class _Since:
    """How long a condition has been wrong while the session could know of it."""

    limit_s: float
    began: float | None = None
    longest_s: float = 0.0
    counted: bool = False

    def update(self, is_wrong: bool, able_since: float | None, now: float) -> bool:
        if not is_wrong:
            self.began, self.counted = None, False
            return False
        self.began = self.began if self.began is not None else now
        if able_since is None:
            return False
        seconds = now - max(self.began, able_since)
        self.longest_s = max(self.longest_s, seconds)
        is_new = seconds > self.limit_s and not self.counted
        self.counted = self.counted or is_new
        return is_new


@dataclass
class InvariantMonitor:
    """Checks the broker's state in one contract.

    Attributes
    ----------
    units : int
        Largest position that the policy may hold.
    con_id : int
        The broker's number of the contract.
    is_running : callable
        Whether the session's process lives, has begun to trade, and is not stopped.
    unprotected_s : float
        Seconds in which a position had no complete stop and no closing order, also while the process was dead, frozen
        or cut off.
    violations : list of (str, str)
        Kind (``"unprotected"``, ``"orphaned"``, ``"doubled"``) and position with orders at that time.
    """

    units: int
    con_id: int
    is_running: Callable[[], bool]
    violations: list[tuple[str, str]] = field(default_factory=list)
    unprotected_s: float = 0.0
    _naked_since: float | None = None
    _able_since: float | None = None
    _naked: _Since = field(default_factory=lambda: _Since(UNPROTECTED_S))
    _orphaned: _Since = field(default_factory=lambda: _Since(ORPHANED_S))
    _oversized: _Since = field(default_factory=lambda: _Since(0.0))

    @property
    def longest_unprotected_s(self) -> float:
        """Longest time that a position had no complete stop while the session could know, seconds."""
        return self._naked.longest_s

    def check(self, server: GatewayServer) -> None:
        """Check the present state; runs in the gateway's thread."""
        now = time.monotonic()
        able = self._is_able(server)
        self._able_since = (self._able_since if self._able_since is not None else now) if able else None
        broker = server.gateway.broker
        # What others hold is not the session's to protect.
        units = sum(trade.units for trade in broker.trades if self._is_own(trade))
        working = [order for order in broker.working(TRADING_CLIENT) if order.terms.con_id == self.con_id]
        resting = [order for order in working if order.request.orderType != "MKT"]
        active = {order.perm_id: active_units(order, broker.orders, broker.rules) for order in resting}
        stops = sum(active[order.perm_id] for order in resting if order.side * units < 0 and _is_stop(order))
        # A market order that closes is on its way out, and a parent's children wait for it.
        leaving = sum(
            order.remaining for order in working if order.request.orderType == "MKT" and order.side * units < 0
        )
        resting = [order for order in resting if not _waits_for_parent(order, broker)]
        found = f"{units:+d} held, resting: " + (
            ", ".join(f"{order.request.orderType} {order.side * order.remaining:+d}" for order in resting) or "nothing"
        )
        checks = (
            ("unprotected", self._naked, stops + leaving < abs(units)),
            ("orphaned", self._orphaned, stops > abs(units) or (units == 0 and bool(resting))),
        )
        for kind, since, is_wrong in checks:
            if since.update(is_wrong, self._able_since, now):
                self.violations.append((kind, found))
        if self._oversized.update(abs(units) > self.units, now - 1.0, now):
            self.violations.append(("doubled", f"{found}, at most {self.units} may be"))

        self._count_always(stops + leaving < abs(units), now)

    def _count_always(self, is_naked: bool, now: float) -> None:
        """Count naked seconds whatever the process can know: dead, frozen or cut off."""
        if is_naked and self._naked_since is not None:
            self.unprotected_s += now - self._naked_since
        self._naked_since = now if is_naked else None

    def _is_own(self, trade: Trade) -> bool:
        is_closing = trade.details.execution.orderRef.startswith("flatten-")
        return trade.con_id == self.con_id and (trade.client_id == TRADING_CLIENT or is_closing)

    def _is_able(self, server: GatewayServer) -> bool:
        gateway = server.gateway
        if gateway.servers_lost or gateway.reports_held or gateway.broker.halted or not self.is_running():
            return False
        return any(
            connection.session is not None
            and connection.session.client_id == TRADING_CLIENT
            and connection.session in gateway.sessions
            and not connection.silent
            for connection in server.connections
        )


class Invariants:
    """The monitors of all traded contracts as one.

    Parameters
    ----------
    units : int
        Largest position that the policy may hold in a contract.
    con_ids : sequence of int
        Traded contracts.
    is_running : callable
        As in `InvariantMonitor`.
    """

    def __init__(self, units: int, con_ids: Sequence[int], is_running: Callable[[], bool]) -> None:
        self._monitors = [InvariantMonitor(units, con_id, is_running) for con_id in con_ids]

    @property
    def violations(self) -> list[tuple[str, str]]:
        """Violations in any contract."""
        return [violation for monitor in self._monitors for violation in monitor.violations]

    @property
    def unprotected_s(self) -> float:
        """Sum over the contracts of the seconds without a complete stop."""
        return sum(monitor.unprotected_s for monitor in self._monitors)

    @property
    def longest_unprotected_s(self) -> float:
        """Longest time without a complete stop that the session could know of, seconds."""
        return max(monitor.longest_unprotected_s for monitor in self._monitors)

    def check(self, server: GatewayServer) -> None:
        """Check the present state; runs in the gateway's thread."""
        for monitor in self._monitors:
            monitor.check(server)


def _waits_for_parent(order: WorkingOrder, broker: Broker) -> bool:
    parent = parent_of(order, broker.orders)
    return parent is not None and parent.is_working


def _is_stop(order: WorkingOrder) -> bool:
    return order.request.orderType == "STP"
