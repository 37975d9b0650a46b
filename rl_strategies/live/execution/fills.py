"""The session's own fills: each execution once, corrections instead of what they correct, commissions when they come.

A fill counts from the first that is heard of it: its execution, or the order's status, which says how much is filled
and at what mean price. What is heard later amends the fill before.
"""

from typing import Any

from rl_strategies.accounting.commission import fill_commission_cents, to_micros
from rl_strategies.accounting.record import Fill
from rl_strategies.live.broker.link import BrokerFill
from rl_strategies.live.journal.rebuild import PROVISIONAL
from rl_strategies.live.journal.session_journal import FillRow, OrderRow, add_fill, share_of


def execution_name(trade_id: str) -> tuple[str, str]:
    """Name of an execution and its revision: a correction differs after the last dot alone.

    Examples
    --------
    >>> execution_name("0000e0d5.6751.01.02"), execution_name("x1")
    (('0000e0d5.6751.01', '000000002'), ('x1', ''))
    """
    name, _, revision = trade_id.rpartition(".")
    return (name, revision.zfill(9)) if name else (trade_id, "")


class FillLedger:
    """Fills of one instrument by trade id.

    Parameters
    ----------
    instrument : InstrumentSpec
        Its terms give the commission of a fill until the broker tells it.

    Attributes
    ----------
    rows : dict of str to FillRow
        Whole fills, amendments applied.
    """

    def __init__(self, instrument: Any) -> None:
        self._tick = float(instrument.tick_size)
        self._cents_per_tick = float(instrument.tick_size * instrument.multiplier * 100)
        self._rate_micros = to_micros(instrument.commission_per_unit)
        self._minimum_cents = int(instrument.commission_minimum * 100)
        self.rows: dict[str, FillRow] = {}
        self._ids: dict[str, str] = {}  # newest trade id of an execution, by its name
        self._early: dict[str, int] = {}  # commissions that came before their execution

    def add(self, row: FillRow) -> None:
        """Keep a row that was journaled."""
        add_fill(self.rows, row)
        if not row.trade_id.startswith(PROVISIONAL):
            self._ids[execution_name(row.trade_id)[0]] = row.trade_id

    def filled(self, client_order_id: str) -> int:
        """Units booked of an order, unsigned."""
        return sum(abs(row.units) for row in self.of_order(client_order_id))

    def of_order(self, client_order_id: str) -> list[FillRow]:
        """Fills of an order."""
        return [row for row in self.rows.values() if row.client_order_id == client_order_id]

    def positions_since(self, units: int, since_ns: int) -> set[int]:
        """Signed units held since a time, but for those held now.

        Parameters
        ----------
        units : int
            Held now.
        since_ns : int
            This machine's clock, as `FillRow.known_ns`.
        """
        before, held = set(), units
        for row in reversed(self.rows.values()):
            if row.known_ns < since_ns:
                break
            held -= row.units
            before.add(held)
        return before - {units}

    def began_ns(self, client_order_id: str) -> int:
        """Time of an order's first execution by the broker; 0 where not all of its executions are known."""
        rows = self.of_order(client_order_id)
        is_known = rows and not any(row.trade_id.startswith(PROVISIONAL) for row in rows)
        return min(row.ts_ns for row in rows) if is_known else 0

    def given_back(self, entry: OrderRow, beyond: int) -> list[FillRow]:
        """Rows that take out of a position what others closed only by what was known then, the newest first.

        Parameters
        ----------
        entry : OrderRow
            Of the position.
        beyond : int
            Units closed beyond what the entry filled: own orders close no more, so others closed less. What they
            traded before the entry's first execution closed nothing of it either.
        """
        began_ns, rows = self.began_ns(entry.client_order_id), []
        for row in reversed(self.rows.values()):
            if row.role == "external" and row.units and row.known_ns >= entry.sent_ns:
                units = abs(row.units) if row.ts_ns < began_ns else min(abs(row.units), max(0, beyond))
                beyond -= units
                rows += [self._taken_out(row, -entry.side * units)] if units else []
        return rows

    @staticmethod
    def _taken_out(row: FillRow, units: int) -> FillRow:
        cents = share_of(row.commission_cents, units, row.units)
        name = f"{PROVISIONAL}given-back-{row.trade_id}"
        return _amendment(row, name, units, -units, row.price_ticks, 0, -cents)

    def fills(self) -> list[Fill]:
        """Fills in the order in which they were heard of."""
        return [
            Fill(r.ts_ns, r.units, r.price_ticks, r.commission_cents, r.kind, r.trigger_ticks, r.reason)
            for r in self.rows.values()
            if r.units
        ]

    def execution(self, fill: BrokerFill, order: OrderRow | None, market_ticks: int, known_ns: int) -> FillRow | None:
        """Row of an execution; None where it is known.

        Parameters
        ----------
        fill : BrokerFill
        order : OrderRow or None
            None where others closed units of the session.
        market_ticks, known_ns : int
            As in `FillRow`.
        """
        name, revision = execution_name(fill.trade_id)
        ticks, known = round(fill.price / self._tick), self._ids.get(name)
        if known is not None:
            if execution_name(known)[1] >= revision:
                return None
            return self._amended(known, fill.trade_id, fill.units, self.rows[known].units, ticks)
        provisional = self._provisional(fill.order_ref)
        if provisional is not None:
            held = self.rows[provisional].units
            taken = min(fill.units, held, key=abs)
            return self._amended(provisional, fill.trade_id, fill.units, taken, ticks)
        cents = self._early.pop(fill.trade_id, None)
        if cents is None:
            cents = self._estimate(fill.order_ref, abs(fill.units))
        return _row(order, fill.trade_id, fill.order_ref, fill.units, ticks, cents, market_ticks, fill.ts_ns, known_ns)

    def provisional(self, order: OrderRow, units: int, ticks: int, market_ticks: int, now_ns: int) -> FillRow:
        """Row of a fill whose execution is not known; an order has one such fill, which grows.

        One execution may stand for several statuses, and replaces the one fill whole.
        """
        name = f"{PROVISIONAL}{order.client_order_id}-{len(self.rows)}"
        cents = self._estimate(order.client_order_id, abs(units))
        known = self._provisional(order.client_order_id)
        if known is None:
            return _row(order, name, order.client_order_id, units, ticks, cents, market_ticks, now_ns, now_ns)
        old = self.rows[known]
        moved = self._moved_cents(old, ticks, old.units)
        return _amendment(old, name, old.units, units, ticks, old.commission_cents + cents, moved + cents)

    def commission(self, trade_id: str, usd: float) -> FillRow | None:
        """Row that books what a commission differs from its estimate; None where it does not."""
        cents, known = round(usd * 100), self.rows.get(trade_id)
        if known is None:
            self._early[trade_id] = cents
            return None
        if known.commission_cents == cents:
            return None
        return _amendment(known, trade_id, known.units, 0, known.price_ticks, cents, cents - known.commission_cents)

    def _amended(self, known: str, trade_id: str, units: int, taken: int, ticks: int) -> FillRow:
        old = self.rows[known]
        share = share_of(old.commission_cents, taken, old.units)
        cents = self._early.pop(trade_id, share)
        moved = self._moved_cents(old, ticks, taken)
        return _amendment(old, trade_id, taken, units - taken, ticks, cents, moved + cents - share)

    def _moved_cents(self, old: FillRow, ticks: int, units: int) -> int:
        return round((ticks - old.price_ticks) * units * self._cents_per_tick)

    def _provisional(self, client_order_id: str) -> str | None:
        begin = f"{PROVISIONAL}{client_order_id}-"
        return next((name for name in self.rows if name.startswith(begin)), None)

    def _estimate(self, client_order_id: str, units: int) -> int:
        before = self.filled(client_order_id)
        return int(fill_commission_cents(self._rate_micros, self._minimum_cents, before, units))


