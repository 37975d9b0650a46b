"""The folder of a live session: what lies where, and that one process at a time writes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from catalogs.errors import InputError
from rl_strategies.risk.state_file import RiskStateFile


class SessionFolder:
    """Where a live session keeps itself.

    Parameters
    ----------
    path : Path
        Made when it is first held.

    Attributes
    ----------
    path : Path
    journal : Path
        Folder of the `rl_strategies.journal`.
    risk : RiskStateFile
    log : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "journal"
        self.risk = RiskStateFile(path / "risk.json")
        self.log = path / "session.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from writing the session.

        The lock is the operating system's: it ends with the process, however that ends.

        Raises
        ------
        InputError
            If another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"session {self.path} must be used by one process at a time, another runs") from error
        try:
            yield
        finally:
            lock.release()
