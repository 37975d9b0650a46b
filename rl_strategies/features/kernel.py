"""Feature kernels: functions of the current row's values and of their own state, registered by `feature`.

A kernel never sees a series, so it cannot look ahead; batch and live run the same machine code. An example::

    from rl_strategies.features import State, feature


    @feature(state=1, warmup=2)
    def change(s: State, close: float, scale: float = 1.0) -> float:
        '''Change of the close since the bar before, times ``scale``.'''
        before, s[0] = s[0], close
        return (close - before) * scale if before > 0.0 else math.nan

The first argument is the state. Arguments without a default are inputs, read from the column of that name unless the
specification names another; arguments with a default are parameters. ``parts`` are what a kernel builds upon: other
kernels and windows over values, which the plan computes once for all kernels that use them::

    @feature(parts={"usual": Window("mean", "volume", "n")})
    def volume_ratio(s: State, volume: float, usual: float, n: int = 10) -> float:
        '''Volume over its mean of the last ``n`` bars.'''
        return volume / usual if usual > 0.0 else 1.0

Mark a function that kernels share with ``numba.extending.register_jitable``, as those of `primitives` are.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
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
    """One number from the last rows of a value, the current row included.

    Rows where the value is not finite are skipped; the result is NaN until the window is full.

    Attributes
    ----------
    measure : str
        A key of `windows.MEASURES`. ``lag`` is the value ``rows`` rows ago; ``rank`` compares with the ``rows`` before
        it.
    of : str
        Name of an input or of an earlier part.
    rows : int, str or callable
        Length; a string names a parameter of the kernel, a callable receives all parameters.
    """

    measure: str
    of: str
    rows: str | Sized

    def length(self, params: Params) -> int:
        """Number of rows that the window covers."""
        rows = params[self.rows] if isinstance(self.rows, str) else self.rows
        return int(rows(params) if callable(rows) else rows) + MEASURES[self.measure].beyond


@dataclass(frozen=True)
class Part:
    """Another kernel on the same inputs.

    Attributes
    ----------
    function : callable
        A function registered by `feature`.
    params : dict
        Parameters that differ from its defaults; a string names a parameter of the using kernel.
    """

    function: Callable[..., Any]
    params: Mapping[str, int | float | str] = field(default_factory=dict)

    def own_params(self, params: Params) -> dict[str, int | float]:
        """Parameters of the part; ``params`` are those of the using kernel."""
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
        The function's name, used in specifications.
    family : str
        ``FAMILY`` of the module if set, else the module's name: ``"technical"``, ``"session"``, …
    summary : str
        First line of the docstring.
    function : callable
        ``(state, *inputs, *params) -> float or tuple of float``, plain Python.
    arguments : tuple of str
        Arguments without a default: inputs and parts.
    inputs : tuple of str
        Columns or outputs of earlier features that the arguments and parts read.
    parts : dict of str to Window or Part
        Parts in order; a part may read earlier ones.
    params : dict of str to int or float
        Arguments with a default.
    outputs : tuple of str
        Suffixes of the outputs; empty for a single output with the feature's name.
    state, warmup, warmup_sessions : int or callable
        See `state_size` and `warmup_rows`.
    anchored : bool
        The output depends on every row since the state was zero, so a specification must name a ``reset``.
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
        """Number of float64 state cells."""
        return self.state(params) if callable(self.state) else self.state

    def warmup_rows(self, params: Params, session_rows: int) -> int:
        """Rows until the output is finite and no longer depends on the row that the kernel started on.

        Counted from when all inputs and parts are known; ``session_rows`` is the most rows of a session.
        """
        rows = self.warmup(params) if callable(self.warmup) else self.warmup
        sessions = self.warmup_sessions(params) if callable(self.warmup_sessions) else self.warmup_sessions
        return rows + sessions * session_rows

    @property
    def file(self) -> str | None:
        """The user's file that defines it; None for an installed kernel."""
        is_users = self.function.__module__.startswith(USER_PACKAGE)
        return self.function.__code__.co_filename if is_users else None

    @cached_property
    def hash(self) -> str:
        """Hash of the function's code and of everything that it calls (`source_hash`)."""
        return source_hash(self.function)

    @cached_property
    def compiled(self) -> Any:
        """The function, to be called from compiled code."""
        return compiled_inside(self.function, forceinline=True)


