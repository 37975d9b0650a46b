"""The telemetry store: what is written, and that trading never waits for it."""

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from catalogs.errors import InputError
from run.trade.monitoring.telemetry_store import TABLES, TelemetryStore, hidden_password

NOW_NS = 1_767_623_400_000_000_000


def wait_for(look: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 10
    while not look():
        assert time.monotonic() < until, f"never happened: {what}"
        time.sleep(0.01)


def fill_every_table(store: TelemetryStore) -> None:
    store.publish("equity", NOW_NS, equity_usd=100_010.5, cash_usd=100_000.0, drawdown=0.01)
    store.publish("positions", NOW_NS, instrument_id="MESZ6.XCME", units=-2, price=6000.25)
    store.publish(
        "decisions", NOW_NS, instrument_id="MESZ6.XCME", target=-1, review="approved",
        probabilities=[0.7, 0.2, 0.1], latency_us=310.0,
    )  # fmt: skip
    store.publish("trades", NOW_NS, instrument_id="MESZ6.XCME", side="short", units=2, net_usd=-3.72)
    store.publish("states", NOW_NS, kind="connection", state="lost", reason="1100")
    store.publish("limits", NOW_NS, name="daily_loss", used=120.0, allowed=500.0)
    store.publish("health", NOW_NS, data_age_s=1.5, latency_us=250.0, clock_drift_s=0.01)
    store.publish("alerts", NOW_NS, level="warning", message="data is late")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL server of the tests' own."""
    pytest.importorskip("psycopg", reason="needs psycopg, which the extra `postgresql` installs")
    if not (shutil.which("initdb") and shutil.which("postgres")):
        pytest.skip("needs the PostgreSQL server programs initdb and postgres on PATH")
    # PostgreSQL refuses to run as root, as containers do by default.
    person: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o777)
        folder = f"{home}/data"
        made = subprocess.run(
            ["initdb", "-D", folder, "-U", "trader", "-A", "trust"], capture_output=True, text=True, cwd=home, **person
        )
        if made.returncode:
            pytest.skip(f"needs a user that may run PostgreSQL: {made.stderr.strip().splitlines()[-1]}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = ["postgres", "-D", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", home]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home, **person}
        with subprocess.Popen(command, **quiet) as server:
            url = f"postgresql://trader:none@127.0.0.1:{port}/postgres"
            wait_for(lambda: _answers(url), "PostgreSQL answers")  # it listens before it has started
            yield url
            server.terminate()


def _answers(url: str) -> bool:
    try:
        return bool(rows(url, "pg_database"))
    except OperationalError:
        return False


def rows(url: str, table: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]
    engine.dispose()
    return found


def check_every_table(url: str) -> None:
    store = TelemetryStore(url, "session-1")
    fill_every_table(store)
    store.close()
    assert (store.health.written, store.health.dropped, store.health.problem) == (len(TABLES), 0, "")
    assert rows(url, "equity") == [("session-1", NOW_NS, 100_010.5, 100_000.0, 0.01)]
    assert rows(url, "states") == [("session-1", NOW_NS, "connection", "lost", "1100")]
    assert [len(rows(url, table)) for table in TABLES] == [1] * len(TABLES)


def test_every_table_is_written_to_sqlite(tmp_path: Path) -> None:
    check_every_table(f"sqlite:///{tmp_path}/telemetry.db")


def test_every_table_is_written_to_postgresql(postgresql: str) -> None:
    check_every_table(postgresql)


def test_a_second_session_appends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/telemetry.db"
    for name in ("one", "two"):
        store = TelemetryStore(url, name)
        store.publish("alerts", NOW_NS, level="info", message=name)
        store.close()
    assert [row[0] for row in rows(url, "alerts")] == ["one", "two"]


def test_rows_for_a_store_that_is_away_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    store = TelemetryStore("postgresql://trader:secret@127.0.0.1:1/telemetry", "session-1", queue_rows=50)
    for i in range(2_000):
        store.publish("alerts", NOW_NS + i, level="info", message="x")
    wait_for(lambda: store.health.problem != "", "the problem is noticed")
    store.close()
    assert (store.health.written, store.health.dropped) == (0, 2_000)
    assert "is away, trading goes on" in caplog.text
    assert "secret" not in caplog.text


