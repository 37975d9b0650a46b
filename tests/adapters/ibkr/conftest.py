"""A simulated gateway over hand-written bars, and Interactive Brokers' own client with a record of what it was told."""

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import every_fill
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running

PATIENCE_S = 10.0
ACCOUNT = "DU1234567"
CASH_CENTS = 10_000_000
START_NS = 1_767_623_400 * SECOND_NS  # 2026-01-05 14:30:00 UTC, 08:30 in Chicago

MES = ContractTerms(
    con_id=730283085,
    symbol="MES",
    sec_type="FUT",
    exchange="CME",
    primary_exchange="CME",
    local_symbol="MESH6",
    tick_size=Decimal("0.25"),
    multiplier=5,
    commission_per_unit=Decimal("0.62"),
    margin_initial=Decimal(2400),
    margin_maintenance=Decimal(2180),
    last_trade_date="20260320",
)
SPY = ContractTerms(
    con_id=756733,
    symbol="SPY",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="ARCA",
    local_symbol="SPY",
    tick_size=Decimal("0.01"),
    commission_per_unit=Decimal("0.005"),
    commission_minimum=Decimal(1),
    isin="US78462F1030",
    time_zone="US/Eastern",
)


def minute_bars(*prices: tuple[int, int, int, int], volume: int = 400, first_ns: int = START_NS) -> list[TapeBar]:
    """Consecutive minute bars from (open, high, low, close) in ticks."""
    return [TapeBar(first_ns + 60 * SECOND_NS * i, *bar, volume) for i, bar in enumerate(prices)]


# 6000.00 is 24000 ticks. Up two ticks a bar; each bar dips three ticks and rises four.
RISING = [(24000 + 2 * i, 24004 + 2 * i, 23997 + 2 * i, 24002 + 2 * i) for i in range(30)]


class RecordingClient(EWrapper, EClient):
    """ibapi client that keeps every callback as (name, arguments)."""

    def __init__(self) -> None:
        EClient.__init__(self, self)
        self.heard: list[tuple[Any, ...]] = []
        self._loop: threading.Thread | None = None

    def start(self, port: int, client_id: int = 1) -> None:
        """Connect and read in a thread."""
        self.connect("127.0.0.1", port, client_id)
        self._loop = threading.Thread(target=self.run, daemon=True)
        self._loop.start()

    def stop(self) -> None:
        """Disconnect and wait for the thread."""
        self.disconnect()
        if self._loop is not None:
            self._loop.join(PATIENCE_S)

    def all(self, name: str) -> list[tuple[Any, ...]]:
        """Arguments of every callback of a name."""
        return [heard[1:] for heard in list(self.heard) if heard[0] == name]

    def wait(self, name: str, like: Callable[..., bool] = lambda *arguments: True) -> tuple[Any, ...]:
        """Arguments of the first callback of a name that is like this, waited for."""
        return wait_for(
            lambda: next((found for found in self.all(name) if like(*found)), None), f"{name} in {self.heard}"
        )

    def codes(self) -> list[int]:
        """Error codes heard so far."""
        return [arguments[2] for arguments in self.all("error")]


def wait_for[T](look: Callable[[], T | None], what: str) -> T:
    """First answer of ``look`` that is neither None nor False, looked for with patience."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = look()
        if found is not None and found is not False:
            return found
        time.sleep(0.01)
    raise AssertionError(f"never seen: {what}")


def _recorded(name: str) -> Callable[..., None]:
    def record(self: RecordingClient, *arguments: Any) -> None:
        self.heard.append((name, *arguments))

    return record


for _name in (
    "nextValidId", "managedAccounts", "error", "contractDetails", "contractDetailsEnd", "accountSummary",
    "accountSummaryEnd", "position", "positionEnd", "updateAccountValue", "updatePortfolio", "accountDownloadEnd",
    "historicalData", "historicalDataEnd", "historicalDataUpdate", "realtimeBar", "tickPrice", "tickSize",
    "tickReqParams", "marketDataType", "tickSnapshotEnd", "tickByTickAllLast", "tickByTickBidAsk", "currentTime",
    "currentTimeInMillis", "openOrder", "orderStatus", "openOrderEnd", "execDetails", "execDetailsEnd",
    "commissionAndFeesReport", "completedOrder", "completedOrdersEnd", "connectionClosed", "accountUpdateMulti",
    "accountUpdateMultiEnd",
):  # fmt: skip
    setattr(RecordingClient, _name, _recorded(_name))


def mes() -> Contract:
    """The future of the tests as a user would name it."""
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "MES", "FUT", "CME", "USD"
    contract.lastTradeDateOrContractMonth = "202603"
    return contract


def order(action: str, units: int, kind: str = "MKT", price: float | None = None, **more: Any) -> Order:
    """Order of a kind; the price goes where the kind wants it."""
    made = Order()
    made.action, made.totalQuantity, made.orderType, made.tif = action, Decimal(units), kind, "GTC"
    if price is not None and kind == "LMT":
        made.lmtPrice = price
    elif price is not None:
        made.auxPrice = price
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def gateway_of() -> Callable[..., Gateway]:
    """``gateway_of(bars, history=3)``: gateway whose session begins after the first ``history`` bars of MES."""

    def build(bars: list[TapeBar], history: int = 3, cash_cents: int = CASH_CENTS, slippage_ticks: int = 0) -> Gateway:
        market = Market([MES, SPY], {MES.con_id: bars}, start_ns=bars[history].open_ns)
        return Gateway([MES, SPY], market, ACCOUNT, cash_cents, every_fill(slippage_ticks))

    return build


@pytest.fixture
def version() -> int:
    """Server version offered; tests parametrize it."""
    return 222


@pytest.fixture
def gateway(version: int, gateway_of: Callable[..., Gateway]) -> Iterator[ThreadedServer]:
    """Gateway on a port, with thirty rising bars, three of them history."""
    with running(GatewayServer(gateway_of(minute_bars(*RISING)), newest_version=version)) as threaded:
        yield threaded


@pytest.fixture
def connected(gateway: ThreadedServer) -> Iterator[Callable[..., RecordingClient]]:
    """``connected(client_id=1)``: ibapi client, connected and started."""
    clients: list[RecordingClient] = []

    def connect(client_id: int = 1) -> RecordingClient:
        clients.append(RecordingClient())
        clients[-1].start(gateway.port, client_id)
        clients[-1].wait("nextValidId")
        return clients[-1]

    yield connect
    for made in clients:
        made.stop()


@pytest.fixture
def client(connected: Callable[..., RecordingClient]) -> RecordingClient:
    """ibapi client 1."""
    return connected()


@pytest.fixture(scope="session")
def ib() -> SimpleNamespace:
    """What tests build their requests and tapes from."""
    return SimpleNamespace(
        mes=mes, order=order, wait_for=wait_for, minute_bars=minute_bars, RISING=RISING, MES=MES, SPY=SPY,
        ACCOUNT=ACCOUNT, START_NS=START_NS, RecordingClient=RecordingClient,
    )  # fmt: skip
