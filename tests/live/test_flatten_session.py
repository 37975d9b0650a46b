"""A session that cannot be resumed, and `flatten` of a session or a contract: the owner's own things stay untouched."""

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ibapi.protobuf.Order_pb2 import Order
from ibapi.protobuf.PlaceOrderRequest_pb2 import PlaceOrderRequest

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from configs.live.schema import load_live
from rl_strategies.live.journal.journal import Journal
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, SessionJournal
from run.cli import main
from run.trade.locked_session import trade_session
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import SessionMetadata, hash_of, read_metadata
from run.trade.session.plan import SessionPlan
from run.trade.session_runner import HALTED
from tests.live.conftest import MES, START_NS
from tests.live.test_live_verbs import DAY

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")

AAPL = ContractTerms(265598, "AAPL", "STK", "SMART", "NASDAQ", "AAPL", Decimal("0.01"), isin="US0378331005")
SESSION, OWNER = 1, 7


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """A session makes its files unreadable for others; the tests after this one need not."""
    kept = os.umask(0o022)
    yield
    os.umask(kept)


@pytest.fixture
def gateway() -> Iterator[ThreadedServer]:
    """Gateway that knows the session's future and the owner's share."""
    bars = {
        terms.con_id: [TapeBar(START_NS + 60 * SECOND_NS * i, 24000, 24004, 23996, 24000, 400) for i in range(20)]
        for terms in (MES, AAPL)
    }
    market = Market([MES, AAPL], bars, start_ns=START_NS + 300 * SECOND_NS)
    with running(GatewayServer(Gateway([MES, AAPL], market, "DU1234567", 1_000_000_000))) as threaded:
        yield threaded


@pytest.fixture
def order(gateway: ThreadedServer) -> Callable[..., None]:
    """``order(client, number, units, terms, …)`` places an order at the broker, by default at the market."""

    def place(client_id: int, number: int, units: int, terms: ContractTerms = MES, **more: Any) -> None:
        wanted = {"action": "BUY" if units > 0 else "SELL", "orderType": "MKT", "tif": "GTC", "transmit": True, **more}
        request = PlaceOrderRequest(
            orderId=number, contract=terms.to_contract(), order=Order(totalQuantity=str(abs(units)), **wanted)
        )
        gateway.call(lambda server: server.gateway.broker.place(client_id, request))

    return place


@pytest.fixture
def holdings(order: Callable[..., None]) -> None:
    """The session holds three futures with a stop; the owner two more of them, shares, and orders in both."""
    order(OWNER, 1, 100, AAPL)
    order(OWNER, 2, -100, AAPL, orderType="STP", auxPrice=200.0)
    order(OWNER, 3, 2)
    order(OWNER, 4, -2, orderType="LMT", lmtPrice=6100.0)
    order(SESSION, 5, 3, orderRef="O-20261001-143000-001-001-1:5")
    order(SESSION, 6, -3, orderRef="O-20261001-143000-001-001-2:6", orderType="STP", auxPrice=5990.0)


def write_orders(journal: SessionJournal, gateway: ThreadedServer) -> None:
    """What the session wrote of its entry and its stop."""
    trade = next(each for each in gateway.gateway.broker.trades if each.client_id == SESSION)
    kinds = (("1", "entry", "market", 1), ("2", "stop", "stop", -1))
    for number, role, kind, side in kinds:
        name = f"O-20261001-143000-001-001-{number}"
        journal.order(OrderRow(name, "MESZ6.XCME", role, side, 3, kind, 0, "target", "", 1, 1))  # type: ignore[arg-type]
    trade_id = trade.details.execution.execId
    entry = ("O-20261001-143000-001-001-1", trade_id, "entry", "market", 0, "target", 3, 24000, 186, 24000, 1, 1)
    journal.fill("MESZ6.XCME", FillRow(*entry))  # type: ignore[arg-type]


def owners_things(gateway: ThreadedServer) -> tuple[int, int, list[tuple[int, int]]]:
    """Futures and shares held, and the owners and numbers of the orders that work."""
    broker = gateway.gateway.broker
    working = [(each.client_id, each.order_id) for each in broker.working()]
    return broker.account.units(MES.con_id), broker.account.units(AAPL.con_id), working


