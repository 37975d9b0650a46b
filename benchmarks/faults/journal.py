"""The journal of a running session, followed from outside as it grows."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from rl_strategies.live.journal.journal import OPEN, SCHEMA, SEALED, read_journal
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, add_fill


class JournalTail:
    """Content of a session's journal so far.

    Parameters
    ----------
    folder : Path
        Folder of the journal; need not exist yet.

    Attributes
    ----------
    orders : dict of str to OrderRow
        Orders by client order id.
    fills : dict of str to FillRow
        Fills by the broker's id.
    traded : dict of str to dict of str to FillRow
        The same of each instrument, by its id.
    states : list of dict
        Changes of state, each with ``ts_ns``.
    refused : set of str
        Client order ids of orders that the session knows to be refused.
    is_known : bool
        Whether the session last reported that its position and orders agree with the broker's.
    known_ns : int
        Time of that report, UTC nanoseconds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.orders: dict[str, OrderRow] = {}
        self.fills: dict[str, FillRow] = {}
        self.traded: dict[str, dict[str, FillRow]] = {}
        self.states: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.is_known = False
        self.known_ns = 0
        self._next_seq = 0
        self._segment: Path | None = None
        self._offset = 0

    def poll(self) -> None:
        """Read new rows."""
        segments = sorted(self.folder.glob(f"*{OPEN}")) if self.folder.is_dir() else []
        newest = segments[-1] if segments else Path()  # none between two processes of a session
        if newest != self._segment:
            self._segment, self._offset = newest, 0
            if list(self.folder.glob(f"*{SEALED}")):
                self._take(read_journal(self.folder).rows)
        if segments:
            self._read_on(newest)

    def _read_on(self, segment: Path) -> None:
        try:
            with segment.open("rb") as file:
                file.seek(self._offset)
                source = pa.BufferReader(file.read())
        except FileNotFoundError:
            return  # sealed just now: the next poll finds its successor
        read = 0
        while True:
            try:
                message = pa.ipc.read_message(source)
                if message.type == "record batch":
                    self._take(pa.Table.from_batches([pa.ipc.read_record_batch(message, SCHEMA)]))
            except (EOFError, pa.ArrowException, OSError):
                break  # the end, or a batch that is being written
            read = source.tell()
        self._offset += read

    def _take(self, rows: pa.Table) -> None:
        for row in rows.select(["seq", "ts_ns", "kind", "instrument_id", "text"]).to_pylist():
            if row["seq"] < self._next_seq:
                continue
            self._next_seq = row["seq"] + 1
            if row["kind"] == "order":
                order = msgspec.json.decode(row["text"], type=OrderRow)
                self.orders[order.client_order_id] = order
            elif row["kind"] == "fill":
                fill = msgspec.json.decode(row["text"], type=FillRow)
                add_fill(self.fills, fill)
                add_fill(self.traded.setdefault(row["instrument_id"], {}), fill)
            elif row["kind"] == "state":
                self._state({"ts_ns": row["ts_ns"], **msgspec.json.decode(row["text"])})

    def _state(self, state: dict[str, Any]) -> None:
        self.states.append(state)
        match state["what"], state["to"]:
            case "order", "rejected" | "gone" | "never sent":
                self.refused.add(state["reason"].partition(":")[0])
            case "broker", ("known" | "unknown") as word:
                self.is_known = word == "known"
                self.known_ns = state["ts_ns"]
