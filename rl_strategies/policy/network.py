"""The door to the network of one session: compiled where it can be, on onnxruntime otherwise.

Both read the same ONNX file and agree up to float32 rounding. ``RL_INTRADAY_PLAIN=network`` chooses onnxruntime
(`catalogs.plain`); docs/decisions/0001-own-kernels.md says why there are two.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalogs.plain import runs_plain
from rl_strategies.policy.compiled_ensemble import CompiledEnsemble
from rl_strategies.policy.compiled_network import CompiledNetwork
from rl_strategies.policy.onnx_network import NetworkShape, RecurrentNetwork


class SessionNetwork(Protocol):
    """An exported network that decides for one session."""

    shape: NetworkShape
    logits: NDArray[np.float32]

    @property
    def state(self) -> NDArray[np.float32]:
        """Memory that the next step starts from, float32[2, layers, 1, hidden]; writable."""
        ...

    def step(self, observation: NDArray[np.float32]) -> int:
        """Advance by one observation; returns the place of the largest logit."""
        ...


def session_network(content: bytes) -> SessionNetwork:
    """Network of one session, from the content of an ONNX file.

    Raises
    ------
    InputError
        If the content is not an export of this project.
    """
    onnx = RecurrentNetwork(content, n_lanes=1)
    if onnx.shape.activations is None or runs_plain("network"):
        return onnx
    compiled = CompiledNetwork if onnx.shape.members == 1 else CompiledEnsemble
    return compiled(content, onnx.shape)
