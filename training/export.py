"""From a trained model to an ONNX file that trades without torch, and the outputs that prove it unchanged.

The graph takes raw observations: the normaliser's statistics and clipping are inside, in float64 as VecNormalize
computes them. It is built node by node because the network is small and fixed; the operators are those of the
ONNX specification, opset 20.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from catalogs.cache import written_aside
from catalogs.errors import InputError
from rl_strategies.golden import Golden
from rl_strategies.network import INPUTS, METADATA_KEY, OUTPUTS, NetworkShape
from training.recurrent_ppo import SequenceRecurrentPPO

OPSET = 20
IR_VERSION = 10
ACTIVATIONS: dict[type[nn.Module], str] = {nn.Tanh: "Tanh", nn.ReLU: "Relu"}


def export_onnx(model: SequenceRecurrentPPO, vecnormalize: VecNormalize, path: Path) -> None:
    """Write the actor, normaliser included, as one ONNX file.

    The graph is ``(obs f32[b, n], h f32[layers, b, hidden], c f32[layers, b, hidden], episode_start f32[b]) ->
    (logits f32[b, actions], h_next, c_next)`` with any batch size ``b``; 1 in ``episode_start`` clears a lane's
    state before it sees its observation. Sizes are in the metadata (`rl_strategies.network.NetworkShape`).

    Parameters
    ----------
    model : SequenceRecurrentPPO
        Discrete actions, flat observations.
    vecnormalize : VecNormalize
        Its statistics are copied as they are now.
    path : Path
        Replaced whole if it exists.
    """
    policy = model.policy
    lstm: nn.LSTM = policy.lstm_actor
    shape = NetworkShape(
        n_observations=lstm.input_size,
        n_actions=policy.action_net.out_features,
        lstm_layers=lstm.num_layers,
        lstm_hidden_size=lstm.hidden_size,
    )
    graph = _Graph()
    _normalise(graph, vecnormalize)
    _lstm(graph, lstm)
    _head(graph, [*policy.mlp_extractor.policy_net, policy.action_net])
    content = graph.model(shape)
    onnx.checker.check_model(content, full_check=True)
    with written_aside(path) as aside:
        onnx.save(content, aside)


def golden_observations(
    vecnormalize: VecNormalize, *, n_steps: int = 64, n_lanes: int = 4, seed: int = 0
) -> NDArray[np.float32]:
    """Observations for `golden_outputs`: normal draws with the normaliser's mean and twice its deviation.

    Drawn rather than recorded, so that a bundle carries no row of anybody's market data; twice the deviation, so
    that clipping is reached.

    Returns
    -------
    float32[n_steps, n_lanes, n_observations]
    """
    mean, deviation = _statistics(vecnormalize)
    draws = np.random.default_rng(seed).normal(size=(n_steps, n_lanes, len(mean)))
    return (mean + 2.0 * deviation * draws).astype(np.float32)


def golden_outputs(
    model: SequenceRecurrentPPO,
    vecnormalize: VecNormalize,
    observations: NDArray[np.float32],
    *,
    episode_length: int = 16,
    tolerance: float = 1e-5,
) -> Golden:
    """What the trained model answers to a few recurrent rollouts, computed with torch.

    Parameters
    ----------
    model, vecnormalize
        As trained; VecNormalize's own code normalises here, not the exported graph.
    observations : float32[n_steps, n_lanes, n_observations]
    episode_length : int
        Lane ``i`` starts a new episode every ``episode_length + i`` steps, so that memory and resets both count.
    tolerance : float
        Largest difference of a log-probability that a later check accepts.

    Returns
    -------
    Golden
    """
    n_steps, n_lanes, _ = observations.shape
    steps = np.arange(n_steps)[:, np.newaxis]
    episode_start = steps % (episode_length + np.arange(n_lanes)) == 0
    policy = model.policy
    policy.set_training_mode(False)
    lstm = policy.lstm_actor
    state = tuple(torch.zeros(lstm.num_layers, n_lanes, lstm.hidden_size, device=model.device) for _ in "hc")
    log_probs = []
    with torch.no_grad():
        for observation, start in zip(observations, episode_start, strict=True):
            normalised = torch.as_tensor(vecnormalize.normalize_obs(observation), device=model.device)
            starts = torch.as_tensor(start, dtype=torch.float32, device=model.device)
            decision, state = policy.get_distribution(normalised, state, starts)
            log_probs.append(decision.distribution.logits.cpu().numpy())
    return Golden(observations, episode_start, np.stack(log_probs), tolerance)


class _Graph:
    # The pieces of an ONNX graph in the order in which they run.
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any, dtype: type[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], outputs: list[str] | str, **attributes: Any) -> None:
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[-1], **attributes))

    def model(self, shape: NetworkShape) -> onnx.ModelProto:
        state = [shape.lstm_layers, "b", shape.lstm_hidden_size]
        sizes_in = ["b", shape.n_observations], state, state, ["b"]
        sizes_out = ["b", shape.n_actions], state, state
        graph = helper.make_graph(
            self.nodes,
            "policy",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(INPUTS, sizes_in, strict=True)],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(OUTPUTS, sizes_out, strict=True)],
            self.constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="rl-intraday")
        helper.set_model_props(model, {METADATA_KEY: msgspec.json.encode(shape).decode()})
        return model


def _statistics(vecnormalize: VecNormalize) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    statistics: Any = vecnormalize.obs_rms
    return statistics.mean, np.sqrt(statistics.var + vecnormalize.epsilon)


def _normalise(graph: _Graph, vecnormalize: VecNormalize) -> None:
    mean, deviation = _statistics(vecnormalize)
    graph.add("Cast", ["obs"], "obs_f64", to=TensorProto.DOUBLE)
    graph.add("Sub", ["obs_f64", graph.constant("mean", mean, np.float64)], "centred")
    graph.add("Div", ["centred", graph.constant("deviation", deviation, np.float64)], "scaled")
    low = graph.constant("clip_low", -vecnormalize.clip_obs, np.float64)
    high = graph.constant("clip_high", vecnormalize.clip_obs, np.float64)
    graph.add("Clip", ["scaled", low, high], "clipped")
    graph.add("Cast", ["clipped"], "normalised", to=TensorProto.FLOAT)
    # The LSTM operator wants a leading time axis; here time is always one step.
    graph.add("Unsqueeze", ["normalised", graph.constant("time_axis", [0], np.int64)], "sequence_0")


def _lstm(graph: _Graph, lstm: nn.LSTM) -> None:
    graph.add("Sub", [graph.constant("one", 1.0, np.float32), "episode_start"], "keep")
    graph.add("Unsqueeze", ["keep", graph.constant("state_axes", [0, 2], np.int64)], "keep_state")
    layers = range(lstm.num_layers)
    for part in ("h", "c"):
        graph.add("Mul", [part, "keep_state"], f"{part}_kept")
        graph.add("Split", [f"{part}_kept"], [f"{part}_{k}" for k in layers], axis=0, num_outputs=lstm.num_layers)
    for k, weights in enumerate(lstm.all_weights):
        w_input, w_hidden, b_input, b_hidden = (_gates_as_onnx(w) for w in weights)
        names = [
            graph.constant(f"w_input_{k}", w_input[np.newaxis], np.float32),
            graph.constant(f"w_hidden_{k}", w_hidden[np.newaxis], np.float32),
            graph.constant(f"bias_{k}", np.concatenate([b_input, b_hidden])[np.newaxis], np.float32),
        ]
        inputs = [f"sequence_{k}", *names, "", f"h_{k}", f"c_{k}"]
        # With one step the last hidden state, [1, b, hidden], is also the whole output sequence.
        outputs = ["", f"sequence_{k + 1}", f"c_next_{k}"]
        graph.add("LSTM", inputs, outputs, hidden_size=lstm.hidden_size)
    graph.add("Concat", [f"sequence_{k + 1}" for k in layers], "h_next", axis=0)
    graph.add("Concat", [f"c_next_{k}" for k in layers], "c_next", axis=0)
    graph.add("Squeeze", [f"sequence_{lstm.num_layers}", "time_axis"], "hidden_0")


def _gates_as_onnx(weight: torch.Tensor) -> NDArray[np.float32]:
    # torch stacks the gates input, forget, cell, output; ONNX input, output, forget, cell.
    i, f, g, o = np.split(weight.detach().cpu().numpy(), 4)
    return np.concatenate([i, o, f, g])


def _head(graph: _Graph, modules: list[nn.Module]) -> None:
    for k, module in enumerate(modules):
        output = "logits" if k == len(modules) - 1 else f"hidden_{k + 1}"
        if isinstance(module, nn.Linear):
            weight = graph.constant(f"weight_{k}", module.weight.detach().cpu().numpy(), np.float32)
            bias = graph.constant(f"head_bias_{k}", module.bias.detach().cpu().numpy(), np.float32)
            graph.add("Gemm", [f"hidden_{k}", weight, bias], output, transB=1)
        elif type(module) in ACTIVATIONS:
            graph.add(ACTIVATIONS[type(module)], [f"hidden_{k}"], output)
        else:
            raise InputError(f"network layer: must be Linear, Tanh or ReLU, was {type(module).__name__}")
