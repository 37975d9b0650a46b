"""Which register, state cell and output column every feature of a plan uses; wrong wiring is refused here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from catalogs.errors import InputError
from rl_strategies.features.kernel import Kernel, find_kernel
from rl_strategies.features.loop import Step
from rl_strategies.features.spec import FeatureSpec

# The longest session in one-minute bars: after so many rows every session that was begun has ended.
SESSION_ROWS = 1440


@dataclass(frozen=True)
class Wiring:
    """A plan's features in place; the attributes are those of `FeaturePlan`."""

    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    observed: int
    warmups: dict[str, int]
    state_size: int
    needs: dict[str, frozenset[str]]
    features: dict[str, str]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels in use, each once."""
        return tuple({step.kernel.kind: step.kernel for step in self.steps}.values())


@dataclass(frozen=True)
class _Source:
    register: str
    warmup: int
    columns: frozenset[str]


def wire(specs: Sequence[FeatureSpec], columns: Sequence[str], session_rows: int, pruned: frozenset[str]) -> Wiring:
    """Put features in place.

    Raises
    ------
    InputError
        When a kind, parameter, input or reset column is unknown, an input is not computed before, or a name
        is taken, or a pruned output is none.
    """
    outputs = _output_names(specs, columns, pruned)
    sources = {name: _Source(f"c{j}", 1, frozenset({name})) for j, name in enumerate(columns)}
    steps: list[Step] = []
    needs: dict[str, frozenset[str]] = {}
    start = 0
    for spec in specs:
        kernel = find_kernel(spec.kind)
        read = _reads(spec, kernel, sources)
        step = _step(spec, kernel, read, start, tuple(columns), outputs)
        own_rows = kernel.warmup_rows(_params(spec, kernel), session_rows) + (session_rows if spec.reset else 0)
        warmup = max((source.warmup for source in read), default=1) + own_rows - 1
        needs[spec.name] = frozenset().union(*(s.columns for s in read), {spec.reset} if spec.reset else ())
        for name, register in zip(_names(spec, kernel), step.writes, strict=True):
            sources[name] = _Source(register, warmup, needs[spec.name])
        steps.append(step)
        start = step.stop
    features = {name: spec.name for spec in specs for name in _names(spec, find_kernel(spec.kind))}
    seen = {spec.name for spec in specs if spec.observe}
    observed = sum(feature in seen and name not in pruned for name, feature in features.items())
    warmups = {output: sources[output].warmup for output in outputs}
    return Wiring(tuple(steps), outputs, observed, warmups, start, needs, features)


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
                raise InputError(f"features, outputs and columns must have unique names; {name!r} was twice")
    for name in sorted(pruned - {*outputs}):
        raise InputError(f"a pruned output must be one of {', '.join(outputs)}; was {name!r}")
    return outputs


def _params(spec: FeatureSpec, kernel: Kernel) -> dict[str, int | float]:
    for name in spec.params:
        if name not in kernel.params:
            known = ", ".join(kernel.params) or "none"
            raise InputError(f"feature {spec.name!r}: parameter of {spec.kind} must be one of {known}; was {name!r}")
    return {name: _param(spec, name, default) for name, default in kernel.params.items()}


def _param(spec: FeatureSpec, name: str, default: int | float) -> int | float:
    value = spec.params.get(name, default)
    if isinstance(default, int):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"feature {spec.name!r}: {name} must be a whole number from 1; was {value!r}")
        return value
    if not math.isfinite(value):
        raise InputError(f"feature {spec.name!r}: {name} must be a finite number; was {value!r}")
    return float(value)


def _reads(spec: FeatureSpec, kernel: Kernel, sources: dict[str, _Source]) -> list[_Source]:
    for argument in spec.inputs:
        if argument not in kernel.inputs:
            known = ", ".join(kernel.inputs)
            raise InputError(f"feature {spec.name!r}: input of {spec.kind} must be one of {known}; was {argument!r}")
    wired = [spec.inputs.get(argument, argument) for argument in kernel.inputs]
    for name in wired:
        if name not in sources:
            raise InputError(
                f"feature {spec.name!r}: inputs must be columns or outputs of earlier features; was {name!r}"
            )
    return [sources[name] for name in wired]


def _step(
    spec: FeatureSpec,
    kernel: Kernel,
    read: list[_Source],
    start: int,
    columns: tuple[str, ...],
    outputs: tuple[str, ...],
) -> Step:
    _check_reset(spec, kernel, columns)
    params = _params(spec, kernel)
    places = tuple(outputs.index(name) for name in _names(spec, kernel))
    return Step(
        name=spec.name,
        kernel=kernel,
        params=tuple(params.values()),
        reads=tuple(source.register for source in read),
        writes=tuple(f"f{place}" for place in places),
        start=start,
        stop=start + kernel.state_size(params) + (spec.reset is not None),
        reset=f"c{columns.index(spec.reset)}" if spec.reset is not None else None,
        places=places,
    )


def _check_reset(spec: FeatureSpec, kernel: Kernel, columns: tuple[str, ...]) -> None:
    if spec.reset is not None and spec.reset not in columns:
        raise InputError(f"feature {spec.name!r}: reset must be one of {', '.join(columns)}; was {spec.reset!r}")
    if spec.reset is None and kernel.anchored:
        raise InputError(f"feature {spec.name!r}: {spec.kind} must have a reset, such as 'session'; was None")
