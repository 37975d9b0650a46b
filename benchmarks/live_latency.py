"""Time from a bar on the socket to its opening order on the socket: this build, an earlier one, and a bare strategy.

Three processes trade on three simulated gateways of one kind, and their bars are sent in turn, so that all meet the
same machine. An order counts when the gateway could act upon it: a bracket with its last order. The bare strategy is
one of NautilusTrader's own that submits a market order on the bar and does nothing else.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.market import ANNOUNCE
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from benchmarks.faults.bundle import EXPERIMENT, FRONT, make_catalog
from benchmarks.faults.host import CONFIG, contract_line
from benchmarks.faults.invariants import TRADING_CLIENT
from benchmarks.startup import extract
from rl_strategies.bundle.bundle import load_bundle
from run.trade.gateway import ACCOUNT, CON_ID, simulated_server
from run.trade.paper import session_window

ROOT = Path(__file__).resolve().parents[1]
DAYS = date(2025, 1, 28), date(2025, 1, 29)
BARS = 600
BARRIERS = {"stop_loss": {"value": 0.5, "unit": "atr"}, "take_profit": {"value": 0.5, "unit": "atr"}}  # an entry a bar
START_S = 240.0
SETTLE_S = 0.06  # a decision and its orders take a few milliseconds
CASH_USD = 1_000_000.0
BARE = """
    import sys
    from nautilus_trader.adapters.interactive_brokers.common import IB
    from nautilus_trader.live.node import TradingNode
    from nautilus_trader.config import LoggingConfig, TradingNodeConfig
    from nautilus_trader.adapters.interactive_brokers.factories import (
        InteractiveBrokersLiveDataClientFactory, InteractiveBrokersLiveExecClientFactory,
    )
    from nautilus_trader.model.data import BarType
    from nautilus_trader.model.enums import OrderSide
    from nautilus_trader.model.objects import Quantity
    from nautilus_trader.trading.strategy import Strategy
    from adapters.ibkr.trading import BrokerContract, client_configs

    BAR_TYPE = BarType.from_str("MESH5.XCME-1-MINUTE-LAST-EXTERNAL")

    class Bare(Strategy):
        held = False

        def on_start(self):
            self.subscribe_bars(BAR_TYPE)

        def on_bar(self, bar):
            side = OrderSide.SELL if self.held else OrderSide.BUY
            self.held = not self.held
            self.submit_order(self.order_factory.market(BAR_TYPE.instrument_id, side, Quantity.from_int(3)))

    contract = BrokerContract("MES", "FUT", "CME", "202503", "XCME")
    data, execution = client_configs(
        "127.0.0.1", int(sys.argv[1]), 1, sys.argv[2], contract, regular_hours=False, timeout_s=5
    )
    node = TradingNode(TradingNodeConfig(
        trader_id="T-001", logging=LoggingConfig(log_level="ERROR"),
        data_clients={IB: data}, exec_clients={IB: execution},
    ))
    node.trader.add_strategy(Bare())
    node.add_data_client_factory(IB, InteractiveBrokersLiveDataClientFactory)
    node.add_exec_client_factory(IB, InteractiveBrokersLiveExecClientFactory)
    node.build()
    node.run()
