"""One session at a time for a contract of an account, whatever its bundle, configuration or folder."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from catalogs.cache import cache_dir, told_if_unwritable
from catalogs.errors import InputError

LOCKS = "locks"


@contextmanager
def contracts_locked(account: str, instrument_ids: Iterable[str], store: Path, gateway: str = "") -> Iterator[None]:
    """Lock out every other session of any of these contracts of an account while the block lasts.

    The locks lie in the store of the sessions, where processes of several users or containers meet, and in the user's
    cache, where sessions of several stores do. They are the operating system's: they end with the process, however that
    ends.

    Parameters
    ----------
    account : str
    instrument_ids : iterable of str
    store : Path
        Folder of the homes of the sessions.
    gateway : str
        Host and port of a simulated gateway, which has accounts of its own.

    Raises
    ------
    InputError
        If another session trades one, or the locks cannot be written.
    """
    with ExitStack() as held:
        for instrument_id in instrument_ids:
            key = hashlib.sha256(f"{gateway}/{account}/{instrument_id}".encode()).hexdigest()[:16]
            for folder in (store, cache_dir() / LOCKS):
                with told_if_unwritable(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    lock = FileLock(folder / f"contract-{key}.lock")
                    try:
                        lock.acquire(timeout=0)
                    except Timeout as error:
                        raise InputError(f"another session trades {instrument_id} on this account") from error
                held.callback(lock.release)
        yield
