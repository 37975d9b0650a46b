"""A killed session goes on bit for bit; one whose books do not agree goes nowhere, and says why."""

import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.errors import InputError
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import Journal, read_journal
from rl_strategies.live.journal.rebuild import ReplayedJournal
from rl_strategies.live.journal.resume import ResumeError, replay_journal
from tests.live.resumable_session import ResumableSession, as_bytes, new_core, new_policy

ROOT = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]
FIRST = 385  # five bars of the first day, then the second


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process left behind that was killed after 45 bars, in a position."""
    folder = tmp_path_factory.mktemp("killed")
    session = ResumableSession(folder)
    session.trade(np.random.default_rng(3), FIRST, 45)
    assert session.strategy.decisions == 40
    assert len(session.strategy.execution.fills) > 10
    assert session.units != 0
    session.die()
    return folder


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(killed, tmp_path / "left")


def take_up(folder: Path) -> ReplayedJournal | None:
    return replay_journal(folder / "journal", Checkpoint(folder / "checkpoint.npz"), new_core(), new_policy())


def rewrite(folder: Path, change: Callable[[Rows], None]) -> None:
    """Change the rows of a journal, with checksums and numbers as they should be."""
    rows: Rows = read_journal(folder / "journal").rows.to_pylist()
    change(rows)
    shutil.rmtree(folder / "journal")
    journal = Journal(folder / "journal", durable=False)
    for row in rows:
        journal.append(row["kind"], row["ts_ns"], row["instrument_id"], row["values"], row["text"])
    journal.close()


# Checkpoint -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    checkpoint, core, policy = Checkpoint(tmp_path / "checkpoint.npz"), new_core(), new_policy()
    assert checkpoint.read() is None
    checkpoint.write(core, policy, 7)
    kept = checkpoint.read()
    assert kept is not None
    assert int(kept.pop("journal_seq")) == 7
    assert {name: value.tobytes() for name, value in kept.items()} == as_bytes(core, policy)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


KILLED = """
    import os, sys
    from pathlib import Path
    from types import SimpleNamespace
    import numpy as np
    from rl_strategies.live.journal.checkpoint import Checkpoint

    part = SimpleNamespace(snapshot=lambda: {"value": np.arange(1000)})
    policy = SimpleNamespace(snapshot=lambda: np.zeros(3))
    checkpoint = Checkpoint(Path(sys.argv[1]))
    checkpoint.write(part, policy, 7)
    Path.replace = lambda aside, target: os._exit(9)
    checkpoint.write(part, policy, 8)
