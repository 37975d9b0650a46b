"""The rows of a live session's journal, in the order in which things happened.

A row is on disk before anything acts on it: bars before they are decided on, orders before they are sent. Only what
protects or closes a position does not wait for a disk that is full. From these rows
`rl_strategies.live.journal.rebuild` restores the session's state, bit for bit.

An order that is changed at the broker is written again under its id. A fill that becomes better known (its execution
after its status, its commission, a correction) is written as a fill that ``corrects`` the one before.
"""

import hashlib
from typing import Any, Literal

import msgspec
import numpy as np
from nautilus_trader.model.data import Bar
from numpy.typing import NDArray

from rl_strategies.accounting.record import FillReason, OrderKind
from rl_strategies.decision.core import Review
from rl_strategies.live.journal.journal import Journal

Role = Literal["entry", "stop", "target", "exit", "external"]
BarSource = Literal["warm-up", "backfill", "live"]
TAKE_PROFIT: Role = "target"  # the journal's name of a take profit
BARRIERS: tuple[Role, ...] = ("stop", TAKE_PROFIT)


class OrderRow(msgspec.Struct, frozen=True):
    """An order as the journal keeps it.

    Attributes
    ----------
    client_order_id, instrument_id : str
    role : {"entry", "stop", "target", "exit", "external"}
    side : int
        1 buys, -1 sells.
    units : int
    kind : {"market", "stop", "limit"}
    trigger_ticks : int
        Stop trigger or limit price; 0 for market orders.
    reason : str
        As in `rl_strategies.accounting.record.Fill`.
    group : str
        Orders of one group reduce each other at the broker.
    decision_ns, sent_ns : int
        Close of the bar that was decided on; clock when the order was sent.
    """

    client_order_id: str
    instrument_id: str
    role: Role
    side: int
    units: int
    kind: OrderKind
    trigger_ticks: int
    reason: FillReason
    group: str
    decision_ns: int
    sent_ns: int


class FillRow(msgspec.Struct, frozen=True):
    """A fill as the journal keeps it.

    Attributes
    ----------
    client_order_id, trade_id : str
    role, kind, trigger_ticks, reason
        As in the order's `OrderRow`; ``external`` for an order that the session did not send.
    units : int
        Signed.
    price_ticks, commission_cents : int
    market_ticks : int
        Close of the bar that was decided on; barriers lie on their own side of it.
    ts_ns, known_ns : int
        Time of the fill by the broker; clock when this process learnt of it.
    late : bool
        Whether it happened while nobody listened and got no barriers; older versions wrote such fills.
    corrects : str
        Trade id of the fill that this row amends; empty for a fill. Then ``units`` and ``cash_cents`` are differences.
    replaces : int
        Signed units of that fill which this row takes over; the rest of it stays.
    cash_cents : int
        What the amendment takes from the balance beyond the units: price and commission.
    """

    client_order_id: str
    trade_id: str
    role: Role
    kind: OrderKind
    trigger_ticks: int
    reason: FillReason
    units: int
    price_ticks: int
    commission_cents: int
    market_ticks: int
    ts_ns: int
    known_ns: int
    late: bool = False
    corrects: str = ""
    replaces: int = 0
    cash_cents: int = 0


def add_fill(fills: dict[str, FillRow], row: FillRow) -> None:
    """Add a fill's row to fills by trade id, or amend them where the row corrects one; a fill told twice counts once.

    Parameters
    ----------
    fills : dict of str to FillRow
        Changed in place; holds whole fills afterwards.
    row : FillRow
    """
    if not row.corrects:
        fills.setdefault(row.trade_id, row)
        return
    old = fills.get(row.corrects)
    if old is None:
        return
    whole = {
        "trade_id": row.trade_id, "units": row.replaces + row.units, "price_ticks": row.price_ticks,
        "commission_cents": row.commission_cents,
    }  # fmt: skip
    amended = {row.trade_id: msgspec.structs.replace(old, **whole)}
    rest = old.units - row.replaces
    if rest:
        cents = old.commission_cents - share_of(old.commission_cents, row.replaces, old.units)
        amended[row.corrects] = msgspec.structs.replace(old, units=rest, commission_cents=cents)
    kept = [(name, fill) for name, fill in fills.items() if name not in (row.corrects, row.trade_id)]
    place = list(fills).index(row.corrects)
    fills.clear()
    fills.update([*kept[:place], *amended.items(), *kept[place:]])


