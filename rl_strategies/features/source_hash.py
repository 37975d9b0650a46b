"""Hash of a function's code and of everything that it calls.

A trained policy must refuse a feature whose code has changed, and the cache of compiled code must not use it; numba's
own cache checks the date of one file only.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from catalogs.errors import InputError

_PURE_MODULES = ("math", "numpy")


def source_hash(function: Callable[..., Any]) -> str:
    """SHA-256 of the code of ``function`` and, recursively, of the functions and constants that it uses.

    Comments, docstrings, formatting and the decorators of ``function`` itself do not count. Decorators of the functions
    that it calls do: ``njit(fastmath=True)`` changes numbers.

    Parameters
    ----------
    function : callable
        A Python function whose source is in a file.

    Raises
    ------
    InputError
        If the source cannot be read, or the function uses something other than functions, numbers, math and numpy.
    """
    parts = [_code(function, decorators=False)]
    for user, name, value in _everything_used(function):
        if isinstance(value, FunctionType):
            parts.append(_code(value, decorators=True))
        else:
            parts.append(f"{user.__qualname__}: {name} = {value!r}")
    return hashlib.sha256("\0".join(sorted(parts)).encode()).hexdigest()


def source_modules(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the modules that ``function`` and everything that it calls come from, sorted.

    Raises
    ------
    InputError
        As `source_hash`.
    """
    return tuple(sorted({each.__module__ for each in functions_used(function)}))


def functions_used(function: Callable[..., Any]) -> tuple[FunctionType, ...]:
    """``function`` and every Python function that it calls, directly or through others, each once.

    Raises
    ------
    InputError
        As `source_hash`.
    """
    called = (value for _, _, value in _everything_used(function) if isinstance(value, FunctionType))
    return tuple(dict.fromkeys((function, *called)))  # type: ignore[arg-type]


def values_used(function: Callable[..., Any]) -> dict[str, int | float | str]:
    """Numbers and texts that ``function`` itself reads from outside of it, by name.

    Raises
    ------
    InputError
        As `source_hash`.
    """
    return {name: value for name, value in _uses(function).items() if isinstance(value, int | float | str)}


def _everything_used(function: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], str, Any]]:
    # Each function once, each constant once for every user.
    pending, seen = [function], {function}
    while pending:
        user = pending.pop()
        for name, value in _uses(user).items():
            if isinstance(value, FunctionType):
                if value in seen:
                    continue
                seen.add(value)
                pending.append(value)
            yield user, name, value


def _uses(function: Callable[..., Any]) -> dict[str, Any]:
    variables = inspect.getclosurevars(function)
    uses: dict[str, Any] = {}
    for name, value in {**variables.globals, **variables.nonlocals}.items():
        if isinstance(value, ModuleType) and value.__name__ in _PURE_MODULES:
            continue
        plain = getattr(value, "py_func", value)  # the function inside a numba dispatcher
        if not isinstance(plain, FunctionType | BuiltinFunctionType | int | float | str):
            raise InputError(
                f"feature code {function.__qualname__!r} may use only functions, numbers, math and numpy; "
                f"{name!r} is a {type(value).__name__}"
            )
        uses[name] = plain
    return uses


def _code(function: Callable[..., Any], *, decorators: bool) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except OSError as error:
        raise InputError(f"feature code {function.__qualname__!r} must be in a file: {error}") from error
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise InputError(f"feature code must be a function made with def, was {function.__qualname__!r}")
    if not decorators:
        definition.decorator_list = []
    if ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:] or [ast.Pass()]
    return ast.unparse(definition)
