"""The emergency flatten as a person runs it: a process of its own against a gateway with an open trade."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.server import ThreadedServer
from run.cli import main

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import time
from run.cli import main
code = main(sys.argv[1:])
assert "nautilus_trader" not in sys.modules, "the flatten must not need NautilusTrader"
sys.exit(code)
"""


def flatten(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["flatten", "paper", "--port", str(port), "--json", *options]
    environment = {name: value for name, value in os.environ.items() if name != "IB_ACCOUNT"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("node_is", ["alive", "hung", "killed"])
def test_it_flattens_whatever_the_node_does(
    node_is: str, node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    assert truth() == (3, 2)
    if node_is == "hung":
        node.send_signal(signal.SIGSTOP)
    elif node_is == "killed":
        node.kill()
        node.wait()
    done = flatten(gateway.port)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["is_flat"], answer["orders_cancelled"], answer["closed"]) == (True, 2, {"MESZ6": -3.0})
    assert truth() == (0, 0)
    assert [trade.units for trade in gateway.gateway.broker.trades] == [3, -3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")
def test_a_person_reads_what_was_done(
    node: Any, gateway: ThreadedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    assert main(["flatten", "paper", "--port", str(gateway.port)]) == 0
    said = capsys.readouterr().err
    lines = said.splitlines()
    everything = "closing EVERYTHING (every order of every client, every position) on account DU1234567"
    assert lines[0] == f"{everything} at 127.0.0.1:{gateway.port}", "before anything is sent"
    assert lines[1:3] == ["cancelling 2 working orders", "closing +3 MESZ6 at the market"]
    assert "no order, no position" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")
def test_a_person_reads_what_is_left(
    node: Any, gateway: ThreadedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    gateway.call(lambda server: FAULTS["halt"](server, 1))
    assert main(["flatten", "paper", "--port", str(gateway.port), "--timeout", "2"]) == 3
    said = capsys.readouterr().err
    assert "NOT FLAT after" in said
    assert "+3 MESZ6, 1 orders" in said


def test_the_configuration_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flatten", "--port", "1"]) == 2
    assert capsys.readouterr().err == "error: name the configuration: paper, live or a YAML file\n"


def test_flat_already_sends_nothing(gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]) -> None:
    done = flatten(gateway.port)
    assert (done.returncode, json.loads(done.stdout)["closed"], truth()) == (0, {}, (0, 0))
    assert gateway.gateway.broker.trades == []


def test_a_slow_fill_is_not_closed_twice(
    node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    gateway.call(lambda server: FAULTS["partial_fills"](server, 1))
    stepping = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "flatten", "paper", "--port", str(gateway.port), "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while stepping.poll() is None and not gateway.gateway.market.is_over:
        if truth()[0] < 3:
            gateway.step()
        try:
            stepping.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    out, err = stepping.communicate(timeout=30)
    assert stepping.returncode == 0, err
    assert json.loads(out)["closed"] == {"MESZ6": -3.0}
    assert [trade.units for trade in gateway.gateway.broker.trades] == [3, -1, -1, -1]
    assert truth() == (0, 0)


class Stubborn(EWrapper, EClient):
    """A strategy that opens a trade again, twice, whenever somebody cancels its stop."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.entries = 0
        self.contract = Contract()
        self.contract.localSymbol, self.contract.secType = "MESZ6", "FUT"
        self.contract.exchange, self.contract.currency = "CME", "USD"

    def nextValidId(self, orderId: int) -> None:
        self.enter()

    def orderStatus(self, orderId: int, status: str, *rest: Any) -> None:
        if status == "Cancelled" and self.entries < 3:
            self.enter()

    def enter(self) -> None:
        self.entries += 1
        for number, (action, kind) in enumerate((("BUY", "MKT"), ("SELL", "STP"))):
            order = Order()
            order.action, order.orderType, order.totalQuantity, order.tif = action, kind, Decimal(2), "GTC"
            order.auxPrice = 5990.0
            self.placeOrder(2 * self.entries + number, self.contract, order)


def test_a_strategy_that_trades_on_is_flattened_again(
    gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    strategy = Stubborn()
    strategy.connect("127.0.0.1", gateway.port, 1)
    reader = threading.Thread(target=strategy.run, daemon=True)
    reader.start()
    until = time.monotonic() + 10
    while truth() != (2, 1):
        assert time.monotonic() < until
        time.sleep(0.01)
    done = flatten(gateway.port)
    assert done.returncode == 0, done.stderr
    assert (strategy.entries, truth()) == (3, (0, 0))
    assert sum(trade.units for trade in gateway.gateway.broker.trades) == 0
    assert json.loads(done.stdout)["closed"] == {"MESZ6": -6.0}
    strategy.disconnect()
    reader.join(5)


def test_what_cannot_be_closed_is_said_with_exit_code_3(
    node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    gateway.call(lambda server: FAULTS["halt"](server, 1))
    done = flatten(gateway.port, "--timeout", "2")
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert (answer["is_flat"], answer["positions_left"], answer["orders_left"]) == (False, {"MESZ6": 3.0}, 1)
    assert truth() == (3, 1)  # the closing order waits for the session to go on


def test_a_client_id_in_use_is_no_obstacle(
    node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    gateway.call(lambda server: FAULTS["id_in_use"](server, 91))
    assert flatten(gateway.port).returncode == 0
    assert truth() == (0, 0)


def test_an_unknown_contract_is_left_and_said(
    node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    gateway.call(lambda server: server.gateway.broker.contracts.clear())
    done = flatten(gateway.port, "--timeout", "2")
    assert (done.returncode, truth()) == (3, (3, 0))
    assert "the gateway does not know the contract of +3 MESZ6" in done.stderr


def test_no_gateway_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = flatten(port, "--timeout", "1")
    assert done.returncode == 2
    assert f"error: no gateway on 127.0.0.1:{port}: connection refused; " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_it_waits_for_a_gateway_that_restarts(
    node: Any, gateway: ThreadedServer, truth: Callable[[], tuple[int, int]]
) -> None:
    gateway.shut()
    command = [sys.executable, "-c", PROGRAM, "flatten", "paper", "--port", str(gateway.port), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "trying again" in running.stderr.readline()
        gateway.listen()
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert (json.loads(out)["is_flat"], truth()) == (True, (0, 0))


def test_a_silent_gateway_is_given_up_in_time(node: Any, gateway: ThreadedServer, tmp_path: Path) -> None:
    patience = tmp_path / "impatient.yaml"
    patience.write_text(
        f"host: 127.0.0.1\nport: {gateway.port}\nrequest_timeout_s: 1.0\n"
        "contract: {symbol: SPY, kind: STK, exchange: SMART}\n"
    )
    gateway.call(lambda server: server.after_connect.append(lambda connection: connection.silence(True)))
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "flatten", str(patience), "--timeout", "3"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, time.monotonic() - began < 12) == (2, True)
    assert "no answer within 1 s" in done.stderr


def test_an_account_that_the_gateway_does_not_have_is_refused(gateway: ThreadedServer) -> None:
    done = flatten(gateway.port, "--account", "U7654321")
    assert done.returncode == 2
    assert "error: gateway has no account U7654321" in done.stderr
