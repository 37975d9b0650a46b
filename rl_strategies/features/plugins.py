"""User-defined features: from a Python file named in the experiment, or from a package with an entry point.

Such a file registers kernels exactly as this project's families do.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from catalogs.errors import InputError
from rl_strategies.features.kernel import REGISTRY, USER_PACKAGE

ENTRY_POINT_GROUP = "rl_intraday.features"
FOLDERS_VARIABLE = "RL_INTRADAY_FEATURES"


def load_feature_file(path: Path) -> tuple[str, ...]:
    """Register the kernels of a Python file.

    Parameters
    ----------
    path : Path
        The file; loaded again only if its content has changed.

    Returns
    -------
    tuple of str
        Kinds that it registered; their family is the file's name.

    Raises
    ------
    InputError
        If there is no such file, it fails, or it registers nothing.
    """
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"no file of features at {path}")
    name = load_users_module(path)
    kinds = tuple(kind for kind, kernel in REGISTRY.items() if kernel.function.__module__ == name)
    if not kinds:
        raise InputError(f"{path} must register at least one feature with @feature, had none")
    return kinds


def load_users_module(path: Path) -> str:
    """Run a user's Python file, again only if its content has changed; returns the module's name.

    Raises
    ------
    InputError
        If it fails.
    """
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{USER_PACKAGE}{digest}.{path.stem}"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: not a text file in UTF-8: {error.reason} at byte {error.start}") from error
    loaded = sys.modules.get(name)
    if loaded is None or loaded.__dict__.get("_source") != text:
        _run(name, path, text)
    return name


def portable_name(file: str) -> str:
    """Name of a user's file in a stored plan: its path below the working folder, or its bare name."""
    path = Path(file)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def load_stored_file(name: str) -> None:
    """Register the kernels of a user's file that a stored plan names.

    Parameters
    ----------
    name : str
        Name from `portable_name`; searched in the working folder, in the folders of the environment variable
        ``RL_INTRADAY_FEATURES``, and among loaded files. The plan checks whether its code is still the same.

    Raises
    ------
    InputError
        If it is not found.
    """
    path = find_users_file(name)
    if path is not None:
        load_feature_file(path)
        return
    bare = Path(name).name
    if not any(kernel.file is not None and Path(kernel.file).name == bare for kernel in REGISTRY.values()):
        raise InputError(
            f"features file {name} not found: put it into the working folder or a folder of {FOLDERS_VARIABLE}"
        )


def find_users_file(name: str) -> Path | None:
    """The file that `portable_name` named: in the working folder or a folder of ``RL_INTRADAY_FEATURES``."""
    bare = Path(name).name
    folders = [folder for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    candidates = (Path(name), Path(bare), *(Path(folder) / bare for folder in folders))
    return next((path for path in candidates if path.is_file()), None)


def load_entry_points() -> tuple[str, ...]:
    """Import every installed module of the entry-point group ``rl_intraday.features``; returns their names.

    Raises
    ------
    InputError
        If one cannot be imported.
    """
    found = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    for entry in found:
        try:
            entry.load()
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {error}"
            raise InputError(f"entry point {entry.name!r} of features does not load: {said}") from error
    return tuple(entry.name for entry in found)


def rebuild(files: Iterable[str], build: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """``build(*arguments)`` after loading the users' files; for plans sent to other processes."""
    for file in files:
        load_feature_file(Path(file))
    return build(*arguments)


def _run(name: str, path: Path, text: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"a file of features must end in .py, was {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    before = dict(REGISTRY)
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        _forget(name, before)
        raise InputError(f"{path.name}: {error}") from error
    except (Exception, SystemExit) as error:  # whatever a user's file does, it is the file that is named
        _forget(name, before)
        raise InputError(f"{path.name} does not run: {type(error).__name__}: {error}") from error
    vars(module)["_source"] = text


def _forget(name: str, before: dict[str, Any]) -> None:
    del sys.modules[name]
    REGISTRY.clear()
    REGISTRY.update(before)
