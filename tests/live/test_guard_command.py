"""`rl-intraday guard`: what it refuses, in one line, and what its settings may be."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock

from catalogs.errors import InputError
from configs.live.schema import load_live
from run.cli import main
from run.trade.guard.watched import watched_session
from run.trade.monitoring.heartbeat import Heartbeat
from run.trade.session.metadata import SessionMetadata
from tests.live.conftest import PAPER_CONFIG

NS = 1_000_000_000
CLOSE_NS = 1_767_650_400 * NS  # of Monday 2026-01-05 at the Globex: 16:00 in Chicago


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a day with a heartbeat."""
    folder = tmp_path / "sessions" / "2026-01-05"
    folder.mkdir(parents=True)
    SessionMetadata("", "quick", "MESZ6.XCME", "MESZ6.XCME-1-MINUTE-LAST-EXTERNAL", None, "wall", "paper").write(folder)
    Heartbeat(folder / "heartbeat", "127.0.0.1", 4002, 1).close()
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``refused(word, …)``: the one line in which a guard is refused."""

    def run(*words: object) -> str:
        assert main(["guard", *map(str, words)]) == 2
        out, err = capsys.readouterr()
        (line,) = err.splitlines()
        assert out == ""
        return line

    return run


def test_a_second_guard_is_refused(folder: Path, refused: Callable[..., str]) -> None:
    with FileLock(folder / "guard.lock"):
        assert refused(folder) == f"error: session {folder} already has a guard"


def test_a_folder_without_a_session_is_refused(folder: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    for empty in (tmp_path, tmp_path / "nowhere"):
        assert refused(empty) == f"error: no session with a heartbeat in {empty}"
    assert "no live configuration 'papyrus'" in refused(folder, "--config", "papyrus")
    (folder / "heartbeat").unlink()
    assert (
        refused(folder)
        == f"error: session {folder} has no heartbeat: it has not begun, or began before there was a guard"
    )
    (folder / "session.json").write_text("{")
    assert "session.json is damaged" in refused(folder)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("guard: {frozen_s: 0}", "guard.frozen_s must be above zero, was 0.0"),
        ("guard: {look_s: .inf}", "guard.look_s must be above zero, was inf"),
        ("guard: {client_ids: []}", "guard.client_ids must be at least one number above zero, were ()"),
        ("guard: {client_ids: [0]}", "guard.client_ids must be at least one number above zero, were (0,)"),
        ("guard: {client_ids: [1]}", "client ids must differ"),
        ("guard: {client_ids: [91]}", "client ids must differ"),
        ("guard: {patience: 3}", "patience"),
    ],
)
def test_settings_that_cannot_be_are_refused(line: str, said: str, tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text(f"{PAPER_CONFIG}{line}\n")
    with pytest.raises(InputError) as error:
        load_live(str(config))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_session_that_beat_last_is_meant_where_the_folder_holds_several(folder: Path) -> None:
    later = folder.parent / "2026-01-06"
    later.mkdir()
    (later / "session.json").write_bytes((folder / "session.json").read_bytes())
    assert watched_session(folder.parent).folder == folder
    Heartbeat(later / "heartbeat", "127.0.0.1", 4002, 1).close()
    assert watched_session(folder.parent).folder == later
    assert watched_session(folder).folder == folder


def test_a_session_without_a_guard_of_its_own_can_be_watched(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "live.yaml"
    config.write_text(PAPER_CONFIG + "guard: null\n")
    assert load_live(str(config)).guard is None
    assert watched_session(folder, str(config)).settings.frozen_s == 15.0


def test_its_time_is_over_four_minutes_before_the_close_after_its_last_sign_of_life(folder: Path) -> None:
    session = watched_session(folder)
    closes_ns = CLOSE_NS - 240 * NS
    assert session.closes_at_ns(CLOSE_NS - 3600 * NS) == closes_ns
    assert session.closes_at_ns(CLOSE_NS) == closes_ns
    assert session.closes_at_ns(CLOSE_NS + 1) == closes_ns + 24 * 3600 * NS
    assert msgspec.structs.asdict(session.settings)["close_before_end_s"] == 240
