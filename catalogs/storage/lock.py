"""One writer at a time: who changes a catalog holds its lock and works in a folder aside."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from catalogs.cache import told_if_unwritable
from catalogs.errors import InputError

LOCK_FILE = ".lock"
WAIT_S = 300.0

_STAGING = ".import-"


@contextmanager
def writing(catalog: Path, wait_s: float = WAIT_S) -> Iterator[Path]:
    """Hold the lock of a catalog; yields an empty folder inside it to write into before renaming.

    The operating system gives the lock back when a process is killed. What such a process left in its own folder is
    removed by the next writer.

    Parameters
    ----------
    catalog : Path
        Made if missing.
    wait_s : float
        How long to wait for another writer.

    Raises
    ------
    InputError
        If the catalog is no folder, another process keeps writing for longer than ``wait_s``, the disk is full, or the
        folder may not be written.
    """
    if catalog.exists() and not catalog.is_dir():
        raise InputError(f"catalog must be a folder, was the file {catalog}")
    with told_if_unwritable(catalog):
        catalog.mkdir(parents=True, exist_ok=True)
        with _locked(catalog, wait_s):
            for left in catalog.glob(f"{_STAGING}*"):
                shutil.rmtree(left)
            # Inside the catalog, so that it is the same file system and renaming is one step.
            with tempfile.TemporaryDirectory(dir=catalog, prefix=_STAGING) as staging:
                yield Path(staging)


@contextmanager
def _locked(catalog: Path, wait_s: float) -> Iterator[None]:
    lock = FileLock(catalog / LOCK_FILE)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise InputError(
            f"catalog {catalog} must be free to write, was locked by another process for {wait_s:g} s; try again later"
        ) from None
    try:
        yield
    finally:
        lock.release()
