"""A session for the guard's tests: a process that holds the folder's lock, beats, journals and trades over a socket."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
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
request_timeout_s: 5
health: null
patience: {{clock: bars, start_s: 5}}
guard: {{frozen_s: 1.5, confirm_s: 0.5, restart_s: {restart_s}, look_s: 0.5, close_before_end_s: {before_end_s}}}
"""
# Buys three contracts with a stop and a target, journals them, says so, and beats until its input ends.
PROGRAM = """
    import json, sys, threading, time
    from decimal import Decimal
    from pathlib import Path
    from ibapi.client import EClient
    from ibapi.contract import Contract
    from ibapi.order import Order
    from ibapi.wrapper import EWrapper
    from rl_strategies.live.journal.journal import Journal
    from rl_strategies.live.journal.session_journal import FillRow, OrderRow, SessionJournal
    from run.trade.monitoring.heartbeat import Heartbeat
    from run.trade.session.folder import SessionHome

    folder, port, wanted = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    name = "O-20260105-143500-001-001-"

    class Session(EWrapper, EClient):
        def __init__(self):
            EClient.__init__(self, self)
            self.ready, self.filled = threading.Event(), []

        def nextValidId(self, orderId):
            self.ready.set()

        def execDetails(self, reqId, contract, execution):
            self.filled.append(execution)

    with SessionHome(folder.parent).locked():
        heart = Heartbeat(folder / "heartbeat", "127.0.0.1", port, 1)
        inner = Journal(folder / "journal", durable=False)
        journal = SessionJournal(inner)
        session = Session()
        session.connect("127.0.0.1", port, 1)
        threading.Thread(target=session.run, daemon=True).start()
        assert session.ready.wait(20)
        contract = Contract()
        contract.symbol, contract.secType, contract.exchange, contract.currency = "MES", "FUT", "CME", "USD"
        contract.lastTradeDateOrContractMonth = "202612"
        for number, (role, units, kind, price, *rest) in enumerate(wanted, 1):
            row = OrderRow(f"{name}{number}", "MESZ6.XCME", role, 1 if units > 0 else -1, abs(units),
                           "market", 0, "target", "", 1, 1)
            journal.order(row)
            inner.flush()
            order = Order()
            order.action, order.totalQuantity = "BUY" if units > 0 else "SELL", Decimal(abs(units))
            order.orderType, order.tif, order.outsideRth = kind, "GTC", True
            order.lmtPrice, order.auxPrice, order.orderRef = float(price), float(price), f"{name}{number}:{number}"
            order.ocaGroup, order.ocaType = rest[0] if rest else "", 2 if rest else 0
            order.parentId, order.transmit = (1 if number > 1 else 0), number == len(wanted)
            session.placeOrder(number, contract, order)
        time.sleep(0.5)
        for fill in session.filled:
            units = int(fill.shares) * (1 if fill.side == "BOT" else -1)
            journal.fill("MESZ6.XCME", FillRow(f"{name}{fill.orderId}", fill.execId, "entry", "market", 0, "target",
                                               units, 24000, 186, 24000, 1, 1))
        inner.flush()
        held = sum(units for role, units, kind, *_ in wanted if kind == "MKT")
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        print("trading", flush=True)
        while not ended.wait(0.2):
            heart.beat("trading", abs(held))
        session.disconnect()
        heart.close(abs(held))
"""
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
        self._processes: list[subprocess.Popen[str]] = []

    def begin(self, wanted: list[Wanted]) -> subprocess.Popen[str]:
        """Start the session; returns once it holds what it wants."""
        words = [str(self.folder), str(self.gateway.port), json.dumps(wanted)]
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM), *words]
        process = self._start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "trading\n"
        self.gateway.step(5)  # a minute: the fills are no longer so fresh that positions may lack them
        return process

    def guard(self, *options: str) -> subprocess.Popen[str]:
        """Start a guard; its standard error is piped."""
        command = [sys.executable, "-W", "ignore", "-m", "run.cli", "guard", str(self.folder), *options]
        return self._start(command, stderr=subprocess.PIPE)

    def _start(self, command: list[str], **pipes: int) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IB_ACCOUNT")}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload]
        self._processes.append(process)
        return process

    def end(self) -> None:
        """Kill whatever runs."""
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

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