"""


def test_a_process_killed_before_the_file_is_in_place_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(KILLED), str(path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 2, "what was being written lies beside it"
    kept = Checkpoint(path).read()
    assert kept is not None
    assert int(kept["journal_seq"]) == 7


def test_a_full_disk_is_said_and_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz")
    checkpoint.write(new_core(), new_policy(), 7)

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="no space left on the disk"):
        checkpoint.write(new_core(), new_policy(), 8)
    kept = checkpoint.read()
    assert kept is not None
    assert int(kept["journal_seq"]) == 7
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "bit"])
def test_a_damaged_checkpoint_is_refused(left: Path, damage: str) -> None:
    path = left / "checkpoint.npz"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    cut = {"cut": content[: len(content) // 2], "empty": b"", "text": b"hello", "bit": content}[damage]
    path.write_bytes(bytes(cut))
    with pytest.raises(InputError, match=f"checkpoint {path} cannot be read"):
        Checkpoint(path).read()


# Going on ---------------------------------------------------------------------------------------------------------


def test_nothing_is_taken_up_where_nothing_was(tmp_path: Path) -> None:
    assert take_up(tmp_path) is None
    Journal(tmp_path / "journal").close()
    assert take_up(tmp_path) is None


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), before=st.integers(6, 40), after=st.integers(1, 12))
def test_a_session_taken_up_again_goes_on_as_if_nothing_had_happened(
    tmp_path_factory: pytest.TempPathFactory, seed: int, before: int, after: int
) -> None:
    folder = tmp_path_factory.mktemp("session")
    first, random = ResumableSession(folder / "first"), np.random.default_rng(seed)
    first.trade(random, FIRST, before)
    again = taken_up_again(first, folder / "in a position")
    assert again.strategy.execution.ledger.rows == first.strategy.execution.ledger.rows
    while first.units != 0:
        first.trade(random, FIRST + before, 1)
        before += 1
    again = taken_up_again(first, folder / "flat")
    same_chance = np.random.default_rng(seed + 1), np.random.default_rng(seed + 1)
    for session, chance in zip((first, again), same_chance, strict=True):
        session.trade(chance, FIRST + before, after)
    assert again.state() == first.state()
    assert again.strategy.decisions == first.strategy.decisions == FIRST + before + after - 390
    assert again.strategy.execution.fills == first.strategy.execution.fills


def taken_up_again(first: ResumableSession, folder: Path) -> ResumableSession:
    """Another life of what the first has on disk, as a killed process would have left it."""
    shutil.copytree(first.journal.parent, folder)
    again = ResumableSession(folder)
    assert again.state() == first.state()
    assert again.strategy.decisions == first.strategy.decisions
    assert again.strategy.execution.fills == first.strategy.execution.fills
    return again


@pytest.mark.parametrize("is_checkpointed", [True, False])
def test_a_fill_that_was_amended_is_taken_up_as_it_was_booked(tmp_path: Path, is_checkpointed: bool) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 45)
    newest = next(reversed(session.strategy.execution.ledger.rows))
    before = session.strategy.core.account.balance_cents
    for usd in (7.77, 9.99):
        session.strategy.execution.on_commission(newest, usd)
    assert session.strategy.core.account.balance_cents < before
    if is_checkpointed:
        session.trade(np.random.default_rng(4), FIRST + 45, 3)
    left = session.state()
    session.die()
    again = ResumableSession(tmp_path)
    assert again.state() == left
    again.die()


def test_a_journal_alone_is_enough_where_no_checkpoint_was_ever_written(left: Path) -> None:
    (left / "checkpoint.npz").unlink()
    replayed = take_up(left)
    assert replayed is not None
    assert (replayed.decisions, replayed.bars, replayed.is_traded) == (40, 45, True)
    assert replayed.instruments["SPY.EQUS"].foreign == []


def test_an_older_checkpoint_is_one_step_on_the_way(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path)
    session.trade(np.random.default_rng(3), FIRST, 20)
    older = (tmp_path / "checkpoint.npz").read_bytes()
    session.trade(np.random.default_rng(4), FIRST + 20, 20)
    session.die()
    (tmp_path / "checkpoint.npz").write_bytes(older)
    again = ResumableSession(tmp_path)
    assert again.state() == session.state()


def test_a_session_that_never_began_is_not_taken_up(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", durable=False)
    journal.append("state", 1, text=json.dumps({"what": "session", "from": "trading", "to": "stopped", "reason": ""}))
    journal.close()
    session = ResumableSession(tmp_path)
    assert session.replayed is not None
    assert not session.replayed.has_begun
    assert not session.strategy._resumes


# Tears ------------------------------------------------------------------------------------------------------------


def test_a_tear_after_the_checkpoint_costs_only_what_followed_it(left: Path) -> None:
    (segment,) = (left / "journal").glob("*.arrows")
    content = segment.read_bytes()
    segment.write_bytes(content + content[-100:-40])
    replayed = take_up(left)
    assert replayed is not None
    assert replayed.decisions == 40


def test_a_tear_before_the_checkpoint_is_refused_with_the_rows(left: Path) -> None:
    kept = Checkpoint(left / "checkpoint.npz").read()
    assert kept is not None
    (segment,) = (left / "journal").glob("*.arrows")
    segment.write_bytes(segment.read_bytes()[:-3000])
    rows = read_journal(left / "journal").rows.num_rows
    assert rows < int(kept["journal_seq"])
    with pytest.raises(ResumeError, match=f"must reach the checkpoint's row {kept['journal_seq']}, has {rows} rows"):
        take_up(left)


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_a_journal_that_is_gone_beside_a_checkpoint_is_no_fresh_beginning(left: Path, how: str) -> None:
    shutil.rmtree(left / "journal")
    if how == "emptied":
        (left / "journal").mkdir()
    with pytest.raises(ResumeError, match=r"must reach the checkpoint's row \d+, has 0 rows"):
        take_up(left)


# Tampering --------------------------------------------------------------------------------------------------------


def nth(rows: Rows, kind: str, n: int) -> dict[str, Any]:
    return [row for row in rows if row["kind"] == kind][n]


def change_text(row: dict[str, Any], **changes: Any) -> None:
    row["text"] = json.dumps(json.loads(row["text"]) | changes)


def set_value(kind: str, place: int, value: float) -> Callable[[Rows], None]:
    return lambda rows: nth(rows, kind, 20)["values"].__setitem__(place, value)


SPOILT: list[tuple[str, Callable[[Rows], None], str]] = [
    ("bar", lambda rows: nth(rows, "bar", 25)["values"].__setitem__(3, 49990), "return_1 at 1733237460000000000 was"),
    ("bar lost", lambda rows: rows.remove(nth(rows, "bar", 25)), r"checkpoint's row \d+, has"),
    ("fill", lambda rows: change_text(nth(rows, "fill", 2), price_ticks=49000), r"account\.balance_cents"),
    ("commission", lambda rows: change_text(nth(rows, "fill", 2), commission_cents=0), r"account\.balance_cents"),
    ("fill lost", lambda rows: rows.remove(nth(rows, "fill", 2)), r"checkpoint's row \d+, has"),
    ("fill twice", lambda rows: rows.insert(rows.index(nth(rows, "fill", 2)), dict(nth(rows, "fill", 2))), "account"),
    ("memory", lambda rows: nth(rows, "recurrent_state", 20).__setitem__("text", "0" * 64), "recurrent state"),
    ("logits", set_value("logits", 0, 9.0), "logits"),
    ("target", set_value("target", 0, 5), "target"),
    ("review", set_value("review", 2, 77), "review"),
    ("observation", set_value("observation", 0, 0.5), "differs in"),
]


@pytest.mark.parametrize(("change", "names"), [(c, n) for _, c, n in SPOILT], ids=[name for name, *_ in SPOILT])
def test_a_journal_that_was_changed_is_refused_by_name(left: Path, change: Callable[[Rows], None], names: str) -> None:
    rewrite(left, lambda rows: None)
    assert take_up(left) is not None, "rewriting alone changes nothing"
    rewrite(left, change)
    with pytest.raises((ResumeError, InputError), match=names) as refused:
        take_up(left)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("bar", {"values": [1.0, 2.0]}, r"row \d+ is not a valid bar"),
        ("bar", {"ts_ns": 1}, r"row \d+ is not a valid bar"),
        ("observation", {"values": [1.0]}, r"row \d+ is not a valid observation: it must have \d+ values, has 1"),
        ("fill", {"text": "{"}, r"row \d+ is not a valid fill"),
        ("order", {"text": "{}"}, r"row \d+ is not a valid order"),
        ("state", {"text": "[]"}, r"row \d+ is not a valid state"),
    ],
)
def test_a_row_that_is_not_what_it_says_is_refused(left: Path, kind: str, change: dict[str, Any], said: str) -> None:
    rewrite(left, lambda rows: nth(rows, kind, 1).update(change))
    with pytest.raises(InputError, match=f"journal: {said}"):
        take_up(left)


@pytest.mark.parametrize("name", ["account.balance_cents", "legs.units", "0.features", "policy.memory"])
def test_a_checkpoint_that_was_changed_is_refused_by_name(left: Path, name: str) -> None:
    path = left / "checkpoint.npz"
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays[name] = arrays[name] + 1
    np.savez(path, **arrays)
    with pytest.raises(ResumeError, match=f"the checkpoint must equal the journal's state, differs in {name}"):
        take_up(left)


def of_another_make(left: Path) -> dict[str, Any]:
    """Arrays of a checkpoint as another version wrote them: one more, one less, one of another form."""
    with np.load(left / "checkpoint.npz") as kept:
        arrays = dict(kept)
    del arrays["legs.units"]
    return arrays | {"surplus": np.zeros(2), "0.features": arrays["0.features"].astype(np.float16)}


def test_after_an_upgrade_a_session_goes_on_from_its_journal(left: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = take_up(left)
    np.savez(left / "checkpoint.npz", **of_another_make(left))
    resumed = take_up(left)
    assert expected is not None
    assert resumed is not None
    contents = [{name: array.tobytes() for name, array in each.state.items()} for each in (resumed, expected)]
    assert contents[0] == contents[1]
    said = "the checkpoint is of another version of this program (0.features, legs.units, surplus): the journal decides"
    assert caplog.messages == [said]


def test_what_both_versions_keep_must_be_equal(left: Path) -> None:
    arrays = of_another_make(left)
    np.savez(left / "checkpoint.npz", **arrays | {"account.balance_cents": arrays["account.balance_cents"] + 1})
    with pytest.raises(ResumeError, match=r"differs in account\.balance_cents$"):
        take_up(left)


def test_a_checkpoint_without_its_place_in_the_journal_is_refused(left: Path) -> None:
    np.savez(left / "checkpoint.npz", surplus=np.zeros(2))
    with pytest.raises(InputError, match="must hold journal_seq, holds surplus"):
        take_up(left)