def test_publishing_never_waits_for_a_store_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(TelemetryStore, "_try_to_write", lambda *_: released.wait(60))
    store = TelemetryStore(f"sqlite:///{tmp_path}/telemetry.db", "session-1", queue_rows=50)

    def publish() -> None:
        for i in range(2_000):
            store.publish("alerts", NOW_NS + i, level="info", message="x")

    publishing = threading.Thread(target=publish)
    publishing.start()
    publishing.join(30)
    is_blocked = publishing.is_alive()
    released.set()
    store.close()
    assert not is_blocked


def test_writing_goes_on_when_a_locked_store_is_free_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("run.trade.monitoring.telemetry_store.CONNECT_TIMEOUT_S", 0.1)
    monkeypatch.setattr("run.trade.monitoring.telemetry_store.RETRY_S", 0.1)
    path = tmp_path / "telemetry.db"
    store = TelemetryStore(f"sqlite:///{path}", "session-1")
    store.publish("alerts", NOW_NS, level="info", message="before")
    wait_for(lambda: store.health.written == 1, "the first row")
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        store.publish("alerts", NOW_NS, level="info", message="while locked")
        wait_for(lambda: "locked" in store.health.problem, "the lock is noticed")
        holder.execute("COMMIT")
    holder.close()
    wait_for(lambda: store.health.written == 2, "the row that waited")
    store.close()
    assert store.health.problem == ""
    assert [row[-1] for row in rows(f"sqlite:///{path}", "alerts")] == ["before", "while locked"]


def test_a_full_disk_is_said_and_does_not_stop_publishing(tmp_path: Path) -> None:
    if not Path("/dev/full").exists() or os.name != "posix":
        pytest.skip("needs /dev/full, a device on which every write fails")
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "telemetry.db").symlink_to("/dev/full")
    store = TelemetryStore(f"sqlite:///{folder}/telemetry.db", "session-1")
    store.publish("alerts", NOW_NS, level="info", message="x")
    wait_for(lambda: store.health.problem != "", "the full disk is noticed")
    store.publish("alerts", NOW_NS, level="info", message="y")
    store.close()
    assert store.health.dropped == 2


def test_rows_that_no_store_takes_do_not_block_those_behind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/telemetry.db"
    store = TelemetryStore(url, "session-1")
    store.publish("decisions", NOW_NS, probabilities={1, 2})  # a set is no JSON
    wait_for(lambda: store.health.dropped == 1, "the row is refused")
    store.publish("alerts", NOW_NS, level="info", message="after")
    store.close()
    assert (store.health.written, [row[-1] for row in rows(url, "alerts")]) == (1, ["after"])
    assert "refused 1 rows" in caplog.text


def test_threads_may_publish_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/telemetry.db"
    store = TelemetryStore(url, "session-1")

    def publish() -> None:
        for i in range(200):
            store.publish("limits", NOW_NS + i, name="gross", used=1.0, allowed=2.0)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert len(rows(url, "limits")) == 800


def test_unknown_tables_and_columns_are_programming_errors(tmp_path: Path) -> None:
    store = TelemetryStore(f"sqlite:///{tmp_path}/telemetry.db", "session-1")
    with pytest.raises(KeyError, match="mood"):
        store.publish("mood", NOW_NS)
    with pytest.raises(KeyError, match="must exist, were \\['colour'\\]"):
        store.publish("alerts", NOW_NS, colour="red")
    store.close()


@pytest.mark.parametrize("url", ["nonsense", "", "://"])
def test_addresses_that_cannot_be_read_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="telemetry store must be an address"):
        TelemetryStore(url, "session-1")


def test_a_database_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="telemetry store must be sqlite or postgresql, was 'mysql'"):
        TelemetryStore("mysql://root:secret@db/telemetry", "session-1")


def test_passwords_are_hidden() -> None:
    assert hidden_password("postgresql://u:pw@h/d") == "postgresql://u:***@h/d"
