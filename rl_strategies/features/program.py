"""The steps of a plan written out as the Python text of one loop over blocks of rows.

A block is worked level by level. What reads the row alone comes first, row by row; then windows over what is known, for
the whole block; then what reads those windows, and so on. Registers: ``c3`` is column 3 of the row, ``f7`` what a
kernel gave, ``m2`` what a window measured; ``f7s`` holds a block of them where another level reads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rl_strategies.features.kernel import Kernel
from rl_strategies.features.windows import MEASURES, VECTOR

BLOCK = 256  # rows that a level is worked for at once: more would not stay in the processor's cache


@dataclass(frozen=True)
class Step:
    """One kernel of a plan, wired: which registers it reads and writes, which cells of state are its own.

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
        After the windows of that level: one more than the highest level of a window or kernel behind a window it reads.
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
class Program:
    """All that a plan does to a row.

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
        """Float64 cells that the loop needs to work in."""
        return 3 * self._span + BLOCK * (2 + len(self._blocks))

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels in use, each once."""
        return tuple({step.kernel.kind: step.kernel for step in self.steps}.values())

    @property
    def source(self) -> str:
        """Python text of ``run(rows, state, scratch, out)``: no imports.

        Kernels are looked up as ``kernel_KIND``, measures as ``window_MEASURE``.
        """
        levels = 1 + max(step.level for step in self.steps)
        body = ["count = min(BLOCK, rows.shape[0] - first)", *self._columns_of_series()]
        for level in range(levels):
            for one in self.series:
                body += _series_lines(one) if one.level == level else []
            body += self._rows(level)
        lines = [f"BLOCK = {BLOCK}", *self._scratch(), "for first in range(0, rows.shape[0], BLOCK):"]
        lines += [f"    {line}" for line in body]
        return "\n".join(["def run(rows, state, scratch, out):", *(f"    {line}" for line in lines)]) + "\n"

    @property
    def _span(self) -> int:
        return max((one.kept for one in self.series), default=0) + BLOCK + VECTOR

    @property
    def _blocks(self) -> tuple[str, ...]:
        # Registers that are read at another level than they were written, or by a window.
        made = {register: step.level for step in self.steps for register in step.writes}
        blocks = {name: None for one in self.series for name in (one.source, one.reset) if name is not None}
        blocks |= {register: None for one in self.series for register in one.windows.values()}
        blocks |= {name: None for step in self.steps for name in step.reads if made.get(name, step.level) != step.level}
        return tuple(blocks)

    def _scratch(self) -> Iterable[str]:
        for number, name in enumerate(("past", "work_a", "work_b")):
            yield f"{name} = scratch[{number * self._span}:{(number + 1) * self._span}]"
        start = 3 * self._span
        for number, name in enumerate(("held", "begun", *(f"{register}s" for register in self._blocks))):
            yield f"{name} = scratch[{start + number * BLOCK}:{start + (number + 1) * BLOCK}]"

    def _columns_of_series(self) -> list[str]:
        columns = [register for register in self._blocks if register.startswith("c")]
        if not columns:
            return []
        copies = [f"    {column}s[i] = rows[first + i, {column[1:]}]" for column in columns]
        return ["for i in range(count):", *copies]

    def _rows(self, level: int) -> list[str]:
        steps = [step for step in self.steps if step.level == level]
        written = {register for step in steps for register in step.writes}
        read = dict.fromkeys(name for step in steps for name in (*step.reads, step.reset) if name is not None)
        lines = [f"    {_loaded(register)}" for register in read if register not in written]
        for step in steps:
            lines += [f"    {line}" for line in (*_step_lines(step), *self._stores(step))]
        return ["for i in range(count):", *lines] if steps else []

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
