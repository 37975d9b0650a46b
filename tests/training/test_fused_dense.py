"""The compiled dense layers against torch's own in double precision."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from training.networks import fused_dense


@settings(max_examples=40)
@given(
    widths=st.lists(st.sampled_from([1, 3, 16, 31, 32, 64]), min_size=2, max_size=4),
    activation=st.sampled_from([nn.Tanh, nn.ReLU, nn.Identity]),
    rows=st.integers(1, 40),
    wants_inputs=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_outputs_and_gradients_are_those_of_torch(
    widths: list[int], activation: type[nn.Module], rows: int, wants_inputs: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    for columns, outputs in pairwise(widths):
        modules += [nn.Linear(columns, outputs), activation()]
    inputs = torch.randn(rows, widths[0], requires_grad=wants_inputs)
    weight = torch.randn(rows, widths[-1])
    assert fused_dense.can_run(modules)
    outputs = fused_dense.run(modules, inputs)
    (outputs * weight).sum().backward()

    double = copy.deepcopy(nn.Sequential(*modules)).double()
    double.zero_grad()
    leaf = inputs.detach().double().requires_grad_()
    expected = double(leaf)
    (expected * weight.double()).sum().backward()
    torch.testing.assert_close(outputs.double(), expected, rtol=1e-5, atol=1e-5)
    if wants_inputs:
        torch.testing.assert_close(inputs.grad, leaf.grad, rtol=1e-4, atol=1e-4, check_dtype=False)
    for ours, theirs in zip(nn.Sequential(*modules).parameters(), double.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4, check_dtype=False)


def test_rows_that_do_not_lie_side_by_side() -> None:
    torch.manual_seed(0)
    layer, wide = nn.Linear(5, 2), torch.randn(4, 64)
    inputs = wide[:, 3:8].requires_grad_()
    torch.testing.assert_close(fused_dense.run([layer], inputs), layer(inputs))
    fused_dense.run([layer], inputs).sum().backward()
    torch.testing.assert_close(layer.weight.grad, inputs.detach().sum(0).expand(2, 5))


@pytest.mark.parametrize(
    "modules", [[nn.Linear(3, 2, bias=False)], [nn.Linear(3, 2).double()], [nn.Linear(3, 2), nn.Sigmoid()]]
)
def test_unusual_layers_are_left_to_torch(modules: Any) -> None:
    assert not fused_dense.can_run(modules)
