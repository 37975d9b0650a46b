"""`rl-intraday paper` as a process of its own, on a simulated gateway in this process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.acceptance import REJECTED, Refusal
from adapters.ibkr.simulator.faults import FAULTS
from adapters.ibkr.simulator.market import ANNOUNCE
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from benchmarks.faults.bundle import FRONT, Traded
from benchmarks.faults.invariants import TRADING_CLIENT, Invariants
from benchmarks.faults.journal import JournalTail
from rl_strategies.bundle.bundle import load_bundle
from run.trade.gateway import ACCOUNT, CON_ID, simulated_server
from run.trade.paper import session_window
from run.trade.session.context import read_streams
from run.trade.session.folder import SessionHome

ROOT = Path(__file__).resolve().parents[2]
CASH_USD = 1_000_000.0
START_S = 120.0
REFUSAL = Refusal(REJECTED, "Order rejected - reason:Rejected by the exchange")
# As paper and live have it, but that it notices a frozen session and looks at the broker sooner.
GUARD = "{frozen_s: 4, confirm_s: 1, restart_s: 45, look_s: 5}"
# Limits that the campaign itself would reach are off; timeouts are short, because the market is fast.
CONFIG = """
host: 127.0.0.1
port: {port}
{contract}
request_timeout_s: 5.0
patience: {{clock: bars, silence_s: 10, context_s: 0.5, truth_s: 1}}
orders: {{max_per_minute: 100000}}
health: null
guard: {guard}
monitor: {{daily_loss: {{}}, session_drawdown: {{}}, drawdown: {{}}, value_at_risk: {{}}, leverage: {{}},
  rejects_per_minute: {{}}, decision_latency_s: {{}}, recover_after_s: 1}}
{more}
"""


class LiveHost:
    """A gateway and the session that trades on it.

    Made by `hosted`.

    Parameters
    ----------
    gateway : ThreadedServer
    bundle : Path
    folder : Path
        Receives configuration, session and the process's output.
    more : str
        More lines of the live configuration.
    contract : str
        Traded contract, as in the live configuration; empty where ``more`` has several.
    pause_s : float
        Seconds between two steps of the market; a bar is five.
    guard : str
        Settings of the session's guard, ``null`` for none.

    Attributes
    ----------
    invariants : Invariants
    con_ids : dict of str to int
        The broker's numbers of the traded contracts, by instrument id.
    tail : JournalTail
    process : subprocess.Popen or None
    refused_kind : str
        Order type of which the next order is refused; empty once it has happened.
    latencies_us : list of float
        Time from a bar on the gateway's socket to the first market order that follows, microseconds.
    """

    def __init__(
        self,
        gateway: ThreadedServer,
        bundle: Path,
        folder: Path,
        more: str = "",
        contract: str = FRONT,
        pause_s: float = 0.02,
        guard: str = "null",
    ) -> None:
        self.gateway, self.server = gateway, gateway.server
        self.broker = gateway.gateway.broker
        self.folder, self._bundle, self._pause_s = folder, bundle, pause_s
        self.config = folder / "live.yaml"
        self.config.write_text(
            CONFIG.format(port=gateway.port, more=more, contract=contract_line(contract), guard=guard),
            encoding="utf-8",
        )
        loaded = load_bundle(bundle)
        self.con_ids = {spec.instrument_id: CON_ID + k for k, spec in enumerate(loaded.instruments)}
        self.home = SessionHome(folder / "sessions" / loaded.id)
        self.tail = JournalTail(Path())
        self.process: subprocess.Popen[bytes] | None = None
        self.invariants = Invariants(loaded.trading.units, list(self.con_ids.values()), self._is_running)
        self._has_begun = self._is_stopped = False
        self.refused_kind = ""
        self.latencies_us: list[float] = []
        self._bar_sent_ns = 0
        self._listen()

    @property
    def units(self) -> int:
        """Signed position at the broker; of several instruments the sum of absolute ones."""
        return _total([self.broker.account.units(con_id) for con_id in self.con_ids.values()])

    @property
    def own_units(self) -> int:
        """As `units`, by the session's own executions, and those of a flatten, at the broker."""
        return _total(list(self.holdings().values()))

    def holdings(self) -> dict[str, int]:
        """Signed position by own executions, and those of a flatten, at the broker; by instrument id."""
        held = dict.fromkeys(self.con_ids.values(), 0)
        for trade in self.broker.trades:
            is_own = trade.client_id == TRADING_CLIENT or trade.details.execution.orderRef.startswith("flatten-")
            held[trade.con_id] = held.get(trade.con_id, 0) + is_own * trade.units
        return {name: held[con_id] for name, con_id in self.con_ids.items()}

    @property
    def printed(self) -> Path:
        """File with the output of the session's processes."""
        return self.folder / "printed.txt"

    @property
    def is_over(self) -> bool:
        """Whether the market has no more bars."""
        return self.gateway.gateway.market.is_over

    def begin(self) -> bool:
        """Start the session's process and wait until it trades; False if it ended instead."""
        self._has_begun, self.tail.is_known = False, False
        command = [
            sys.executable, "-W", "ignore", "-m", "run.cli", "paper", str(self._bundle),
            "--config", str(self.config), "--sessions", str(self.folder / "sessions"), "--json",
        ]  # fmt: skip
        with self.printed.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "IB_ACCOUNT": ACCOUNT}, stdout=out, stderr=subprocess.STDOUT
            )
        self._has_begun = self.pass_time(lambda: self.is_subscribed() or not self.is_alive(), START_S, moving=False)
        if self._has_begun and self.is_alive() and self.tail.folder == Path():
            self.tail = JournalTail(self.home.last_journal())
            self.tail.is_known = True  # a new session reports it only after a doubt
        return self._has_begun and self.is_alive()

    def is_alive(self) -> bool:
        """Whether the session's process runs, stopped or not."""
        return self.process is not None and self.process.poll() is None

    def is_subscribed(self) -> bool:
        """Whether the session is connected and subscribed to all its bars."""
        mine = [feed for session, feed in self.gateway.gateway.feeds() if session.client_id == TRADING_CLIENT]
        return len({feed.con_id for feed in mine}) == len(self.broker.contracts)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._is_stopped = False

    def guards(self) -> list[int]:
        """Process numbers of the session's guards."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"guard" in words and any(str(self.home.path).encode() in word for word in words):
                found.append(int(entry.name))
        return found

    def kill_guards(self) -> None:
        """SIGKILL to every guard of the session."""
        for pid in self.guards():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """SIGSTOP: the process hangs."""
        assert self.process is not None
        self._is_stopped = True
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._is_stopped = False

    def end(self, timeout_s: float = 60.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)

    def flatten(self) -> dict[str, Any]:
        """Run `rl-intraday flatten` as a process of its own; its exit code and JSON answer."""
        command = [sys.executable, "-W", "ignore", "-m", "run.cli", "flatten", str(self.config), "--json"]
        environment = {**os.environ, "IB_ACCOUNT": ACCOUNT}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return {"exit_code": done.returncode, **(json.loads(done.stdout) if done.stdout.strip() else {})}

    def fault(self, name: str, value: int = 1) -> None:
        """Play a fault of the simulator now."""
        self.gateway.call(lambda server: FAULTS[name](server, value))

    def step(self, count: int = 1, pause_s: float | None = None) -> None:
        """Move the market, looking at the broker after every step."""
        for _ in range(count):
            if not self.is_over:
                self.gateway.step()
            self.check()
            time.sleep(self._pause_s if pause_s is None else pause_s)

    def pass_time(
        self, is_done: Callable[[], object], timeout_s: float, *, moving: bool = True, pause_s: float = 0.1
    ) -> bool:
        """Wait, with the market moving or not; False where the time was up."""
        until = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > until:
                return False
            if moving:
                self.step(1, pause_s)
            else:
                self.check()
                time.sleep(0.02)
        return True

    def step_until(self, is_so: Callable[[], object], steps: int) -> bool:
        """Step the market until a condition holds; False if it does not within so many steps."""
        for _ in range(steps):
            if is_so():
                return True
            if self.is_over:
                return False
            self.step()
        return bool(is_so())

    def check(self) -> None:
        """Check the invariants without moving the market."""
        self.gateway.call(self.invariants.check)

    def knows(self, since_ns: int = 0) -> bool:
        """Whether the session has reported since ``since_ns`` that it agrees with the broker."""
        self.tail.poll()
        return self.tail.is_known and self.tail.known_ns >= since_ns

    def believed(self) -> dict[str, int]:
        """Signed position by the fills in the session's journal; by instrument id."""
        fills = {name: self.tail.traded.get(name, {}).values() for name in self.con_ids}
        return {name: sum(fill.units for fill in rows) for name, rows in fills.items()}

    def position(self) -> int:
        """As `units`, by the fills in the session's journal."""
        return _total(list(self.believed().values()))

    def balance_cents(self) -> int:
        """Balance in the session's checkpoint, cents."""
        checkpoint = self.tail.folder.parent / "checkpoint.npz"
        with np.load(checkpoint, allow_pickle=False) as kept:
            return int(kept["account.balance_cents"][0])

    def refuse_kind(self, kind: str) -> None:
        """Refuse the next order of a type such as ``"STP"``; an empty type refuses none."""
        self.gateway.call(lambda _: setattr(self, "refused_kind", kind))

    def _listen(self) -> None:
        """Measure the time from bar to order on the socket, and refuse an order where wanted."""
        place = self.broker.place

        def place_or_refuse(client_id: int, request: PlaceOrderRequest) -> None:
            if client_id == TRADING_CLIENT and request.order.orderType == "MKT" and self._bar_sent_ns:
                self.latencies_us.append((time.perf_counter_ns() - self._bar_sent_ns) / 1e3)
                self._bar_sent_ns = 0
            if self.refused_kind == request.order.orderType:
                self.refused_kind = ""
                self.broker.refuse_next = REFUSAL
            place(client_id, request)

        def stepped(server: GatewayServer) -> None:
            # A bar is sent with the first update of its successor.
            is_sent = server.gateway.market.phase == ANNOUNCE
            self._bar_sent_ns = time.perf_counter_ns() if is_sent else self._bar_sent_ns

        self.broker.place = place_or_refuse  # type: ignore[method-assign]
        self.server.after_step.append(stepped)

    def _is_running(self) -> bool:
        return self._has_begun and not self._is_stopped and self.is_alive()


