"""A feature plan: a list of features made into one checked and hashed function of a row.

A trained policy carries its plan: it computes the training matrix in one call and, bar by bar, the live observation,
bit for bit alike.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import replace

from catalogs.errors import InputError
from rl_strategies.features.compiler.allocation import SESSION_ROWS, allocate
from rl_strategies.features.compiler.compile import CompiledLoop, Floats, compiled, compute_interruptibly, windows_hash
from rl_strategies.features.kernel import at_version
from rl_strategies.features.plans.live import LiveFeatures
from rl_strategies.features.plugins import load_stored_file, portable_name, rebuild
from rl_strategies.features.rows import COLUMNS
from rl_strategies.features.spec import FeatureSpec, PlanSpec, plain_kind


class FeaturePlan:
    """Features computed together, row by row.

    Parameters
    ----------
    specs : sequence of FeatureSpec
        Features in order; one may read the outputs of earlier ones.
    columns : sequence of str
        Columns of a row.
    left_out : iterable of (name, reason)
        Features that the data cannot give, for reports.
    session_rows : int
        Most rows of a session. 1440 suits every calendar of one-minute bars; a smaller true number only shortens the
        warm-up.
    pruned : sequence of (output, reason)
        Outputs that are computed but not observed, because they add nothing (`pruning.pruned_plan`).

    Attributes
    ----------
    outputs : tuple of str
        Observed outputs first, then the unobserved ones.
    observed : int
        Number of observed outputs.
    warmup : int
        Rows until every output is finite and independent of the row that the plan started on.
    warmups : dict of str to int
        The same for each output.
    state_size : int
        Float64 cells that a running plan carries from row to row.
    scratch_size : int
        Float64 cells of working memory for `compiled_loop`; they need not be kept.
    hash : str
        SHA-256 of everything that shapes the numbers.
    kernels : tuple of Kernel
    source : str
        Python text of the generated loop.
    needs : dict of str to frozenset of str
        For each feature the columns that it reads, directly or through earlier features.

    Raises
    ------
    InputError
        If a kind, parameter or input is unknown, or a name is used twice.

    Notes
    -----
    A row with an input that is not finite gives NaN and leaves the feature's state unchanged; filling and masking are
    left to the normaliser.

    Examples
    --------
    >>> import numpy as np
    >>> plan = FeaturePlan([FeatureSpec("log_return", "return_1")], columns=("close",))
    >>> plan.batch(np.array([[100.0], [101.0]])).round(4).tolist()
    [[nan], [0.01]]
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        columns: Sequence[str] = COLUMNS,
        left_out: Iterable[tuple[str, str]] = (),
        session_rows: int = SESSION_ROWS,
        pruned: Sequence[tuple[str, str]] = (),
    ) -> None:
        if not specs:
            raise InputError("a feature plan must have at least one feature, had none")
        self.specs, self.columns, self.left_out = tuple(specs), tuple(columns), tuple(left_out)
        self.session_rows, self.pruned = session_rows, tuple(pruned)
        allocation = allocate(self.specs, self.columns, session_rows, frozenset(name for name, _ in self.pruned))
        self.outputs, self.observed = allocation.outputs, allocation.observed
        self.warmups, self.needs, self._features = allocation.warmups, allocation.needs, allocation.features
        self.warmup = max(self.warmups.values())
        code = allocation.code
        self.kernels, self.source = code.kernels, code.source
        self.state_size, self.scratch_size = code.state_size, code.scratch_size
        identity = [self.columns, self.outputs, self.observed, self.source, self._kernel_hashes(), windows_hash()]
        self.hash = hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        # Kernels and compiled code stay here; a worker process builds its own.
        arguments = (self.specs, self.columns, self.left_out, self.session_rows, self.pruned)
        return rebuild, (self.files, type(self), arguments)

    @property
    def files(self) -> tuple[str, ...]:
        """Users' files that kernels of the plan came from."""
        return tuple(sorted({kernel.file for kernel in self.kernels if kernel.file is not None}))

    def without(self, pruned: Sequence[tuple[str, str]]) -> Self:
        """The same plan with more outputs, each with a reason, taken out of the observation."""
        return type(self)(self.specs, self.columns, self.left_out, self.session_rows, (*self.pruned, *pruned))

    @cached_property
    def compiled_loop(self) -> CompiledLoop:
        """The function that `batch` and `live` run, ``(rows, state, scratch, out)``; compiled at first use."""
        return compiled(self.source, self.kernels)

    def index(self, name: str) -> int:
        """Column of an output in the output matrix.

        Raises
        ------
        InputError
            If the plan has no such output.
        """
        return output_index(self.outputs, name)

    def feature_of(self, output: str) -> str:
        """Name of the feature that gives an output."""
        return self._features[output]

    def batch(self, rows: Floats, state: Floats | None = None) -> Floats:
        """Compute every output for many rows.

        Parameters
        ----------
        rows : float64[n, len(columns)]
            Rows ascending in time; not changed.
        state : float64[state_size], optional
            State to continue from, advanced in place; fresh by default.

        Returns
        -------
        float64[n, len(outputs)]

        Raises
        ------
        InputError
            If a shape is not the plan's.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise InputError(f"feature rows must have {len(self.columns)} columns, had shape {rows.shape}")
        if state is None:
            state = np.zeros(self.state_size)
        elif state.shape != (self.state_size,) or state.dtype != np.float64:
            raise InputError(f"feature state must be float64[{self.state_size}], was {state.dtype} {state.shape}")
        out = np.empty((len(rows), len(self.outputs)))
        compute_interruptibly(
            self.compiled_loop, np.require(rows, np.float64, ["C", "W"]), state, np.zeros(self.scratch_size), out
        )
        return out

    def live(self) -> LiveFeatures:
        """The plan running bar by bar, from a fresh state."""
        sizes = (self.state_size, self.scratch_size, len(self.columns), len(self.outputs))
        return LiveFeatures(self.compiled_loop, *sizes)

    def to_spec(self) -> dict[str, Any]:
        """Plain data (JSON) from which `from_spec` rebuilds the plan."""
        spec = PlanSpec(
            columns=self.columns,
            features=tuple(plain_kind(spec) for spec in self.specs),
            outputs=self.outputs,
            observed=self.observed,
            warmup=self.warmup,
            kernels=self._kernel_hashes(),
            hash=self.hash,
            left_out=self.left_out,
            session_rows=self.session_rows,
            pruned=self.pruned,
            files=tuple(portable_name(file) for file in self.files),
        )
        return msgspec.to_builtins(spec)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Rebuild a stored plan.

        Parameters
        ----------
        spec : dict
            Result of `to_spec`, possibly through JSON.

        Raises
        ------
        InputError
            If it is not a stored plan, or a kernel or the plan as a whole would compute other numbers.
        """
        try:
            stored = msgspec.convert(spec, PlanSpec)
        except msgspec.ValidationError as error:
            raise InputError(f"not a stored feature plan: {error}") from error
        for file in stored.files:
            load_stored_file(file)
        # A part has no name in the specification: one that changed shows in the hash of the whole plan.
        versions = {kind: at_version(kind, stored_hash) for kind, stored_hash in stored.kernels.items()}
        features = [replace(feature, kind=versions[feature.kind]) for feature in stored.features]
        plan = cls(features, stored.columns, stored.left_out, stored.session_rows, stored.pruned)
        if plan.hash != stored.hash:
            raise InputError(f"feature plan must have the stored hash {stored.hash[:12]}, was {plan.hash[:12]}")
        return plan

    def _kernel_hashes(self) -> dict[str, str]:
        return {kernel.kind: kernel.hash for kernel in self.kernels}


def output_index(outputs: Sequence[str], name: str) -> int:
    """Index of an output in ``outputs``.

    Raises
    ------
    InputError
        If it is not there.
    """
    if name not in outputs:
        raise InputError(f"feature output must be one of {', '.join(outputs)}, was {name!r}")
    return outputs.index(name)
