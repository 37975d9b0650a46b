"""An exported network as one compiled function: a decision costs its arithmetic and little else.

The weights come from the ONNX file and the operations are those of its graph, in float32. onnxruntime, which runs the
graph itself (`rl_strategies.network`), stays the reference: a bundle is refused where one of the two no longer gives
the golden outputs. No sum is reordered and no multiplication fused, so the same file gives the same bits on every
machine.
"""

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from catalogs.compiled import inlined, kernel
from catalogs.errors import InputError
from rl_strategies.network import ACTIVATIONS, NetworkShape, check_finite

LSTM: Final = -1  # a row of the layout is an LSTM layer, or else a dense one by the place of its activation
TANH: Final = ACTIVATIONS.index("Tanh")
RELU: Final = ACTIVATIONS.index("Relu")

# tanh as a quotient of polynomials in x*x, as Eigen and onnxruntime compute it in float32: within 3e-7 everywhere.
_TANH_LIMIT = np.float32(7.90531110763549805)  # the quotient is 1 from here on
_P = tuple(
    map(
        np.float32,
        (
            4.89352455891786e-03,
            6.37261928875436e-04,
            1.48572235717979e-05,
            5.12229709037114e-08,
            -8.60467152213735e-11,
            2.00018790482477e-13,
            -2.76076847742355e-16,
        ),
    )
)
_Q = tuple(map(np.float32, (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)))
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1.0), np.float32(0.0)


class CompiledNetwork:
    """Runs an exported network for one lane; stands in for `rl_strategies.network.RecurrentNetwork` with one.

    Parameters
    ----------
    content : bytes
        An ONNX file written by `training.export.export_onnx`.
    shape : NetworkShape
        The file's own; its ``activations`` are given.

    Attributes
    ----------
    shape : NetworkShape
    logits : float32[1, n_instruments * n_actions]
        Of the last run, -inf where the mask forbids an action; overwritten by the next.
    state : float32[2, layers, 1, hidden]
        Hidden then cell state that the next run starts from; writable.

    Raises
    ------
    InputError
        If the file lacks a weight.
    """

    def __init__(self, content: bytes, shape: NetworkShape) -> None:
        assert shape.activations is not None
        initializers = onnx.load_from_string(content).graph.initializer
        found = {tensor.name: numpy_helper.to_array(tensor) for tensor in initializers}
        missing = [name for name in _names(shape) if name not in found]
        if missing:
            raise InputError(f"policy network: must hold the weights {', '.join(missing)}, held none such")
        self.shape = shape
        self.logits = np.zeros((1, shape.n_instruments * shape.n_actions), np.float32)
        self.state = np.zeros((2, shape.lstm_layers, 1, shape.lstm_hidden_size), np.float32)
        self._logits, self._state = self.logits[0], self.state.reshape(2, -1)
        # mean, deviation and the limits of clipping, as far as the observation is normalised
        limits = (np.full_like(found["mean"], found[name]) for name in ("clip_low", "clip_high"))
        self._statistics = np.stack([found["mean"], found["deviation"], *limits])
        self._layout, self._weights = _packed(found, shape)
        widest = max(int(self._layout[:, 1:].max()), shape.n_observations)
        self._scratch = np.zeros((3, 4 * widest), np.float32)

    def run(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_] | bool) -> None:
        """Advance by one observation, float32[1, n_observations]; as `RecurrentNetwork.run`."""
        if observations.shape != (1, self.shape.n_observations):
            raise InputError(
                f"observations: must have shape {(1, self.shape.n_observations)}, was {observations.shape}"
            )
        if episode_start:
            self.state[:] = 0.0
        if not forward(
            observations[0], self._statistics, self._layout, self._weights, self._state, self._scratch, self._logits
        ):
            check_finite(observations)


