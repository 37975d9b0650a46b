"""Code generation: the steps of a plan as the Python text of one loop over blocks of rows.

A block is computed level by level: first the kernels that read the row alone, row by row; then windows over their
results, for the whole block; then the kernels that read those windows, and so on. Registers: ``c3`` is column 3 of the
row, ``f7`` the result of a kernel, ``m2`` the result of a window; ``f7s`` holds a block of them for another level.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import batched

from rl_strategies.features.kernel import Kernel
from rl_strategies.features.windows import MEASURES, VECTOR

BLOCK = 256  # rows computed at once: more would not stay in the processor's cache
STEPS_OF_PART = 24
SERIES_OF_PART = 8


@dataclass(frozen=True)
class Step:
    """One kernel of a plan: which registers it reads and writes, which cells of state are its own.

    Attributes
    ----------
    kernel : Kernel
    params : tuple of int or float
        In the order of the kernel's arguments.
    reads, writes : tuple of str
        Registers.
    start, stop : int
        State cells, if any; with a reset column the first of them holds that column's value.
    reset : str or None
        Register whose change zeroes the state.
    level : int
        Runs after the windows of that level: one more than the highest level that it reads through a window.
    """

    kernel: Kernel
    params: tuple[int | float, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    start: int
    stop: int
    reset: str | None
    level: int


@dataclass(frozen=True)
class Series:
    """The rows of one register that windows look back on.

    Attributes
    ----------
    source : str
        The register.
    reset : str or None
        Register whose change begins the windows afresh.
    windows : dict of (str, int) to str
        Measure and length, and the register that it goes to.
    start : int
        First of its `size` state cells.
    level : int
        The windows' level: one more than the source's.
    """

    source: str
    reset: str | None
    windows: Mapping[tuple[str, int], str]
    start: int
    level: int

    @property
    def kept(self) -> int:
        """Values carried from block to block."""
        return max(rows for _, rows in self.windows) - 1

    @property
    def size(self) -> int:
        """State cells."""
        return 1 + self.kept + (self.reset is not None)


@dataclass(frozen=True)
class GeneratedCode:
    """Everything that a plan computes for a row, and the text that computes it.

    Attributes
    ----------
    columns : int
        Columns of a row.
    steps : tuple of Step
    series : tuple of Series
    places : dict of str to tuple of int
        Columns of the output matrix that a register goes to.
    """

    columns: int
    steps: tuple[Step, ...]
    series: tuple[Series, ...]
    places: Mapping[str, tuple[int, ...]]

    @property
    def state_size(self) -> int:
        """Float64 cells that go from block to block."""
        return max((part.stop for part in self.steps), default=0) + sum(one.size for one in self.series)

    @property
    def scratch_size(self) -> int:
        """Float64 cells of working memory that the loop needs."""
        return 3 * self._span + BLOCK * (2 + len(self._blocks))

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels in use, each once."""
        return tuple({step.kernel.kind: step.kernel for step in self.steps}.values())

    @property
    def source(self) -> str:
        """Python text of ``run(rows, state, scratch, out)`` and the functions ``part_N`` that it calls: no imports.

        Kernels are looked up as ``kernel_KIND``, measures as ``window_MEASURE``. Compiling takes longer than in
        proportion to a function's length, therefore the parts.
        """
        parts = list(self._parts())
        lines = []
        for number, part in enumerate(parts):
            lines += [f"def part_{number}(rows, state, scratch, out, first, count):"]
            lines += [f"    {line}" for line in (*self._views(part), *part)]
        lines += ["def run(rows, state, scratch, out):", f"    for first in range(0, rows.shape[0], {BLOCK}):"]
        lines += [f"        count = min({BLOCK}, rows.shape[0] - first)"]
        lines += [f"        part_{number}(rows, state, scratch, out, first, count)" for number in range(len(parts))]
        return "\n".join(lines) + "\n"

    def _parts(self) -> Iterator[list[str]]:
        columns = [register for register in self._blocks if register.startswith("c")]
        if columns:
            copies = [f"    {column}s[i] = rows[first + i, {column[1:]}]" for column in columns]
            yield ["for i in range(count):", *copies]
        for level in range(1 + max(step.level for step in self.steps)):
            series = [one for one in self.series if one.level == level]
            for some in batched(series, SERIES_OF_PART):
                yield [line for one in some for line in _series_lines(one)]
            for steps in batched([step for step in self.steps if step.level == level], STEPS_OF_PART):
                yield self._row_lines(steps)

    @cached_property
    def _span(self) -> int:
        return max((one.kept for one in self.series), default=0) + BLOCK + VECTOR

    @cached_property
    def _blocks(self) -> tuple[str, ...]:
        # Registers that another part reads than the one that writes them.
        blocks = {name: None for one in self.series for name in (one.source, one.reset) if name is not None}
        blocks |= {register: None for one in self.series for register in one.windows.values()}
        made: dict[str, tuple[int, int]] = {}
        places: dict[int, int] = {}
        for step in self.steps:
            place = places[step.level] = places.get(step.level, -1) + 1
            part = step.level, place // STEPS_OF_PART
            blocks |= {name: None for name in step.reads if made.get(name, part) != part}
            made |= dict.fromkeys(step.writes, part)
        return tuple(blocks)

    def _views(self, part: Sequence[str]) -> Iterator[str]:
        used = set(re.findall(r"\w+", " ".join(part)))
        start = 0
        for name in ("past", "work_a", "work_b", "held", "begun", *(f"{register}s" for register in self._blocks)):
            stop = start + (self._span if name in ("past", "work_a", "work_b") else BLOCK)
            if name in used:
                yield f"{name} = scratch[{start}:{stop}]"
            start = stop

    def _row_lines(self, steps: Sequence[Step]) -> list[str]:
        written = {register for step in steps for register in step.writes}
        read = dict.fromkeys(name for step in steps for name in (*step.reads, step.reset) if name is not None)
        lines = [f"    {_loaded(register)}" for register in read if register not in written]
        for step in steps:
            lines += [f"    {line}" for line in (*_step_lines(step), *self._stores(step))]
        return ["for i in range(count):", *lines]

    def _stores(self, step: Step) -> Iterable[str]:
        for register in step.writes:
            yield from (f"out[first + i, {place}] = {register}" for place in self.places.get(register, ()))
            if register in self._blocks:
                yield f"{register}s[i] = {register}"


