"""Configuration schema and the YAML presets that ship with the project."""

from importlib.resources import files
from pathlib import Path


def instruments_path() -> Path:
    """Path of the instrument table that ships with the project, for `catalogs.instruments.table.load_table`."""
    return Path(str(files("configs") / "instruments.yaml"))


def experiments_path() -> Path:
    """Folder of the experiment presets that ship with the project."""
    return Path(str(files("configs") / "experiments"))


def universes_path() -> Path:
    """Folder of the universes that ship with the project."""
    return Path(str(files("configs") / "universes"))
