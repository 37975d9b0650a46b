"""The log of a live process: rotated, private, and without secrets."""

import logging
import stat
from pathlib import Path

import pytest

from run.trade.monitoring import log as session_log
from run.trade.monitoring.log import logging_to, redacted

log = logging.getLogger("rl.test")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DU1234567", "DU***"),
        ("account U7654321, INTERACTIVE_BROKERS-DF1234567.", "account U***, INTERACTIVE_BROKERS-DF***."),
        ("long ESU5 at 6000.25, order O-20260105-143000-001, MESU6.XCME", None),
        ("postgresql://trader:pa$$word@db", "postgresql://trader:***@db"),
    ],
)
def test_what_is_hidden_and_what_is_not(text: str, expected: str | None) -> None:
    assert redacted(text, ["pa$$word", "", "word"]) == (expected or text)


def test_neither_messages_nor_tracebacks_show_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "logs" / "session.log"
    with logging_to(path, ["sesame"]):
        log.info("login of %s with %s", "DU1234567", "sesame")
        try:
            raise ValueError("sesame was wrong")
        except ValueError:
            log.exception("refused")
    written, shown = path.read_text(), capsys.readouterr().err
    assert "INFO rl.test: login of DU*** with ***" in written
    assert "ValueError: *** was wrong" in written
    assert "sesame" not in written + shown
    assert "login" not in shown  # standard error begins at warnings
    assert shown.startswith("ERROR: refused")


def test_files_are_rotated_private_and_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_log, "FILE_BYTES", 200)
    monkeypatch.setattr(session_log, "FILES_KEPT", 2)
    path = tmp_path / "session.log"
    with logging_to(path):
        for number in range(20):
            log.info("line %03d", number)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["session.log", "session.log.1", "session.log.2"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_size <= 200 for file in tmp_path.iterdir())
    assert "line 019" in path.read_text()


def test_logging_ends_with_the_block(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    with logging_to(tmp_path / "session.log"):
        pass
    assert (logging.getLogger().handlers, logging.getLogger().level) == before
