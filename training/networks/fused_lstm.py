"""A compiled LSTM layer over packed sequences, forward and backward, for training on a CPU.

On sequences as short and few as those of a minibatch, torch's layer uses half of what the processor can do, and it
computes a gradient of the observations that is never used. The equations are torch's; sums run in another order, so
results agree with torch up to float32 rounding.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.autograd.function import once_differentiable

from catalogs.compiled import inlined, kernel
from rl_strategies.policy.compiled_network import tanh
from training.networks.matmul import matmul, matmul_unpacked, pack_panels, padded

_CHUNK_ROWS = 64  # rows whose gates fit into the second-level cache beside the weights
_HALF, _ONE = np.float32(0.5), np.float32(1.0)


def can_run(lstm: nn.LSTM) -> bool:
    """Whether `run` can compute the LSTM: float32 on a CPU, with biases, one direction, no projection or dropout."""
    plain = lstm.bias and not (lstm.bidirectional or lstm.proj_size or lstm.dropout)
    weight = lstm.weight_ih_l0
    return bool(plain and weight.device.type == "cpu" and weight.dtype == torch.float32)


def run(
    lstm: nn.LSTM, inputs: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor], counts: NDArray[np.int64]
) -> torch.Tensor:
    """Outputs of the last layer, float32[rows, hidden].

    Parameters
    ----------
    lstm : nn.LSTM
        An LSTM that `can_run` accepts.
    inputs : float32[rows, columns]
        Step after step; in each step one row per sequence that continues, longest first.
    state : tuple of float32[layers, sequences, hidden]
        Initial hidden and cell state; no gradient flows into them.
    counts : int64[steps]
        Sequences in each step, never rising; their sum is ``rows``.
    """
    outputs = inputs
    offsets = np.concatenate([[0], np.cumsum(counts)])
    for h, c, weights in zip(*state, lstm.all_weights, strict=True):
        outputs = _Layer.apply(outputs, h.contiguous(), c.contiguous(), offsets, *weights)
    return outputs


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        h: torch.Tensor,
        c: torch.Tensor,
        offsets: NDArray[np.int64],
        w_input: torch.Tensor,
        w_hidden: torch.Tensor,
        b_input: torch.Tensor,
        b_hidden: torch.Tensor,
    ) -> torch.Tensor:
        rows, hidden = len(inputs), h.shape[1]
        w_in, w_rec = w_input.detach().numpy(), w_hidden.detach().numpy()
        gates = np.empty((rows, padded(4 * hidden)), np.float32)
        cells, outputs = (np.empty((rows, hidden), np.float32) for _ in range(2))
        inputs = inputs.contiguous()
        forward(
            inputs.detach().numpy(), offsets, h.numpy(), c.numpy(), pack_panels(w_in.T), pack_panels(w_rec.T),
            (b_input + b_hidden).detach().numpy(), gates, cells, outputs,
        )  # fmt: skip
        found = torch.from_numpy(outputs)
        ctx.save_for_backward(inputs, h, c, w_input, w_hidden, found)
        ctx.rest = offsets, gates, cells
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        inputs, h, c, w_input, w_hidden, outputs = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        offsets, gates, cells = ctx.rest
        rows, columns = inputs.shape
        sequences, hidden = h.shape
        wanted = columns if ctx.needs_input_grad[0] else 0  # columns of the inputs' gradient
        room = _CHUNK_ROWS + sequences
        d_gates = np.empty((room, gates.shape[1]), np.float32)
        joined = np.zeros((room, padded(columns + hidden)), np.float32)
        d_weights = np.zeros((4 * hidden, joined.shape[1]), np.float32)
        d_bias = np.zeros(4 * hidden, np.float32)
        d_inputs = np.empty((rows, padded(wanted)), np.float32)
        _backward(
            grad.contiguous().numpy(), inputs, offsets, h, c, pack_panels(w_input[:, :wanted]), pack_panels(w_hidden),
            gates, cells, outputs, np.zeros((sequences, padded(hidden)), np.float32),
            np.zeros((sequences, hidden), np.float32), d_gates, joined, d_weights, d_bias, d_inputs,
        )  # fmt: skip
        found = torch.from_numpy(d_weights)
        bias = torch.from_numpy(d_bias)
        to_inputs = torch.from_numpy(d_inputs)[:, :wanted] if wanted else None
        return (
            to_inputs, None, None, None, found[:, :columns], found[:, columns : columns + hidden], bias, bias.clone()
        )  # fmt: skip


@kernel
def forward(inputs, offsets, h, c, w_input, w_hidden, bias, gates, cells, outputs):  # type: ignore[no-untyped-def]
    """Write ``gates`` (activated; torch's order: input, forget, cell, output), ``cells`` and ``outputs`` of all rows.

    ``inputs`` float32[rows, columns]; ``offsets`` int64[steps + 1], the first row of each step; ``h`` and ``c``
    float32[sequences, hidden]; weights are torch's, transposed and packed by `training.networks.matmul.pack_panels`;
    ``bias`` float32[4 * hidden]; ``gates`` float32[rows, padded(4 * hidden)]; ``cells`` and ``outputs``
    float32[rows, hidden].
    """
    steps, first = offsets.shape[0] - 1, 0
    while first < steps:
        stop = _end_of_chunk(offsets, first, steps)
        matmul(gates[offsets[first] : offsets[stop]], inputs[offsets[first] : offsets[stop]], w_input, False)
        for step in range(first, stop):
            begin, count = offsets[step], offsets[step + 1] - offsets[step]
            h_before = h if step == 0 else outputs[offsets[step - 1] :]
            c_before = c if step == 0 else cells[offsets[step - 1] :]
            matmul(gates[begin:], h_before[:count], w_hidden, True)
            for r in range(count):
                _activate(gates[begin + r], bias, c_before[r], cells[begin + r], outputs[begin + r])
        first = stop


@inlined
def _end_of_chunk(offsets, first, steps):  # type: ignore[no-untyped-def]
    stop = first + 1
    while stop < steps and offsets[stop + 1] - offsets[first] <= _CHUNK_ROWS:
        stop += 1
    return stop


@inlined
def _activate(gates, bias, c_before, cell, output):  # type: ignore[no-untyped-def]
    # One loop per line: the compiler vectorises only where it need not fear that arrays overlap.
    n = cell.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n : 4 * n]
    for j in range(4 * n):
        gates[j] += bias[j]
    for j in range(2 * n):
        gates[j] = _HALF + _HALF * tanh(_HALF * gates[j])
    for j in range(n):
        g[j] = tanh(g[j])
    for j in range(n):
        o[j] = _HALF + _HALF * tanh(_HALF * o[j])
    for j in range(n):
        cell[j] = f[j] * c_before[j] + i[j] * g[j]
    for j in range(n):
        output[j] = o[j] * tanh(cell[j])


@kernel
def _backward(  # type: ignore[no-untyped-def]
    grad, inputs, offsets, h, c, w_input, w_hidden, gates, cells, outputs, d_h, d_c, d_gates, joined, d_weights, d_bias,
    d_inputs,
):  # fmt: skip
    # Writes d_weights (of inputs and hidden state, side by side), d_bias and the columns that d_inputs has.
    columns, hidden = inputs.shape[1], h.shape[1]
    stop = offsets.shape[0] - 1
    while stop > 0:
        first = _start_of_chunk(offsets, stop)
        base = offsets[first]
        for step in range(stop - 1, first - 1, -1):
            begin, count = offsets[step], offsets[step + 1] - offsets[step]
            h_before = h if step == 0 else outputs[offsets[step - 1] :]
            c_before = c if step == 0 else cells[offsets[step - 1] :]
            for r in range(count):
                row = begin + r
                _through_gates(grad[row], d_h[r], d_c[r], gates[row], cells[row], c_before[r], d_gates[row - base])
                for j in range(4 * hidden):
                    d_bias[j] += d_gates[row - base, j]
                for j in range(columns):
                    joined[row - base, j] = inputs[row, j]
                for j in range(hidden):
                    joined[row - base, columns + j] = h_before[r, j]
            matmul(d_h, d_gates[begin - base : begin - base + count, : 4 * hidden], w_hidden, False)
        rows = offsets[stop] - base
        matmul_unpacked(d_weights, d_gates[:rows, : 4 * hidden].T, joined[:rows], True)
        matmul(d_inputs[base:], d_gates[:rows, : 4 * hidden], w_input, False)
        stop = first


@inlined
def _start_of_chunk(offsets, stop):  # type: ignore[no-untyped-def]
    first = stop - 1
    while first > 0 and offsets[stop] - offsets[first - 1] <= _CHUNK_ROWS:
        first -= 1
    return first


@inlined
def _through_gates(grad, d_h, d_c, gates, cell, c_before, d_gates):  # type: ignore[no-untyped-def]
    # One loop per line, as in `_activate`.
    n = cell.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n : 4 * n]
    d_i, d_f, d_g, d_o = d_gates[:n], d_gates[n : 2 * n], d_gates[2 * n : 3 * n], d_gates[3 * n : 4 * n]
    for j in range(n):
        d_h[j] += grad[j]
    for j in range(n):
        d_o[j] = tanh(cell[j])
    for j in range(n):
        d_c[j] += d_h[j] * o[j] * (_ONE - d_o[j] * d_o[j])
    for j in range(n):
        d_o[j] *= d_h[j] * o[j] * (_ONE - o[j])
    for j in range(n):
        d_i[j] = d_c[j] * g[j] * i[j] * (_ONE - i[j])
    for j in range(n):
        d_f[j] = d_c[j] * c_before[j] * f[j] * (_ONE - f[j])
    for j in range(n):
        d_g[j] = d_c[j] * i[j] * (_ONE - g[j] * g[j])
    for j in range(n):
        d_c[j] *= f[j]
