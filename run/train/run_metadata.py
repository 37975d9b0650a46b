"""Metadata of a training run: its data and its entry in the ledger. A folder with this file is a training run."""

from pathlib import Path

import msgspec

from catalogs.errors import InputError

_FILE = "origin.json"


class RunMetadata(msgspec.Struct, frozen=True):
    """Where a run's data came from.

    Attributes
    ----------
    catalog : str
    data_hash : str
        Hash of all bars and context of the training.
    ledger_entry : str
        Entry of the selection ledger; empty for runs from before there was one.
    """

    catalog: str
    data_hash: str
    ledger_entry: str = ""


def write_run_metadata(run_dir: Path, metadata: RunMetadata) -> None:
    """Write the metadata; from now on the folder is a training run."""
    (run_dir / _FILE).write_bytes(msgspec.json.format(msgspec.json.encode(metadata)) + b"\n")


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run."""
    return (folder / _FILE).is_file()


def check_run(folder: Path) -> None:
    """Refuse a folder that is not a training run.

    Raises
    ------
    InputError
        If it does not exist or the metadata file is missing.
    """
    if not folder.exists():
        raise InputError(f"run {folder} does not exist")
    if not is_run(folder):
        raise InputError(f"{folder} is not a training run: {_FILE} is missing")


def read_run_metadata(run_dir: Path) -> RunMetadata:
    """Metadata of a run.

    Raises
    ------
    InputError
        If the folder is not a training run.
    """
    check_run(run_dir)
    return msgspec.json.decode((run_dir / _FILE).read_bytes(), type=RunMetadata)
