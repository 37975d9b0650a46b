"""Where a training run's data came from: the file that makes a folder a run."""

from pathlib import Path

import msgspec

from catalogs.errors import InputError

_ORIGIN = "origin.json"


class Origin(msgspec.Struct, frozen=True):
    """Where a run's data came from, kept in its directory.

    Attributes
    ----------
    catalog : str
    data_hash : str
        Of all bars that were read.
    """

    catalog: str
    data_hash: str


def write_origin(run_dir: Path, origin: Origin) -> None:
    """Make a folder a run."""
    (run_dir / _ORIGIN).write_bytes(msgspec.json.format(msgspec.json.encode(origin)) + b"\n")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run."""
    return (folder / _ORIGIN).is_file()


def check_run(folder: Path) -> None:
    """Refuse a folder that is no run.

    Raises
    ------
    InputError
        If it is none.
    """
    if not is_run(folder):
        raise InputError(f"run {folder}: must hold {_ORIGIN}, was not a training run")


def read_origin(run_dir: Path) -> Origin:
    """Origin of a run.

    Raises
    ------
    InputError
        If the folder is none.
    """
    check_run(run_dir)
    return msgspec.json.decode((run_dir / _ORIGIN).read_bytes(), type=Origin)
