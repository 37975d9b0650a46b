"""What a feature is: a function of the current row's scalars and its own state, registered by `feature`.

A kernel never sees a series, so it cannot look ahead; batch and live run the same machine code. Writing one::

    from rl_strategies.features import State, feature


    @feature(state=1, warmup=2)
    def change(s: State, close: float, scale: float = 1.0) -> float:
        '''Change of the close since the bar before, times ``scale``.'''
        before, s[0] = s[0], close
        return (close - before) * scale if before > 0.0 else math.nan

The first argument is the state. Arguments without a default are inputs, read from the column of that name
unless wired elsewhere; arguments with a default are parameters. A function that kernels share is made known to
numba with ``numba.extending.register_jitable``, as those of `primitives` are.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numba import njit

from catalogs.errors import InputError
from rl_strategies.features.source import source_hash

Params = Mapping[str, Any]
Sized = int | Callable[[Params], int]

# Without numba's reference counts a slice of the state costs nothing (half of the run time otherwise), and a kernel
# that would allocate memory on every row does not compile.
COMPILE_OPTIONS = {"error_model": "numpy", "_nrt": False}


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
    inputs : tuple of str
        Arguments without a default: columns of the row or outputs of earlier features.
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
    inputs: tuple[str, ...]
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
        """Rows until the output is finite and no longer depends on where the kernel was started.

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
        # Wrappers for callers in Python would double the time to compile.
        return njit(**COMPILE_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(self.function)


REGISTRY: dict[str, Kernel] = {}
USER_PACKAGE = "user_features_"  # how the names of modules begin that users' files become


def feature[F: Callable[..., Any]](
    *,
    outputs: tuple[str, ...] = (),
    state: Sized = 0,
    warmup: Sized = 1,
    warmup_sessions: Sized = 0,
    anchored: bool = False,
) -> Callable[[F], F]:
    """Register a kernel under its function's name.

    Parameters
    ----------
    outputs : tuple of str
        Suffixes, for kernels that return a tuple.
    state : int or callable
        Float64 cells of state, all zero before the first row; a callable is given the parameters by name.
    warmup : int or callable
        Rows until the output is finite and the same bits whatever row the kernel was started on; for an anchored
        kernel, rows since the reset until it is finite.
    warmup_sessions : int or callable
        Whole sessions on top of ``warmup``, for kernels that compare sessions.
    anchored : bool
        True where the output depends on every row since the state was zero, as a VWAP does: specifications must then
        name a ``reset``.

    Raises
    ------
    InputError
        When the name is taken, the docstring is missing, or a default is neither int nor float.
    """

    def register(function: F) -> F:
        kernel = _kernel(function, outputs, state, warmup, warmup_sessions, anchored)
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
    return Kernel(
        kind=kind,
        family=function.__globals__.get("FAMILY", function.__module__.rpartition(".")[2]),
        summary=docstring.splitlines()[0],
        function=function,
        inputs=tuple(a.name for a in arguments if a.default is a.empty),
        params=params,
        outputs=outputs,
        state=state,
        warmup=warmup,
        warmup_sessions=warmup_sessions,
        anchored=anchored,
    )
