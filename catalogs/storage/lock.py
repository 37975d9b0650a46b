"""One writer at a time: a writer holds the catalog's lock and works in a staging folder."""

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
_COMMITTED = ".commit-"


@contextmanager
def writing(catalog: Path, wait_s: float = WAIT_S) -> Iterator[Path]:
    """Hold the lock of a catalog; yields an empty staging folder inside it, from which files are renamed.

    The operating system releases the lock of a killed process. The next writer removes its staging folder, or brings
    the files in place if all of them were written.

    Parameters
    ----------
    catalog : Path
        Created if missing.
    wait_s : float
        Seconds to wait for another writer.

    Raises
    ------
    InputError
        If the catalog is not a folder, another process writes for longer than ``wait_s``, the disk is full, or the
        folder cannot be written.
    """
    if catalog.exists() and not catalog.is_dir():
        raise InputError(f"catalog must be a folder; {catalog} is a file")
    with told_if_unwritable(catalog):
        catalog.mkdir(parents=True, exist_ok=True)
        with _locked(catalog, wait_s):
            for left in catalog.glob(f"{_STAGING}*"):
                shutil.rmtree(left)
            for left in catalog.glob(f"{_COMMITTED}*"):
                _move_in(left, catalog)
            # Inside the catalog, so that renaming stays on one file system and is atomic.
            with tempfile.TemporaryDirectory(dir=catalog, prefix=_STAGING) as staging:
                yield Path(staging)


def publish(staging: Path, catalog: Path) -> None:
    """Move all files of a staging folder to the same places in the catalog; bars come last.

    An interrupt does not come between them. If the process is killed, the next writer moves the rest.

    Parameters
    ----------
    staging : Path
        What `writing` gave; it is empty afterwards.
    catalog : Path
    """
    committed = catalog / staging.name.replace(_STAGING, _COMMITTED)
    try:
        staging.rename(committed)  # from here on, all of it counts
        _move_in(committed, catalog)
    except KeyboardInterrupt:
        if committed.exists():
            _move_in(committed, catalog)
        raise
    finally:
        staging.mkdir(exist_ok=True)


def _move_in(committed: Path, catalog: Path) -> None:
    # Bars last: instrument and provenance alone change nothing.
    paths = [path for path in committed.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: path.relative_to(committed).parts[:2] == ("data", "bar")):
        final = catalog / path.relative_to(committed)
        final.parent.mkdir(parents=True, exist_ok=True)
        path.replace(final)
    shutil.rmtree(committed)


@contextmanager
def _locked(catalog: Path, wait_s: float) -> Iterator[None]:
    lock = FileLock(catalog / LOCK_FILE)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise InputError(
            f"catalog {catalog} is locked by another process, waited {wait_s:g} s; try again later"
        ) from None
    try:
        yield
    finally:
        lock.release()
