"""A session that reads context is taken up again like any other; without its context it decides nothing."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from catalogs.daily_values import write_context
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import read_journal
from rl_strategies.live.journal.resume import ResumeError, replay_journal
from tests.live.resumable_session import PLAN_WITH_VIX, ResumableSession, new_core, new_policy

FIRST = 385  # five bars of the first day, then the second
STALE = 390 + 45  # VIX of the first day is too old after 45 minutes of the second


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """VIX up to the second of December."""
    folder = tmp_path / "catalog"
    days = [date(2024, 12, 2) - timedelta(days=n) for n in range(9, -1, -1)]
    prices = dict.fromkeys(("open", "high", "low", "close"), np.arange(10.0, 20.0))
    write_context(folder, {"VIX": pa.table({"date": days, **prices, "source": ["made up"] * 10})})
    return folder


def traded_session(folder: Path, catalog: Path, bars: int, seed: int = 3) -> ResumableSession:
    session = ResumableSession(folder, catalog=catalog)
    session.trade(np.random.default_rng(seed), FIRST, bars)
    return session


def test_a_session_that_reads_context_is_taken_up_again_bit_for_bit(tmp_path: Path, catalog: Path) -> None:
    first, bars = traded_session(tmp_path / "session", catalog, 20), 20
    while first.units != 0:
        first.trade(np.random.default_rng(bars), FIRST + bars, 1)
        bars += 1
    shutil.copytree(tmp_path / "session", tmp_path / "copy")
    again = ResumableSession(tmp_path / "copy", catalog=catalog)
    assert again.state() == first.state()
    for session in (again, first):
        session.trade(np.random.default_rng(5), FIRST + bars, 8)
    assert again.state() == first.state()
    assert again.strategy.decisions == first.strategy.decisions == bars + 8 - 5


def test_every_row_is_written_before_the_bar_that_sees_it(tmp_path: Path, catalog: Path) -> None:
    session = traded_session(tmp_path / "session", catalog, 10)
    session.die()
    rows = read_journal(session.journal).rows.to_pylist()
    kinds = [row["kind"] for row in rows if row["kind"] in ("context", "bar")]
    # The one row that is in use, then those that time has reached since.
    assert kinds == ["context", *["bar"] * 5, "context", *["bar"] * 5]
    seen = [row["values"][3] for row in rows if row["kind"] == "context"]
    assert seen == [18.0, 19.0]


def test_a_row_of_context_that_was_changed_is_refused(tmp_path: Path, catalog: Path) -> None:
    session = traded_session(tmp_path / "session", catalog, 20)
    session.die()
    core, policy = new_core(PLAN_WITH_VIX), new_policy(PLAN_WITH_VIX)
    kept = Checkpoint(tmp_path / "session" / "checkpoint.npz")
    state = kept.read()
    assert state is not None
    state["0.features.VIX.kept"] = state["0.features.VIX.kept"] + 1.0
    with kept.path.open("wb") as file:
        np.savez(file, **state)
    with pytest.raises(ResumeError, match=r"differs in 0\.features\.VIX\.kept$"):
        replay_journal(session.journal, kept, core, policy)


def test_without_its_context_nothing_is_decided_and_the_reason_is_journaled(tmp_path: Path, catalog: Path) -> None:
    session = traded_session(tmp_path / "session", catalog, STALE - FIRST)
    decided = session.strategy.decisions
    assert decided == 45
    orders = len(session.cache.orders())
    session.trade(np.random.default_rng(7), STALE, 5)
    assert session.strategy.decisions == decided
    entries = [order for order in session.cache.orders()[orders:] if not order.is_reduce_only]
    assert entries == []
    assert session.strategy.refusals["observation_unknown"] == 5
    session.die()
    states = [
        json.loads(row["text"]) for row in read_journal(session.journal).rows.to_pylist() if row["kind"] == "state"
    ]
    skipped = [state["reason"] for state in states if state["what"] == "decision"]
    assert skipped == ["observation_unknown"] * 5
    again = ResumableSession(tmp_path / "session", catalog=catalog)
    assert again.state() == session.state()
