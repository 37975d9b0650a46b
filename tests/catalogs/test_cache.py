"""The cache folder, and files that are whole or absent."""

from pathlib import Path

import pytest

from catalogs.cache import cache_dir, written_aside


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
