"""One loop over rows that calls every kernel of a plan: written out as Python, compiled once, kept on disk.

The text lies in the cache folder under a name that is the hash of all that went into the machine code,
because numba's own cache would not notice a changed kernel. It is executed from memory, never read back.
"""

import functools
import hashlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from rl_strategies.features.kernel import COMPILE_OPTIONS, Kernel

Floats = NDArray[np.float64]
Loop = Callable[[Floats, Floats, Floats], None]
SIGNATURE = "(float64[:, ::1], float64[::1], float64[:, ::1])"


@dataclass(frozen=True)
class Step:
    """One feature of a plan, wired: which registers it reads and writes, which cells of state are its own.

    Attributes
    ----------
    name : str
        The feature's name.
    kernel : Kernel
    params : tuple of int or float
        In the order of the kernel's arguments.
    reads, writes : tuple of str
        Registers: ``c3`` is column 3 of the row, ``f7`` what goes into output column 7.
    start, stop : int
        State cells; with a reset column the first of them holds that column's value.
    reset : str or None
        Register whose change zeroes the state.
    places : tuple of int
        Where the outputs go in the output matrix.
    """

    name: str
    kernel: Kernel
    params: tuple[int | float, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    start: int
    stop: int
    reset: str | None
    places: tuple[int, ...]


def loop_source(steps: Sequence[Step], columns: int) -> str:
    """Python text of ``run(rows, state, out)``: no imports, kernels are looked up as ``kernel_KIND``.

    Parameters
    ----------
    steps : sequence of Step
        In order: a step reads columns and what earlier steps wrote.
    columns : int
        Columns of a row.
    """
    used = {register for step in steps for register in (*step.reads, step.reset)}
    lines = ["def run(rows, state, out):", "    for i in range(rows.shape[0]):"]
    lines += [f"        c{j} = rows[i, {j}]" for j in range(columns) if f"c{j}" in used]
    for step in steps:
        lines += [f"        {line}" for line in _step_lines(step)]
    return "\n".join(lines) + "\n"


def interpreted(source: str, kernels: tuple[Kernel, ...]) -> Loop:
    """The loop as plain Python: slow, and the reference that the compiled one must equal bit for bit."""
    return _execute(source, "<features>", {f"kernel_{k.kind}": k.function for k in kernels})


@functools.cache
def compiled(source: str, kernels: tuple[Kernel, ...]) -> Loop:
    """The loop as machine code, from the cache folder if it was compiled there before.

    With ``NUMBA_DISABLE_JIT=1`` it is the interpreted one.

    Raises
    ------
    InputError
        When numba cannot compile a kernel: the line says why.
    """
    if numba.config.DISABLE_JIT:
        return interpreted(source, kernels)
    path = _kept(source, kernels)
    run = _execute(source, str(path), {f"kernel_{k.kind}": k.compiled for k in kernels})
    loop = numba.njit(cache=True, nogil=True, **COMPILE_OPTIONS)(run)
    try:
        loop.compile(SIGNATURE)
    except NumbaError as error:
        raise InputError(_compile_refusal(str(error))) from error
    return loop


def _compile_refusal(numba_says: str) -> str:
    text = " ".join(numba_says.split())
    calls = re.findall(r"kernel_(\w+)\(", text)
    text = re.sub(r"Failed in nopython mode pipeline \(step: [^)]*\) ", "", text)
    reason = re.split(r",? (?:During:|File |defined at )", text)[0]
    return f"feature kernel {calls[0]!r} does not compile: {reason}" if calls else f"features do not compile: {reason}"


def _kept(source: str, kernels: tuple[Kernel, ...]) -> Path:
    # Numba's cached code names the module that it came from: the same kernel in another file is another plan.
    hashes = sorted(f"{kernel.kind} {kernel.function.__module__} {kernel.hash}" for kernel in kernels)
    identity = "\0".join([source, numba.__version__, np.__version__, *hashes])
    path = cache_dir() / "features" / f"plan_{hashlib.sha256(identity.encode()).hexdigest()[:32]}.py"
    if not path.exists():
        with written_aside(path) as aside:
            aside.write_text(source, encoding="utf-8")
            os.utime(aside, (0, 0))  # processes that race here must agree: numba's cache goes by the date
    return path


def _execute(source: str, filename: str, kernels: dict[str, Any]) -> Loop:
    # Numba finds the globals of code from its cache by the module's name, so the module must stay registered.
    module = ModuleType(f"rl_strategies.features._{Path(filename).stem}")
    sys.modules[module.__name__] = module
    vars(module).update(kernels, isfinite=isfinite, nan=nan)
    exec(compile(source, filename, "exec"), vars(module))
    return module.run


def _step_lines(step: Step) -> list[str]:
    own = step.start + (step.reset is not None)
    arguments = ", ".join([f"state[{own}:{step.stop}]", *step.reads, *map(repr, step.params)])
    return [
        f"# {step.kernel.kind}",
        f"if {' and '.join(f'isfinite({register})' for register in _guards(step)) or 'True'}:",
        *_reset_lines(step),
        f"    {', '.join(step.writes)} = kernel_{step.kernel.kind}({arguments})",
        "else:",
        *(f"    {register} = nan" for register in step.writes),
        *(f"out[i, {j}] = {register}" for j, register in zip(step.places, step.writes, strict=True)),
    ]


def _guards(step: Step) -> list[str]:
    return list(dict.fromkeys((*step.reads, step.reset) if step.reset is not None else step.reads))


def _reset_lines(step: Step) -> list[str]:
    if step.reset is None:
        return []
    return [
        f"    if state[{step.start}] != {step.reset}:",
        f"        state[{step.start}:{step.stop}] = 0.0",
        f"        state[{step.start}] = {step.reset}",
    ]
