"""What goes wrong between a broker and its clients, by name and at a chosen step of the market.

The names are those of TWS's own message codes where it has one. A fault changes what clients see; the broker's truth
goes on underneath, and that is what a test asserts on.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ibapi.protobuf.HistoricalDataUpdate_pb2 import HistoricalDataUpdate

from adapters.ibkr.simulator.adversities import ADVERSITIES
from adapters.ibkr.simulator.broker.acceptance import REJECTED, Refusal
from adapters.ibkr.simulator.feeds import KeptUpToDate
from adapters.ibkr.simulator.server import GatewayServer
from adapters.ibkr.simulator.subscriptions import COMPETING_SESSION, NO_HISTORY
from adapters.ibkr.simulator.wire.frames import PROTOBUF_OFFSET, PROTOBUF_VERSION
from adapters.ibkr.simulator.wire.messages import REPLY_IDS

LOST = Refusal(1100, "Connectivity between IBKR and Trader Workstation has been lost.")
BACK_DATA_LOST = Refusal(1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost.")
BACK = Refusal(1102, "Connectivity between IBKR and Trader Workstation has been restored - data maintained.")
FARM_BROKEN = Refusal(2103, "Market data farm connection is broken:usfuture")
FARM_OK = Refusal(2104, "Market data farm connection is OK:usfuture")
HMDS_BROKEN = Refusal(2105, "HMDS data farm connection is broken:ushmds")
HMDS_OK = Refusal(2106, "HMDS data farm connection is OK:ushmds")
NO_PERMISSION = Refusal(162, f"{NO_HISTORY}No market data permissions for CME FUT")


class FaultError(ValueError):
    """A fault script that cannot be played; the message is one line."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    step : int
        Steps of the market after which it happens.
    name : str
        One of `FAULTS`.
    value : int
        Meaning depends on the fault: a client id, units, bars, seconds; 1 for on and 0 for off.
    """

    step: int
    name: str
    value: int = 1


class FaultScript:
    """Faults at their steps; append it to `GatewayServer.after_step`.

    Raises
    ------
    FaultError
        If a name is unknown.

    Examples
    --------
    >>> FaultScript([Fault(12, "drop"), Fault(20, "partial_fills", 1)]).faults[1].name
    'partial_fills'
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if fault.name not in FAULTS:
                raise FaultError(f"fault must be one of {', '.join(FAULTS)}, was {fault.name!r}")
        self.faults = tuple(faults)

    def __call__(self, server: GatewayServer) -> None:
        """Play what is due."""
        for fault in self.faults:
            if fault.step == server.gateway.market.steps_done:
                FAULTS[fault.name](server, fault.value)


def drop(server: GatewayServer, value: int = 1) -> None:
    """Close every connection in order (FIN)."""
    for connection in list(server.connections):
        connection.close()


def reset(server: GatewayServer, value: int = 1) -> None:
    """Break every connection (RST)."""
    for connection in list(server.connections):
        connection.reset()


def silence(server: GatewayServer, value: int = 1) -> None:
    """1: nothing is read or written though connections stay open; 0: what accumulated is dealt with."""
    for connection in list(server.connections):
        connection.silence(bool(value))


def half_open(server: GatewayServer, value: int = 1) -> None:
    """The gateway has forgotten its clients; they believe in dead connections."""
    for connection in list(server.connections):
        connection.forget()


def restart(server: GatewayServer, value: int = 1) -> None:
    """Nightly restart: port and connections close and the port opens again after ``value`` milliseconds."""
    loop = asyncio.get_running_loop()

    async def again() -> None:
        await server.shut()
        await asyncio.sleep(value / 1000)
        await server.listen()

    server.chores.append(loop.create_task(again()))


def servers_lost(server: GatewayServer, value: int = 1) -> None:
    """Error 1100: orders wait in the gateway and nothing of the broker arrives."""
    server.gateway.announce(LOST)
    server.flush()
    server.gateway.servers_lost = True


def servers_back(server: GatewayServer, value: int = 1) -> None:
    """Error 1102, or 1101 for value 0, where subscriptions are gone too."""
    if not value:
        for session in server.gateway.sessions:
            session.feeds.clear()
    server.gateway.announce(BACK if value else BACK_DATA_LOST)
    server.gateway.restore_servers()


