"""The compiled network against NumPy in double precision; against torch and onnxruntime it is held by the export."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from catalogs.errors import InputError
from rl_strategies.policy.compiled_network import CompiledNetwork, tanh
from rl_strategies.policy.onnx_network import NetworkShape

Weights = dict[str, NDArray[np.float64]]
HIDDEN, WIDTH = 5, 6


def weights_of(shape: NetworkShape, columns: int, seed: int) -> Weights:
    """Normal draws under the names that an export gives."""
    rng = np.random.default_rng(seed)
    weights: Weights = {
        "mean": rng.normal(size=columns), "deviation": rng.uniform(0.5, 2.0, columns),
        "clip_low": np.array(-1.5), "clip_high": np.array(1.5),
    }  # fmt: skip
    size = columns
    for k in range(shape.lstm_layers):
        weights[f"w_input_{k}"] = rng.normal(size=(1, 4 * HIDDEN, size))
        weights[f"w_hidden_{k}"] = rng.normal(size=(1, 4 * HIDDEN, HIDDEN))
        weights[f"bias_{k}"] = rng.normal(size=(1, 8 * HIDDEN))
        size = HIDDEN
    for k, _ in enumerate(shape.activations or ()):
        width = shape.n_actions if k + 1 == len(shape.activations or ()) else WIDTH
        weights[f"weight_{k}"], weights[f"head_bias_{k}"] = rng.normal(size=(width, size)), rng.normal(size=width)
        size = width
    return weights


def file_of(weights: Weights) -> bytes:
    """An ONNX file that holds weights and nothing else, statistics in double precision as exported."""
    double = ("mean", "deviation", "clip_low", "clip_high")
    tensors = [
        numpy_helper.from_array(values.astype(np.float64 if name in double else np.float32), name)
        for name, values in weights.items()
    ]
    return onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], tensors)).SerializeToString()


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-values))


def answers(weights: Weights, shape: NetworkShape, observations: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Logits of every step; the LSTM's equations as the ONNX specification writes them."""
    columns = len(weights["mean"])
    states = [(np.zeros(HIDDEN), np.zeros(HIDDEN)) for _ in range(shape.lstm_layers)]
    found = []
    for row in observations:
        x = np.clip((row[:columns] - weights["mean"]) / weights["deviation"], -1.5, 1.5)
        for k, (h, c) in enumerate(states):
            w, r, b = (weights[f"{name}_{k}"][0] for name in ("w_input", "w_hidden", "bias"))
            i, o, f, g = np.split(w @ x + r @ h + b[: 4 * HIDDEN] + b[4 * HIDDEN :], 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            x = sigmoid(o) * np.tanh(c)
            states[k] = (x, c)
        for k, activation in enumerate(shape.activations or ()):
            x = weights[f"weight_{k}"] @ x + weights[f"head_bias_{k}"]
            x = {"Identity": x, "Tanh": np.tanh(x), "Relu": np.maximum(x, 0.0)}[activation]
        found.append(np.where(row[columns:] > 0.5, x, -np.inf) if columns < len(row) else x)
    return found


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("activations", [("Identity",), ("Tanh", "Identity"), ("Relu", "Tanh", "Identity")])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("columns", [1, 7])
def test_it_computes_what_the_equations_say(
    layers: int, activations: tuple[str, ...], masked: bool, columns: int
) -> None:
    mask = 3 if masked else 0
    shape = NetworkShape(columns + mask, 3, layers, HIDDEN if layers else 0, activations=activations)
    weights = weights_of(shape, columns, seed=layers)
    network = CompiledNetwork(file_of(weights), shape)
    rng = np.random.default_rng(1)
    observations = rng.normal(size=(50, columns + mask)).astype(np.float32)
    if masked:
        observations[:, columns:] = rng.integers(2, size=(50, 3))
    for row, expected in zip(observations, answers(weights, shape, observations), strict=True):
        largest = network.step(row)
        assert largest == network.logits[0].argmax()
        np.testing.assert_allclose(network.logits[0], expected, rtol=0, atol=3e-6)


def test_an_observation_that_is_no_such_is_refused_and_not_remembered() -> None:
    shape = NetworkShape(2, 3, 1, HIDDEN, activations=("Identity",))
    network = CompiledNetwork(file_of(weights_of(shape, 2, seed=0)), shape)
    network.step(np.array([0.3, -0.2], np.float32))
    before = network.state.copy()
    assert before.any()
    with pytest.raises(InputError, match=r"observation must have shape \(2,\), was \(3,\)"):
        network.step(np.zeros(3, np.float32))
    with pytest.raises(InputError, match="observations must be finite, was nan in lane 0, column 1"):
        network.step(np.array([0.3, np.nan], np.float32))
    np.testing.assert_array_equal(network.state, before)


# Float64 text is exact, so equal lines are equal bits.
WALK = """
import numpy as np
from rl_strategies.policy.compiled_network import LSTM, Layer, pack, room, run_layers
rng = np.random.default_rng(0)
normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
layout, weights = pack([Layer(LSTM, normal(64), normal(64, 9), normal(64, 16)), Layer(1, normal(3), normal(3, 16))])
values, sums = room(layout)
state = np.zeros((2, 1, 1, 16), np.float32)
for _ in range(5):
    values[:9] = normal(9)
    run_layers(layout, weights, state, 0, values, sums)
    print(values[:3].tolist(), state.tolist())
"""


def walked(**environment: str) -> str:
    """What `WALK` prints in a process of its own."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", WALK]
    done = subprocess.run(command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compiled_and_interpreted_give_the_same_bits() -> None:
    # No sum is reordered, no multiplication fused: so it is for every processor that the kernel is compiled for.
    compiled = walked()
    assert compiled.count("\n") == 5
    assert compiled == walked(NUMBA_DISABLE_JIT="1")


def test_tanh_is_that_of_the_standard_library() -> None:
    values = np.linspace(-12.0, 12.0, 4001, dtype=np.float32)
    found = np.array([tanh(value) for value in values])
    np.testing.assert_allclose(found, [math.tanh(value) for value in values], rtol=0, atol=6e-8)
    assert np.abs(found).max() <= 1.0


def test_a_file_without_its_weights_is_refused() -> None:
    shape = NetworkShape(2, 3, 1, HIDDEN, activations=("Tanh", "Identity"))
    weights = weights_of(shape, 2, seed=0)
    del weights["w_hidden_0"], weights["head_bias_1"]
    with pytest.raises(InputError, match="lacks the weights w_hidden_0, head_bias_1"):
        CompiledNetwork(file_of(weights), shape)