UNTOUCHED = (2, 100, [(OWNER, 2), (OWNER, 4)])


@pytest.mark.usefixtures("holdings")
@pytest.mark.parametrize("is_journaled", [True, False])
def test_a_session_that_cannot_be_resumed_closes_what_is_its_own(
    bundle: Any, gateway: ThreadedServer, tmp_path: Path, is_journaled: bool
) -> None:
    home = SessionHome(tmp_path / "home")
    journal = Journal(home.journal(DAY), durable=False)
    journal.append("bar", 1, "MESZ6.XCME", [1, 2, 3])  # no bar: the session cannot be resumed
    if is_journaled:
        write_orders(SessionJournal(journal), gateway)
    journal.close()
    config = msgspec.structs.replace(load_live("paper"), port=gateway.port, health=None)
    spec = bundle.instrument
    plan = SessionPlan(bundle, spec, config, "my_live.yaml", "DU1234567", home, DAY)
    outcome = trade_session(plan)
    assert (outcome.exit_code, home.risk.read().level) == (HALTED, "halted")
    assert (
        "its own position and orders were closed, nothing else on the account was touched; to begin" in outcome.reason
    )
    assert owners_things(gateway) == UNTOUCHED
    assert [trade.units for trade in gateway.gateway.broker.trades if trade.con_id == AAPL.con_id] == [100]


@pytest.fixture
def session(gateway: ThreadedServer, holdings: None, tmp_path: Path) -> Path:
    """Folder of the session's day."""
    folder = tmp_path / "home" / DAY.isoformat()
    journal = Journal(folder / "journal", durable=False)
    write_orders(SessionJournal(journal), gateway)
    journal.close()
    bar_type = "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL"
    SessionMetadata("", "quick", "MESZ6.XCME", bar_type, None, "wall", "paper").write(folder)
    return folder


def test_flatten_of_a_session_leaves_its_owners_things(
    session: Path, gateway: ThreadedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    words = ["flatten", "paper", "--port", str(gateway.port), "--scope", "session", "--session", str(session)]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    first = f"closing the own orders and position of session {session} on account DU1234567"
    assert err.splitlines()[0] == f"{first} at 127.0.0.1:{gateway.port}"
    answer = json.loads(out)
    assert (answer["closed"], answer["orders_cancelled"]) == ({"MESZ6": -3.0}, 1)
    assert owners_things(gateway) == UNTOUCHED
    assert main([*words, "--json"]) == 0, "a second time"
    assert json.loads(capsys.readouterr().out)["closed"] == {}
    assert owners_things(gateway) == UNTOUCHED


def test_a_session_of_another_account_is_not_closed(
    session: Path, gateway: ThreadedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IB_ACCOUNT", "DU1234567")
    other = msgspec.structs.replace(read_metadata(session), account_hash=hash_of("DU7654321"))
    other.write(session)
    before = owners_things(gateway)
    words = ["flatten", "paper", "--port", str(gateway.port), "--scope", "session", "--session", str(session)]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: the session traded on another account than the configuration's\n"
    assert owners_things(gateway) == before


def test_what_was_closed_on_an_earlier_day_is_not_closed_again(
    session: Path,
    gateway: ThreadedServer,
    order: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    words = ["flatten", "paper", "--port", str(gateway.port), "--scope", "session", "--session", str(session)]
    assert main(words) == 0
    gateway.call(lambda server: server.gateway.broker.trades.clear())  # the broker lists executions of today alone
    order(OWNER, 8, 10)
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["closed"] == {}
    assert owners_things(gateway) == (12, 100, UNTOUCHED[2])


def test_flatten_of_a_contract_leaves_the_others(
    session: Path, gateway: ThreadedServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IB_ACCOUNT", raising=False)
    assert main(["flatten", "paper", "--port", str(gateway.port), "--scope", "contract"]) == 0
    assert capsys.readouterr().err.startswith("closing every order and the position in MESZ6 on account DU1234567")
    assert owners_things(gateway) == (0, 100, [(OWNER, 2)])


@pytest.mark.parametrize("words", [["--scope", "session"], ["--session", "x"]])
def test_a_session_is_named_where_it_is_meant(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flatten", "paper", *words]) == 2
    assert capsys.readouterr().err == "error: --session and --scope session go together: give both or neither\n"
