"""Interactive Brokers' history through ib_insync against the simulated gateway, over TCP."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from adapters.errors import SourceError
from adapters.ibkr.connection import gateway as connected
from adapters.ibkr.history import IbkrHistory
from adapters.ibkr.simulator.broker.acceptance import Refusal
from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.gateway import Gateway
from adapters.ibkr.simulator.market import SECOND_NS, Market, TapeBar
from adapters.ibkr.simulator.server import GatewayServer, ThreadedServer, running
from catalogs.sessions import session_calendar
from catalogs.storage.arrow import read_bars, stored_bar_types

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(ib_insync|eventkit)")

MES = ContractTerms(
    730283085, "MES", "FUT", "CME", "CME", "MESZ6", Decimal("0.25"), 5,
    commission_per_unit=Decimal("0.62"), margin_initial=Decimal(2400), margin_maintenance=Decimal(2180),
    last_trade_date="20261218",
)  # fmt: skip
SPY = ContractTerms(
    756733, "SPY", "STK", "SMART", "ARCA", "SPY", Decimal("0.01"),
    commission_per_unit=Decimal("0.005"), commission_minimum=Decimal(1), isin="US78462F1030", time_zone="US/Eastern",
)  # fmt: skip
CALENDAR = session_calendar("CME Globex Equity")
DAYS = ("2026-09-21", "2026-09-22")  # Monday and Tuesday
MINUTE_NS = 60 * SECOND_NS
BAR_TYPE = "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL"


def session_span(day: str) -> tuple[int, int]:
    session = int(np.searchsorted(CALENDAR.session_date, np.datetime64(day)))
    return int(CALENDAR.open_ns[session]), int(CALENDAR.close_ns[session])


def tape(start_ns: int, n: int, price: int) -> list[TapeBar]:
    """Minutes from a time on, a tick up each, ten units a bar."""
    return [
        TapeBar(start_ns + MINUTE_NS * i, price + i, price + i + 2, price + i - 1, price + i + 1, 10) for i in range(n)
    ]


@pytest.fixture
def server() -> Iterator[ThreadedServer]:
    """Gateway on Wednesday with the first forty minutes of two sessions of MES behind it, and of one of SPY."""
    begins = [session_span(day)[0] for day in (*DAYS, "2026-09-23")]
    bars = [bar for number, begin in enumerate(begins) for bar in tape(begin, 40, 24_000 + 100 * number)]
    nyse_open = int(pd.Timestamp("2026-09-21 09:30", tz="America/New_York").timestamp()) * SECOND_NS
    market = Market([MES, SPY], {MES.con_id: bars, SPY.con_id: tape(nyse_open, 40, 60_000)}, start_ns=begins[2])
    with running(GatewayServer(Gateway([MES, SPY], market, "DU1234567", 10_000_000))) as threaded:
        yield threaded


def fetch(server: ThreadedServer, catalog: Path, symbols: str = "MESZ6", days: tuple[str, str] = DAYS) -> tuple:
    words = ("--symbols", symbols, "--start", days[0], "--end", days[1], "--port", server.port, "--catalog", catalog)
    return ("data", "fetch", "ibkr", *words)


def test_sessions_are_fetched_once_and_imported(
    server: ThreadedServer, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    [told] = answer(*fetch(server, tmp_path))["imports"]
    assert (told["rows"], told["new_rows"]) == (80, 80)
    assert told["contract"] == "MESZ6 on CME, contract 730283085, tick 0.25, last trade 20261218"
    bars = read_bars(tmp_path, BAR_TYPE)
    wanted = np.concatenate([session_span(day)[0] + MINUTE_NS * np.arange(1, 41) for day in DAYS])
    assert np.array_equal(bars.ts_ns, wanted)
    assert bars.close[:2].tolist() == [24_001, 24_002]
    assert set(bars.volume.tolist()) == {10}
    server.call(lambda s: setattr(s.gateway, "history_refusal", Refusal(162, "nothing may be asked twice")))
    assert answer(*fetch(server, tmp_path))["imports"][0]["new_rows"] == 0


def test_a_share_is_asked_for_on_the_smart_route(
    server: ThreadedServer, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    [told] = answer(*fetch(server, tmp_path, "SPY", (DAYS[0], DAYS[0])))["imports"]
    assert told["contract"].startswith("SPY on SMART, contract 756733")
    assert read_bars(tmp_path, "SPY.EQUS-1-MINUTE-LAST-EXTERNAL").close[0] == 60_001


@pytest.mark.parametrize(
    ("symbols", "days", "message"),
    [
        ("MESH7", DAYS, "knows 0 contracts MESH7, must be one"),
        ("MESZ6", ("2026-09-25", "2026-09-25"), "it sent 40 of other days"),
        ("MESZ6", ("2026-09-26", "2026-09-26"), "no CME Globex Equity session from 2026-09-26 to 2026-09-26"),
        ("MESZ6", ("2031-01-06", "2031-01-07"), "--start must not be after the last finished day"),
    ],
)
def test_what_the_broker_has_not_is_told_and_the_catalog_unchanged(
    server: ThreadedServer,
    tmp_path: Path,
    refusal: Callable[..., str],
    symbols: str,
    days: tuple[str, str],
    message: str,
) -> None:
    assert message in refusal(*fetch(server, tmp_path / "store", symbols, days))
    assert stored_bar_types(tmp_path / "store") == []


def test_a_refusal_keeps_what_was_fetched_before(
    server: ThreadedServer, tmp_path: Path, answer: Callable[..., dict], refusal: Callable[..., str]
) -> None:
    answer(*fetch(server, tmp_path, days=(DAYS[0], DAYS[0])))
    no_permission = Refusal(162, "Historical Market Data Service error message:No market data permissions for CME FUT")
    server.call(lambda s: setattr(s.gateway, "history_refusal", no_permission))
    line = refusal(*fetch(server, tmp_path))
    assert "error 162" in line
    assert line.endswith("No market data permissions for CME FUT"), "nothing new was stored"
    server.call(lambda s: setattr(s.gateway, "history_refusal", None))
    assert answer(*fetch(server, tmp_path))["imports"][0]["new_rows"] == 40


def test_instruments_stored_before_a_refusal_are_listed(
    server: ThreadedServer, tmp_path: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(*fetch(server, tmp_path, "SPY,MESH7", (DAYS[0], DAYS[0])))
    assert "knows 0 contracts MESH7" in line
    assert "; stored before: SPY.EQUS-1-MINUTE-LAST-EXTERNAL (40 new): " in line


def test_no_gateway_is_told(tmp_path: Path, refusal: Callable[..., str]) -> None:
    nobody = SimpleNamespace(port=9)
    assert "no gateway on 127.0.0.1:9" in refusal(*fetch(nobody, tmp_path))


def test_a_pacing_violation_is_waited_out(server: ThreadedServer) -> None:
    pacing = Refusal(162, "Historical Market Data Service error message:Historical data request pacing violation")
    server.call(lambda s: setattr(s.gateway, "history_refusal", pacing))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        server.call(lambda s: setattr(s.gateway, "history_refusal", None))

    with connected("127.0.0.1", server.port, (7,), 10) as client:
        history = IbkrHistory(client, sleep=sleep)
        contract = history.resolve("MESZ6", "XCME", is_future=True)
        assert len(history.minutes(contract, *session_span(DAYS[0]))) == 40
    assert slept == [20.0]


def test_lasting_pacing_and_silence_are_failures(server: ThreadedServer) -> None:
    pacing = Refusal(162, "Historical Market Data Service error message:Historical data request pacing violation")
    with connected("127.0.0.1", server.port, (7,), 10) as client:
        history = IbkrHistory(client, attempts=2, timeout_s=0.3, sleep=lambda _: None)
        contract = history.resolve("MESZ6", "XCME", is_future=True)
        server.call(lambda s: setattr(s.gateway, "history_refusal", pacing))
        with pytest.raises(SourceError, match=r"in 2 attempts, last: error 162: .*pacing violation"):
            history.minutes(contract, *session_span(DAYS[0]))
        server.call(lambda s: setattr(s.gateway, "history_refusal", None))
        server.call(lambda s: [connection.silence(True) for connection in list(s.connections)])
        with pytest.raises(SourceError, match=r"until 2026-09-21 21:00 UTC: no answer within 0\.3 s"):
            history.minutes(contract, *session_span(DAYS[0]))
