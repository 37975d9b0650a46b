"""Weights and activations of torch layers, in the form that the exporter and the compiled layers need."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from catalogs.errors import InputError
from rl_strategies.policy.onnx_network import ACTIVATIONS

OPERATORS: dict[type[nn.Module], str] = {nn.Identity: "Identity", nn.Tanh: "Tanh", nn.ReLU: "Relu"}


def dense_layers(modules: list[nn.Module]) -> list[tuple[nn.Linear, str]]:
    """Each dense layer with the activation that follows it, of `rl_strategies.policy.onnx_network.ACTIVATIONS`.

    Raises
    ------
    InputError
        If a layer is of another kind.
    """
    layers: list[tuple[nn.Linear, str]] = []
    for module in modules:
        if isinstance(module, nn.Linear):
            layers.append((module, ACTIVATIONS[0]))
        elif type(module) in OPERATORS:
            layers[-1] = (layers[-1][0], OPERATORS[type(module)])
        else:
            raise InputError(f"network layer: must be Linear, Tanh or ReLU, was {type(module).__name__}")
    return layers


def gates_as_onnx(weight: torch.Tensor) -> NDArray[np.float32]:
    """Rows of an LSTM's weight or bias in the order of ONNX: input, output, forget, cell.

    torch stacks them input, forget, cell, output.
    """
    i, f, g, o = np.split(as_array(weight), 4)
    return np.concatenate([i, o, f, g])


def as_array(weight: torch.Tensor) -> NDArray[np.float32]:
    """Values of a parameter, on the CPU."""
    return weight.detach().cpu().numpy()
