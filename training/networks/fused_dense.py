"""Compiled dense layers over many rows, forward and backward, for training on a CPU.

The equations are torch's; sums run in another order, so results agree with torch up to float32 rounding.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.autograd.function import once_differentiable

from catalogs.compiled import kernel
from rl_strategies.policy.compiled_network import RELU, TANH, tanh
from rl_strategies.policy.onnx_network import ACTIVATIONS
from training.networks.layers import OPERATORS, dense_layers
from training.networks.matmul import matmul, matmul_unpacked, pack_panels, padded

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


def can_run(modules: list[nn.Module]) -> bool:
    """Whether `run` can compute the modules: dense layers with biases and known activations, float32, on a CPU."""
    linear = [module for module in modules if isinstance(module, nn.Linear)]
    known = all(type(module) in {nn.Linear, *OPERATORS} for module in modules)
    plain = all(
        m.bias is not None and m.weight.device.type == "cpu" and m.weight.dtype == torch.float32 for m in linear
    )
    return bool(known and plain)


def run(modules: list[nn.Module], inputs: torch.Tensor) -> torch.Tensor:
    """Outputs of the last layer, float32[rows, outputs].

    Parameters
    ----------
    modules : list of nn.Module
        Layers that `can_run` accepts.
    inputs : float32[rows, inputs]
    """
    for linear, activation in dense_layers(modules):
        inputs = _Layer.apply(inputs, linear.weight, linear.bias, ACTIVATIONS.index(activation))
    return inputs


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, kind: int) -> torch.Tensor:
        outputs = np.empty((len(inputs), padded(len(bias))), np.float32)
        forward(inputs.detach().numpy(), pack_panels(weight.detach().numpy().T), bias.detach().numpy(), kind, outputs)
        found = torch.from_numpy(outputs)[:, : len(bias)]
        ctx.save_for_backward(inputs, weight, found)
        ctx.kind = kind
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, weight, outputs = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        rows, columns = inputs.shape
        wanted = columns if ctx.needs_input_grad[0] else 0  # columns of the inputs' gradient
        inner = grad.numpy().copy()
        _through_activation(outputs, ctx.kind, inner)
        d_weight = np.empty((len(weight), padded(columns)), np.float32)
        d_inputs = np.empty((rows, padded(wanted)), np.float32)
        _backward(inner, _widened(inputs), pack_panels(weight[:, :wanted]), d_weight, d_inputs)
        to_inputs = torch.from_numpy(d_inputs)[:, :wanted] if wanted else None
        return to_inputs, torch.from_numpy(d_weight)[:, :columns], torch.from_numpy(inner.sum(axis=0)), None


def _widened(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = inputs.shape
    if columns == padded(columns) and inputs.flags.c_contiguous:
        return inputs
    wide = np.zeros((rows, padded(columns)), np.float32)
    wide[:, :columns] = inputs
    return wide


@kernel
def forward(inputs, weight, bias, kind, outputs):  # type: ignore[no-untyped-def]
    """Write ``outputs``, float32[rows, padded(n)], of ``inputs`` float32[rows, columns]; the first n columns count.

    ``weight`` is torch's, transposed and packed by `training.networks.matmul.pack_panels`; ``bias`` float32[n];
    ``kind`` the index of the activation in `rl_strategies.policy.onnx_network.ACTIVATIONS`.
    """
    matmul(outputs, inputs, weight, False)
    n = bias.shape[0]
    for r in range(outputs.shape[0]):
        row = outputs[r]
        for j in range(n):
            row[j] += bias[j]
        if kind == TANH:
            for j in range(n):
                row[j] = tanh(row[j])
        elif kind == RELU:
            for j in range(n):
                row[j] = max(row[j], _ZERO)


@kernel
def _through_activation(outputs, kind, grad):  # type: ignore[no-untyped-def]
    for r in range(grad.shape[0]):
        row, out = grad[r], outputs[r]
        if kind == TANH:
            for j in range(row.shape[0]):
                row[j] *= _ONE - out[j] * out[j]
        elif kind == RELU:
            for j in range(row.shape[0]):
                row[j] = row[j] if out[j] > _ZERO else _ZERO


@kernel
def _backward(inner, inputs, weight, d_weight, d_inputs):  # type: ignore[no-untyped-def]
    matmul_unpacked(d_weight, inner.T, inputs, False)
    matmul(d_inputs, inner, weight, False)
