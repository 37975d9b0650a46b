"""A session for the guard's tests: a process that holds the folder's lock, beats, journals and trades over a socket.

Session and guard are forked from a process that has imported everything, so that they begin at once; the guard's own
waiting is several times as fast as in earnest, as are the delays of the tests.
"""

import json
import multiprocessing
import os
import runpy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import SessionMetadata
from tests.live.conftest import MES, ROOT, START_NS

AAPL = ContractTerms(265598, "AAPL", "STK", "SMART", "NASDAQ", "AAPL", Decimal("0.01"), isin="US0378331005")
SESSION, OWNER = 1, 7
DAY = "2026-01-05"
CONFIG = """
host: 127.0.0.1
port: {port}
contract: {{symbol: MES, kind: FUT, exchange: CME, expiry: "202612"}}
request_timeout_s: 1.5
health: null
patience: {{clock: bars, start_s: 5}}
guard: {{frozen_s: 1.5, confirm_s: 0.5, restart_s: {restart_s}, look_s: 0.5, close_before_end_s: {before_end_s}}}
"""
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["ibapi.client", "run.cli", "run.trade.guard.command", "run.trade.session_runner"])
PROGRAM = str(ROOT / "tests" / "live" / "guarded_program.py")


class Run:
    """A process of the test.

    Parameters
    ----------
    function : str
        Of `tests/live/guarded_program.py`.
    arguments : tuple
    line : Connection, optional
        Its input; a message ends it.
    """

    def __init__(self, function: str, arguments: tuple[Any, ...], line: Connection | None = None) -> None:
        words = (PROGRAM, {"arguments": arguments}, function)
        self._process = PROCESSES.Process(target=runpy.run_path, args=words, daemon=True)
        self._process.start()
        self._line = line
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float = 10.0) -> int:
        """Exit code, once it has ended."""
        self._process.join(timeout_s)
        assert self._process.exitcode is not None, "it did not end"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join(10)

    def end(self) -> None:
        """Tell it to end."""
        assert self._line is not None
        self._line.send("end")


Wanted = tuple[str, int, str, float] | tuple[str, int, str, float, str]
BRACKET: list[Wanted] = [("entry", 3, "MKT", 0), ("stop", -3, "STP", 5990), ("target", -3, "LMT", 6010)]
GROUPED: list[Wanted] = [BRACKET[0], ("stop", -3, "STP", 5990, "O-1-1"), ("target", -3, "LMT", 6010, "O-1-1")]


