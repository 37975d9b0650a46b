"""An exported network as one compiled function, so that a decision costs little more than its arithmetic.

The weights come from the ONNX file and the operations are those of its graph, in float32. onnxruntime, which runs the
graph itself (`rl_strategies.policy.onnx_network`), stays the reference: a bundle is refused if either no longer gives
the golden outputs. No sum is reordered and no multiplication fused, so the same file gives the same bits on every
machine. `rl_strategies.policy.network` chooses between the two.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from catalogs.compiled import inlined, kernel
from catalogs.errors import InputError
from rl_strategies.decision.actions import ACTIONS, FLAT
from rl_strategies.policy.onnx_network import ACTIVATIONS, NetworkShape, check_finite, member_prefix

LSTM: Final = -1  # kind of an LSTM layer in the layout; a dense layer's kind is the index of its activation
TANH: Final = ACTIVATIONS.index("Tanh")
RELU: Final = ACTIVATIONS.index("Relu")

# tanh as a quotient of polynomials in x*x (Eigen's coefficients), computed in double precision: within 3e-8.
_TANH_LIMIT = 9.0
_P = (
    4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08, -8.60467152213735e-11,
    2.00018790482477e-13, -2.76076847742355e-16,
)  # fmt: skip
_Q = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
_HALF, _ZERO = np.float32(0.5), np.float32(0.0)


class Layer(NamedTuple):
    """Weights of a layer in the shapes of torch and ONNX; an LSTM's gates in the order of ONNX.

    Attributes
    ----------
    kind : int
        `LSTM`, or the index of a dense layer's activation in `rl_strategies.policy.onnx_network.ACTIVATIONS`.
    bias : float32[outputs], or float32[4 * outputs]
    weight : float32[outputs, inputs], or float32[4 * outputs, inputs]
    recurrent : float32[4 * outputs, outputs], or None
    """

    kind: int
    bias: NDArray[np.float32]
    weight: NDArray[np.float32]
    recurrent: NDArray[np.float32] | None = None


def pack(layers: Sequence[Layer]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Layers as `run_layers` reads them: int64[layers, 3] (kind, inputs, outputs) and all weights in one array.

    Per layer the bias, then the weights input by input.
    """
    layout = [
        (layer.kind, layer.weight.shape[1], len(layer.bias) // (4 if layer.kind == LSTM else 1)) for layer in layers
    ]
    parts = [part.T for layer in layers for part in layer[1:] if part is not None]
    return np.array(layout, np.int64), np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def room(layout: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``values`` and ``sums`` for `run_layers`."""
    widest = int(layout[:, 1:].max())
    return np.zeros(widest, np.float32), np.zeros(4 * widest, np.float32)


class CompiledNetwork:
    """Runs an exported network for one lane; replaces `rl_strategies.policy.onnx_network.RecurrentNetwork` there.

    Parameters
    ----------
    content : bytes
        An ONNX file written by `training.export.export_onnx`.
    shape : NetworkShape
        Shape stored in that file, with ``activations``.
    member : int
        Member of an ensemble to run, counted from 0.
    state : float32[2, members * layers, 1, hidden], optional
        State of the whole ensemble, of which this member uses its own layers.

    Attributes
    ----------
    shape : NetworkShape
    columns : int
        Leading columns of an observation that the network sees; the rest are the mask.
    logits : float32[1, n_instruments * n_actions]
        Logits of the last run, -inf where the mask forbids an action; overwritten by the next.
    state : float32[2, layers, 1, hidden]
        Hidden, then cell state that the next run starts from; writable.

    Raises
    ------
    InputError
        If the file lacks a weight.
    """

    def __init__(
        self, content: bytes, shape: NetworkShape, member: int = 0, state: NDArray[np.float32] | None = None
    ) -> None:
        found = _weights(content, shape, member)
        self.shape = shape
        self.logits = np.zeros((1, shape.n_instruments * shape.n_actions), np.float32)
        if state is None:
            state = np.zeros((2, shape.lstm_layers, 1, shape.lstm_hidden_size), np.float32)
        self.state = state
        self._first_layer = member * shape.lstm_layers
        self._logits = self.logits[0]
        self._expected = (shape.n_observations,)
        # mean, deviation and the limits of clipping, as far as the observation is normalised
        limits = (np.full_like(found["mean"], found[name]) for name in ("clip_low", "clip_high"))
        self._statistics = np.stack([found["mean"], found["deviation"], *limits])
        self.columns = self._statistics.shape[1]
        self._held = np.array(shape.held_columns, np.int64)
        self._abstains = member in shape.abstaining_members if shape.members > 1 else shape.abstains
        self._keep_logit = np.float32(shape.keep_logit)
        self._layout, self._weights = pack(_layers(found, shape))
        self._values, self._sums = room(self._layout)

    def step(self, observation: NDArray[np.float32]) -> int:
        """Advance by one observation, float32[n_observations]; see `RecurrentNetwork.step`."""
        if observation.shape != self._expected:
            raise InputError(f"observation must have shape {self._expected}, was {observation.shape}")
        largest = forward(
            observation, self._statistics, self._layout, self._weights, self.state, self._first_layer, self._values,
            self._sums, self._held, self._keep_logit, self._abstains, self._logits,
        )  # fmt: skip
        if largest < 0:
            check_finite(observation[np.newaxis])
        return largest


@kernel
def forward(  # type: ignore[no-untyped-def]
    observation, statistics, layout, weights, state, first_layer, values, sums, held, keep_logit, abstains, logits
):
    """One step; returns the index of the largest logit, or -1, without any change, if the observation is not finite.

    ``statistics`` float64[4, columns]; ``layout`` and ``weights`` from `pack`; ``state``,
    ``first_layer``, ``values`` and ``sums`` as in `run_layers`; ``held`` int64[K] or int64[0], columns with the side
    held, the logit of which gets ``keep_logit`` more; with ``abstains`` only flat is possible. Writes ``state`` and
    ``logits``.
    """
    columns = statistics.shape[1]
    for i in range(observation.shape[0]):
        if not np.isfinite(observation[i]):
            return -1
    for i in range(columns):
        scaled = (np.float64(observation[i]) - statistics[0, i]) / statistics[1, i]
        values[i] = min(max(scaled, statistics[2, i]), statistics[3, i])
    run_layers(layout, weights, state, first_layer, values, sums)
    for k in range(held.shape[0]):
        for action in range(ACTIONS):
            if abs(observation[held[k]] - np.float32(action - FLAT)) < _HALF:
                values[ACTIONS * k + action] += keep_logit
    for j in range(logits.shape[0]):
        masked = columns < observation.shape[0] and not observation[columns + j] > _HALF
        if abstains:
            masked = j % ACTIONS != FLAT
        logits[j] = -np.inf if masked else values[j]
    largest = 0
    for j in range(1, logits.shape[0]):
        if logits[j] > logits[largest]:
            largest = j
    return largest


@kernel
def run_layers(layout, weights, state, first_layer, values, sums):  # type: ignore[no-untyped-def]
    """Run one observation through all layers; ``values``, float32[w], holds the inputs, then the outputs.

    ``state`` float32[2, lstm layers, 1, hidden] is advanced, from ``first_layer`` on; ``sums`` float32[4 w] is working
    memory.
    """
    at, memory = 0, first_layer
    for k in range(layout.shape[0]):
        kind, inputs, outputs = layout[k, 0], layout[k, 1], layout[k, 2]
        width = 4 * outputs if kind == LSTM else outputs
        for j in range(width):
            sums[j] = weights[at + j]
        at = _add_products(sums, values, inputs, weights, at + width, width)
        if kind == LSTM:
            hidden, cell = state[0, memory, 0], state[1, memory, 0]
            at = _add_products(sums, hidden, outputs, weights, at, width)
            _gate(sums, hidden, cell, values, outputs)
            memory += 1
        else:
            _activate(sums, values, outputs, kind)


@inlined
def _add_products(sums, values, inputs, weights, begin, width):  # type: ignore[no-untyped-def]
    # Input by input, not output by output: independent sums, which the compiler can vectorise.
    at = begin
    four = inputs - inputs % 4
    for i in range(0, four, 4):
        row, second = weights[at : at + width], weights[at + width : at + 2 * width]
        third, fourth = weights[at + 2 * width : at + 3 * width], weights[at + 3 * width : at + 4 * width]
        a, b, c, d = values[i], values[i + 1], values[i + 2], values[i + 3]
        for j in range(width):
            sums[j] += (a * row[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        at += 4 * width
    for i in range(four, inputs):
        row, value = weights[at : at + width], values[i]
        for j in range(width):
            sums[j] += value * row[j]
        at += width
    return at


@inlined
def _gate(sums, hidden, cell, out, n):  # type: ignore[no-untyped-def]
    # Gates in the order of ONNX: input, output, forget, cell.
    for j in range(3 * n):
        sums[j] = _HALF + _HALF * tanh(_HALF * sums[j])
    for j in range(3 * n, 4 * n):
        sums[j] = tanh(sums[j])
    for j in range(n):
        cell[j] = sums[2 * n + j] * cell[j] + sums[j] * sums[3 * n + j]
    for j in range(n):
        hidden[j] = sums[n + j] * tanh(cell[j])
        out[j] = hidden[j]


@inlined
def _activate(sums, out, n, kind):  # type: ignore[no-untyped-def]
    if kind == TANH:
        for j in range(n):
            out[j] = tanh(sums[j])
    elif kind == RELU:
        for j in range(n):
            out[j] = max(sums[j], _ZERO)
    else:
        for j in range(n):
            out[j] = sums[j]


@inlined
def tanh(value):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent of a float32, within 3e-8."""
    x = min(max(np.float64(value), -_TANH_LIMIT), _TANH_LIMIT)
    s = x * x
    p = ((((((_P[6] * s + _P[5]) * s + _P[4]) * s + _P[3]) * s + _P[2]) * s + _P[1]) * s + _P[0]) * x
    return np.float32(p / (((_Q[3] * s + _Q[2]) * s + _Q[1]) * s + _Q[0]))


def _weights(content: bytes, shape: NetworkShape, member: int) -> dict[str, NDArray[np.float32]]:
    prefix = member_prefix(member) if shape.members > 1 else ""
    initializers = onnx.load_from_string(content).graph.initializer
    found = {
        tensor.name.removeprefix(prefix): numpy_helper.to_array(tensor)
        for tensor in initializers
        if tensor.name.startswith(prefix)
    }
    missing = [f"{prefix}{name}" for name in _names(shape) if name not in found]
    if missing:
        raise InputError(f"policy network lacks the weights {', '.join(missing)}")
    return found


def _names(shape: NetworkShape) -> list[str]:
    assert shape.activations is not None
    lstm = [f"{part}_{k}" for k in range(shape.lstm_layers) for part in ("w_input", "w_hidden", "bias")]
    head = [f"{part}_{k}" for k in range(len(shape.activations)) for part in ("weight", "head_bias")]
    return ["mean", "deviation", "clip_low", "clip_high", *lstm, *head]


def _layers(found: dict[str, NDArray[np.float32]], shape: NetworkShape) -> list[Layer]:
    lstm = (
        Layer(
            LSTM, found[f"bias_{k}"][0].reshape(2, -1).sum(axis=0), found[f"w_input_{k}"][0], found[f"w_hidden_{k}"][0]
        )
        for k in range(shape.lstm_layers)
    )
    head = (
        Layer(ACTIVATIONS.index(activation), found[f"head_bias_{k}"], found[f"weight_{k}"])
        for k, activation in enumerate(shape.activations or ())
    )
    return [*lstm, *head]
