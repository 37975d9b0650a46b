"""Telemetry of a session in a database: SQLite by default, PostgreSQL by its address.

A thread writes from a bounded queue, so trading never waits. While the store is slow, full or away, rows are dropped,
counted and reported; writing goes on when it is back.
"""

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, SQLAlchemyError

from catalogs.errors import InputError

QUEUE_ROWS = 10_000
BATCH_ROWS = 500
FLUSH_S = 0.25
RETRY_S = 2.0
CONNECT_TIMEOUT_S = 3

log = logging.getLogger(__name__)
metadata = MetaData()


def _table(name: str, *columns: Column[Any]) -> Table:
    return Table(name, metadata, Column("session_id", String, index=True), Column("ts_ns", BigInteger), *columns)


# Units: USD, microseconds, seconds; `ts_ns` is UTC nanoseconds of the event.
TABLES = {
    "equity": _table("equity", Column("equity_usd", Float), Column("cash_usd", Float), Column("drawdown", Float)),
    "positions": _table("positions", Column("instrument_id", String), Column("units", Float), Column("price", Float)),
    "decisions": _table(
        "decisions", Column("instrument_id", String), Column("target", BigInteger), Column("review", String),
        Column("probabilities", JSON), Column("latency_us", Float),
    ),
    "trades": _table(
        "trades", Column("instrument_id", String), Column("side", String), Column("units", Float),
        Column("entry_price", Float), Column("exit_price", Float), Column("entry_ts_ns", BigInteger),
        Column("net_usd", Float), Column("reason", String),
    ),
    "states": _table("states", Column("kind", String), Column("state", String), Column("reason", String)),
    "limits": _table("limits", Column("name", String), Column("used", Float), Column("allowed", Float)),
    "health": _table(
        "health", Column("data_age_s", Float), Column("latency_us", Float), Column("clock_drift_s", Float)
    ),
    "alerts": _table("alerts", Column("level", String), Column("message", String)),
}  # fmt: skip


def open_store(url: str) -> Engine:
    """Engine of a telemetry store whose tables exist.

    Parameters
    ----------
    url : str
        ``"sqlite:///session/telemetry.db"`` or ``"postgresql+psycopg://user:password@host/database"``.

    Raises
    ------
    InputError
        If the address cannot be read or names another kind of database.
    sqlalchemy.exc.SQLAlchemyError
        If the store cannot be reached or written.
    """
    engine = _engine_of(url)
    try:
        metadata.create_all(engine)
    except SQLAlchemyError:
        engine.dispose()
        raise
    return engine


