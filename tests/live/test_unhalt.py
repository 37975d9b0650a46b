"""Un-halting is a person's: shown, asked, said in the journal, and not while the session runs."""

import io
import json
import sys
from datetime import date
from pathlib import Path

import msgspec
import pytest

from rl_strategies.live.journal.journal import Journal, read_journal
from rl_strategies.risk.state_file import RiskState
from run.cli import BAD_INPUT, INTERRUPTED, main
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import SessionMetadata

HALTED = RiskState(
    "halted", 1_767_623_400_000_000_000, "daily_loss must stay below 0.02, was 0.021", date(2026, 1, 5),
    100_000.0, 100_500.0, 104_000.0,
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> SessionHome:
    """A halted session with two days, a row in the journal of each."""
    session = SessionHome(tmp_path / "session")
    session.risk.path.parent.mkdir()
    session.risk.write(HALTED)
    for day in (date(2026, 1, 2), date(2026, 1, 5)):
        journal = Journal(session.journal(day))
        journal.append("bar", 1, "MESZ6.XCME", [1, 2, 3, 4, 5])
        journal.close()
    return session


def unhalt(home: SessionHome, *options: str) -> int:
    return main(["unhalt", str(home.path), "--reason", "checked the fills", *options])


def test_it_shows_what_halted_and_goes_into_the_journal(home: SessionHome, capsys: pytest.CaptureFixture[str]) -> None:
    assert unhalt(home, "--yes") == 0
    said = capsys.readouterr().err
    assert "halted, since 2026-01-05 14:30:00 UTC" in said
    assert "daily_loss must stay below 0.02, was 0.021" in said
    after = home.risk.read()
    assert (after.level, after.reason) == ("normal", "a person: checked the fills")
    assert (after.session, after.session_start_usd, after.high_usd) == (date(2026, 1, 5), 100_000.0, 104_000.0)
    rows = read_journal(home.last_journal()).rows.to_pylist()
    assert [row["kind"] for row in rows] == ["bar", "state"]
    assert json.loads(rows[1]["text"]) == {
        "what": "risk", "from": "halted", "to": "normal", "reason": "a person: checked the fills",
    }  # fmt: skip
    assert rows[1]["ts_ns"] == after.since_ns
    assert read_journal(home.journal(date(2026, 1, 2))).rows.num_rows == 1


@pytest.mark.parametrize(
    ("clock", "configuration", "said"),
    [
        ("wall", "live", "close them first: `rl-intraday flatten live --scope session --session "),
        ("wall", "/etc/my live.yaml", "close them first: `rl-intraday flatten '/etc/my live.yaml' --scope session "),
        ("wall", "", "close them first: `rl-intraday flatten` with the configuration of this session"),
        ("bars", "live", ""),
    ],
)
def test_it_names_the_flatten_of_the_sessions_own_configuration(
    clock: str, configuration: str, said: str, home: SessionHome, capsys: pytest.CaptureFixture[str]
) -> None:
    session = SessionMetadata("bundle", "id", "MESZ6.XCME", "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL", None, clock)
    msgspec.structs.replace(session, configuration=configuration).write(home.last_journal().parent)
    assert unhalt(home, "--yes") == 0
    printed = capsys.readouterr().err
    assert said in printed
    assert ("positions may be open" in printed) == bool(said)


def test_the_folder_of_a_day_means_its_session(home: SessionHome) -> None:
    assert main(["unhalt", str(home.path / "2026-01-05"), "--reason", "looked", "--yes"]) == 0
    assert home.risk.read().reason == "a person: looked"


def test_what_never_ran_has_no_journal_to_say_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SessionHome(tmp_path).risk.write(HALTED)
    assert main(["unhalt", str(tmp_path), "--reason", "looked", "--yes"]) == BAD_INPUT
    assert "error: no journal in" in capsys.readouterr().err


def test_losses_may_count_anew(home: SessionHome) -> None:
    assert unhalt(home, "--yes", "--from-here") == 0
    after = home.risk.read()
    assert (after.level, after.session, after.session_start_usd, after.high_usd) == ("normal", None, None, None)


@pytest.mark.parametrize(
    ("answer", "code", "level"), [("n\n", INTERRUPTED, "halted"), ("y\n", 0, "normal"), ("", INTERRUPTED, "halted")]
)
def test_it_asks(answer: str, code: int, level: str, home: SessionHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert unhalt(home) == code
    assert home.risk.read().level == level


def test_a_damaged_state_is_shown_as_halted_and_can_be_mended(
    home: SessionHome, capsys: pytest.CaptureFixture[str]
) -> None:
    home.risk.path.write_text("{")
    assert unhalt(home, "--yes") == 0
    assert "cannot be read: " in capsys.readouterr().err
    assert home.risk.read().level == "normal"


def test_a_running_session_is_left_alone(home: SessionHome, capsys: pytest.CaptureFixture[str]) -> None:
    with home.locked():
        assert unhalt(home, "--yes") == BAD_INPUT
    assert "another process is using" in capsys.readouterr().err
    assert home.risk.read() == HALTED


def test_a_damaged_journal_leaves_it_halted(home: SessionHome) -> None:
    (home.last_journal() / "000001.parquet").write_bytes(b"no parquet")
    assert unhalt(home, "--yes") == BAD_INPUT
    assert home.risk.read() == HALTED


def test_what_is_not_halted_is_left_as_it_is(home: SessionHome, capsys: pytest.CaptureFixture[str]) -> None:
    home.risk.write(RiskState("reduce_only", reason="late data"))
    assert unhalt(home, "--yes", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["before"] == answer["after"]
    assert read_journal(home.last_journal()).rows.num_rows == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SESSION", "--reason", "  "], "--reason must not be empty"),
        (["NOWHERE", "--reason", "x"], "no live session in"),
        (["SESSION"], "--reason"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], said: str, home: SessionHome, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("SESSION", str(home.path)).replace("NOWHERE", "/nowhere") for word in words]
    assert main(["unhalt", *words]) == BAD_INPUT
    assert said in capsys.readouterr().err
    assert home.risk.read() == HALTED