def share_of(cents: int, units: int, whole: int) -> int:
    """Part of a commission that belongs to some of the units, in cents."""
    return round(cents * units / whole) if whole else 0


class SessionJournal:
    """Writes the rows of one session.

    Parameters
    ----------
    journal : Journal

    Attributes
    ----------
    problem : str
        Why the last rows are not on disk; empty where they are. They are kept in memory and written with the next
        flush. Nothing may be opened meanwhile, everything else goes on.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.problem = ""

    @property
    def rows(self) -> int:
        """Rows written since the session began, on disk or not."""
        return self._journal.next_seq

    def bar(self, instrument_id: str, bar: Bar, tick_raw: int, source: BarSource) -> None:
        """Add a bar that the features are about to see; prices in ticks, time its close."""
        prices = [price.raw // tick_raw for price in (bar.open, bar.high, bar.low, bar.close)]
        self._journal.append("bar", bar.ts_event, instrument_id, [*prices, int(bar.volume)], source)

    def context(self, name: str, ts_ns: int, row: NDArray[np.float64]) -> None:
        """Add a row of a context stream that the features are about to see, known at ``ts_ns``."""
        self._journal.append("context", ts_ns, name, row.tolist())

    def decision(
        self,
        ts_ns: int,
        observation: NDArray[np.float32],
        memory: NDArray[np.float32],
        logits: NDArray[np.float32],
        masks: NDArray[np.float32],
        reviews: list[tuple[str, int, Review]],
    ) -> None:
        """Add what a decision saw and decided.

        Parameters
        ----------
        ts_ns : int
        observation : float32[n]
        memory : float32
            Recurrent state after the step.
        logits : float32
        masks : float32
            Empty where nothing is masked.
        reviews : list of (instrument id, wanted side, Review)
        """
        append = self._journal.append
        append("observation", ts_ns, values=observation.tolist())
        if masks.size:
            append("mask", ts_ns, values=masks.tolist())
        append("recurrent_state", ts_ns, text=fingerprint(memory))
        append("logits", ts_ns, values=logits.ravel().tolist())
        for instrument_id, target, review in reviews:
            append("target", ts_ns, instrument_id, [target])
            append("review", ts_ns, instrument_id, [not review.is_refusal, review.side, review.units], review.reason)

    def order(self, row: OrderRow) -> None:
        """Add an order that is about to be sent."""
        self._journal.append("order", row.sent_ns, row.instrument_id, text=msgspec.json.encode(row).decode())

    def fill(self, instrument_id: str, row: FillRow) -> None:
        """Add a fill."""
        self._journal.append("fill", row.ts_ns, instrument_id, text=msgspec.json.encode(row).decode())

    def state(
        self,
        ts_ns: int,
        what: str,
        old: str = "",
        new: str = "",
        reason: str = "",
        instrument_id: str = "",
        **more: Any,
    ) -> None:
        """Add a change of connection, risk, session or data, or a decision that was skipped, with the reason."""
        content = {"what": what, "from": old, "to": new, "reason": reason, **more}
        self._journal.append("state", ts_ns, instrument_id, text=msgspec.json.encode(content).decode())

    def flush(self) -> None:
        """Write all rows to disk; `problem` says why where that fails."""
        try:
            self._journal.flush()
        except OSError as error:
            self.problem = f"journal cannot be written: {error.strerror or error}"
        else:
            self.problem = ""

    def close(self) -> None:
        """Flush and close the journal."""
        try:
            self._journal.close()
        except OSError as error:
            self.problem = f"journal cannot be closed: {error.strerror or error}"


def fingerprint(memory: NDArray[np.float32]) -> str:
    """SHA-256 of a recurrent state."""
    return hashlib.sha256(np.ascontiguousarray(memory).tobytes()).hexdigest()