def contract_line(contract: str) -> str:
    """Line of the live configuration that names the traded contract; empty for none."""
    return f"contract: {contract}" if contract else ""


def _total(units: list[int]) -> int:
    return units[0] if len(units) == 1 else sum(map(abs, units))


@contextmanager
def hosted(
    traded: Traded,
    folder: Path,
    days: tuple[date, date],
    more: str = "",
    newest_version: int | None = None,
    contract: str = FRONT,
    guard: str = "null",
) -> Iterator[LiveHost]:
    """Gateway over trading days of the catalog; a session that still runs at the end is killed.

    Parameters
    ----------
    traded : Traded
    folder : Path
        Empty folder.
    days : (date, date)
        First and last trading day.
    more : str
        More lines of the live configuration.
    newest_version : int, optional
        Newest version of the protocol that the gateway offers.
    contract : str
        Traded contract, as in the live configuration; empty where ``more`` has several.
    guard : str
        Settings of the session's guard, ``null`` for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bundle = load_bundle(traded.bundle)
    read = [source.instrument for source in read_streams(bundle) if source.instrument is not None]
    first, *others = bundle.instruments
    window = session_window(bundle, days)
    server: GatewayServer = simulated_server(
        first, traded.catalog, "1-MINUTE", window, CASH_USD, bundle.execution, followed=[*others, *read]
    )
    if newest_version is not None:
        server.newest_version = newest_version
    with running(server) as gateway:
        host = LiveHost(gateway, traded.bundle, folder, more, contract, guard=guard)
        try:
            yield host
        finally:
            host.kill()
            host.kill_guards()