def _row(
    order: OrderRow | None,
    trade_id: str,
    client_order_id: str,
    units: int,
    ticks: int,
    cents: int,
    market_ticks: int,
    ts_ns: int,
    known_ns: int,
) -> FillRow:
    return FillRow(
        client_order_id=client_order_id,
        trade_id=trade_id,
        role=order.role if order else "external",
        kind=order.kind if order else "market",
        trigger_ticks=order.trigger_ticks if order else 0,
        reason=order.reason if order else "external",
        units=units,
        price_ticks=ticks,
        commission_cents=cents,
        market_ticks=market_ticks,
        ts_ns=ts_ns,
        known_ns=known_ns,
    )


def _amendment(old: FillRow, trade_id: str, replaces: int, units: int, ticks: int, cents: int, cash: int) -> FillRow:
    return FillRow(
        client_order_id=old.client_order_id,
        trade_id=trade_id,
        role=old.role,
        kind=old.kind,
        trigger_ticks=old.trigger_ticks,
        reason=old.reason,
        units=units,
        price_ticks=ticks,
        commission_cents=cents,
        market_ticks=old.market_ticks,
        ts_ns=old.ts_ns,
        known_ns=old.known_ns,
        corrects=old.trade_id,
        replaces=replaces,
        cash_cents=cash,
    )
