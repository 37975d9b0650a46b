"""Of decisions that come out otherwise the first cause is named, on sessions written by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rl_strategies.decision.actions import FLAT, LONG
from rl_strategies.decision.core import Review
from rl_strategies.live.journal.rebuild import Cause, Divergence
from rl_strategies.live.replay.bars import compare_bars
from rl_strategies.live.replay.causes import Attribution, undecided
from rl_strategies.live.replay.session import JournaledSession
from rl_strategies.live.replay.strategy import JournalPolicy, TakenDecision
from rl_strategies.policy.policies import FlatPolicy
from tests.live.handwritten_journal import HandwrittenJournal, minute


def taken(seen: float = 0.0, target: int = 0, **review: Any) -> TakenDecision:
    """What the backtest clock decides; by default what `HandwrittenJournal.decision` writes."""
    return TakenDecision(np.array([seen], np.float32), target, Review(0, 0, "approved")._replace(**review))


def divergence(seq: int, cause: Cause, n: int = 1) -> Divergence:
    return Divergence(seq, minute(n), cause, "anything", "1", "2")


def undone(session: JournaledSession, left_out: Sequence[int]) -> list[tuple[str, str]]:
    decided = dict.fromkeys(session.decisions, taken())
    return [(each.cause, each.written) for each in undecided([session], decided, [minute(n) for n in left_out])]


def test_a_decision_that_was_not_taken_says_why() -> None:
    written = HandwrittenJournal(bars=1)
    written.state(1, "decision", to="skipped", reason="disconnected")
    written.bar(2, "backfill")
    written.order("O-9", "entry", 1, 10, "entry", 2)
    written.bar(3)
    written.fill(2.2, 10, "entry", decided=3)
    written.bar(4)
    written.bar(5)
    session = written.session()
    assert undone(session, [1, 2, 3]) == [
        ("state", "not taken: disconnected"),
        ("data", "not taken: the bar came too late, from history"),
        ("fill", "not taken: an order was in flight"),
    ]


def test_only_a_market_order_that_was_sent_before_is_in_flight() -> None:
    written = HandwrittenJournal(bars=1)
    written.order("O-1", "exit", -1, 10, "stop_loss", 1)
    written.bar(2)
    written.order("O-2", "exit", -1, 10, "signal", 2)
    written.bar(3)
    session = written.session()
    assert [session.is_in_flight(int(seq)) for seq in session.bar_seq] == [False, False, True]


def test_after_the_answer_nothing_is_owed() -> None:
    written = HandwrittenJournal(bars=1)
    written.fill(1.1, 10, "entry", decided=1)
    written.bar(2)
    written.bar(3)
    assert undone(written.session(), [2]) == [("state", "not taken")]


def test_what_followed_the_last_bar_is_not_known() -> None:
    written = HandwrittenJournal(bars=2)
    assert undone(written.session(), [2]) == []
    written.state(2, "decision", to="skipped", reason="disconnected")
    assert undone(written.session(), [2]) == [("state", "not taken: disconnected")]


def test_an_entry_that_the_risk_level_forbade_is_state() -> None:
    written = HandwrittenJournal(bars=1)
    written.decision(1)
    written.state(1, "permit", to="reduced", reason="rejects")
    assert undone(written.session(), []) == [("state", "not opened: rejects")]


def test_a_decision_that_the_backtest_does_not_take_is_state() -> None:
    written = HandwrittenJournal(bars=1)
    written.decision(1)
    session = written.session()
    (found,) = undecided([session], {}, [])
    assert (found.cause, found.written, found.made) == ("state", "taken", "not taken")


@pytest.fixture
def two_days() -> JournaledSession:
    """A decision on each of two days: rows 2 and 7, the executions of a day between its bar and its decision."""
    written = HandwrittenJournal(bars=1)
    written.state(1, "day")
    written.decision(1)
    written.bar(2)
    written.state(2, "day")
    written.decision(2)
    return written.session()


def causes(
    session: JournaledSession,
    made: dict[int, TakenDecision],
    replayed: Sequence[Divergence] = (),
    bars: Sequence[Divergence] = (),
    others: Sequence[Divergence] = (),
) -> list[tuple[int, Cause]]:
    found = Attribution(session, {minute(n): each for n, each in made.items()}, replayed, bars, others).causes()
    return [((ts_ns - minute(0)) // (minute(1) - minute(0)), cause) for ts_ns, cause in found]


def test_equal_decisions_have_no_cause(two_days: JournaledSession) -> None:
    assert [two_days.decisions[minute(n)].seq for n in (1, 2)] == [2, 7]
    assert causes(two_days, {1: taken(), 2: taken(seen=1.0)}, others=[divergence(0, "fill")]) == []


@pytest.mark.parametrize("change", [{"target": 1}, {"side": 1, "units": 10}, {"reason": "daily_loss"}])
def test_a_decision_that_the_backtest_takes_otherwise_follows_the_days_first_execution(
    two_days: JournaledSession, change: dict[str, Any]
) -> None:
    made = {1: taken(), 2: taken(**change)}
    today, later = divergence(6, "cost"), divergence(8, "fill")
    assert causes(two_days, made, others=[later, today]) == [(2, "cost")]
    assert causes(two_days, made, others=[divergence(1, "fill"), later]) == [(2, "state")]


def test_other_actions_are_told_from_other_numbers(two_days: JournaledSession) -> None:
    def acted(made: TakenDecision, *replayed: Divergence) -> list[int]:
        found = Attribution(two_days, {minute(1): taken(), minute(2): made}, replayed, [], [])
        return list(found.other_actions())

    assert acted(taken(seen=1.0), divergence(9, "policy", 2)) == []
    assert acted(taken(target=1)) == [minute(2)]
    assert acted(taken(), replace(divergence(9, "policy", 2), what="target")) == [minute(2)]
    assert acted(taken(), replace(divergence(9, "state", 2), what="review")) == [minute(2)]


def test_a_changed_bar_explains_features_and_nothing_else(two_days: JournaledSession) -> None:
    made = {1: taken(), 2: taken()}
    replayed, bar = [divergence(7, "feature", 2)], divergence(0, "data")
    assert causes(two_days, made, replayed) == [(2, "feature")]
    assert causes(two_days, made, replayed, bars=[bar]) == [(2, "data")]
    assert causes(two_days, made, replayed, bars=[divergence(8, "data")]) == [(2, "feature")]
    assert causes(two_days, made, [divergence(7, "state", 2)], bars=[bar]) == [(2, "state")]


def test_an_execution_explains_a_state_that_the_backtest_shares(two_days: JournaledSession) -> None:
    replayed, fill = [divergence(7, "state", 2)], divergence(6, "fill")
    assert causes(two_days, {1: taken(), 2: taken()}, replayed, others=[fill]) == [(2, "fill")]
    # The session saw neither what its journal nor what the backtest makes of it.
    assert causes(two_days, {1: taken(), 2: taken(seen=1.0)}, replayed, others=[fill]) == [(2, "state")]


def test_a_policy_that_was_shown_something_else_before_is_not_to_blame() -> None:
    written = HandwrittenJournal(bars=1)
    written.state(1, "day")
    written.decision(1)
    written.bar(2)
    written.decision(2)
    session, made = written.session(), {1: taken(), 2: taken()}
    shown, answered = divergence(2, "feature"), divergence(7, "policy", 2)
    assert causes(session, made, [shown, answered]) == [(1, "feature"), (2, "feature")]
    assert causes(session, made, [answered]) == [(2, "policy")]
    assert causes(session, made, [divergence(3, "state"), answered]) == [(1, "state"), (2, "state")]
    # What is shown later explains nothing.
    assert causes(session, made, [divergence(4, "policy"), divergence(7, "feature", 2)]) == [
        (1, "policy"),
        (2, "feature"),
    ]


def test_a_policy_forgets_over_night(two_days: JournaledSession) -> None:
    replayed = [divergence(2, "feature"), divergence(9, "policy", 2)]
    assert causes(two_days, {1: taken(), 2: taken()}, replayed) == [(1, "feature"), (2, "policy")]


def test_bars_are_held_against_the_catalogs_one_by_one() -> None:
    session = HandwrittenJournal(bars=4).session()
    bars = session.bars
    assert compare_bars(session, bars) == []
    bent = bars.close.copy()
    bent[1] = 99
    stored = replace(bars, close=bent)
    (other,) = compare_bars(session, stored)
    assert (other.seq, other.ts_ns, other.what, other.written, other.made) == (1, minute(2), "bar: close", "100", "99")
    (extra,) = compare_bars(session, bars.slice(0, 3))
    assert (extra.seq, extra.written, extra.made) == (3, "seen", "not in the catalog")
    (missing,) = compare_bars(replace(session, bars=bars.slice(0, 3), bar_seq=session.bar_seq[:3]), bars)
    assert (missing.cause, missing.ts_ns, missing.written) == ("data", minute(4), "not seen")


def test_a_led_policy_answers_what_was_written_and_remembers_what_it_wanted() -> None:
    led = JournalPolicy(FlatPolicy())  # type: ignore[arg-type]
    led.written = [LONG]
    assert led.act(np.zeros(1, np.float32)) == [LONG]
    assert led.wanted == [FLAT]
