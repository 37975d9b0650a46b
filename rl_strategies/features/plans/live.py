"""A feature plan running bar by bar."""

from collections.abc import Sequence

import numpy as np

from catalogs.compiled import bound
from catalogs.errors import InputError
from rl_strategies.features.compiler.compile import CompiledLoop, Floats


class LiveFeatures:
    """Features of one stream of bars, made by `FeaturePlan.live`.

    `push` runs the machine code of `FeaturePlan.batch` on one row: the same bits for the same rows.

    Attributes
    ----------
    outputs : float64[m]
        Outputs of the last row; overwritten by the next.
    """

    def __init__(self, loop: CompiledLoop, state_size: int, scratch_size: int, columns: int, outputs: int) -> None:
        row, out = np.empty((1, columns)), np.empty((1, outputs))
        self._state = np.zeros(state_size)
        self._row, self.outputs = row[0], out[0]
        self._run = bound(loop, row, self._state, np.zeros(scratch_size), out)

    def push(self, row: Floats | Sequence[float]) -> Floats:
        """Compute every output of the next row.

        Parameters
        ----------
        row : float64[k]
            The plan's columns of the bar that just closed.

        Returns
        -------
        float64[m]
            `outputs`, which the next push overwrites: copy what you keep.
        """
        self._row[:] = row
        self._run()
        return self.outputs

    def snapshot(self) -> Floats:
        """Copy of the state, float64[state_size]; continue with `restore`."""
        return self._state.copy()

    def restore(self, state: Floats) -> None:
        """Continue from a snapshot of the same plan.

        Raises
        ------
        InputError
            If its size is not the plan's.
        """
        if state.shape != self._state.shape:
            raise InputError(f"feature state must have {self._state.size} cells, had {state.size}")
        self._state[:] = state

    def reset(self) -> None:
        """Forget every row."""
        self._state[:] = 0.0
