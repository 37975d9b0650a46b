"""Checks that kernels stay within the state that they declare: compiled code would touch another feature's cells."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from catalogs.errors import InputError
from rl_strategies.features.checks.recording import Plan, Recording
from rl_strategies.features.compiler.compile import Floats, interpreted
from rl_strategies.features.kernel import Kernel
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan

BOUNDED_ROWS = 3000  # at either end of a recording: two sessions of a future


def check_state_bounds(plan: Plan, recording: Recording) -> None:
    """Run the first and the last rows of a recording in plain Python, where every cell is checked.

    Parameters
    ----------
    plan : FeaturePlan or JoinedPlan
        All of its plans run: of the traded bars, of each stream, and across streams.
    recording : Recording

    Raises
    ------
    InputError
        If a kernel reads or writes a cell beyond its state; names the feature, the cell and the bound.
    """
    for each, rows in _plans(plan, recording):
        loop = interpreted(each.source, each.kernels, _bounded)
        state, warm = np.zeros(each.state_size), max(0, len(rows) - BOUNDED_ROWS)
        _run(each, loop, rows[:BOUNDED_ROWS], np.zeros(each.state_size))
        if warm:  # by now every kernel has its inputs
            each.batch(rows[:warm], state)
            _run(each, loop, rows[warm:], state)


def _plans(plan: Plan, recording: Recording) -> Iterator[tuple[FeaturePlan, Floats]]:
    rows = recording.rows(plan)
    if isinstance(plan, FeaturePlan):
        yield plan, rows
        return
    assert isinstance(plan, JoinedPlan)
    yield plan.primary, rows
    for name, stream in plan.stream_plans.items():
        yield stream, recording.streams[name].rows
    yield plan.cross, plan.join(rows, plan.primary.batch(rows), recording.bars.ts_ns, recording.streams)[0]


def _run(plan: FeaturePlan, loop: Callable[..., None], rows: Floats, state: Floats) -> None:
    out = np.empty((len(rows), len(plan.outputs)))
    with np.errstate(all="ignore"):  # machine code divides by zero without a word
        loop(np.ascontiguousarray(rows), state, np.zeros(plan.scratch_size), out)


def _bounded(kernel: Kernel) -> Callable[..., Any]:
    nothing = (np.nan,) * len(kernel.outputs) or np.nan

    @functools.wraps(kernel.function)
    def bounded(state: Floats, *arguments: float) -> Any:
        try:
            return kernel.function(state.view(_Cells), *arguments)
        except _OutsideError as error:
            raise InputError(
                f"feature {kernel.kind!r} must stay within its declared state of {_cells(len(state))}, "
                f"used cell {error.cell}"
            ) from error
        except (ArithmeticError, ValueError):  # a number in machine code, such as 1 / 0.0 or log(0)
            return nothing

    return bounded


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"


class _OutsideError(Exception):
    def __init__(self, cell: int) -> None:
        super().__init__(cell)
        self.cell = cell


class _Cells(np.ndarray[Any, np.dtype[np.float64]]):
    first = 0  # place of the first cell in the kernel's state: helpers get slices of it

    def __getitem__(self, index: Any) -> Any:
        try:
            found = super().__getitem__(index)
        except IndexError as error:
            raise _OutsideError(self.first + index) from error
        if isinstance(index, slice):
            found.first = self.first + range(len(self))[index].start
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        try:
            super().__setitem__(index, value)
        except IndexError as error:
            raise _OutsideError(self.first + index) from error
