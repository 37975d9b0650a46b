"""The simulated gateway as a person starts it: catalog bars on a port until they are over."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from rl_strategies.decision.rules import ExecutionConfig
from run.cli import main
from run.day import DAY_NS, midnight_ns
from run.trade.gateway import contract_terms, simulated_server

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2025, 7, 9)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    spec = resolve("MESU5", instruments_path(), DAY)
    edge = PlantedEdge()
    made = synthetic_sessions(spec, np.datetime64("2025-07-07"), np.datetime64(DAY), seed=1, edge=edge)
    write_bars(folder, spec, made.bars, synthetic_provenance(spec, made.bars, edge, 1))
    return folder


@contextmanager
def served_by(command: list[str], pipes: dict[str, Any]) -> Iterator["subprocess.Popen[str]"]:
    """The gateway's process, which ends with the block whatever happens in it."""
    with subprocess.Popen(command, env={**os.environ, "COLUMNS": "200"}, **pipes) as served:
        try:
            yield served
        finally:
            served.kill()


class Buyer(EWrapper, EClient):
    """Subscribes to bars and buys one contract when the first arrives."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.contract = Contract()
        self.contract.localSymbol, self.contract.secType = "MESU5", "FUT"
        self.contract.exchange, self.contract.currency = "CME", "USD"
        self.history: list[str] = []
        self.live: list[str] = []

    def nextValidId(self, orderId: int) -> None:
        self.reqHistoricalData(1, self.contract, "", "1 D", "1 min", "TRADES", 0, 2, True, [])

    def historicalData(self, reqId: int, bar: object) -> None:
        self.history.append(bar.date)

    def historicalDataUpdate(self, reqId: int, bar: object) -> None:
        self.live.append(bar.date)
        if len(self.live) == 1:
            order = Order()
            order.action, order.totalQuantity, order.orderType, order.tif = "BUY", Decimal(1), "MKT", "GTC"
            self.placeOrder(1, self.contract, order)


def test_a_client_trades_until_the_bars_are_over(catalog: Path, tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {step: 40, name: drop}\n")
    words = ["gateway", "mesu5", "--start", "2025-07-09", "--catalog", str(catalog), "--port", "0", "--json"]
    command = [sys.executable, "-m", "run.cli", *words, "--speed", "1000000", "--faults", str(faults)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    with served_by(command, pipes) as served:
        assert served.stderr is not None
        port = int(re.search(r"127\.0\.0\.1:(\d+)", served.stderr.readline()).group(1))
        client = Buyer()
        client.connect("127.0.0.1", port, 1)
        reader = threading.Thread(target=client.run, daemon=True)
        reader.start()
        until = time.monotonic() + 20
        while client.isConnected() and time.monotonic() < until:
            time.sleep(0.05)
        assert not client.isConnected()  # the fault at step 40
    assert len(client.history) > 100
    assert len(set(client.live)) == 8
    assert min(client.live) > max(client.history)


class Reader(EWrapper, EClient):
    """Subscribes to the bars of shares, one after the other."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.live: dict[int, list[str]] = {1: [], 2: []}
        self.ready = threading.Event()

    def nextValidId(self, orderId: int) -> None:
        self.ready.set()

    def follow(self, number: int, symbol: str) -> None:
        contract = Contract()
        contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, "STK", "SMART", "USD"
        self.reqHistoricalData(number, contract, "", "1 D", "1 min", "TRADES", 0, 2, True, [])

    def historicalDataUpdate(self, reqId: int, bar: object) -> None:
        self.live[reqId].append(bar.date)


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of two shares."""
    folder = tmp_path_factory.mktemp("shares")
    first, last, edge = np.datetime64("2024-12-20"), np.datetime64("2024-12-23"), PlantedEdge()
    for seed, name in enumerate(("AAPL", "SPY")):
        spec = resolve(name, instruments_path(), DAY)
        bars = synthetic_sessions(spec, first, last, seed=seed, edge=edge, start_price=300.0).bars
        write_bars(folder, spec, bars, synthetic_provenance(spec, bars, edge, seed))
    return folder


def test_several_instruments_start_once_a_client_has_subscribed_to_each(shares: Path) -> None:
    words = ["gateway", "AAPL", "SPY", "--start", "2024-12-23", "--catalog", str(shares), "--port", "0", "--json"]
    command = [sys.executable, "-m", "run.cli", *words, "--speed", "1000000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    with served_by(command, pipes) as served:
        assert served.stderr is not None
        said = served.stderr.readline()
        assert "AAPL, SPY" in said
        client = Reader()
        client.connect("127.0.0.1", int(re.search(r"127\.0\.0\.1:(\d+)", said).group(1)), 1)
        threading.Thread(target=client.run, daemon=True).start()
        assert client.ready.wait(10)
        client.follow(1, "AAPL")
        time.sleep(0.5)  # five looks of the gateway
        assert client.live == {1: [], 2: []}
        client.follow(2, "SPY")
        until = time.monotonic() + 20
        while min(len(set(dates)) for dates in client.live.values()) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        client.disconnect()
    first, second = (set(dates) for dates in client.live.values())
    assert len(first & second) >= 3


def test_terms_come_from_the_instrument_table() -> None:
    terms = contract_terms(resolve("MESU5", instruments_path(), DAY))
    assert (terms.symbol, terms.local_symbol, terms.exchange, terms.multiplier) == ("MES", "MESU5", "CME", 5)
    assert (terms.last_trade_date, terms.margin_initial, terms.isin) == ("20250919", Decimal(2400), "")
    share = contract_terms(resolve("SPY", instruments_path()))
    assert (share.sec_type, share.exchange, share.commission_minimum) == ("STK", "SMART", Decimal("1.00"))


def test_the_session_is_what_the_days_say(catalog: Path) -> None:
    spec = resolve("MESU5", instruments_path(), DAY)
    window_ns = midnight_ns(DAY), midnight_ns(DAY) + DAY_NS
    server = simulated_server(spec, catalog, "1-MINUTE", window_ns, 50_000.0, ExecutionConfig())
    market = server.gateway.market
    assert np.datetime64(market.now_ns, "ns").astype("datetime64[D]").astype(date) == DAY
    server.step(10**9)
    assert market.is_over
    broker = server.gateway.broker
    assert broker.account.summary(broker.marks)["NetLiquidation"] == "50000.00"


def test_what_is_followed_is_played_on_the_same_clock(shares: Path) -> None:
    specs = [resolve(name, instruments_path(), DAY) for name in ("AAPL", "SPY")]
    window_ns = midnight_ns(date(2024, 12, 23)), midnight_ns(date(2024, 12, 24))
    server = simulated_server(specs[0], shares, "1-MINUTE", window_ns, 50_000.0, ExecutionConfig(), followed=specs[1:])
    gateway = server.gateway
    assert [terms.local_symbol for terms in gateway.broker.contracts.values()] == ["AAPL", "SPY"]
    assert gateway.market.steps == 2 * 5 * 390
    server.step(20)
    assert len({gateway.market.last_close_ns(con_id) for con_id in gateway.broker.contracts}) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["MES.XCME", "--start", "2025-07-09"], "name a contract month, such as MESZ6, was MES.XCME"),
        (["MESU5", "--start", "2025-08-20"], "MESU5.XCME"),
        (["SPY", "AAPL", "spy", "--start", "2025-07-09"], "instruments must be named once, were SPY.EQUS, AAPL.EQUS"),
        (["MESU5", "--start", "2025-07-09", "--faults", "none.yaml"], "fault script none.yaml"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", *words, "--catalog", str(catalog), "--port", "0"]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.strip().splitlines()) == 1


def test_faults_are_checked_before_anything_is_served(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("- {step: 1, name: earthquake}\n")
    words = ["gateway", "MESU5", "--start", "2025-07-09", "--catalog", str(catalog), "--faults", str(script)]
    assert main(words) == 2
    assert "fault must be one of drop, reset" in capsys.readouterr().err