def compiled_inside(function: Callable[..., Any], **options: bool) -> Any:
    """A function compiled for calls from compiled code only."""
    # Wrappers for callers in Python would double the compile time.
    return njit(**COMPILE_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


REGISTRY: dict[str, Kernel] = {}
SUPERSEDED: dict[str, Kernel] = {}  # by the name that `at_version` gives
USER_PACKAGE = "user_features_"  # prefix of the module names of users' files


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
        What the kernel builds upon, by name; an argument of that name receives it, and later parts can read it. Outputs
        of a part with several are named ``NAME_suffix``.
    outputs : tuple of str
        Suffixes of the outputs of kernels that return a tuple.
    state : int or callable
        Float64 state cells, zero before the first row; a callable receives the parameters by name.
    warmup : int or callable
        Rows, once inputs and parts are known, until the output is finite and bit for bit independent of the row that
        the kernel started on; for an anchored kernel, rows since the reset until it is finite.
    warmup_sessions : int or callable
        Whole sessions on top of ``warmup``, for kernels that compare sessions.
    anchored : bool
        True if the output depends on every row since the state was zero, as a VWAP does; specifications must then name
        a ``reset``.

    Raises
    ------
    InputError
        If the name is taken, the docstring is missing, a default is neither int nor float, or a measure is unknown.
    """

    def register(function: F) -> F:
        kernel = _kernel(function, parts or {}, outputs, state, warmup, warmup_sessions, anchored)
        known = REGISTRY.get(kernel.kind)
        if known is not None and known.function.__module__ != function.__module__:
            where = known.function.__module__
            raise InputError(f"feature kernel names must be unique; {kernel.kind!r} is taken by {where}")
        REGISTRY[kernel.kind] = kernel
        return function

    return register


def superseded[F: Callable[..., Any]](**settings: Any) -> Callable[[F], F]:
    """Keep earlier code of a kernel for plans that were stored with it; takes the settings of `feature`."""

    def keep(function: F) -> F:
        defaults = {"parts": {}, "outputs": (), "state": 0, "warmup": 1, "warmup_sessions": 0, "anchored": False}
        kernel = _kernel(function, **{**defaults, **settings})
        SUPERSEDED[_at_hash(kernel.kind, kernel.hash)] = kernel
        return function

    return keep


def at_version(kind: str, code_hash: str) -> str:
    """Name under which `find_kernel` has the code of that hash.

    Raises
    ------
    InputError
        If the kernel's code has changed and the earlier code is not kept.
    """
    now = find_kernel(kind).hash
    if now == code_hash:
        return kind
    if (earlier := _at_hash(kind, code_hash)) in SUPERSEDED:
        return earlier
    raise InputError(
        f"code of feature kernel {kind!r} has changed since the plan was stored: its hash must be "
        f"{code_hash[:12]}, was {now[:12]}"
    )


def find_kernel(kind: str) -> Kernel:
    """The registered kernel of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    if kind in SUPERSEDED:
        return SUPERSEDED[kind]
    if kind not in REGISTRY:
        near = get_close_matches(kind, REGISTRY)
        hint = f"nearest are {', '.join(near)}; " if near else ""
        raise InputError(f"{kind!r} is no kind of feature: {hint}`rl-intraday features list` has all")
    return REGISTRY[kind]


def _at_hash(kind: str, code_hash: str) -> str:
    return f"{kind}@{code_hash}"


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
        raise InputError(f"feature kernel {kind!r} must have a docstring, had none")
    arguments = list(inspect.signature(function).parameters.values())[1:]
    params = {a.name: a.default for a in arguments if a.default is not a.empty}
    for name, default in params.items():
        if type(default) not in (int, float):
            raise InputError(f"feature kernel {kind!r}: {name!r} must default to a number, was {default!r}")
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
                raise InputError(f"feature kernel {kind!r}: a measure must be one of {known}, was {part.measure!r}")
            read += [part.of] if part.of not in made else []
            made.add(name)
        else:
            read += [argument for argument in part.kernel.inputs if argument not in made]
            made |= {f"{name}_{suffix}" for suffix in part.kernel.outputs} or {name}
    return tuple(dict.fromkeys([*(name for name in arguments if name not in made), *read]))
