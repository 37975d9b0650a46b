"""The cache folder for derived data, and files that are written whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from catalogs.errors import InputError

CACHE_VARIABLE = "RL_INTRADAY_CACHE"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EROFS, errno.EPERM)


def cache_dir() -> Path:
    """Folder for data that can be computed again, such as calendars and feature matrices; created if missing.

    Returns
    -------
    Path
        The folder named by the environment variable ``RL_INTRADAY_CACHE``, else the user's cache folder.
    """
    named = os.environ.get(CACHE_VARIABLE)
    folder = Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("rl-intraday"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def told_if_unwritable(folder: Path) -> Iterator[None]:
    """Turn a full disk or a folder without write permission into one line for the user.

    Raises
    ------
    InputError
        In place of the operating system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise InputError(f"no space left on the disk of {folder}: nothing was written") from error
        if error.errno in _NOT_ALLOWED:
            raise InputError(f"cannot write to {folder}: {error.strerror}") from error
        raise


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Temporary path to write to: renamed to ``target`` if the block succeeds, removed if it raises.

    Readers therefore see the old file or the new one, never a part of one, even with several writers. Raises
    `catalogs.errors.InputError` if the disk is full or the folder cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> target = Path(mkdtemp()) / "answer.txt"
    >>> with written_aside(target) as aside:
    ...     _ = aside.write_text("42")
    >>> target.read_text()
    '42'
    """
    with told_if_unwritable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
