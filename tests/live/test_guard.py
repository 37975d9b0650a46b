"""A guard beside a session that dies, hangs or goes on: what the broker's books show afterwards."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from adapters.ibkr.simulator.faults import FAULTS
from rl_strategies.live.journal.journal import read_journal
from run.trade.session.plan import session_day
from tests.live.guarded_session import (
    BRACKET,
    GROUPED,
    SESSION,
    UNTOUCHED,
    GuardedSession,
    Wanted,
    guarded_session,
    until,
)

pytestmark = pytest.mark.slow

LOOKS = 5  # of the guard at the broker, in which it would have acted


@pytest.fixture
def session(tmp_path: Path) -> Iterator[GuardedSession]:
    """Gateway and owner's things; no process yet."""
    with guarded_session(tmp_path) as made:
        yield made


def watched(session: GuardedSession) -> bool:
    return until(lambda: session.state().get("session") == "healthy", 30)


@pytest.mark.parametrize("is_torn", [False, True])
def test_a_killed_session_without_a_stop_is_closed_and_nothing_else_is(session: GuardedSession, is_torn: bool) -> None:
    process, guard = session.begin(BRACKET), session.guard()
    assert watched(session)
    process.kill()
    if is_torn:
        with next((session.folder / "journal").glob("*.arrows")).open("ab") as segment:
            segment.write(b"\xff\xff\xff\xff\x10\x03")
    session.cancel_stop()
    assert guard.wait(60) == 5
    assert session.own_trades() == [3, -3]
    assert (session.working(), session.owners()) == ([], UNTOUCHED)
    risk = session.home.risk.read()
    assert risk.level == "halted"
    assert risk.reason == "guard: the session has died: +3 MESZ6 without a stop at the broker; closed -3 MESZ6"
    said = session.said.read_text()
    assert "guard: the session has died: +3 MESZ6 without a stop at the broker" in said
    fills = [
        json.loads(row["text"])
        for row in read_journal(session.folder / "journal").rows.to_pylist()
        if row["kind"] == "fill"
    ]
    assert [(fill["role"], fill["units"]) for fill in fills] == [("entry", 3), ("external", -3)], "the session is flat"
    assert session_day(session.home, date(2026, 1, 6)) == date(2026, 1, 6)
    with sqlite3.connect(session.folder / "telemetry.db") as store:
        alerts = [row[0] for row in store.execute("select message from alerts")]
    assert "the session has died: +3 MESZ6 without a stop at the broker" in alerts
    assert "DU1234567" not in said + (session.folder / "guard.log").read_text()


def test_a_frozen_session_without_a_stop_is_killed_before_its_position_is_closed(session: GuardedSession) -> None:
    process, guard = session.begin(BRACKET), session.guard()
    assert watched(session)
    process.send_signal(signal.SIGSTOP)
    session.cancel_stop()
    assert guard.wait(60) == 5
    assert process.wait(5) == -signal.SIGKILL
    assert session.own_trades() == [3, -3]
    assert (session.working(), session.owners()) == ([], UNTOUCHED)


def test_a_frozen_session_with_a_stop_is_left_to_it_and_goes_on(session: GuardedSession) -> None:
    process, _ = session.begin(BRACKET), session.guard()
    assert watched(session)
    process.send_signal(signal.SIGSTOP)
    assert until(lambda: session.state()["action"] == "leave")
    assert session.looked(2)
    process.send_signal(signal.SIGCONT)
    assert watched(session)
    assert process.poll() is None
    assert (session.own_trades(), len(session.working()), session.owners()) == ([3], 2, UNTOUCHED)


def test_a_killed_session_with_a_stop_is_left_to_it(session: GuardedSession) -> None:
    process, guard = session.begin(BRACKET), session.guard()
    assert watched(session)
    process.kill()
    assert until(lambda: session.state()["action"] == "leave")
    assert session.looked(LOOKS)
    assert guard.poll() is None
    assert (session.own_trades(), len(session.working()), session.owners()) == ([3], 2, UNTOUCHED)


@pytest.mark.parametrize("wanted", [BRACKET, GROUPED[:2]], ids=["bracket", "stop alone"])
def test_a_position_is_left_without_a_bare_moment_when_the_time_is_over(tmp_path: Path, wanted: list[Wanted]) -> None:
    with guarded_session(tmp_path, before_end_s=24 * 3600) as session:
        process, guard = session.begin(wanted), session.guard()
        assert watched(session)
        assert session.looked(2)
        assert session.own_trades() == [3], "a healthy session is its own master"
        naked = session.witness()
        process.kill()
        assert guard.wait(60) == 5
        assert session.own_trades() == [3, -3]
        assert (session.working(), session.owners()) == ([], UNTOUCHED)
        assert naked
        assert not any(naked), "at no moment without a stop"
        is_alone = len(wanted) == 2
        level = "halted" if is_alone else "normal"  # of its stop's fill the session hears when it starts again
        assert session.home.risk.read().level == level
        fills = [row for row in read_journal(session.folder / "journal").rows.to_pylist() if row["kind"] == "fill"]
        assert [json.loads(row["text"])["units"] for row in fills] == ([3, -3] if is_alone else [3])


