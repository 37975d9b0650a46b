"""What a feature is: a function of the current row's scalars and its own state, registered by `feature`.

A kernel never sees a series, so it cannot look ahead; batch and live run the same machine code. Writing one::

    from rl_strategies.features import State, feature


    @feature(state=1, warmup=2)
    def change(s: State, close: float, scale: float = 1.0) -> float:
        '''Change of the close since the bar before, times ``scale``.'''
        before, s[0] = s[0], close
        return (close - before) * scale if before > 0.0 else math.nan

The first argument is the state. Arguments without a default are inputs, read from the column of that name
unless wired elsewhere; arguments with a default are parameters. What a kernel builds upon are its ``parts``: other
kernels, and windows over values, which the plan computes once for all that ask::

    @feature(parts={"usual": Window("mean", "volume", "n")})
    def volume_ratio(s: State, volume: float, usual: float, n: int = 10) -> float:
        '''Volume over its mean of the last ``n`` bars.'''
        return volume / usual if usual > 0.0 else 1.0

A function that kernels share is made known to numba with ``numba.extending.register_jitable``, as those of
`primitives` are.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numba import njit

from catalogs.errors import InputError
from rl_strategies.features.source_hash import source_hash
from rl_strategies.features.windows import MEASURES

Params = Mapping[str, Any]
Sized = int | Callable[[Params], int]

# Without numba's reference counts a slice of the state costs nothing (half of the run time otherwise), and a kernel
# that would allocate memory on every row does not compile.
COMPILE_OPTIONS = {"error_model": "numpy", "_nrt": False}


@dataclass(frozen=True)
class Window:
    """The last rows of a value, the current one included, made one number.

    A row where the value is not finite is skipped; nothing is known until there were enough.

    Attributes
    ----------
    measure : str
        A key of `windows.MEASURES`. ``lag`` is the value so many rows ago; ``rank`` compares with so many before it.
    of : str
        An input, or a part named before.
    rows : int, str or callable
        How many; a string is the kernel's parameter of that name, a callable is given all of them.
    """

    measure: str
    of: str
    rows: str | Sized

    def length(self, params: Params) -> int:
        """Rows that the window covers."""
        rows = params[self.rows] if isinstance(self.rows, str) else self.rows
        return int(rows(params) if callable(rows) else rows) + MEASURES[self.measure].beyond


@dataclass(frozen=True)
class Part:
    """Another kernel, on the same inputs.

    Attributes
    ----------
    function : callable
        As `feature` registered it.
    params : dict
        Where they differ from its defaults; a string is the parameter of that name of the kernel that asks.
    """

    function: Callable[..., Any]
    params: Mapping[str, int | float | str] = field(default_factory=dict)

    def own_params(self, params: Params) -> dict[str, int | float]:
        """Parameters of the part, ``params`` being those of the kernel that asks."""
        named = {k: params[v] if isinstance(v, str) else v for k, v in self.params.items()}
        return {**self.kernel.params, **named}

    @property
    def kernel(self) -> "Kernel":
        """The kernel registered under the function's name."""
        return find_kernel(self.function.__name__)


Parts = Mapping[str, Window | Part]


@dataclass(frozen=True, eq=False)
class Kernel:
    """One registered feature function.

    Attributes
    ----------
    kind : str
        The function's name, by which a specification asks for it.
    family : str
        ``FAMILY`` of the module where it sets that, else the module's name: ``"technical"``, ``"session"``, …
    summary : str
        First line of the docstring.
    function : callable
        ``(state, *inputs, *params) -> float or tuple of float``, plain Python.
    arguments : tuple of str
        Those without a default: inputs and parts.
    inputs : tuple of str
        What the arguments and the parts read: columns of the row or outputs of earlier features.
    parts : dict of str to Window or Part
        In order: a part may read those before it.
    params : dict of str to int or float
        Arguments with a default.
    outputs : tuple of str
        Suffixes of the outputs; empty for a single output that bears the feature's own name.
    state, warmup, warmup_sessions : int or callable
        What `state_size` and `warmup_rows` give.
    anchored : bool
        The output depends on every row since the state was zero, so a specification must say when that is.
    """

    kind: str
    family: str
    summary: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    parts: Parts
    params: dict[str, int | float]
    outputs: tuple[str, ...]
    state: Sized
    warmup: Sized
    warmup_sessions: Sized
    anchored: bool

    def state_size(self, params: Params) -> int:
        """Float64 cells of state."""
        return self.state(params) if callable(self.state) else self.state

    def warmup_rows(self, params: Params, session_rows: int) -> int:
        """Rows with all inputs and parts until the output is finite and no longer depends on the kernel's start.

        ``session_rows`` is the most that a session has.
        """
        rows = self.warmup(params) if callable(self.warmup) else self.warmup
        sessions = self.warmup_sessions(params) if callable(self.warmup_sessions) else self.warmup_sessions
        return rows + sessions * session_rows

    @property
    def file(self) -> str | None:
        """The user's file that it came from; None for an installed kernel."""
        is_users = self.function.__module__.startswith(USER_PACKAGE)
        return self.function.__code__.co_filename if is_users else None

    @cached_property
    def hash(self) -> str:
        """Hash of the function's code and of all that it calls (`source_hash`)."""
        return source_hash(self.function)

    @cached_property
    def compiled(self) -> Any:
        """The function for use inside compiled code."""
        return compiled_inside(self.function, forceinline=True)


