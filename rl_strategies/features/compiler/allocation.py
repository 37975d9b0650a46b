"""Allocation: which register, state cells and output column each feature of a plan uses; wrong inputs are refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalogs.errors import InputError
from rl_strategies.features.compiler.codegen import GeneratedCode, Series, Step
from rl_strategies.features.kernel import Kernel, Window, find_kernel
from rl_strategies.features.spec import FeatureSpec
from rl_strategies.features.windows import MEASURES

# Rows of the longest session, in one-minute bars.
SESSION_ROWS = 1440


@dataclass(frozen=True)
class Allocation:
    """A plan's features in place.

    Attributes
    ----------
    code : GeneratedCode
    outputs, observed, warmups, needs
        As in `rl_strategies.features.plans.plan.FeaturePlan`.
    features : dict of str to str
        Output to the feature that gives it.
    """

    code: GeneratedCode
    outputs: tuple[str, ...]
    observed: int
    warmups: dict[str, int]
    needs: dict[str, frozenset[str]]
    features: dict[str, str]


@dataclass(frozen=True)
class _Source:
    register: str
    warmup: int
    columns: frozenset[str]
    level: int = 0
    reset: str | None = None


Reset = tuple[str, str] | None  # name of the column and its register


def allocate(
    specs: Sequence[FeatureSpec], columns: Sequence[str], session_rows: int, pruned: frozenset[str]
) -> Allocation:
    """Give every feature its registers, state cells and output columns.

    Raises
    ------
    InputError
        If a kind, parameter, input, reset column or pruned output is unknown, an input is not computed before, or a
        name is used twice.
    """
    outputs = _output_names(specs, columns, pruned)
    sources = {name: _Source(f"c{j}", 1, frozenset({name})) for j, name in enumerate(columns)}
    builder = _Builder(session_rows)
    places: dict[str, tuple[int, ...]] = {}
    needs: dict[str, frozenset[str]] = {}
    for spec in specs:
        kernel = find_kernel(spec.kind)
        _check_reset(spec, kernel, tuple(columns))
        reset = None if spec.reset is None else (spec.reset, sources[spec.reset].register)
        made = builder.feature(kernel, _params(spec, kernel), _inputs(spec, kernel, sources), reset)
        for name, source in zip(_names(spec, kernel), made, strict=True):
            sources[name] = source
            places[source.register] = (*places.get(source.register, ()), outputs.index(name))
        needs[spec.name] = made[0].columns
    features = {name: spec.name for spec in specs for name in _names(spec, find_kernel(spec.kind))}
    seen = {spec.name for spec in specs if spec.observe}
    observed = sum(feature in seen and name not in pruned for name, feature in features.items())
    warmups = {output: sources[output].warmup for output in outputs}
    return Allocation(builder.code(len(columns), places), outputs, observed, warmups, needs, features)


class _Builder:
    """Collects steps and windows; one that is asked for twice is computed once."""

    def __init__(self, session_rows: int) -> None:
        self._session_rows = session_rows
        self._steps: list[Step] = []
        self._made: dict[tuple[Any, ...], tuple[_Source, ...]] = {}
        self._windows: dict[tuple[str, str | None, int], dict[tuple[str, int], str]] = {}
        self._registers = 0
        self._cells = 0

    def feature(
        self, kernel: Kernel, params: dict[str, int | float], inputs: dict[str, _Source], reset: Reset
    ) -> tuple[_Source, ...]:
        """A kernel with its parts; one source for each of its outputs."""
        scope = dict(inputs)
        for name, part in kernel.parts.items():
            if isinstance(part, Window):
                scope[name] = self._window(part.measure, scope[part.of], part.length(params), reset)
                continue
            inner = part.kernel
            read = {argument: scope[argument] for argument in inner.inputs}
            outputs = self.feature(inner, part.own_params(params), read, reset)
            named = [f"{name}_{suffix}" for suffix in inner.outputs] or [name]
            scope |= dict(zip(named, outputs, strict=True))
        reads = [scope[argument] for argument in kernel.arguments]
        key = (kernel.kind, *params.items(), *(source.register for source in reads), reset)
        if key not in self._made:
            self._made[key] = self._step(kernel, params, reads, reset)
        return self._made[key]

    def code(self, columns: int, places: dict[str, tuple[int, ...]]) -> GeneratedCode:
        """Code of everything collected."""
        series: list[Series] = []
        start = self._cells
        for (source, reset, level), windows in self._windows.items():
            series.append(Series(source, reset, windows, start, level))
            start += series[-1].size
        return GeneratedCode(columns, tuple(self._steps), tuple(series), places)

    def _step(
        self, kernel: Kernel, params: dict[str, int | float], reads: list[_Source], reset: Reset
    ) -> tuple[_Source, ...]:
        cells = kernel.state_size(params)
        start, self._cells = self._cells, self._cells + cells + (reset is not None and cells > 0)
        level = max((source.level for source in reads), default=0)
        writes = tuple(self._register("f") for _ in kernel.outputs or ("",))
        values, register = tuple(params.values()), None if reset is None else reset[1]
        names = tuple(source.register for source in reads)
        self._steps.append(Step(kernel, values, names, writes, start, self._cells, register, level))
        rows = kernel.warmup_rows(params, self._session_rows)
        if reset is not None and all(source.reset != reset[0] for source in reads):
            rows += self._session_rows  # until the first reset; what it reads may have waited for that already
        warmup = max((source.warmup for source in reads), default=1) + rows - 1
        columns = frozenset().union(*(source.columns for source in reads), {reset[0]} if reset else ())
        return tuple(_Source(write, warmup, columns, level, reset and reset[0]) for write in writes)

    def _window(self, measure: str, source: _Source, rows: int, reset: Reset) -> _Source:
        if MEASURES[measure].around_mean:
            self._window("mean", source, rows, reset)
        level = source.level + 1
        windows = self._windows.setdefault((source.register, None if reset is None else reset[1], level), {})
        if (measure, rows) not in windows:
            windows[measure, rows] = self._register("m")
        columns = source.columns | ({reset[0]} if reset else frozenset())
        return _Source(windows[measure, rows], source.warmup + rows - 1, columns, level, source.reset)

    def _register(self, letter: str) -> str:
        self._registers += 1
        return f"{letter}{self._registers - 1}"


def _names(spec: FeatureSpec, kernel: Kernel) -> tuple[str, ...]:
    return tuple(f"{spec.name}_{suffix}" for suffix in kernel.outputs) or (spec.name,)


def _output_names(specs: Sequence[FeatureSpec], columns: Sequence[str], pruned: frozenset[str]) -> tuple[str, ...]:
    named = [
        (name, spec.observe and name not in pruned) for spec in specs for name in _names(spec, find_kernel(spec.kind))
    ]
    outputs = tuple(name for name, seen in named if seen) + tuple(name for name, seen in named if not seen)
    for names in ([spec.name for spec in specs], [*columns, *outputs]):
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"names of features, outputs and columns must be unique; {name!r} is used twice")
    for name in sorted(pruned - {*outputs}):
        raise InputError(f"a pruned output must be one of {', '.join(outputs)}, was {name!r}")
    return outputs


def _params(spec: FeatureSpec, kernel: Kernel) -> dict[str, int | float]:
    for name in spec.params:
        if name not in kernel.params:
            known = ", ".join(kernel.params) or "none"
            raise InputError(f"feature {spec.name!r}: parameters of {spec.kind} are {known}, was {name!r}")
    return {name: _param(spec, name, default) for name, default in kernel.params.items()}


def _param(spec: FeatureSpec, name: str, default: int | float) -> int | float:
    value = spec.params.get(name, default)
    if isinstance(default, int):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"feature {spec.name!r}: {name} must be a whole number from 1, was {value!r}")
        return value
    if not math.isfinite(value):
        raise InputError(f"feature {spec.name!r}: {name} must be a finite number, was {value!r}")
    return float(value)


def _inputs(spec: FeatureSpec, kernel: Kernel, sources: dict[str, _Source]) -> dict[str, _Source]:
    for argument in spec.inputs:
        if argument not in kernel.inputs:
            known = ", ".join(kernel.inputs)
            raise InputError(f"feature {spec.name!r}: inputs of {spec.kind} are {known}, was {argument!r}")
    read = {argument: spec.inputs.get(argument, argument) for argument in kernel.inputs}
    for name in read.values():
        if name not in sources:
            raise InputError(
                f"feature {spec.name!r}: inputs must be columns or outputs of earlier features, was {name!r}"
            )
    return {argument: sources[name] for argument, name in read.items()}


def _check_reset(spec: FeatureSpec, kernel: Kernel, columns: tuple[str, ...]) -> None:
    if spec.reset is not None and spec.reset not in columns:
        raise InputError(f"feature {spec.name!r}: reset must be one of {', '.join(columns)}, was {spec.reset!r}")
    if spec.reset is None and kernel.anchored:
        raise InputError(f"feature {spec.name!r}: {spec.kind} must have a reset, such as 'session'")
