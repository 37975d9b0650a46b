"""A gateway with an open trade, and the trading node that opened it, in a process of its own."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.ibkr.simulator.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_767_623_400 * SECOND_NS  # 2026-01-05 14:30:00 UTC
MES = ContractTerms(
    730283085, "MES", "FUT", "CME", "CME", "MESZ6", Decimal("0.25"), 5,
    commission_per_unit=Decimal("0.62"), margin_initial=Decimal(2400), margin_maintenance=Decimal(2180),
    last_trade_date="20261218",
)  # fmt: skip
# Connects as client 1, buys three contracts with a stop and a target, says so and holds.
NODE = """
    import sys, threading, time
    from decimal import Decimal
    from ibapi.client import EClient
    from ibapi.contract import Contract
    from ibapi.order import Order
    from ibapi.wrapper import EWrapper

    class Node(EWrapper, EClient):
        def __init__(self):
            EClient.__init__(self, self)
            self.ready = threading.Event()

        def nextValidId(self, orderId):
            self.ready.set()

    node = Node()
    node.connect("127.0.0.1", int(sys.argv[1]), 1)
    threading.Thread(target=node.run, daemon=True).start()
    node.ready.wait(10)
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "MES", "FUT", "CME", "USD"
    contract.lastTradeDateOrContractMonth = "202612"
    wanted = ("BUY", "MKT", 0), ("SELL", "STP", 5990), ("SELL", "LMT", 6010)
    for number, (action, kind, price) in enumerate(wanted, 1):
        order = Order()
        order.action, order.totalQuantity, order.orderType, order.tif = action, Decimal(3), kind, "GTC"
        order.lmtPrice, order.auxPrice = float(price), float(price)
        order.ocaGroup, order.ocaType = ("exit", 3) if number > 1 else ("", 0)
        node.placeOrder(number, contract, order)
    print("trading", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def mes() -> ContractTerms:
    """The future that the tests trade."""
    return MES


@pytest.fixture
def gateway() -> Iterator[ThreadedServer]:
    """Gateway whose market stands at 6000.00."""
    bars = [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(20)]
    market = Market([MES], {MES.con_id: bars}, start_ns=bars[5].open_ns)
    with running(GatewayServer(Gateway([MES], market, "DU1234567", 10_000_000))) as threaded:
        yield threaded


@pytest.fixture
def truth(gateway: ThreadedServer) -> Callable[[], tuple[int, int]]:
    """``truth()``: position and number of working orders at the broker."""
    broker = gateway.gateway.broker
    return lambda: gateway.call(lambda _: (broker.account.units(MES.con_id), len(broker.working())))


@pytest.fixture
def node(gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]) -> Iterator[subprocess.Popen[str]]:
    """Process that holds three contracts with a stop and a target."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(NODE), str(gateway.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "trading\n"
        until = time.monotonic() + 10
        while truth() != (3, 2) and time.monotonic() < until:
            time.sleep(0.01)
        yield process
        process.kill()