@kernel
def forward(observation, statistics, layout, weights, state, scratch, logits):  # type: ignore[no-untyped-def]
    """One step of the network; False, and nothing moved, if a value of the observation is not finite.

    ``statistics`` float64[4, columns], ``layout`` int64[layers, 3] (kind, inputs, outputs), ``weights`` float32[n],
    ``state`` float32[2, lstm layers * hidden], ``scratch`` float32[3, w]; writes ``state`` and ``logits``.
    """
    columns = statistics.shape[1]
    for i in range(observation.shape[0]):
        if not np.isfinite(observation[i]):
            return False
    here, there, gates = scratch[0], scratch[1], scratch[2]
    for i in range(columns):
        scaled = (np.float64(observation[i]) - statistics[0, i]) / statistics[1, i]
        here[i] = min(max(scaled, statistics[2, i]), statistics[3, i])
    at, cell = 0, 0
    for k in range(layout.shape[0]):
        kind, inputs, outputs = layout[k, 0], layout[k, 1], layout[k, 2]
        if kind == LSTM:
            gated = 4 * outputs
            hidden = state[0, cell : cell + outputs]
            _copy(gates, weights, at, gated)
            at = _add_products(gates, here, inputs, weights, at + gated, gated)
            at = _add_products(gates, hidden, outputs, weights, at, gated)
            _gate(gates, hidden, state[1, cell : cell + outputs], outputs)
            _copy(here, hidden, 0, outputs)
            cell += outputs
        else:
            _copy(there, weights, at, outputs)
            at = _add_products(there, here, inputs, weights, at + outputs, outputs)
            _activate(there, outputs, kind)
            here, there = there, here
    for j in range(logits.shape[0]):
        masked = columns < observation.shape[0] and not observation[columns + j] > _HALF
        logits[j] = -np.inf if masked else here[j]
    return True


@inlined
def _copy(out, values, begin, n):  # type: ignore[no-untyped-def]
    for j in range(n):
        out[j] = values[begin + j]


@inlined
def _add_products(out, values, inputs, weights, begin, width):  # type: ignore[no-untyped-def]
    # Input by input instead of output by output: independent sums, which the compiler may take side by side.
    at = begin
    four = inputs - inputs % 4
    for i in range(0, four, 4):
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        first, second = weights[at : at + width], weights[at + width : at + 2 * width]
        third, fourth = weights[at + 2 * width : at + 3 * width], weights[at + 3 * width : at + 4 * width]
        for j in range(width):
            out[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        at += 4 * width
    for i in range(four, inputs):
        value, row = values[i], weights[at : at + width]
        for j in range(width):
            out[j] += value * row[j]
        at += width
    return at


@inlined
def _gate(gates, hidden, cell, n):  # type: ignore[no-untyped-def]
    # The gates lie one after the other as in ONNX: input, output, forget, cell.
    for j in range(3 * n):
        gates[j] = _HALF + _HALF * tanh(_HALF * gates[j])
    for j in range(3 * n, 4 * n):
        gates[j] = tanh(gates[j])
    for j in range(n):
        cell[j] = gates[2 * n + j] * cell[j] + gates[j] * gates[3 * n + j]
    for j in range(n):
        hidden[j] = gates[n + j] * tanh(cell[j])


@inlined
def _activate(values, n, kind):  # type: ignore[no-untyped-def]
    if kind == TANH:
        for j in range(n):
            values[j] = tanh(values[j])
    elif kind == RELU:
        for j in range(n):
            values[j] = max(values[j], _ZERO)


@inlined
def tanh(value):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent of a float32, within 3e-7."""
    x = min(max(value, -_TANH_LIMIT), _TANH_LIMIT)
    s = x * x
    p = ((((((_P[6] * s + _P[5]) * s + _P[4]) * s + _P[3]) * s + _P[2]) * s + _P[1]) * s + _P[0]) * x
    return p / (((_Q[3] * s + _Q[2]) * s + _Q[1]) * s + _Q[0])


def _names(shape: NetworkShape) -> list[str]:
    assert shape.activations is not None
    lstm = [f"{part}_{k}" for k in range(shape.lstm_layers) for part in ("w_input", "w_hidden", "bias")]
    head = [f"{part}_{k}" for k in range(len(shape.activations)) for part in ("weight", "head_bias")]
    return ["mean", "deviation", "clip_low", "clip_high", *lstm, *head]


def _packed(
    found: dict[str, NDArray[np.float32]], shape: NetworkShape
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    # Layer after layer: bias, then the weights input by input.
    layout: list[tuple[int, int, int]] = []
    parts: list[NDArray[np.float32]] = []
    for k in range(shape.lstm_layers):
        w_input, w_hidden, bias = (found[f"{part}_{k}"][0] for part in ("w_input", "w_hidden", "bias"))
        layout.append((LSTM, w_input.shape[1], shape.lstm_hidden_size))
        parts += [bias.reshape(2, -1).sum(axis=0), w_input.T, w_hidden.T]
    for k, activation in enumerate(shape.activations or ()):
        weight = found[f"weight_{k}"]
        layout.append((ACTIVATIONS.index(activation), weight.shape[1], weight.shape[0]))
        parts += [found[f"head_bias_{k}"], weight.T]
    return np.array(layout, np.int64), np.concatenate([part.ravel() for part in parts])