def test_what_cannot_be_left_keeps_its_stop_and_is_tried_again(tmp_path: Path) -> None:
    with guarded_session(tmp_path, before_end_s=24 * 3600) as session:
        process, guard = session.begin(GROUPED[:2]), session.guard()
        assert watched(session)
        session.gateway.call(lambda server: FAULTS["exit_errors"](server, 201))
        naked = session.witness()
        process.kill()
        said = session.folder / "guard.log"
        assert until(lambda: said.read_text().count("not left yet; the stop at the broker works on") >= 1, 40)
        assert (guard.poll(), session.own_trades(), len(session.working())) == (None, [3], 1)
        session.gateway.call(lambda server: FAULTS["exit_errors"](server, 0))
        assert guard.wait(60) == 5
        assert (session.own_trades(), session.working(), session.owners()) == ([3, -3], [], UNTOUCHED)
        assert not any(naked)


def test_a_session_that_ended_with_a_position_and_no_stop_is_closed(session: GuardedSession) -> None:
    process, guard = session.begin(BRACKET[:1]), session.guard()
    assert until(lambda: session.state().get("action") == "warn", 30)
    process.end()
    assert process.wait(10) == 0
    assert guard.wait(60) == 5
    assert (session.own_trades(), session.owners()) == ([3, -3], UNTOUCHED)


def test_a_healthy_session_without_a_stop_is_only_warned_of(session: GuardedSession) -> None:
    process, guard = session.begin(BRACKET[:1]), session.guard()
    assert until(lambda: session.state().get("action") == "warn", 30)
    assert session.looked(LOOKS)
    assert (process.poll(), guard.poll()) == (None, None)
    assert (session.own_trades(), session.working(), session.owners()) == ([3], [], UNTOUCHED)


def test_a_session_that_ended_flat_ends_its_guard(session: GuardedSession) -> None:
    process, guard = session.begin([]), session.guard()
    assert watched(session)
    process.end()
    assert process.wait(10) == 0
    assert guard.wait(20) == 0
    assert (session.own_trades(), session.owners()) == ([], UNTOUCHED)
    assert session.home.risk.read().level == "normal"


def test_orders_of_a_dead_session_that_protect_nothing_are_cancelled(tmp_path: Path) -> None:
    with guarded_session(tmp_path, restart_s=1) as session:
        process, guard = session.begin([("stop", -3, "STP", 5990)]), session.guard()
        assert watched(session)
        process.kill()
        assert guard.wait(60) == 0
        assert (session.own_trades(), session.working(), session.owners()) == ([], [], UNTOUCHED)
        assert session.home.risk.read().level == "normal"


def test_a_session_that_is_started_again_in_time_is_watched_on(tmp_path: Path) -> None:
    with guarded_session(tmp_path, restart_s=20) as session:
        process, guard = session.begin([]), session.guard()
        assert watched(session)
        process.kill()
        assert until(lambda: session.state()["session"] == "dead")
        session.begin([])
        assert watched(session)
        assert guard.poll() is None
        assert session.own_trades() == []


def test_session_and_guard_killed_leave_the_bracket(session: GuardedSession) -> None:
    process, guard = session.begin(BRACKET), session.guard()
    assert watched(session)
    guard.kill()
    process.kill()
    assert (session.own_trades(), session.owners()) == ([3], UNTOUCHED)
    assert session.working() == [(SESSION, 2), (SESSION, 3)]


def test_a_guard_that_is_started_late_closes_too(session: GuardedSession) -> None:
    process = session.begin(BRACKET)
    process.kill()
    session.cancel_stop()
    assert session.guard().wait(60) == 5
    assert (session.own_trades(), session.working(), session.owners()) == ([3, -3], [], UNTOUCHED)


ADVERSITIES = {
    "late": [("late_answers", 300)],
    "late-positions": [("late_position", 800)],
    "repeated": [("repeated_execution", 2), ("repeated_order_status", 2), ("repeated_position", 1)],
    "unanswered": [("unanswered_position", 15), ("unanswered_open_order", 15)],
}


@pytest.mark.parametrize("faults", ADVERSITIES.values(), ids=ADVERSITIES)
@pytest.mark.parametrize("has_stop", [True, False])
def test_answers_that_are_late_repeated_or_missing_change_nothing(
    session: GuardedSession, has_stop: bool, faults: list[tuple[str, int]]
) -> None:
    process, guard = session.begin(BRACKET), session.guard()
    assert watched(session)
    for name, value in faults:
        session.gateway.call(lambda server, name=name, value=value: FAULTS[name](server, value))  # type: ignore[misc]
    process.kill()
    if not has_stop:
        session.cancel_stop()
        assert guard.wait(150) == 5, (session.folder / "guard.log").read_text()
        assert session.own_trades() == [3, -3]
        assert (session.working(), session.owners()) == ([], UNTOUCHED)
    else:
        assert until(lambda: session.state()["action"] == "leave", 60)
        assert session.looked(3 * LOOKS)
        assert guard.poll() is None
        assert (session.own_trades(), len(session.working()), session.owners()) == ([3], 2, UNTOUCHED)
