"""A session says at its end which decisions it did not take, and why."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_strategies.live.journal.not_taken import DecisionsNotTaken
from run.trade.paper import print_outcome
from run.trade.session.plan import Outcome
from tests.live.bars import MINUTE_NS, bar_at
from tests.live.resumable_session import DAYS, ResumableSession

FIRST = 385  # five bars of the first day, then the second


def push(session: ResumableSession, minute: int, source: str) -> None:
    """A bar of the second day of which nothing follows."""
    session.strategy.push(bar_at(DAYS[1] + minute * MINUTE_NS), source)  # type: ignore[arg-type]


def test_skipped_decisions_and_bars_from_history_are_counted_by_reason(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 15)
    assert session.strategy.not_taken.reasons == {}
    session.strategy.reconciler.known = False
    session.trade(np.random.default_rng(1), FIRST + 15, 2)
    for minute in (13, 14, 15):
        push(session, minute, "backfill")
    assert session.strategy.not_taken.reasons == {"bar_too_late": 3, "unknown_position": 2}
    session.trade(np.random.default_rng(1), FIRST + 20, 1)
    assert session.strategy.not_taken.reasons == {"bar_too_late": 3, "unknown_position": 3}
    session.die()
    again = ResumableSession(tmp_path)
    assert again.strategy.not_taken.reasons == {"bar_too_late": 3, "unknown_position": 3}, "after a restart too"


def test_an_order_in_flight_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 10)
    monkeypatch.setattr(session.strategy.execution, "is_in_flight", lambda: True)
    session.trade(np.random.default_rng(1), FIRST + 10, 1)
    assert session.strategy.not_taken.reasons == {"order_in_flight": 1}


def test_after_the_flat_time_no_decision_is_due(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 10)
    flat = (session.strategy.core.last_flat_ns - DAYS[1]) // MINUTE_NS
    push(session, flat - 1, "backfill")
    push(session, flat, "backfill")
    push(session, flat + 1, "backfill")
    session.strategy.reconciler.known = False
    session.strategy.consider(DAYS[1] + (flat + 1) * MINUTE_NS)
    assert session.strategy.not_taken.reasons == {"bar_too_late": 1}


@given(st.lists(st.sampled_from(["decision", "skip", "nothing", "not due"]), max_size=30))
def test_each_due_close_is_decided_or_counted_once(events: list[str]) -> None:
    counted = DecisionsNotTaken()
    for number, event in enumerate(events, 1):
        for _ in range(2):  # bars of two instruments
            counted.on_bar(number, is_due=event != "not due")
        if event == "decision":
            counted.on_decision(number)
        elif event == "skip":
            counted.on_skip(number, "disconnected")
        counted.on_bar(number, is_due=event != "not due")  # one that came after the decision
    expected = {"disconnected": events.count("skip"), "bar_too_late": events.count("nothing")}
    assert counted.reasons == {reason: count for reason, count in expected.items() if count}


def test_the_summary_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missed = {"bar_too_late": 3, "order_in_flight": 1}
    print_outcome(Outcome(0, "over", tmp_path, 380, 4, 0, not_taken=missed), as_json=False)
    shown = capsys.readouterr()
    assert "4 decisions not taken: 3 bar too late, 1 order in flight" in shown.out + shown.err
    print_outcome(Outcome(0, "over", tmp_path, 380, 4, 0), as_json=False)
    shown = capsys.readouterr()
    assert "not taken" not in shown.out + shown.err