"""


class Timed:
    """A gateway whose bars and opening orders are timed, with the process that trades on it.

    Parameters
    ----------
    gateway : ThreadedServer
    """

    def __init__(self, gateway: ThreadedServer) -> None:
        self.gateway = gateway
        self.taken_ms: list[float] = []
        self._sent_ns = 0
        broker = gateway.gateway.broker
        place = broker.place

        def timed(client_id: int, request: PlaceOrderRequest) -> None:
            is_opening = broker.account.units(CON_ID) == 0 and request.orderId not in known
            if client_id == TRADING_CLIENT and is_opening and request.order.transmit and self._sent_ns:
                self.taken_ms.append((time.perf_counter_ns() - self._sent_ns) / 1e6)
            if request.order.transmit:
                self._sent_ns = 0  # the entry of a reversal follows from the fill of its exit, not from the bar
            known.add(request.orderId)
            place(client_id, request)

        def stepped(server: GatewayServer) -> None:
            is_sent = server.gateway.market.phase == ANNOUNCE  # a bar is sent with the first update of its successor
            self._sent_ns = time.perf_counter_ns() if is_sent else 0

        known: set[int] = set()
        broker.place = timed  # type: ignore[method-assign]
        gateway.server.after_step.append(stepped)

    @property
    def is_subscribed(self) -> bool:
        """Whether the process has subscribed to the bars."""
        return bool(self.gateway.gateway.feeds())

    def bar(self) -> None:
        """One bar: five steps, and time to act on the one that sends it."""
        for _ in range(5):
            self.gateway.step()
            is_sent = self.gateway.gateway.market.phase == ANNOUNCE
            time.sleep(SETTLE_S if is_sent else 0.002)


def measure(seed: int, bars: int = BARS) -> dict[str, float]:
    """Percentiles of the three, in milliseconds, and this build's median over each of the others'.

    Parameters
    ----------
    seed : int
        Seed of bars and network.
    bars : int
    """
    with tempfile.TemporaryDirectory(prefix="live_latency-") as name, ExitStack() as stack:
        folder = Path(name)
        earlier = folder / "earlier"
        earlier.mkdir()
        extract(ROOT, earlier)
        catalog = make_catalog(folder, seed)
        bundle = _trained(earlier, folder, catalog, seed)  # this build reads an earlier one's bundle, not the reverse
        runs = {
            name: stack.enter_context(_trading(bundle, catalog, folder / name, code))
            for name, code in (("this", ROOT), ("earlier", earlier), ("bare", None))
        }
        for _ in range(bars):
            for run in runs.values():
                run.bar()
    figures: dict[str, float] = {}
    for name, run in runs.items():
        p50, p99 = np.percentile(run.taken_ms, [50, 99])
        figures |= {f"{name}_p50_ms": float(p50), f"{name}_p99_ms": float(p99), f"{name}_orders": len(run.taken_ms)}
    figures["over_earlier"] = figures["this_p50_ms"] / figures["earlier_p50_ms"]
    figures["over_bare"] = figures["this_p50_ms"] / figures["bare_p50_ms"]
    return figures


def _trained(code: Path, folder: Path, catalog: Path, seed: int) -> Path:
    experiment = folder / "faults.yaml"
    trading = {**EXPERIMENT["trading"], "barriers": BARRIERS}
    experiment.write_bytes(msgspec.yaml.encode({**EXPERIMENT, "trading": trading, "seed": seed}))
    words = ["train", str(experiment), "--catalog", str(catalog), "--runs", str(folder / "runs")]
    _python(code, ["-m", "run.cli", *words]).check_returncode()
    return next(folder.glob("runs/*/bundle/*"))


@contextmanager
def _trading(bundle: Path, catalog: Path, folder: Path, code: Path | None) -> Iterator[Timed]:
    folder.mkdir(exist_ok=True)
    loaded = load_bundle(bundle)
    window = session_window(loaded, DAYS)
    server = simulated_server(loaded.instrument, catalog, "1-MINUTE", window, CASH_USD, loaded.execution)
    with running(server) as gateway:
        timed = Timed(gateway)
        if code is None:
            words: Sequence[str] = ["-c", textwrap.dedent(BARE), str(gateway.port), ACCOUNT]
        else:
            config = folder / "live.yaml"
            text = CONFIG.format(port=gateway.port, more="", contract=contract_line(FRONT), guard="null")
            known = text if code == ROOT else text.replace("guard: null\n", "")  # the earlier one has no guard
            config.write_text(known, encoding="utf-8")
            words = ["-m", "run.cli", "paper", str(bundle), "--config", str(config), "--sessions", str(folder)]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", *words], cwd=code or ROOT, env=_environment(code or ROOT),
            stdout=subprocess.DEVNULL, stderr=(folder / "errors.txt").open("wb"),
        )  # fmt: skip
        try:
            _wait(timed, process, folder)
            yield timed
        finally:
            process.kill()
            process.wait()


def _wait(timed: Timed, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    until = time.monotonic() + START_S
    while not timed.is_subscribed:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"did not start: {(folder / 'errors.txt').read_text(encoding='utf-8')[-500:]}")
        time.sleep(0.1)


def _python(code: Path, words: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-W", "ignore", *words], cwd=code, env=_environment(code), capture_output=True, check=False
    )


def _environment(code: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(code), "IB_ACCOUNT": ACCOUNT}
