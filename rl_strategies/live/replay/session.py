"""A session read from its journal, instrument by instrument: bars, decisions, fills, and what was skipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from rl_strategies.decision.core import Review
from rl_strategies.features import StreamRows
from rl_strategies.live.journal.rebuild import RUIN, Row, journal_rows
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, add_fill


@dataclass(frozen=True)
class WrittenDecision:
    """What a decision meant for one instrument, as journaled.

    Attributes
    ----------
    seq : int
        Journal row of its observation.
    observation : float32[n]
    target : int
        Side that the policy wanted.
    review : Review
    """

    seq: int
    observation: NDArray[np.float32]
    target: int
    review: Review


@dataclass(frozen=True)
class WrittenFill:
    """A fill and its journal row."""

    seq: int
    row: FillRow


@dataclass(frozen=True)
class JournaledStream:
    """Rows of a context stream that a session saw.

    Attributes
    ----------
    rows : StreamRows
    seq : int64[n]
        Journal row of each.
    """

    rows: StreamRows
    seq: NDArray[np.int64]


@dataclass(frozen=True)
class JournaledSession:
    """One instrument of a session, with what all of its instruments share: decisions, context, days.

    Attributes
    ----------
    bars : BarSeries
    bar_seq : int64[n]
        Journal row of each bar.
    sources : tuple of str
        Source of each bar, as in `rl_strategies.live.journal.session_journal.BarSource`.
    decisions : mapping of int to WrittenDecision
        Decisions by the close that was decided on.
    skipped : mapping of int to str
        Closes that were not decided on, with the reason.
    reduced : mapping of int to str
        Decisions whose entry the risk level forbade, with the reason.
    orders : tuple of (int, OrderRow)
        Orders with their journal rows.
    fills : tuple of WrittenFill
        Fills in order, each once.
    day_seq : int64[d]
        Journal rows with which trading days begin.
    ruin_ns : int or None
        Close at which trading ended for good.
    rows : int
        Number of journal rows.
    context : mapping of str to JournaledStream
        Context streams by name.
    """

    bars: BarSeries
    bar_seq: NDArray[np.int64]
    sources: tuple[str, ...]
    decisions: Mapping[int, WrittenDecision]
    skipped: Mapping[int, str]
    reduced: Mapping[int, str]
    orders: tuple[tuple[int, OrderRow], ...]
    fills: tuple[WrittenFill, ...]
    day_seq: NDArray[np.int64]
    ruin_ns: int | None
    rows: int
    context: Mapping[str, JournaledStream]

    def place(self, ts_ns: int) -> int:
        """Index of the bar that closed last at or before ``ts_ns``; -1 before the first."""
        return int(np.searchsorted(self.bars.ts_ns, ts_ns, side="right")) - 1

    def seq_of(self, ts_ns: int) -> int:
        """Journal row of the bar that closed last at or before ``ts_ns``."""
        return int(self.bar_seq[max(self.place(ts_ns), 0)])

    def seq_after(self, ts_ns: int) -> int:
        """Journal row of the first bar that closed after ``ts_ns``; the number of rows if there is none."""
        following = self.place(ts_ns) + 1
        return int(self.bar_seq[following]) if following < len(self.bar_seq) else self.rows

    def source_of(self, ts_ns: int) -> str:
        """Source of the bar that closed at ``ts_ns``; empty where there is none."""
        place = self.place(ts_ns)
        return self.sources[place] if place >= 0 and self.bars.ts_ns[place] == ts_ns else ""

    def day_of(self, seq: int) -> int:
        """Number of the trading day that a journal row belongs to."""
        return int(np.searchsorted(self.day_seq, seq, side="right"))

    def is_in_flight(self, seq: int) -> bool:
        """Whether a market order had been sent and not been filled at a journal row."""
        filled = {fill.row.client_order_id: fill.seq for fill in self.fills}
        return any(
            row.kind == "market" and sent < seq < filled.get(row.client_order_id, self.rows)
            for sent, row in self.orders
        )


@dataclass
class _Collected:
    bars: list[Row] = field(default_factory=list)
    context: dict[str, list[Row]] = field(default_factory=dict)
    decisions: dict[int, WrittenDecision] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    reduced: dict[int, str] = field(default_factory=dict)
    orders: list[tuple[int, OrderRow]] = field(default_factory=list)
    fills: dict[str, WrittenFill] = field(default_factory=dict)  # a fill may be journaled twice
    day_seq: list[int] = field(default_factory=list)
    ruin_ns: int | None = None
    observation: Row | None = None
    target: int = 0
    name: str = ""  # of the only instrument that is read; empty where the session has no other

    def add(self, row: Row) -> None:
        """Add one row; a decision counts once its review is there."""
        if self.name and row.kind != "context" and row.instrument_id not in ("", self.name):
            return
        if row.kind == "bar":
            self.bars.append(row)
        elif row.kind == "context":
            self.context.setdefault(row.instrument_id, []).append(row)
        elif row.kind == "observation":
            self.observation = row
        elif row.kind == "target":
            self.target = int(row.values[0])
        elif row.kind == "review" and self.observation is not None:
            review = Review(int(row.values[1]), int(row.values[2]), row.text)
            seen = np.array(self.observation.values, np.float32)
            self.decisions[row.ts_ns] = WrittenDecision(self.observation.seq, seen, self.target, review)
        elif row.kind == "order":
            self.orders.append((row.seq, msgspec.json.decode(row.text, type=OrderRow)))
        elif row.kind == "fill":
            self._add_fill(row.seq, msgspec.json.decode(row.text, type=FillRow))
        elif row.kind == "state":
            self._add_state(row, msgspec.json.decode(row.text, type=dict[str, Any]))

    def _add_fill(self, seq: int, fill: FillRow) -> None:
        known = {name: written.row for name, written in self.fills.items()}
        add_fill(known, fill)
        first = self.fills[fill.corrects].seq if fill.corrects in self.fills else seq
        self.fills = {
            name: WrittenFill(self.fills[name].seq if name in self.fills else first, row) for name, row in known.items()
        }

    def _add_state(self, row: Row, state: dict[str, Any]) -> None:
        if state["what"] == "decision":
            self.skipped[row.ts_ns] = str(state["reason"])
        elif state["what"] == "permit":
            self.reduced[row.ts_ns] = str(state["reason"])
        elif state["what"] == "day":
            self.day_seq.append(row.seq)
        elif state["what"] == RUIN:
            self.ruin_ns = row.ts_ns


class ReadInstrument(NamedTuple):
    """What a session is read by: an instrument's id, its bar type, and its tick size in units of 1e-16."""

    instrument_id: str
    bar_type: str
    tick_raw: float


