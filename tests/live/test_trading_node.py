"""NautilusTrader's own TradingNode, unmodified, trades on the simulated gateway."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from adapters.ibkr.simulator.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, running

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


@pytest.mark.parametrize("version", [200, 222])
def test_a_node_starts_sees_every_bar_and_trades_at_the_close(version: int, mes: ContractTerms) -> None:
    bars = [TapeBar(START_NS + 60 * SECOND_NS * i, 24000 + i, 24004 + i, 23996 + i, 24001 + i, 400) for i in range(10)]
    market = Market([mes], {mes.con_id: bars}, start_ns=bars[5].open_ns)
    server = GatewayServer(Gateway([mes], market, "DU1234567", 10_000_000), newest_version=version)
    with running(server) as gateway:
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(NODE), str(gateway.port)]
        environment = {**os.environ, "IB_MAX_CONNECTION_ATTEMPTS": "1"}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as node:
            assert node.stdout is not None
            assert any(line == "started\n" for line in node.stdout)
            gateway.replay(speed=600)
            node.kill()  # an orderly end takes a node ten seconds
            printed = node.stdout.read().splitlines()
        broker = gateway.gateway.broker
        working = [(order.request.orderType, order.remaining) for order in broker.working()]
        assert (broker.account.units(mes.con_id), working) == (2, [("STP", 2)])
    seen = [line for line in printed if line.startswith("bar")]
    # The bar that closed before the subscription arrives as if live; the last one has no successor to complete it.
    assert seen == [
        f"bar {(24000 + i) / 4:.2f} {(24004 + i) / 4:.2f} {(23996 + i) / 4:.2f} {(24001 + i) / 4:.2f} 400"
        for i in range(4, 9)
    ]
    assert [line for line in printed if line.startswith("filled")] == ["filled 2 6001.50 1.24 USD"]
