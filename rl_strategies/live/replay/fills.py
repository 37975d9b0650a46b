"""Compares the fills of a session one by one with those of a backtest of the same decisions.

Clocks differ: a broker says when inside a bar an order was filled, a backtest only in which bar. So a fill is placed by
its bar: a market order's by the close that it followed, a barrier's by the bar that touched it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from fractions import Fraction

from catalogs.hygiene.report import iso_utc
from rl_strategies.accounting.record import Fill, FillReason, OrderKind
from rl_strategies.live.journal.rebuild import Cause, Divergence
from rl_strategies.live.replay.session import JournaledSession, WrittenFill

# Reasons that come from the session's state or from a person, not from the market or the policy.
STATE_REASONS: frozenset[FillReason] = frozenset({"risk_halt", "protection_lost", "end_of_session", "ruin", "external"})


@dataclass(frozen=True)
class Deal:
    """Fills in one bar for one reason.

    Attributes
    ----------
    bar_ns : int
        Close of the bar that places it.
    side : int
        1 bought, -1 sold.
    kind, reason : str
        As in `rl_strategies.accounting.record.Fill`.
    units : int
        Signed.
    price_ticks : Fraction
        Mean price of the units.
    commission_cents : int
    seq : int
        Journal row of the fill, or of the bar after a deal that the journal does not have.
    """

    bar_ns: int
    side: int
    kind: OrderKind
    reason: FillReason
    units: int
    price_ticks: Fraction
    commission_cents: int
    seq: int

    @property
    def place(self) -> tuple[int, int, OrderKind]:
        """Bar, side and kind, which equal deals share."""
        return self.bar_ns, self.side, self.kind

    def __str__(self) -> str:
        price = f"{self.price_ticks.numerator}" if self.price_ticks.denominator == 1 else f"{float(self.price_ticks):g}"
        return f"{self.units:+d} at {price} ticks"


def compare_fills(session: JournaledSession, fills: Sequence[Fill]) -> list[Divergence]:
    """Divergences ``fill`` and ``cost``, and ``state`` where the session closed by its own state.

    Parameters
    ----------
    session : JournaledSession
    fills : sequence of Fill
        Fills of the backtest.
    """
    written, made = _merged(_written(session)), _merged(_made(session, fills))
    matcher = SequenceMatcher(None, [deal.place for deal in written], [deal.place for deal in made], autojunk=False)
    found: list[Divergence] = []
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            pairs: list[tuple[Deal | None, Deal | None]] = list(zip(written[first:last], made[begin:end], strict=True))
        else:
            pairs = _paired(written[first:last], made[begin:end])
        for one, other in pairs:
            # What followed the last bar may have happened after the journal's end.
            if one is not None or (other is not None and other.seq < session.rows):
                found += _differences(one, other)
    return sorted([*found, *_learnt_late(session)], key=lambda each: each.seq)


def _paired(written: Sequence[Deal], made: Sequence[Deal]) -> list[tuple[Deal | None, Deal | None]]:
    """Deals of one side belong together, whenever and why they happened; what is left stands alone."""
    left = list(made)
    pairs: list[tuple[Deal | None, Deal | None]] = []
    for deal in written:
        same = next((other for other in left if other.side == deal.side), None)
        if same is not None:
            left.remove(same)
        pairs.append((deal, same))
    return [*pairs, *((None, deal) for deal in left)]


def _differences(written: Deal | None, made: Deal | None) -> Iterator[Divergence]:
    known = written or made
    assert known is not None
    if written is None or made is None:
        own = written is not None and written.reason in STATE_REASONS
        cause: Cause = "state" if own else "fill"
        yield _divergence(known, cause, f"{known.reason}", written or "not executed", made or "not executed")
        return
    name = f"{written.reason} of {written.units:+d}"
    if written.kind != made.kind:
        yield _divergence(written, "fill", f"{name}: order", written.kind, made.kind)
    if written.bar_ns != made.bar_ns:
        yield _divergence(written, "fill", f"{name}: bar", iso_utc(written.bar_ns), iso_utc(made.bar_ns))
    if written.units != made.units:
        yield _divergence(written, "fill", f"{name}: units", written.units, made.units)
    if written.price_ticks != made.price_ticks:
        yield _divergence(written, "fill", f"{name}: price", written, made)
    if written.commission_cents != made.commission_cents:
        yield _divergence(written, "cost", f"{name}: cents", written.commission_cents, made.commission_cents)


def _divergence(deal: Deal, cause: Cause, what: str, written: object, made: object) -> Divergence:
    return Divergence(deal.seq, deal.bar_ns, cause, what, str(written), str(made))


def _learnt_late(session: JournaledSession) -> Iterator[Divergence]:
    """Barriers that were touched before a decision which did not know of it yet."""
    for fill in session.fills:
        bar_ns = _bar_ns(session, fill)
        decision = session.decisions.get(bar_ns)
        if fill.row.kind != "market" and decision is not None and decision.seq < fill.seq:
            what = f"{fill.row.reason} of {fill.row.units:+d}: known"
            yield Divergence(fill.seq, bar_ns, "fill", what, "after the decision on its bar", "before it")


def _written(session: JournaledSession) -> list[Deal]:
    return [
        Deal(
            _bar_ns(session, fill),
            1 if fill.row.units > 0 else -1,
            fill.row.kind,
            fill.row.reason,
            fill.row.units,
            Fraction(fill.row.price_ticks),
            fill.row.commission_cents,
            fill.seq,
        )
        for fill in session.fills
    ]


def _bar_ns(session: JournaledSession, fill: WrittenFill) -> int:
    closes, row = session.bars.ts_ns, fill.row
    place = session.place(row.ts_ns)
    if row.kind == "market":
        decided_ns = next((o.decision_ns for _, o in session.orders if o.client_order_id == row.client_order_id), 0)
        return max(int(closes[max(place, 0)]), decided_ns)
    # On the boundary of two bars the journal knows which came first: the bar's close, or the execution.
    inside = place >= 0 and int(closes[place]) == row.ts_ns and session.bar_seq[place] > fill.seq
    place += 0 if inside else 1
    return int(closes[min(place, len(closes) - 1)])


def _made(session: JournaledSession, fills: Sequence[Fill]) -> list[Deal]:
    deals = []
    for fill in fills:
        bar_ns = int(session.bars.ts_ns[max(session.place(fill.ts_ns), 0)])
        side, price = (1 if fill.units > 0 else -1), Fraction(fill.price_ticks)
        seq = session.seq_after(bar_ns) if fill.kind == "market" else session.seq_of(bar_ns)
        deals.append(Deal(bar_ns, side, fill.kind, fill.reason, fill.units, price, fill.commission_cents, seq))
    return deals


def _merged(deals: Sequence[Deal]) -> list[Deal]:
    merged: list[Deal] = []
    for deal in deals:
        last = merged[-1] if merged else None
        if last is not None and (last.place, last.reason) == (deal.place, deal.reason):
            units = last.units + deal.units
            price = (last.units * last.price_ticks + deal.units * deal.price_ticks) / units
            cents = last.commission_cents + deal.commission_cents
            merged[-1] = replace(last, units=units, price_ticks=price, commission_cents=cents)
        else:
            merged.append(deal)
    return merged
