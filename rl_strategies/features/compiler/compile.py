"""The compiled loop: generated code that calls every kernel of a plan, compiled once and kept on disk.

The text lies in the cache folder under a name that is the hash of all that went into the machine code,
because numba's own cache would not notice a changed kernel. It is executed from memory, never read back.
"""

import functools
import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable
from math import isfinite, nan
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from catalogs.cache import cache_dir, written_aside
from catalogs.errors import InputError
from rl_strategies.features.kernel import COMPILE_OPTIONS, Kernel, compiled_inside
from rl_strategies.features.source_hash import source_hash, source_modules
from rl_strategies.features.windows import MEASURES, ROW_FUNCTIONS

Floats = NDArray[np.float64]
_POLL_S = 0.2  # a wait without end would not notice a signal
CompiledLoop = Callable[[Floats, Floats, Floats, Floats], None]  # rows, state, scratch, out
SIGNATURE = "(float64[:, ::1], float64[::1], float64[::1], float64[:, ::1])"


def interpreted(
    source: str, kernels: tuple[Kernel, ...], function_of: Callable[[Kernel], Callable[..., Any]] | None = None
) -> CompiledLoop:
    """The same loop in plain Python: slow; the compiled one must equal it bit for bit.

    ``function_of`` gives another function for a kernel than its own, such as one that checks the calls.
    """
    functions = {f"kernel_{k.kind}": k.function if function_of is None else function_of(k) for k in kernels}
    return _execute(source, "<features>", functions | _window_functions())


@functools.cache
def compiled(source: str, kernels: tuple[Kernel, ...]) -> CompiledLoop:
    """The loop as machine code, from the cache folder if it was compiled there before.

    With ``NUMBA_DISABLE_JIT=1`` it is the interpreted one.

    Raises
    ------
    InputError
        If numba cannot compile a kernel; the message says why.
    """
    if numba.config.DISABLE_JIT:
        return interpreted(source, kernels)
    path = _kept(source, kernels)
    run = _execute(
        source, str(path), {f"kernel_{k.kind}": k.compiled for k in kernels} | _compiled_windows(), compiled_inside
    )
    loop = numba.njit(cache=True, nogil=True, **COMPILE_OPTIONS)(run)
    try:
        loop.compile(SIGNATURE)
    except NumbaError as error:
        raise InputError(_compile_refusal(str(error))) from error
    return loop


def compute_interruptibly(loop: CompiledLoop, *arrays: Floats) -> None:
    """Run a loop so that Ctrl-C ends the wait for it: a kernel that never ends would otherwise ignore every signal.

    The thread that still computes ends with the process.
    """
    if threading.current_thread() is not threading.main_thread():
        loop(*arrays)
        return
    failures: list[Exception] = []

    def compute() -> None:
        try:
            loop(*arrays)
        except Exception as error:  # noqa: BLE001  (raised again by the thread that waits)
            failures.append(error)

    worker = threading.Thread(target=compute, name="features", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_POLL_S)
    if failures:
        raise failures[0]


@functools.cache
def windows_hash() -> str:
    """Hash of the code of all measures and of how rows come to them."""
    return "".join(source_hash(function) for function in _window_functions().values())


def _window_functions() -> dict[str, Callable[..., Any]]:
    measures = {f"window_{name}": measure.function for name, measure in MEASURES.items()}
    return measures | {function.__name__: function for function in ROW_FUNCTIONS}


@functools.cache
def _compiled_windows() -> dict[str, Any]:
    return {name: compiled_inside(function) for name, function in _window_functions().items()}


def _compile_refusal(numba_says: str) -> str:
    text = " ".join(numba_says.split())
    calls = re.findall(r"kernel_(\w+)\(", text)
    text = re.sub(r"Failed in nopython mode pipeline \(step: [^)]*\) ", "", text)
    reason = re.split(r",? (?:During:|File |defined at )", text)[0]
    return f"feature kernel {calls[0]!r} does not compile: {reason}" if calls else f"features do not compile: {reason}"


def _kept(source: str, kernels: tuple[Kernel, ...]) -> Path:
    # Numba's cached code names the modules that it came from: the same kernel, or one that it calls, in another file is
    # another plan.
    hashes = sorted(f"{kernel.kind} {kernel.hash} {source_modules(kernel.function)}" for kernel in kernels)
    identity = "\0".join([source, windows_hash(), numba.__version__, np.__version__, *hashes])
    path = cache_dir() / "features" / f"plan_{hashlib.sha256(identity.encode()).hexdigest()[:32]}.py"
    if not path.exists():
        with written_aside(path) as aside:
            aside.write_text(source, encoding="utf-8")
            os.utime(aside, (0, 0))  # processes that race here must agree: numba's cache goes by the date
    return path


def _execute(
    source: str, filename: str, functions: dict[str, Any], compile_part: Callable[[Any], Any] = lambda part: part
) -> CompiledLoop:
    # Numba finds the globals of code from its cache by the module's name, so the module must stay registered.
    module = ModuleType(f"rl_strategies.features._{Path(filename).stem}")
    sys.modules[module.__name__] = module
    vars(module).update(functions, isfinite=isfinite, nan=nan)
    exec(compile(source, filename, "exec"), vars(module))
    parts = {name: compile_part(part) for name, part in vars(module).items() if name.startswith("part_")}
    vars(module).update(parts)
    return module.run