def data_farm(server: GatewayServer, value: int = 0) -> None:
    """0: error 2103, no market data; 1: notice 2104, it flows again."""
    server.gateway.data_stops = not value
    server.gateway.announce(FARM_OK if value else FARM_BROKEN)


def history_farm(server: GatewayServer, value: int = 0) -> None:
    """0: error 2105, historical requests fail; 1: notice 2106."""
    server.gateway.history_refusal = None if value else Refusal(162, f"{NO_HISTORY}HMDS connection is broken")
    server.gateway.announce(HMDS_OK if value else HMDS_BROKEN)


def id_in_use(server: GatewayServer, value: int = 1) -> None:
    """Error 326 for a client id until ``id_free``: the gateway has not noticed that its owner died."""
    server.gateway.taken_ids.add(value)


def id_free(server: GatewayServer, value: int = 1) -> None:
    """End of ``id_in_use``."""
    server.gateway.taken_ids.discard(value)


def no_history(server: GatewayServer, value: int = 1) -> None:
    """1: error 162 on every request for historical bars; 0: none."""
    server.gateway.history_refusal = NO_PERMISSION if value else None


def no_quotes(server: GatewayServer, value: int = 1) -> None:
    """1: error 10197 on every request for quotes; 0: none."""
    server.gateway.market_data_refusal = COMPETING_SESSION if value else None


def reject_order(server: GatewayServer, value: int = 1) -> None:
    """Error 201 for the next order."""
    server.gateway.broker.refuse_next = Refusal(REJECTED, "Order rejected - reason:Rejected by the exchange")


def partial_fills(server: GatewayServer, value: int = 1) -> None:
    """At most ``value`` units per order and price; 0: no limit."""
    server.gateway.broker.largest_fill = value or None


def late_fills(server: GatewayServer, value: int = 1) -> None:
    """1: the broker fills and says nothing; 0: it reports what happened meanwhile."""
    server.gateway.reports_held = bool(value)
    server.gateway.deliver()


def halt(server: GatewayServer, value: int = 1) -> None:
    """1: the session is halted, orders wait; 0: trading goes on and they meet the latest price."""
    if value:
        server.gateway.broker.halted = True
    else:
        server.gateway.broker.resume()
        server.gateway.deliver()


def duplicate_bar(server: GatewayServer, value: int = 1) -> None:
    """The bar in the making is sent ``value`` times more."""
    market = server.gateway.market
    for session, feed in server.gateway.feeds():
        if isinstance(feed, KeptUpToDate):
            bar = market.bar_in_the_making(feed.con_id, feed.size_ns)
            server.gateway.send(session, [feed.update(bar)] * value if bar is not None else [])


def stale_bar(server: GatewayServer, value: int = 1) -> None:
    """A bar that closed ``value`` bars ago is sent as if live."""
    market = server.gateway.market
    for session, feed in server.gateway.feeds():
        if isinstance(feed, KeptUpToDate):
            closed = market.history(feed.con_id, market.now_ns, 2**62, feed.size_ns, regular=False)
            server.gateway.send(session, [feed.update(bar) for bar in closed[-value:][:1]])


def end_on_buffer(server: GatewayServer, value: int = 1) -> None:
    """The next burst ends exactly on 4096 bytes, which makes ibapi drop it."""
    for connection in server.connections:
        connection.ends_on_buffer = True


def corrupt(server: GatewayServer, value: int = 1) -> None:
    """A frame that no client can read: a bar without its numbers."""
    number = REPLY_IDS[HistoricalDataUpdate]
    for connection in server.connections:
        if connection.session is not None and connection.session.version >= PROTOBUF_VERSION:
            connection.send_raw((number + PROTOBUF_OFFSET).to_bytes(4, "big") + b"\xff\xff\xff\xff")
        else:
            connection.send_raw(f"{number}\0seven\0?\0".encode())


FAULTS: dict[str, Callable[[GatewayServer, int], Any]] = {
    fault.__name__: fault
    for fault in (
        drop, reset, silence, half_open, restart, servers_lost, servers_back, data_farm, history_farm, id_in_use,
        id_free, no_history, no_quotes, reject_order, partial_fills, late_fills, halt, duplicate_bar, stale_bar,
        end_on_buffer, corrupt,
    )
} | ADVERSITIES  # fmt: skip
