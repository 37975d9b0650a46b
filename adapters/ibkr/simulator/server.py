"""The simulated gateway on a TCP port, stepped by hand or at a chosen speed.

`GatewayServer` lives in one asyncio loop; `running` puts it into a thread of its own, so that tests and clients of
any kind can share a process with it.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.ibkr.simulator.connection import Connection
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import Market
from adapters.ibkr.simulator.wire.frames import NEWEST_VERSION

Settled = Callable[[Market], bool]
NS = 1_000_000_000
SETTLE_S = 5.0


class GatewayServer:
    """TCP server of one gateway.

    Parameters
    ----------
    gateway : Gateway
    host : str
    port : int
        0 takes a free one.
    newest_version : int
        Newest server version offered: 176 and 200 speak text, 201 and above protobuf.

    Attributes
    ----------
    connections : list of Connection
    requests_seen : int
        Grows with everything that clients send, which shows when they have fallen quiet.
    after_step : list of callable
        Called with the server after every step; fault scripts are such callables.
    after_connect : list of callable
        Called with every new connection.
    chores : list of asyncio.Task
        What faults do in the background.
    """

    def __init__(
        self, gateway: Gateway, host: str = "127.0.0.1", port: int = 0, newest_version: int = NEWEST_VERSION
    ) -> None:
        self.gateway = gateway
        self.host = host
        self.port = port
        self.newest_version = newest_version
        self.connections: list[Connection] = []
        self.requests_seen = 0
        self.after_step: list[Callable[[GatewayServer], None]] = []
        self.after_connect: list[Callable[[Connection], None]] = []
        self.chores: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def listen(self) -> None:
        """Accept connections; on the same port again after `shut`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Close the port and every connection, as a gateway does that restarts; orders and positions stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.reset()
        if self._alarm is not None:
            self._alarm.cancel()
        await asyncio.sleep(0)

    def flush(self) -> None:
        """Send everything that waits, and again when something late is due."""
        self.gateway.release()
        for connection in list(self.connections):
            connection.flush()
        self._wake_later()

    def step(self, count: int = 1) -> int:
        """Move the market up to so many steps; returns how many were left to take."""
        for done in range(count):
            if self.gateway.market.is_over:
                return done
            self.gateway.step()
            for act in self.after_step:
                act(self)
            self.flush()
        return count

    async def replay(self, speed: float, quiet_s: float = 0.2, settled: Settled | None = None) -> None:
        """Step to the end of the bars.

        Parameters
        ----------
        speed : float
            Simulated seconds per second; 60 plays a minute bar each second.
        quiet_s : float
            Seconds without any request that count as clients having reacted to a bar that just completed. Until
            then the next bar does not open.
        settled : callable, optional
            Says better than silence whether the client has dealt with the bars that have closed, of all contracts.
            After `SETTLE_S` it is asked no more.
        """
        market = self.gateway.market
        # A broker whose clock is ahead of this machine's closes its bars earlier.
        began_s, began_ns = time.monotonic() - self.gateway.adversary.clock_offset_s, market.now_ns
        while not market.is_over:
            self.step()
            if market.next_ns is None:
                return
            if market.is_announced and settled is not None:
                await self._until_settled(settled)
            elif market.is_announced:
                await self._until_quiet(quiet_s)
            # By the clock of the beginning, so that what a step costs does not add up.
            wait_s = began_s + (market.next_ns - began_ns) / NS / speed - time.monotonic()
            await asyncio.sleep(max(0.0, wait_s))

    def _wake_later(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        delivery = self.gateway.delivery
        due_s = delivery.next_due_s if delivery is not None else None
        if due_s is not None:
            wait_s = max(0.0, due_s - self.gateway.clock_s())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self.flush)

    async def _until_settled(self, settled: Settled) -> None:
        until = time.monotonic() + SETTLE_S
        while not settled(self.gateway.market) and time.monotonic() < until:
            await asyncio.sleep(0.001)

    async def _until_quiet(self, quiet_s: float) -> None:
        seen = -1
        while seen != self.requests_seen:
            seen = self.requests_seen
            await asyncio.sleep(quiet_s)


class ThreadedServer:
    """A `GatewayServer` in a thread of its own; every method may be called from any other thread."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.gateway = server.gateway
        # Not the policy's loop: NautilusTrader's live node makes that uvloop, whose transports hide their sockets.
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-gateway", daemon=True)

    @property
    def port(self) -> int:
        """Port that clients connect to."""
        return self.server.port

    def call[T](self, act: Callable[[GatewayServer], T]) -> T:
        """Run something in the server's thread, send what it caused, and return its result."""

        async def run() -> T:
            result = act(self.server)
            self.server.flush()
            return result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=30)

    def step(self, count: int = 1) -> int:
        """Move the market."""
        return self.call(lambda server: server.step(count))

    def replay(
        self, speed: float, quiet_s: float = 0.2, settled: Settled | None = None
    ) -> "concurrent.futures.Future[None]":
        """Step to the end of the bars, in the background; see `GatewayServer.replay`."""
        return asyncio.run_coroutine_threadsafe(self.server.replay(speed, quiet_s, settled), self._loop)

    def shut(self) -> None:
        """Close the port and all connections."""
        asyncio.run_coroutine_threadsafe(self.server.shut(), self._loop).result(timeout=30)

    def listen(self) -> None:
        """Open the port (again)."""
        asyncio.run_coroutine_threadsafe(self.server.listen(), self._loop).result(timeout=30)

    def start(self) -> None:
        """Start the thread and listen."""
        self._thread.start()
        self.listen()

    def stop(self) -> None:
        """Close everything and end the thread."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()


@contextmanager
def running(server: GatewayServer) -> Iterator[ThreadedServer]:
    """Server in a thread for the length of a ``with`` block."""
    threaded = ThreadedServer(server)
    threaded.start()
    try:
        yield threaded
    finally:
        threaded.stop()
