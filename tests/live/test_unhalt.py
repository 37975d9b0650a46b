"""Un-halting is a person's: shown, asked, said in the journal, and not while the session runs."""

import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest

from rl_strategies.journal import Journal, read_journal
from rl_strategies.risk.state_file import RiskState
from run.cli import BAD_INPUT, INTERRUPTED, main
from run.session_folder import SessionFolder

HALTED = RiskState(
    "halted", 1_767_623_400_000_000_000, "daily_loss must stay below 0.02, was 0.021", date(2026, 1, 5),
    100_000.0, 100_500.0, 104_000.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    """A halted session with a journal of one row."""
    session = SessionFolder(tmp_path / "session")
    session.risk.path.parent.mkdir()
    session.risk.write(HALTED)
    journal = Journal(session.journal)
    journal.append("bar", 1, "MESZ6.XCME", [1, 2, 3, 4, 5])
    journal.close()
    return session


def unhalt(folder: SessionFolder, *options: str) -> int:
    return main(["unhalt", str(folder.path), "--reason", "checked the fills", *options])


def test_it_shows_what_halted_and_goes_into_the_journal(
    folder: SessionFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unhalt(folder, "--yes") == 0
    said = capsys.readouterr().err
    assert "halted, since 2026-01-05 14:30:00 UTC" in said
    assert "daily_loss must stay below 0.02, was 0.021" in said
    after = folder.risk.read()
    assert (after.level, after.reason) == ("normal", "a person: checked the fills")
    assert (after.session, after.session_start_usd, after.high_usd) == (date(2026, 1, 5), 100_000.0, 104_000.0)
    rows = read_journal(folder.journal).rows.to_pylist()
    assert [row["kind"] for row in rows] == ["bar", "state"]
    assert json.loads(rows[1]["text"]) == {
        "what": "risk", "from": "halted", "to": "normal", "reason": "a person: checked the fills",
    }  # fmt: skip
    assert rows[1]["ts_ns"] == after.since_ns


def test_losses_may_count_anew(folder: SessionFolder) -> None:
    assert unhalt(folder, "--yes", "--from-here") == 0
    after = folder.risk.read()
    assert (after.level, after.session, after.session_start_usd, after.high_usd) == ("normal", None, None, None)


@pytest.mark.parametrize(
    ("answer", "code", "level"), [("n\n", INTERRUPTED, "halted"), ("y\n", 0, "normal"), ("", INTERRUPTED, "halted")]
)
def test_it_asks(answer: str, code: int, level: str, folder: SessionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert unhalt(folder) == code
    assert folder.risk.read().level == level


def test_a_damaged_state_is_shown_as_halted_and_can_be_mended(
    folder: SessionFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.risk.path.write_text("{")
    assert unhalt(folder, "--yes") == 0
    assert "must be readable, was not" in capsys.readouterr().err
    assert folder.risk.read().level == "normal"


def test_a_running_session_is_left_alone(folder: SessionFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with folder.held():
        assert unhalt(folder, "--yes") == BAD_INPUT
    assert "must be used by one process at a time, another runs" in capsys.readouterr().err
    assert folder.risk.read() == HALTED


def test_a_damaged_journal_leaves_it_halted(folder: SessionFolder) -> None:
    (folder.journal / "000001.parquet").write_bytes(b"no parquet")
    assert unhalt(folder, "--yes") == BAD_INPUT
    assert folder.risk.read() == HALTED


def test_what_is_not_halted_is_left_as_it_is(folder: SessionFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.risk.write(RiskState("reduce_only", reason="late data"))
    assert unhalt(folder, "--yes", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["before"] == answer["after"]
    assert read_journal(folder.journal).rows.num_rows == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SESSION", "--reason", "  "], "--reason must say why the session may trade again, was empty"),
        (["NOWHERE", "--reason", "x"], "session folder must hold a risk state"),
        (["SESSION"], "--reason"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], said: str, folder: SessionFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("SESSION", str(folder.path)).replace("NOWHERE", "/nowhere") for word in words]
    assert main(["unhalt", *words]) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert folder.risk.read() == HALTED
