"""Invariants of the broker's state, checked again and again while a session is being harmed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

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
    """Checks the broker's state.

    Attributes
    ----------
    units : int
        Largest position that the policy may hold.
    con_id : int
        The broker's number of the contract.
    is_running : callable
        Whether the session's process lives, has begun to trade, and is not stopped.
    violations : list of (str, str)
        Kind (``"unprotected"``, ``"orphaned"``, ``"doubled"``) and position with orders at that time.
    """

    units: int
    con_id: int
    is_running: Callable[[], bool]
    violations: list[tuple[str, str]] = field(default_factory=list)
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
        units = broker.account.units(self.con_id)
        resting = [order for order in broker.working() if order.request.orderType != "MKT"]
        stops = sum(order.remaining for order in resting if order.side * units < 0 and _is_stop(order))
        found = f"{units:+d} held, resting: " + (
            ", ".join(f"{order.request.orderType} {order.side * order.remaining:+d}" for order in resting) or "nothing"
        )
        checks = (
            ("unprotected", self._naked, stops < abs(units)),
            ("orphaned", self._orphaned, stops > abs(units) or (units == 0 and bool(resting))),
        )
        for kind, since, is_wrong in checks:
            if since.update(is_wrong, self._able_since, now):
                self.violations.append((kind, found))
        if self._oversized.update(abs(units) > self.units, now - 1.0, now):
            self.violations.append(("doubled", f"{found}, at most {self.units} may be"))

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


def _is_stop(order: WorkingOrder) -> bool:
    return order.request.orderType == "STP"