def _loaded(register: str) -> str:
    is_column = register.startswith("c")
    return f"{register} = rows[first + i, {register[1:]}]" if is_column else f"{register} = {register}s[i]"


def _step_lines(step: Step) -> list[str]:
    own = step.start + bool(_reset_lines(step))
    arguments = ", ".join([f"state[{own}:{step.stop}]", *step.reads, *map(repr, step.params)])
    return [
        f"# {step.kernel.kind}",
        f"if {' and '.join(f'isfinite({register})' for register in _guards(step)) or 'True'}:",
        *_reset_lines(step),
        f"    {', '.join(step.writes)} = kernel_{step.kernel.kind}({arguments})",
        "else:",
        *(f"    {register} = nan" for register in step.writes),
    ]


def _guards(step: Step) -> Sequence[str]:
    return list(dict.fromkeys((*step.reads, step.reset) if step.reset is not None else step.reads))


def _reset_lines(step: Step) -> list[str]:
    if step.reset is None or step.stop == step.start:
        return []
    return [
        f"    if state[{step.start}] != {step.reset}:",
        f"        state[{step.start}:{step.stop}] = 0.0",
        f"        state[{step.start}] = {step.reset}",
    ]


def _series_lines(one: Series) -> list[str]:
    state, now = f"state[{one.start}:{one.start + one.size}]", f"{one.source}s[:count]"
    if one.reset is None:
        pushed = f"push_rows({state}, {now}, past, held, {one.kept})"
    else:
        pushed = f"push_rows_afresh({state}, {now}, {one.reset}s[:count], begun, past, held, {one.kept})"
        now = "begun[:count]"
    lines = [f"# windows over {one.source}", f"known = {pushed}"]
    for (measure, rows), register in one.windows.items():
        work = f"{one.windows['mean', rows]}s" if MEASURES[measure].around_mean else "work_a"
        lines.append(f"window_{measure}(past[{one.kept + 1 - rows}:], {rows}, known, {register}s, {work}, work_b)")
    for (_, rows), register in one.windows.items():
        lines.append(f"place_rows({now}, known, held, {rows}, {register}s)")
    return [*lines, f"keep_rows({state}, past, known, {one.kept})"]