def compiled_inside(function: Callable[..., Any], **options: bool) -> Any:
    """A function compiled for calls from compiled code alone."""
    # Wrappers for callers in Python would double the time to compile.
    return njit(**COMPILE_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


REGISTRY: dict[str, Kernel] = {}
USER_PACKAGE = "user_features_"  # how the names of modules begin that users' files become


def feature[F: Callable[..., Any]](
    *,
    parts: Parts | None = None,
    outputs: tuple[str, ...] = (),
    state: Sized = 0,
    warmup: Sized = 1,
    warmup_sessions: Sized = 0,
    anchored: bool = False,
) -> Callable[[F], F]:
    """Register a kernel under its function's name.

    Parameters
    ----------
    parts : dict of str to Window or Part
        What the kernel builds upon, by name: an argument of that name receives it, and so may the parts after it. Of a
        part with several outputs the names are ``NAME_suffix``.
    outputs : tuple of str
        Suffixes, for kernels that return a tuple.
    state : int or callable
        Float64 cells of state, all zero before the first row; a callable is given the parameters by name.
    warmup : int or callable
        Rows, once inputs and parts are known, until the output is finite and the same bits whatever row the kernel was
        started on; for an anchored kernel, rows since the reset until it is finite.
    warmup_sessions : int or callable
        Whole sessions on top of ``warmup``, for kernels that compare sessions.
    anchored : bool
        True where the output depends on every row since the state was zero, as a VWAP does: specifications must then
        name a ``reset``.

    Raises
    ------
    InputError
        When the name is taken, the docstring is missing, a default is neither int nor float, or a part is unknown.
    """

    def register(function: F) -> F:
        kernel = _kernel(function, parts or {}, outputs, state, warmup, warmup_sessions, anchored)
        known = REGISTRY.get(kernel.kind)
        if known is not None and known.function.__module__ != function.__module__:
            where = known.function.__module__
            raise InputError(f"feature kernel names must be unique; {kernel.kind!r} was taken by {where}")
        REGISTRY[kernel.kind] = kernel
        return function

    return register


def find_kernel(kind: str) -> Kernel:
    """The registered kernel of that name.

    Raises
    ------
    InputError
        When there is none.
    """
    if kind not in REGISTRY:
        raise InputError(f"feature kind must be one of {', '.join(sorted(REGISTRY))}; was {kind!r}")
    return REGISTRY[kind]


def _kernel(
    function: Callable[..., Any],
    parts: Parts,
    outputs: tuple[str, ...],
    state: Sized,
    warmup: Sized,
    warmup_sessions: Sized,
    anchored: bool,
) -> Kernel:
    kind = function.__name__
    docstring = inspect.getdoc(function)
    if not docstring:
        raise InputError(f"feature kernel {kind!r}: the docstring must say what it is; was missing")
    arguments = list(inspect.signature(function).parameters.values())[1:]
    params = {a.name: a.default for a in arguments if a.default is not a.empty}
    for name, default in params.items():
        if type(default) not in (int, float):
            raise InputError(f"feature kernel {kind!r}: {name!r} must default to a number; was {default!r}")
    asked = tuple(a.name for a in arguments if a.default is a.empty)
    return Kernel(
        kind=kind,
        family=function.__globals__.get("FAMILY", function.__module__.rpartition(".")[2]),
        summary=docstring.splitlines()[0],
        function=function,
        arguments=asked,
        inputs=_inputs(kind, asked, parts),
        parts=parts,
        params=params,
        outputs=outputs,
        state=state,
        warmup=warmup,
        warmup_sessions=warmup_sessions,
        anchored=anchored,
    )


def _inputs(kind: str, arguments: tuple[str, ...], parts: Parts) -> tuple[str, ...]:
    made: set[str] = set()
    read: list[str] = []
    for name, part in parts.items():
        if isinstance(part, Window):
            if part.measure not in MEASURES:
                known = ", ".join(MEASURES)
                raise InputError(f"feature kernel {kind!r}: a measure must be one of {known}; was {part.measure!r}")
            read += [part.of] if part.of not in made else []
            made.add(name)
        else:
            read += [argument for argument in part.kernel.inputs if argument not in made]
            made |= {f"{name}_{suffix}" for suffix in part.kernel.outputs} or {name}
    return tuple(dict.fromkeys([*(name for name in arguments if name not in made), *read]))
