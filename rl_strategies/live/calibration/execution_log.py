"""Orders of a live session from its journal, with their fills and the bars around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, add_fill

BAR_VALUES = 5  # open, high, low, close, volume


@dataclass(frozen=True)
class BarPath:
    """Bars of one instrument.

    Attributes
    ----------
    ts_ns : int64[n]
        Closes, ascending.
    seq : int64[n]
        Journal row of each.
    high, low, close : float64[n]
        Prices in ticks.
    """

    ts_ns: NDArray[np.int64]
    seq: NDArray[np.int64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]

    def close_at(self, ts_ns: int) -> float | None:
        """Close of the bar that ended at ``ts_ns``, in ticks; None if there is no such bar."""
        row = int(np.searchsorted(self.ts_ns, ts_ns))
        return float(self.close[row]) if row < len(self.ts_ns) and self.ts_ns[row] == ts_ns else None


@dataclass(frozen=True)
class ExecutedOrder:
    """An order with its fills.

    Attributes
    ----------
    row : OrderRow
    fills : tuple of FillRow
        Fills in the order in which they were journaled; empty if the order was never filled.
    accepted_ns : int or None
        Clock when the session learnt that the broker had accepted the order.
    sent_seq, over_seq : int, int or None
        Journal rows of the order and of the fill that closed its position, None while it is open. Rows and not times,
        because the clocks of different machines do not order events.
    """

    row: OrderRow
    fills: tuple[FillRow, ...]
    accepted_ns: int | None
    sent_seq: int
    over_seq: int | None


@dataclass(frozen=True)
class ExecutionLog:
    """Orders and bars of one session.

    Attributes
    ----------
    orders : tuple of ExecutedOrder
    bars : mapping of str to BarPath
        Bars by instrument.
    wire_latency_ns : tuple of int
        Latencies from a bar's arrival to its order on the socket.
    foreign_fills : int
        Number of fills of orders that the session did not send.
    """

    orders: tuple[ExecutedOrder, ...]
    bars: Mapping[str, BarPath]
    wire_latency_ns: tuple[int, ...]
    foreign_fills: int


@dataclass
class _Collected:
    orders: dict[str, tuple[int, OrderRow]] = field(default_factory=dict)
    fills: dict[str, FillRow] = field(default_factory=dict)  # by trade id: a fill may be journaled twice
    flat_seq: dict[str, list[int]] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    accepted_ns: dict[str, int] = field(default_factory=dict)
    wire_latency_ns: list[int] = field(default_factory=list)


def read_execution_log(rows: pa.Table, origin: str) -> ExecutionLog:
    """Read the execution log of a journal.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows from `rl_strategies.live.journal.journal.read_journal`.
    origin : str
        Names the journal in errors.

    Raises
    ------
    InputError
        If a row does not hold what its kind says.
    """
    collected = _Collected()
    relevant = rows.filter(pc.is_in(rows["kind"], pa.array(["order", "fill", "state"])))
    for row in relevant.select(["seq", "ts_ns", "kind", "instrument_id", "text"]).to_pylist():
        try:
            _collect(collected, row)
        except msgspec.MsgspecError as error:
            raise InputError(f"journal {origin}: row {row['seq']} is not a valid {row['kind']}: {error}") from error
    by_order: dict[str, list[FillRow]] = {}
    for fill in collected.fills.values():
        by_order.setdefault(fill.client_order_id, []).append(fill)
    orders = tuple(
        ExecutedOrder(
            order,
            tuple(by_order.get(name, ())),
            collected.accepted_ns.get(name),
            seq,
            next((flat for flat in collected.flat_seq.get(order.instrument_id, ()) if flat > seq), None),
        )
        for name, (seq, order) in collected.orders.items()
    )
    foreign = sum(fill.units != 0 for fill in collected.fills.values() if fill.client_order_id not in collected.orders)
    return ExecutionLog(orders, _bar_paths(rows, origin), tuple(collected.wire_latency_ns), foreign)


def _collect(collected: _Collected, row: dict[str, Any]) -> None:
    if row["kind"] == "order":
        order = msgspec.json.decode(row["text"], type=OrderRow)
        collected.orders[order.client_order_id] = row["seq"], order
    elif row["kind"] == "fill":
        fill = msgspec.json.decode(row["text"], type=FillRow)
        is_new = bool(fill.corrects) or fill.trade_id not in collected.fills
        add_fill(collected.fills, fill)
        if is_new:
            _follow_position(collected, row["instrument_id"], row["seq"], fill)
    else:
        _collect_state(collected, row["ts_ns"], msgspec.json.decode(row["text"], type=dict[str, Any]))


def _follow_position(collected: _Collected, instrument_id: str, seq: int, fill: FillRow) -> None:
    before = collected.held.get(instrument_id, 0)
    after = before + fill.units
    collected.held[instrument_id] = after
    if before != 0 and before * after <= 0:
        collected.flat_seq.setdefault(instrument_id, []).append(seq)


def _collect_state(collected: _Collected, ts_ns: int, state: dict[str, Any]) -> None:
    if state.get("what") == "order" and state.get("to") == "accepted":
        collected.accepted_ns.setdefault(str(state.get("client_order_id")), ts_ns)
    elif state.get("what") == "latency":
        collected.wire_latency_ns.append(int(state["latency_ns"]))


def _bar_paths(rows: pa.Table, origin: str) -> dict[str, BarPath]:
    bars = rows.filter(pc.equal(rows["kind"], "bar"))
    names = np.asarray(bars["instrument_id"].to_pylist(), object)
    ts_ns, seq = bars["ts_ns"].to_numpy(), bars["seq"].to_numpy()
    listed = bars["values"].to_pylist()
    if any(len(row) != BAR_VALUES for row in listed):
        raise InputError(f"journal {origin}: every bar must have {BAR_VALUES} values")
    values = np.array(listed, np.float64).reshape(len(ts_ns), BAR_VALUES)
    paths = {}
    for name in dict.fromkeys(names):
        mine = np.flatnonzero(names == name)
        # A bar that was journaled twice, after a restart, is the same both times.
        closes, first = np.unique(ts_ns[mine], return_index=True)
        chosen = mine[first]
        paths[name] = BarPath(closes, seq[chosen], *values[chosen, 1:4].T)
    return paths
