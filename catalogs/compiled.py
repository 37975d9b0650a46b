"""How this project compiles a kernel: strict IEEE arithmetic, cached on disk, never stale.

Numba's own cache checks the file of the function alone: a kernel whose *callee* changed in another file would go on
running the old machine code. So the name of the cache folder is a hash of every source file with kernels and of its
place.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core.dispatcher import Dispatcher

from catalogs.cache import cache_dir

# Kernels allocate nothing and fill arrays of their caller. Numba's reference counts, which cost more than many a
# kernel does, can therefore be left out.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
_PACKAGES = ("catalogs", "rl_strategies", "training")


@functools.cache
def kernel_cache_dir() -> Path:
    """Cache folder of the kernels compiled from the present sources."""
    digest = hashlib.sha256(numba.__version__.encode())
    root = Path(__file__).resolve().parents[1]
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            source = path.read_bytes()
            if b"catalogs.compiled" in source:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + source)
    return cache_dir() / "kernels" / digest.hexdigest()[:16]


def inlined(function: Callable[..., Any]) -> Any:
    """As `kernel`, but inlined into its callers: for functions of many arrays, which are dear to call."""
    return njit(inline="always", **OPTIONS)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile ``function`` with numba: no fast-math, division by zero gives inf or NaN as NumPy does, GIL released.

    With ``NUMBA_DISABLE_JIT=1`` the plain Python function runs and gives the same bits.
    """
    return _cached(function, OPTIONS)


def allocating_kernel(function: Callable[..., Any]) -> Any:
    """As `kernel`, for the few that return new arrays."""
    return _cached(function, OPTIONS | {"_nrt": True})


def bound(function: Callable[..., Any], *arguments: Any, free: Sequence[type] = ()) -> Callable[..., Any]:
    """A kernel with its first arguments fixed, for kernels that are called on every bar.

    Numba inspects the types of all arguments on every call, which takes longer than a small kernel runs. Here they are
    inspected once.

    Parameters
    ----------
    function : callable
        From `kernel`.
    *arguments
        The first arguments; arrays are written in place and must not be reallocated.
    free : sequence of type
        ``int`` or ``float`` for each remaining argument. Calls are not checked: a value of another type is
        misread.

    Examples
    --------
    >>> from catalogs.bars import price_from_ticks
    >>> price_of_24001_ticks = bound(price_from_ticks, 24_001, free=(float,))
    >>> price_of_24001_ticks(2.5e15)
    6000.25
    """
    if not isinstance(function, Dispatcher):  # NUMBA_DISABLE_JIT
        return functools.partial(function, *arguments)
    signature = tuple(numba.typeof(argument) for argument in (*arguments, *(kind() for kind in free)))
    function.compile(signature)
    return functools.partial(function.get_overload(signature), *arguments)


def _cached(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(kernel_cache_dir())
    try:
        return njit(cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
