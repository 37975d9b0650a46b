"""The one place that chooses what computes the layers in training: compiled layers or torch.

Compiled layers run on a CPU unless ``RL_INTRADAY_PLAIN=layers`` asks for torch (`catalogs.plain`). Other devices, other
kinds of layers and uncompiled kernels always run on torch. docs/decisions/0001-own-kernels.md says why there are two.
"""

from typing import Any

import numpy as np
import torch
from numba import config
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from catalogs.plain import runs_plain
from training.networks import fused_dense, fused_lstm
from training.networks.rollout_network import RolloutNetwork


def lstm_outputs(
    lstm: nn.LSTM, inputs: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor], counts: NDArray[np.int64]
) -> torch.Tensor:
    """Outputs of an LSTM over packed sequences, float32[rows, hidden].

    Parameters
    ----------
    lstm : nn.LSTM
    inputs : float32[rows, columns]
        Step after step, as in torch's PackedSequence: in each step one row per sequence that continues, longest first.
    state : tuple of float32[layers, sequences, hidden]
        Initial hidden and cell state; no gradient flows into them.
    counts : int64[steps]
        Sequences in each step, never rising; their sum is ``rows``.
    """
    if _may_compile() and fused_lstm.can_run(lstm):
        return fused_lstm.run(lstm, inputs, state, counts)
    packed: Any = PackedSequence(inputs, torch.from_numpy(counts))
    output, _ = lstm(packed, (state[0].contiguous(), state[1].contiguous()))
    return output.data


def dense_outputs(modules: list[nn.Module], inputs: torch.Tensor) -> torch.Tensor:
    """Outputs of a list of layers and activations, float32[rows, outputs], of inputs float32[rows, columns]."""
    if _may_compile() and fused_dense.can_run(modules):
        return fused_dense.run(modules, inputs)
    for module in modules:
        inputs = module(inputs)
    return inputs


def rollout_network(policy: Any, n_envs: int) -> RolloutNetwork | None:
    """The compiled network that steps ``n_envs`` environments of a `SequenceLstmPolicy`; None if torch does."""
    modules = [*policy.decision_layers(), *policy.critic_layers()]
    can_run = _may_compile() and fused_lstm.can_run(policy.lstm_actor) and fused_dense.can_run(modules)
    return RolloutNetwork(policy, n_envs) if can_run else None


def _may_compile() -> bool:
    return not (runs_plain("layers") or config.DISABLE_JIT)