def _engine_of(url: str) -> Engine:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise InputError(f"telemetry store must be an address such as sqlite:///telemetry.db, was {url!r}") from error
    backend = address.get_backend_name()
    if backend == "sqlite":
        engine = create_engine(address, connect_args={"timeout": CONNECT_TIMEOUT_S})
        event.listen(engine, "connect", _write_ahead)
        return engine
    if backend != "postgresql":
        raise InputError(f"telemetry store must be sqlite or postgresql, was {backend!r}")
    timeouts = {"connect_timeout": CONNECT_TIMEOUT_S, "options": f"-c statement_timeout={CONNECT_TIMEOUT_S * 1000}"}
    try:
        return create_engine(address.set(drivername="postgresql+psycopg"), connect_args=timeouts, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise InputError("PostgreSQL needs psycopg: pip install 'rl-intraday[postgresql]'") from error


def hidden_password(url: str) -> str:
    """The address without its password, for people and logs.

    Examples
    --------
    >>> hidden_password("postgresql://trader:secret@db/telemetry")
    'postgresql://trader:***@db/telemetry'
    """
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "an address that cannot be read"


@dataclass
class StoreHealth:
    """State of the writing.

    Attributes
    ----------
    written, dropped : int
        Rows.
    problem : str
        Current problem; empty while all is well.
    """

    written: int = 0
    dropped: int = 0
    problem: str = ""


@dataclass(frozen=True)
class _Row:
    table: str
    values: Mapping[str, Any] = field(repr=False)


class TelemetryStore:
    """Writes rows in the background; `publish` never blocks and never raises for the store's sake.

    Parameters
    ----------
    url : str
        As `open_store` takes it.
    session_id : str
        Written into every row.
    queue_rows : int
        Rows that may wait; further ones are dropped and counted.

    Attributes
    ----------
    health : StoreHealth

    Raises
    ------
    InputError
        If the address is malformed or of another kind of database. A store that is away is no error.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = TelemetryStore(f"sqlite:///{folder}/telemetry.db", "2026-01-05")
    ...     store.publish("alerts", 1_767_623_400_000_000_000, level="info", message="session begins")
    ...     store.close()
    ...     store.health
    StoreHealth(written=1, dropped=0, problem='')
    """

    def __init__(self, url: str, session_id: str, queue_rows: int = QUEUE_ROWS) -> None:
        self.health = StoreHealth()
        self._engine = _engine_of(url)
        self._has_tables = False
        self._shown, self._session_id = hidden_password(url), session_id
        self._rows: queue.Queue[_Row] = queue.Queue(queue_rows)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="telemetry", daemon=True)
        self._thread.start()

    def publish(self, table: str, ts_ns: int, **values: Any) -> None:
        """Queue one row.

        Parameters
        ----------
        table : str
            One of `TABLES`.
        ts_ns : int
            UTC nanoseconds of the event.
        **values
            Columns of the table; others are a programming error.

        Raises
        ------
        KeyError
            If there is no such table or column.
        """
        unknown = values.keys() - TABLES[table].c.keys()
        if unknown:
            raise KeyError(f"column of telemetry table {table} must exist, were {sorted(unknown)}")
        try:
            self._rows.put_nowait(_Row(table, {"session_id": self._session_id, "ts_ns": ts_ns, **values}))
        except queue.Full:
            self.health.dropped += 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Write the rows that wait, within the timeout, and end the thread."""
        self._closing.set()
        self._thread.join(timeout_s)

    def _write(self) -> None:
        waiting: list[_Row] = []
        while not (self._closing.is_set() and not waiting and self._rows.empty()):
            waiting += self._next_rows(BATCH_ROWS - len(waiting))
            if not waiting:
                continue
            if self._try_to_write(waiting):
                waiting = []
            elif self._closing.is_set():
                self.health.dropped += len(waiting) + self._rows.qsize()
                break
            else:
                self._closing.wait(RETRY_S)
        self._engine.dispose()

    def _next_rows(self, room: int) -> list[_Row]:
        rows: list[_Row] = []
        until = time.monotonic() + FLUSH_S
        while len(rows) < room and (left := until - time.monotonic()) > 0:
            try:
                rows.append(self._rows.get(timeout=0.01 if self._closing.is_set() else left))
            except queue.Empty:
                break
        return rows

    def _try_to_write(self, rows: Sequence[_Row]) -> bool:
        try:
            if not self._has_tables:
                metadata.create_all(self._engine)
                self._has_tables = True
            with self._engine.begin() as connection:
                for name, table in TABLES.items():
                    values = [dict(row.values) for row in rows if row.table == name]
                    if values:
                        connection.execute(insert(table), values)
        except (OperationalError, InterfaceError, OSError) as error:
            self._say(str(error).splitlines()[0])
            return False
        except SQLAlchemyError as error:
            # Rows that the store will never take must not stand in the way of those behind them.
            self.health.dropped += len(rows)
            log.error("telemetry store %s refused %d rows: %s", self._shown, len(rows), str(error).splitlines()[0])
            return True
        self.health.written += len(rows)
        self._say("")
        return True

    def _say(self, problem: str) -> None:
        if bool(problem) != bool(self.health.problem):
            if problem:
                log.warning("telemetry store %s is away, trading goes on: %s", self._shown, problem)
            else:
                log.warning("telemetry store %s is back; %d rows were dropped", self._shown, self.health.dropped)
        self.health.problem = problem


def _write_ahead(connection: Any, _record: Any) -> None:
    # Readers (a dashboard) then never block the writer.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
