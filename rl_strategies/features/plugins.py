"""Features of the user's own: a Python file named in the experiment, or a package with an entry point.

Such a file registers kernels exactly as this project's families do and needs no other change anywhere.
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
        Loaded once; again only if its content changed.

    Returns
    -------
    tuple of str
        The kinds that it registered; their family is the file's name.

    Raises
    ------
    InputError
        When there is no such file, it cannot be run, or it registers nothing.
    """
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"a file of features must exist; was {path}")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{USER_PACKAGE}{digest}.{path.stem}"
    text = path.read_text(encoding="utf-8")
    loaded = sys.modules.get(name)
    if loaded is None or loaded.__dict__.get("_source") != text:
        _run(name, path, text)
    kinds = tuple(kind for kind, kernel in REGISTRY.items() if kernel.function.__module__ == name)
    if not kinds:
        raise InputError(f"a file of features must register at least one with @feature; {path} had none")
    return kinds


def portable_name(file: str) -> str:
    """Name under which a stored plan asks for a user's file: its place below the working folder, or its bare name."""
    path = Path(file)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name


def load_stored_file(name: str) -> None:
    """Register the kernels of a file that a stored plan asks for.

    Parameters
    ----------
    name : str
        From `portable_name`. Looked for in the working folder, in the folders that the environment variable
        ``RL_INTRADAY_FEATURES`` names, and among what is loaded already. Whether its code is what the plan was stored
        with is for the plan to say.

    Raises
    ------
    InputError
        When it is nowhere.
    """
    bare = Path(name).name
    folders = [folder for folder in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if folder]
    for path in (Path(name), Path(bare), *(Path(folder) / bare for folder in folders)):
        if path.is_file():
            load_feature_file(path)
            return
    if not any(kernel.file is not None and Path(kernel.file).name == bare for kernel in REGISTRY.values()):
        raise InputError(
            f"the features' file {name} must lie in the working folder or in one that {FOLDERS_VARIABLE} names; "
            "was not found"
        )


def load_entry_points() -> tuple[str, ...]:
    """Import every installed module of the entry-point group ``rl_intraday.features``; their names.

    Raises
    ------
    InputError
        When one cannot be imported.
    """
    found = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name)
    for entry in found:
        try:
            entry.load()
        except (ImportError, AttributeError) as error:
            raise InputError(f"entry point {entry.name!r} of features must load; {error}") from error
    return tuple(entry.name for entry in found)


def rebuild(files: Iterable[str], build: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """``build(*arguments)`` after the users' files have been loaded, for plans that travel to other processes."""
    for file in files:
        load_feature_file(Path(file))
    return build(*arguments)


def _run(name: str, path: Path, text: str) -> None:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"a file of features must end in .py; was {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    before = dict(REGISTRY)
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        _forget(name, before)
        raise InputError(f"{path.name}: {error}") from error
    except (ImportError, SyntaxError, NameError, TypeError, AttributeError, ValueError) as error:
        _forget(name, before)
        raise InputError(f"{path.name} must run; {type(error).__name__}: {error}") from error
    vars(module)["_source"] = text


def _forget(name: str, before: dict[str, Any]) -> None:
    del sys.modules[name]
    REGISTRY.clear()
    REGISTRY.update(before)
