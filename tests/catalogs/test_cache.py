"""The cache folder, and files that are whole or absent."""

import errno
from pathlib import Path

import pytest

from catalogs.cache import cache_dir, written_aside
from catalogs.errors import InputError


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RL_INTRADAY_CACHE", str(tmp_path / "deep" / "cache"))
    assert cache_dir() == tmp_path / "deep" / "cache"
    assert cache_dir().is_dir()


def test_the_default_is_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RL_INTRADAY_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert cache_dir() == tmp_path / "rl-intraday"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), written_aside(target) as aside:
        aside.write_text(str(1 / 0))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with written_aside(target) as aside:
        aside.write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, the kernel's own full disk")
def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("old")
    with pytest.raises(InputError, match="no space left on the disk"), written_aside(target):
        Path("/dev/full").write_bytes(b"x" * 100_000)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_folder_that_is_no_place_to_write_is_told(tmp_path: Path) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(InputError, match=r"cannot write to .*: Permission"), written_aside(tmp_path / "a.txt"):
        raise refused


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such medium"), written_aside(tmp_path / "a.txt"):
        raise OSError("no such medium")
