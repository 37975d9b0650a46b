"""Fills by a broker's clock are compared with those of a backtest, on handwritten journals."""

import pytest

from catalogs.errors import InputError
from rl_strategies.accounting.record import Fill, FillReason
from rl_strategies.decision.core import Review
from rl_strategies.live.journal.rebuild import Divergence
from rl_strategies.live.replay.fills import compare_fills
from tests.live.handwritten_journal import KINDS, HandwrittenJournal, minute


def made(n: int, units: int, reason: FillReason, price: int = 100, cents: int = 100) -> Fill:
    """An execution of the backtest clock in the ``n``-th bar."""
    return Fill(minute(n), units, price, cents, KINDS.get(reason, "market"), 0, reason)


def said(found: list[Divergence]) -> list[tuple[str, str]]:
    return [(each.cause, each.what) for each in found]


@pytest.fixture
def written() -> HandwrittenJournal:
    """Two bars."""
    return HandwrittenJournal(bars=2)


def test_decisions_and_reviews_are_read_back(written: HandwrittenJournal) -> None:
    written.decision(2)
    session = written.session()
    assert list(session.decisions) == [minute(2)]
    decision = session.decisions[minute(2)]
    assert (decision.seq, decision.target, decision.review) == (2, 0, Review(0, 0, "approved"))
    assert [session.place(minute(n)) for n in (0.5, 1, 1.5, 2, 9)] == [-1, 0, 0, 1, 1]
    assert (session.seq_of(minute(1.5)), session.seq_after(minute(1)), session.seq_after(minute(2))) == (0, 1, 5)


@pytest.mark.parametrize("at", [2.0, 2.007, 1.99])
def test_a_market_order_belongs_to_the_close_that_it_followed(written: HandwrittenJournal, at: float) -> None:
    # By the exchange's clock, 0.4 s later, or a little before by a clock that is behind.
    written.decision(2)
    written.fill(at, 10, "entry", decided=2)
    written.bar(3)
    assert compare_fills(written.session(), [made(2, 10, "entry")]) == []


def test_a_market_order_that_waited_for_the_next_bar_is_late(written: HandwrittenJournal) -> None:
    written.fill(3.5, 10, "entry", decided=2)
    written.bar(3)
    # The row of the third bar follows in the journal, its close precedes the execution.
    (late,) = compare_fills(written.session(), [made(2, 10, "entry")])
    assert (late.cause, late.what) == ("fill", "entry of +10: bar")
    assert (late.written, late.made) == ("2024-12-24T14:33:00Z", "2024-12-24T14:32:00Z")


@pytest.mark.parametrize("at", [2.4, 3.0, 2.0])
def test_a_barrier_belongs_to_the_bar_that_touched_it(written: HandwrittenJournal, at: float) -> None:
    # In the middle of the third bar, at its close, and at its open, where the second bar's row stands before.
    written.fill(at, -10, "stop_loss", decided=1)
    written.bar(3)
    written.bar(4)
    assert compare_fills(written.session(), [made(3, -10, "stop_loss")]) == []


def test_a_barrier_that_a_decision_did_not_know_of_is_late(written: HandwrittenJournal) -> None:
    written.bar(3)
    written.decision(3)
    written.fill(2.4, -10, "stop_loss", decided=1)
    (late,) = compare_fills(written.session(), [made(3, -10, "stop_loss")])
    assert (late.cause, late.written) == ("fill", "after the decision on its bar")


def test_parts_of_an_order_are_one_execution(written: HandwrittenJournal) -> None:
    written.fill(2.0, 4, "entry", decided=2, price=100, cents=40)
    written.fill(2.01, 6, "entry", decided=2, price=105, cents=60)
    written.bar(3)
    session = written.session()
    # 4 at 100 and 6 at 105 are 10 at 103.
    assert compare_fills(session, [made(2, 10, "entry", 103)]) == []
    assert said(compare_fills(session, [made(2, 10, "entry", 102)])) == [("fill", "entry of +10: price")]
    assert said(compare_fills(session, [made(2, 10, "entry", 103, 99)])) == [("cost", "entry of +10: cents")]
    assert said(compare_fills(session, [made(2, 9, "entry", 103)])) == [("fill", "entry of +10: units")]


def test_both_halves_of_a_reversal_are_deals_of_their_own(written: HandwrittenJournal) -> None:
    written.fill(2.0, -10, "signal", decided=2, price=101)
    written.fill(2.0, -10, "entry", decided=2, price=103)
    written.bar(3)
    flipped = [made(2, -10, "reverse", 103), made(2, -10, "entry", 101)]
    assert said(compare_fills(written.session(), flipped)) == [
        ("fill", "signal of -10: price"),
        ("fill", "entry of -10: price"),
    ]


def test_opposite_sides_are_never_one_execution(written: HandwrittenJournal) -> None:
    written.fill(2.0, -10, "signal", decided=2)
    written.bar(3)
    written.bar(4)
    assert said(compare_fills(written.session(), [made(3, 10, "entry")])) == [("fill", "signal"), ("fill", "entry")]


def test_a_stop_that_was_a_market_order_in_the_backtest_is_another_order(written: HandwrittenJournal) -> None:
    written.fill(2.5, -10, "stop_loss", decided=1)
    written.bar(3)
    written.bar(4)
    (other,) = compare_fills(written.session(), [made(3, -10, "signal")])
    assert (other.what, other.written, other.made) == ("stop_loss of -10: order", "stop", "market")


def test_a_fill_that_is_journaled_twice_counts_once(written: HandwrittenJournal) -> None:
    written.fill(2.0, 10, "entry", decided=2)
    written.rows.append((len(written.rows), *written.rows[-1][1:]))
    (fill,) = written.session().fills
    assert fill.seq == 3


def test_bars_out_of_order_are_refused(written: HandwrittenJournal) -> None:
    written.bar(2)
    with pytest.raises(InputError, match="row 2 must close after the bar before it"):
        written.session()


def test_after_an_execution_of_one_side_alone_the_rest_is_still_paired(written: HandwrittenJournal) -> None:
    written.fill(2.0, 10, "entry", decided=2)
    written.fill(2.5, -10, "stop_loss", decided=2, price=90)
    written.bar(3)
    written.fill(3.0, 10, "entry", decided=3)
    written.bar(4)
    written.fill(4.0, -10, "signal", decided=4)
    written.bar(5)
    found = compare_fills(written.session(), [made(2, 10, "entry"), made(4, -10, "signal")])
    assert said(found) == [("fill", "stop_loss"), ("fill", "entry")]
    assert [each.made for each in found] == ["not executed", "not executed"]


def test_a_close_by_the_sessions_state_is_state(written: HandwrittenJournal) -> None:
    written.fill(2.3, -10, "risk_halt", decided=2)
    written.bar(3)
    assert said(compare_fills(written.session(), [])) == [("state", "risk_halt")]


def test_a_fill_of_the_backtest_alone_diverges_unless_the_journal_ends_before(written: HandwrittenJournal) -> None:
    written.bar(3)
    session = written.session()
    (missing,) = compare_fills(session, [made(2, 10, "entry")])
    assert (missing.cause, missing.written, missing.made) == ("fill", "not executed", "+10 at 100 ticks")
    assert compare_fills(session, [made(3, 10, "entry")]) == []