class GuardedSession:
    """A gateway, a session's process and guards beside it.

    Parameters
    ----------
    gateway : ThreadedServer
    folder : Path
        Empty.
    restart_s, before_end_s : float
        Settings of the guard.
    """

    def __init__(self, gateway: ThreadedServer, folder: Path, restart_s: float = 60, before_end_s: float = 240) -> None:
        self.gateway, self.broker = gateway, gateway.gateway.broker
        self.home, self.folder = SessionHome(folder / "sessions"), folder / "sessions" / DAY
        self.folder.mkdir(parents=True)
        self.config = folder / "live.yaml"
        settings = {"port": gateway.port, "restart_s": restart_s, "before_end_s": before_end_s}
        self.config.write_text(CONFIG.format(**settings))
        bar_type = "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL"
        SessionMetadata("", "quick", "MESZ6.XCME", bar_type, None, "bars", str(self.config)).write(self.folder)
        self.home.risk.write(self.home.risk.read())
        self._runs: list[Run] = []
        self.said = folder / "guard.err"
        self.looks = 0
        self._positions = gateway.gateway.positions
        gateway.gateway.positions = self._count  # type: ignore[method-assign]

    def _count(self) -> Any:
        self.looks += 1
        return self._positions()

    def begin(self, wanted: list[Wanted]) -> Run:
        """Start the session; returns once it holds what it wants."""
        ours, its = PROCESSES.Pipe()
        run = Run("trade", (self.folder, self.gateway.port, wanted, its), ours)
        self._runs.append(run)
        assert ours.poll(30)
        assert ours.recv() == "trading"
        self.gateway.step(5)  # a minute: the fills are no longer so fresh that positions may lack them
        return run

    def guard(self) -> Run:
        """Start a guard."""
        run = Run("watch", (self.folder, self.said))
        self._runs.append(run)
        return run

    def end(self) -> None:
        """Kill whatever runs."""
        for run in self._runs:
            run.kill()

    def looked(self, times: int) -> bool:
        """Wait until the broker was asked for positions so many times more."""
        wanted = self.looks + times
        return until(lambda: self.looks >= wanted, 60)

    def place(self, client_id: int, number: int, units: int, terms: ContractTerms = MES, **more: Any) -> None:
        """Place an order at the broker for a client, by default at the market."""
        wanted = {"action": "BUY" if units > 0 else "SELL", "orderType": "MKT", "tif": "GTC", "transmit": True, **more}
        order = Order(totalQuantity=str(abs(units)), **wanted)
        request = PlaceOrderRequest(orderId=number, contract=terms.to_contract(), order=order)
        self.gateway.call(lambda server: server.gateway.broker.place(client_id, request))

    def cancel_stop(self) -> None:
        """Cancel the session's stop at the broker, by another hand than the session's; its target goes on."""

        def cancel(_: GatewayServer) -> None:
            for order in self.broker.working(SESSION):
                if order.is_stop:
                    self.broker.cancel(SESSION, order.order_id)

        self.gateway.call(cancel)

    def own_trades(self) -> list[int]:
        """Signed executions in the session's contract after those of the owner."""
        trades = [trade for trade in self.broker.trades if trade.con_id == MES.con_id and trade.client_id != OWNER]
        return [trade.units for trade in trades]

    def working(self, of_owner: bool = False) -> list[tuple[int, int]]:
        """Client and number of working orders."""
        orders = self.gateway.call(lambda _: [(each.client_id, each.order_id) for each in self.broker.working()])
        return [order for order in orders if (order[0] == OWNER) == of_owner]

    def witness(self) -> list[bool]:
        """Whether the session's units lack a stop at the broker: grows with every change of its books from now on."""
        naked: list[bool] = []
        deliver = self.gateway.gateway.deliver

        def look() -> None:
            stops = [order for order in self.broker.working(SESSION) if order.is_stop]
            naked.append(sum(order.remaining for order in stops) < abs(sum(self.own_trades())))
            deliver()

        self.gateway.gateway.deliver = look  # type: ignore[method-assign]
        return naked

    def owners(self) -> tuple[int, int, list[tuple[int, int]]]:
        """What the owner has: the futures beside the session's, the shares, the orders."""
        units = self.broker.account.units
        return units(MES.con_id) - sum(self.own_trades()), units(AAPL.con_id), self.working(of_owner=True)

    def state(self) -> dict[str, Any]:
        """What the guard's file says; empty before there is one."""
        path = self.folder / "guard.json"
        return dict(json.loads(path.read_text())) if path.is_file() else {}


UNTOUCHED = (2, 100, [(OWNER, 2), (OWNER, 4)])


@contextmanager
def guarded_session(folder: Path, **settings: float) -> Iterator[GuardedSession]:
    """A gateway on whose account the owner holds things too, without a session and a guard yet."""
    bars = {
        terms.con_id: [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(60)]
        for terms in (MES, AAPL)
    }
    market = Market([MES, AAPL], bars, start_ns=START_NS + 300 * SECOND_NS)
    with running(GatewayServer(Gateway([MES, AAPL], market, "DU1234567", 1_000_000_000))) as threaded:
        session = GuardedSession(threaded, folder, **settings)
        session.place(OWNER, 1, 100, AAPL)
        session.place(OWNER, 2, -100, AAPL, orderType="STP", auxPrice=200.0)
        session.place(OWNER, 3, 2)
        session.place(OWNER, 4, -2, orderType="LMT", lmtPrice=6100.0)
        try:
            yield session
        finally:
            session.end()


def until(is_so: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Wait until a condition holds; False if it does not in time."""
    end = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