def read_sessions(rows: pa.Table, traded: Sequence[ReadInstrument]) -> tuple[JournaledSession, ...]:
    """Read every instrument of a session from the rows of a journal.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows from `rl_strategies.live.journal.journal.read_journal`.
    traded : sequence of ReadInstrument
        In the policy's order.

    Raises
    ------
    InputError
        As `read_session` does.
    """
    if len(traded) == 1:
        return (read_session(rows, traded[0].bar_type, traded[0].tick_raw),)
    return tuple(read_session(rows, each.bar_type, each.tick_raw, each.instrument_id) for each in traded)


def read_session(rows: pa.Table, bar_type: str, tick_raw: float, instrument_id: str = "") -> JournaledSession:
    """Read one instrument of a session from the rows of a journal.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows from `rl_strategies.live.journal.journal.read_journal`.
    bar_type : str
    tick_raw : float
        Tick size of the instrument in units of 1e-16.
    instrument_id : str
        Empty where the session has no other.

    Raises
    ------
    InputError
        If there is no bar, or a row does not hold what its kind says.
    """
    found = _Collected(name=instrument_id)
    for row in journal_rows(rows):
        try:
            found.add(row)
        except (ValueError, LookupError, msgspec.MsgspecError) as error:
            raise InputError(f"journal: row {row.seq} is not a valid {row.kind}: {error}") from error
    if not found.bars:
        raise InputError(f"journal: no bars{f' of {instrument_id}' if instrument_id else ''} to replay")
    return JournaledSession(
        bars=_series(found.bars, bar_type, tick_raw),
        bar_seq=np.array([row.seq for row in found.bars], np.int64),
        sources=tuple(row.text for row in found.bars),
        decisions=found.decisions,
        skipped=found.skipped,
        reduced=found.reduced,
        orders=tuple(found.orders),
        fills=tuple(fill for fill in found.fills.values() if fill.row.units),
        day_seq=np.array(found.day_seq, np.int64),
        ruin_ns=found.ruin_ns,
        rows=rows.num_rows,
        context={name: _stream(name, seen) for name, seen in found.context.items()},
    )


def _stream(name: str, rows: list[Row]) -> JournaledStream:
    if len({len(row.values) for row in rows}) > 1:
        raise InputError(f"journal: rows of context {name} differ in their number of columns")
    ts_ns = np.array([row.ts_ns for row in rows], np.int64)
    values = np.array([row.values for row in rows], np.float64)
    return JournaledStream(StreamRows(ts_ns, values), np.array([row.seq for row in rows], np.int64))


def _series(rows: list[Row], bar_type: str, tick_raw: float) -> BarSeries:
    ts_ns = np.array([row.ts_ns for row in rows], np.int64)
    if (np.diff(ts_ns) <= 0).any():
        late = rows[int(np.flatnonzero(np.diff(ts_ns) <= 0)[0]) + 1]
        raise InputError(f"journal: row {late.seq} must close after the bar before it, closes at {late.ts_ns} ns")
    if any(len(row.values) != 5 for row in rows):
        raise InputError("journal: every bar must have open, high, low, close and volume")
    open_, high, low, close, volume = np.array([row.values for row in rows], np.float64).astype(np.int64).T
    return BarSeries(bar_type, ts_ns, open_, high, low, close, volume, True, tick_raw)
