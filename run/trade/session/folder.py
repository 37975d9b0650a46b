"""Folder of a bundle's live sessions: a journal for every day, one risk state, one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from catalogs.errors import InputError
from rl_strategies.risk.state_file import RiskStateFile

RISK_FILE, JOURNAL_FOLDER, LOCK_FILE = "risk.json", "journal", "lock"


class SessionHome:
    """Folder of the live sessions of one bundle under one configuration.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path
    risk : RiskStateFile
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.risk = RiskStateFile(path / RISK_FILE)

    def journal(self, day: date) -> Path:
        """Folder of a day's journal."""
        return self.path / day.isoformat() / JOURNAL_FOLDER

    def last_journal(self) -> Path:
        """Folder of the newest journal.

        Raises
        ------
        InputError
            If no session has begun here.
        """
        journals = sorted(self.path.glob(f"????-??-??/{JOURNAL_FOLDER}"))
        if not journals:
            raise InputError(f"no journal in {self.path}")
        return journals[-1]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock out every other process while the block lasts.

        The lock is the operating system's: it ends with the process, however that ends.

        Raises
        ------
        InputError
            If another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK_FILE)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"another process is using {self.path}") from error
        try:
            yield
        finally:
            lock.release()


def find_home(folder: Path) -> SessionHome:
    """Session home by its own folder or by that of one of its days.

    Raises
    ------
    InputError
        If neither has a risk state.
    """
    for path in (folder, folder.resolve().parent):
        home = SessionHome(path)
        if home.risk.path.exists():
            return home
    raise InputError(f"no live session in {folder}: name the folder of a session, or of one of its days")
