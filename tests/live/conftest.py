"""A gateway with an open trade, and the trading node that opened it, in a process of its own."""

import json
import math
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from rl_strategies.bundle.bundle import Bundle, load_bundle, write_bundle
from rl_strategies.bundle.golden import Golden
from rl_strategies.bundle.manifest import BundleMetadata
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from run.cli import main
from tests.live.resumable_session import PLAN, network

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


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions in this process lock out one another alone, not those of other tests at the same time."""
    monkeypatch.setattr("run.trade.session.contract_lock.cache_dir", lambda: tmp_path)


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


PAPER_DAY = "2024-12-24"  # the exchange closes at 13:00
PAPER_EXPERIMENT: dict[str, Any] = {
    "name": "quick",
    "instrument": "SPY",
    "train": {"start": "2024-12-20", "end": "2024-12-23"},
    "features": [
        {"kind": "log_return", "name": "return_1", "params": {"n": 1}},
        {"kind": "atr", "name": "atr_14", "params": {"n": 14}},
        {"kind": "rsi", "name": "rsi_14", "params": {"n": 14}},
        {"kind": "session_clock", "name": "session_clock"},
    ],
    "trading": {
        "units": 10,
        "barriers": {
            "stop_loss": {"value": 2.0, "unit": "atr"},
            "take_profit": {"value": 3.0, "unit": "atr"},
            "time_limit_bars": 20,
        },
        "risk": {"max_entries_per_session": 0},
    },
    "learner": {
        "total_timesteps": 256, "n_envs": 2, "n_steps": 128, "batch_size": 256, "n_epochs": 1,
        "lstm_hidden_size": 8, "net_arch": [],
    },
}  # fmt: skip


PAPER_CONFIG = """
host: 127.0.0.1
port: 4002
contract: {symbol: SPY, kind: STK, exchange: SMART}
health: null  # a fixed port would be in the way of whatever else runs
"""


class PaperDay(NamedTuple):
    """A session that `rl-intraday paper --simulated` traded, and what it was made of."""

    folder: Path
    bundle: Path
    catalog: Path
    told: dict[str, Any]


@pytest.fixture(scope="session")
def paper_day(tmp_path_factory: pytest.TempPathFactory) -> PaperDay:
    """A shortened session of synthetic minutes, traded by a hardly trained policy that changes its mind often."""
    return trade_paper_day(tmp_path_factory.mktemp("paper"), PAPER_EXPERIMENT)


def trade_paper_day(home: Path, content: dict[str, Any]) -> PaperDay:
    """Train an experiment in ``home`` and trade the day with its bundle."""
    catalog, experiment = home / "catalog", home / "quick.yaml"
    (home / "paper.yaml").write_text(PAPER_CONFIG)
    spec, edge = resolve("SPY", instruments_path()), PlantedEdge()
    first, last = np.datetime64("2024-12-19"), np.datetime64(PAPER_DAY)
    bars = synthetic_sessions(spec, first, last, seed=0, edge=edge, start_price=300.0).bars
    write_bars(catalog, spec, bars, synthetic_provenance(spec, bars, edge, 0))
    experiment.write_bytes(msgspec.yaml.encode(content))
    assert main(["train", str(experiment), "--catalog", str(catalog), "--runs", str(home / "runs")]) == 0
    (bundle,) = home.glob("runs/*/bundle/*")
    # A process of its own: NautilusTrader's live node sets things that outlive it.
    words = ["paper", bundle, "--simulated", "--start", PAPER_DAY, "--speed", 100_000, "--json"]
    words += ["--catalog", catalog, "--sessions", home / "sessions", "--config", home / "paper.yaml"]
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    return PaperDay(Path(told["folder"]), bundle, catalog, told)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for MESZ6 whose policy sums returns."""
    folder, mes = tmp_path_factory.mktemp("bundle"), resolve("MESZ6", instruments_path(), date(2026, 10, 1))
    count = len(DecisionCore([mes], PLAN, TradingConfig(), ExecutionConfig()).observation_names)
    files = {"policy_onnx": network(count), "model_zip": b"model", "vecnormalize_pkl": b"statistics"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    # Without a return the logits are (0, 0.5, 0).
    flat = math.exp(0.5) / (2 + math.exp(0.5))
    log_probs = np.log(np.array([[[(1 - flat) / 2, flat, (1 - flat) / 2]]])).astype(np.float32)
    golden = Golden(np.zeros((1, 1, count), np.float32), np.ones((1, 1), np.bool_), log_probs, 1e-5)
    metadata = BundleMetadata(
        instruments=(mes,), bar_types=("MESZ6.XCME-1-MINUTE-LAST-EXTERNAL",), seeds=(1,), data_hash="d" * 64,
        calendar_hash="c" * 64, git_commit="0" * 40,
    )  # fmt: skip
    text = "name: quick\ntrading: {}\nexecution: {}\n"
    path = write_bundle(
        folder / "bundles", "quick", plan=PLAN, experiment_yaml=text, golden=golden, metadata=metadata,
        created=datetime(2026, 1, 1, tzinfo=UTC), **{name: folder / name for name in files},
    )  # fmt: skip
    return load_bundle(path)
