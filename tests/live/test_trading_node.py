"""NautilusTrader's own TradingNode, unmodified, trades on the simulated gateway."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_767_623_400 * SECOND_NS
# Prints every bar and fill; buys two contracts on the second bar and puts a stop below them when they are filled.
NODE = """
    import sys
    from nautilus_trader.adapters.interactive_brokers.common import IB, IBContract
    from nautilus_trader.adapters.interactive_brokers.config import (
        InteractiveBrokersDataClientConfig, InteractiveBrokersExecClientConfig,
        InteractiveBrokersInstrumentProviderConfig,
    )
    from nautilus_trader.adapters.interactive_brokers.factories import (
        InteractiveBrokersLiveDataClientFactory, InteractiveBrokersLiveExecClientFactory,
    )
    from nautilus_trader.config import LoggingConfig, RoutingConfig, TradingNodeConfig
    from nautilus_trader.live.node import TradingNode
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.enums import OrderSide, TimeInForce
    from nautilus_trader.model.objects import Price, Quantity
    from nautilus_trader.trading.strategy import Strategy

    BAR_TYPE = BarType.from_str("MESZ6.CME-1-MINUTE-LAST-EXTERNAL")

    class Buyer(Strategy):
        bars = 0

        def on_start(self):
            self.subscribe_bars(BAR_TYPE)
            print("started", flush=True)

        def on_bar(self, bar):
            self.bars += 1
            print("bar", bar.open, bar.high, bar.low, bar.close, bar.volume, flush=True)
            if self.bars == 2:
                make, size = self.order_factory, Quantity.from_int(2)
                self.submit_order(make.market(BAR_TYPE.instrument_id, OrderSide.BUY, size, TimeInForce.GTC))

        def on_order_filled(self, event):
            print("filled", event.last_qty, event.last_px, event.commission, flush=True)
            stop = self.order_factory.stop_market(
                BAR_TYPE.instrument_id, OrderSide.SELL, event.last_qty, Price.from_str("5990.00"),
                time_in_force=TimeInForce.GTC,
            )
            self.submit_order(stop)

    where = {"ibg_host": "127.0.0.1", "ibg_port": int(sys.argv[1]), "ibg_client_id": 1}
    contract = IBContract(secType="FUT", symbol="MES", exchange="CME", lastTradeDateOrContractMonth="202612")
    provider = InteractiveBrokersInstrumentProviderConfig(load_contracts=frozenset([contract]))
    node = TradingNode(
        TradingNodeConfig(
            trader_id="T-001", logging=LoggingConfig(log_level="ERROR"),
            data_clients={IB: InteractiveBrokersDataClientConfig(
                **where, instrument_provider=provider, use_regular_trading_hours=False)},
            exec_clients={IB: InteractiveBrokersExecClientConfig(
                **where, account_id="DU1234567", instrument_provider=provider, routing=RoutingConfig(default=True))},
        )
    )
    node.trader.add_strategy(Buyer())
    node.add_data_client_factory(IB, InteractiveBrokersLiveDataClientFactory)
    node.add_exec_client_factory(IB, InteractiveBrokersLiveExecClientFactory)
    node.build()
    node.run()
"""


@contextmanager
def trading(gateway: ThreadedServer) -> Iterator[subprocess.Popen[str]]:
    """Node whose strategy has started."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(NODE), str(gateway.port)]
    environment = {**os.environ, "IB_MAX_CONNECTION_ATTEMPTS": "3"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        assert any(line == "started\n" for line in node.stdout)
        wait_for(gateway.gateway.feeds)
        yield node
        node.kill()  # an orderly end takes a node ten seconds


def wait_for(look: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not look():
        assert time.monotonic() < until
        time.sleep(0.02)


def bar_line(i: int) -> str:
    return f"bar {(24000 + i) / 4:.2f} {(24004 + i) / 4:.2f} {(23996 + i) / 4:.2f} {(24001 + i) / 4:.2f} 400"


@pytest.fixture
def server(version: int, mes: ContractTerms) -> GatewayServer:
    """Gateway with bars that rise a tick a minute; the session begins with the sixth."""
    bars = [TapeBar(START_NS + 60 * SECOND_NS * i, 24000 + i, 24004 + i, 23996 + i, 24001 + i, 400) for i in range(12)]
    market = Market([mes], {mes.con_id: bars}, start_ns=bars[5].open_ns)
    return GatewayServer(Gateway([mes], market, "DU1234567", 10_000_000), newest_version=version)


def truth(server: GatewayServer) -> tuple[int, list[tuple[str, int]]]:
    broker = server.gateway.broker
    (held,) = broker.account.holdings.values()
    return held.units, [(order.request.orderType, order.remaining) for order in broker.working()]


@pytest.mark.parametrize("version", [200, 222])
def test_a_node_starts_sees_every_bar_and_trades_at_the_close(server: GatewayServer) -> None:
    with running(server) as gateway, trading(gateway) as node:
        gateway.replay(speed=600).result()
        assert truth(server) == (2, [("STP", 2)])
        node.kill()
        assert node.stdout is not None
        printed = node.stdout.read().splitlines()
    # The bar that closed before the subscription arrives as if live; the last one has no successor to complete it.
    assert [line for line in printed if line.startswith("bar")] == [bar_line(i) for i in range(4, 11)]
    assert [line for line in printed if line.startswith("filled")] == ["filled 2 6001.50 1.24 USD"]


@pytest.mark.slow
@pytest.mark.parametrize("version", [222])
def test_a_node_comes_back_after_a_reset_without_the_bars_between(server: GatewayServer) -> None:
    with running(server) as gateway, trading(gateway) as node:
        for _ in range(11):
            gateway.step()
            time.sleep(0.1)
        wait_for(lambda: len(server.gateway.broker.working()) == 1)
        gateway.call(lambda server: FAULTS["reset"](server, 1))
        gateway.step(10)
        wait_for(gateway.gateway.feeds)
        gateway.replay(speed=600).result()
        node.kill()
        assert node.stdout is not None
        bars = [line for line in node.stdout.read().splitlines() if line.startswith("bar")]
    assert truth(server) == (2, [("STP", 2)])
    assert bars[:3] == [bar_line(4), bar_line(5), bar_line(6)]
    assert bar_line(7) not in bars  # what a runner must fetch again before it decides
    assert bars[-1] == bar_line(10)
