"""The compiled layer against torch's own in double precision, over every shape that decides how it is computed."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from catalogs.compiled import kernel
from training.networks import fused_lstm
from training.networks.matmul import BLOCK_ROWS, PANEL, matmul, pack_panels, padded

multiply = kernel(lambda out, left, right, add: matmul(out, left, right, add))


@settings(max_examples=60)
@given(
    rows=st.integers(1, 3 * BLOCK_ROWS),
    depth=st.integers(0, 40),
    columns=st.integers(1, 3 * PANEL),
    add=st.booleans(),
    turned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_product_is_that_of_double_precision(
    rows: int, depth: int, columns: int, add: bool, turned: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    left = rng.standard_normal((depth, rows) if turned else (rows, depth), np.float32)
    right = rng.standard_normal((depth, columns), np.float32)
    # One row and one panel more than are written: they must stay as they were.
    out = rng.standard_normal((rows + 1, padded(columns) + PANEL), np.float32)
    before = out.copy()
    multiply(out, left.T if turned else left, pack_panels(right), add)
    exact = (left.T if turned else left).astype(float) @ right.astype(float) + add * before[:rows, :columns]
    np.testing.assert_allclose(out[:rows, :columns], exact, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(out[rows], before[rows])
    np.testing.assert_array_equal(out[:, padded(columns) :], before[:, padded(columns) :])


def falling(lengths: list[int]) -> NDArray[np.int64]:
    """Sequences that go on in each step, of the sequences' lengths."""
    return np.array([sum(length > step for length in lengths) for step in range(max(lengths))])


def exact(lstm: nn.LSTM, inputs: torch.Tensor, state: tuple[torch.Tensor, ...], counts: NDArray[np.int64]) -> Any:
    """Outputs and inputs' leaf of torch's layer in double precision, with its parameters."""
    double = nn.LSTM(lstm.input_size, lstm.hidden_size, lstm.num_layers).double()
    double.load_state_dict(lstm.state_dict())
    leaf = inputs.detach().double().requires_grad_()
    packed: Any = PackedSequence(leaf, torch.from_numpy(counts))
    return double(packed, tuple(part.double() for part in state))[0].data, leaf, double


def differ(ours: torch.Tensor | None, theirs: torch.Tensor | None) -> float:
    """Largest difference, as a part of the largest value if that is over one."""
    assert ours is not None
    assert theirs is not None
    scale = theirs.detach().abs().max().clamp(min=1.0)
    return float((ours.detach() - theirs.detach()).abs().max() / scale)


@settings(max_examples=40)
@given(
    columns=st.sampled_from([1, 3, 32, 45, 64]),
    hidden=st.sampled_from([1, 5, 16, 40, 64]),
    layers=st.integers(1, 2),
    # More sequences than a chunk has rows; sequences of one step; lengths around the edges of a chunk.
    lengths=st.lists(st.integers(1, 70), min_size=1, max_size=6) | st.just([3] * 70 + [1] * 9) | st.just([1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_outputs_and_gradients_are_those_of_torch(
    columns: int, hidden: int, layers: int, lengths: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    lstm, counts = nn.LSTM(columns, hidden, layers), falling(lengths)
    inputs = torch.randn(int(counts.sum()), columns, requires_grad=True)
    state = torch.randn(layers, len(lengths), hidden), torch.randn(layers, len(lengths), hidden)
    weight = torch.randn(len(inputs), hidden)
    assert fused_lstm.can_run(lstm)
    outputs = fused_lstm.run(lstm, inputs, state, counts)
    (outputs * weight).sum().backward()
    expected, leaf, double = exact(lstm, inputs, state, counts)
    (expected * weight.double()).sum().backward()
    assert differ(outputs, expected) <= 2e-6
    assert differ(inputs.grad, leaf.grad) <= 1e-5
    for ours, theirs in zip(lstm.parameters(), double.parameters(), strict=True):
        assert differ(ours.grad, theirs.grad) <= 1e-5


def test_inputs_without_gradient_change_no_other_gradient() -> None:
    torch.manual_seed(0)
    lstm, counts = nn.LSTM(7, 12), falling([9, 4, 4])
    state = torch.zeros(1, 3, 12), torch.zeros(1, 3, 12)
    gradients = []
    for wanted in (False, True):
        lstm.zero_grad()
        inputs = torch.ones(int(counts.sum()), 7, requires_grad=wanted)
        fused_lstm.run(lstm, inputs, state, counts).square().sum().backward()
        assert (inputs.grad is not None) == wanted
        gradients.append(torch.cat([p.grad.flatten() for p in lstm.parameters() if p.grad is not None]))
    assert torch.equal(*gradients)


def test_backward_may_run_twice() -> None:
    lstm, counts = nn.LSTM(3, 4), falling([5, 2])
    outputs = fused_lstm.run(lstm, torch.randn(7, 3), (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)), counts)
    loss = outputs.sum()
    loss.backward(retain_graph=True)
    once = lstm.weight_hh_l0.grad
    assert once is not None
    first = once.clone()
    loss.backward()
    torch.testing.assert_close(once, 2 * first)


@pytest.mark.parametrize(
    "options", [{"bias": False}, {"bidirectional": True}, {"proj_size": 2}, {"dtype": torch.float64}]
)
def test_unusual_layers_are_left_to_torch(options: dict[str, Any]) -> None:
    assert not fused_lstm.can_run(nn.LSTM(3, 4, **options))
