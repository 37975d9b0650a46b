"""A live session's journal written by hand, minute by minute."""

from typing import Any, Literal

import msgspec
import pyarrow as pa

from rl_strategies.accounting.record import FillReason, OrderKind
from rl_strategies.live.journal.journal import SCHEMA
from rl_strategies.live.journal.session_journal import BarSource, FillRow, OrderRow
from rl_strategies.live.replay.session import JournaledSession, read_session

SECOND = 10**9
MINUTE = 60 * SECOND
OPEN = 1_735_050_600 * SECOND  # 2024-12-24 14:30 UTC
KINDS: dict[str, OrderKind] = {"stop_loss": "stop", "take_profit": "limit"}
NAME = "SPY.EQUS"


def minute(n: float) -> int:
    """``n`` minutes after the open; the n-th bar closes then."""
    return OPEN + round(n * MINUTE)


class HandwrittenJournal:
    """A journal, row by row.

    Parameters
    ----------
    bars : int
        With which it begins.
    """

    def __init__(self, bars: int) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.orders = 0
        for n in range(1, bars + 1):
            self.bar(n)

    def add(self, kind: str, ts_ns: int, values: list[float], text: str = "") -> None:
        self.rows.append((len(self.rows), ts_ns, kind, NAME, values, text))

    def bar(self, n: int, source: BarSource = "live") -> None:
        self.add("bar", minute(n), [100, 101, 99, 100, 500], source)

    def state(self, n: int, what: str, **more: str) -> None:
        content = {"what": what, "from": "", "to": "", "reason": "", **more}
        self.add("state", minute(n), [], msgspec.json.encode(content).decode())

    def decision(self, n: int, seen: float = 0.0) -> None:
        """The policy wants to be flat, and is granted it."""
        self.add("observation", minute(n), [seen])
        self.add("target", minute(n), [0])
        self.add("review", minute(n), [1, 0, 0], "approved")

    def fill(
        self, at: float, units: int, reason: FillReason, *, decided: int, price: int = 100, cents: int = 100
    ) -> None:
        """An order on the ``decided``-th bar, executed ``at`` minutes after the open."""
        self.orders += 1
        order, kind = f"O-{self.orders}", KINDS.get(reason, "market")
        role: Literal["entry", "exit"] = "entry" if reason == "entry" else "exit"
        side = 1 if units > 0 else -1
        self.order(order, role, side, abs(units), reason, decided)
        row = FillRow(
            order, f"T-{self.orders}", role, kind, 0, reason, units, price, cents, 100, minute(at), minute(at)
        )
        self.add("fill", minute(at), [], msgspec.json.encode(row).decode())

    def order(
        self, name: str, role: Literal["entry", "exit"], side: int, units: int, reason: FillReason, n: int
    ) -> None:
        """An order sent after the ``n``-th bar."""
        kind = KINDS.get(reason, "market")
        row = OrderRow(name, NAME, role, side, units, kind, 0, reason, "", minute(n), minute(n))
        self.add("order", minute(n), [], msgspec.json.encode(row).decode())

    def session(self) -> JournaledSession:
        columns = zip(*self.rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        return read_session(pa.table(arrays, schema=SCHEMA), f"{NAME}-1-MINUTE-LAST-EXTERNAL", 1e14)
