"""Export of a trained model to an ONNX file that trades without torch, with golden outputs to check it by.

The graph takes raw observations: it contains the normaliser's statistics and clipping, in float64 as VecNormalize
computes them. It is built node by node, because the network is small and fixed, from the operators of ONNX opset 20.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from onnx import TensorProto
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from catalogs.errors import InputError
from rl_strategies.bundle.golden import Golden
from rl_strategies.decision.actions import ACTIONS, FLAT
from rl_strategies.policy.onnx_network import NetworkShape
from training.algorithms.masking import IMPOSSIBLE
from training.algorithms.normalize import MaskedVecNormalize
from training.networks.layers import as_array, dense_layers, gates_as_onnx
from training.onnx_graph import Graph


def export_onnx(model: BaseAlgorithm, vecnormalize: VecNormalize, path: Path, *, abstains: bool = False) -> None:
    """Write the actor, normaliser included, as one ONNX file.

    The graph is ``(obs f32[b, n], h f32[layers, b, hidden], c f32[layers, b, hidden], episode_start f32[b]) ->
    (logits f32[b, actions], h_next, c_next)`` with any batch size ``b``; 1 in ``episode_start`` clears the
    state of that row first. A network without memory has only ``obs`` and ``logits``. The last columns
    of ``obs`` may be an action mask: forbidden actions have logit -inf. Sizes are in the metadata
    (`rl_strategies.policy.onnx_network.NetworkShape`).

    Parameters
    ----------
    model : BaseAlgorithm
        Model of `training.algorithms.build` with Discrete or MultiDiscrete actions of equal sizes, flat observations.
    vecnormalize : VecNormalize
        Normaliser whose present statistics are copied.
    path : Path
        Replaced if it exists.
    abstains : bool
        Export a policy that stays flat: every other action has logit -inf.
    """
    policy: Any = model.policy
    lstm: nn.LSTM | None = getattr(policy, "lstm_actor", None)
    head = dense_layers(policy.decision_layers())
    shape = _shape(model, lstm, tuple(activation for _, activation in head), abstains)
    graph = Graph()
    _normalise(graph, vecnormalize, shape.n_observations - policy.mask_columns)
    if lstm is None:
        graph.add("Identity", ["normalised"], "hidden_0")
    else:
        _lstm(graph, lstm)
    _head(graph, head)
    _keep(graph, shape)
    _mask(graph, shape.n_observations - policy.mask_columns, policy.mask_columns)
    _abstain(graph, shape)
    graph.save(shape, path)


def _shape(model: BaseAlgorithm, lstm: nn.LSTM | None, activations: tuple[str, ...], abstains: bool) -> NetworkShape:
    space: Any = model.action_space
    sizes = {int(space.n)} if isinstance(space, spaces.Discrete) else {int(size) for size in space.nvec}
    if len(sizes) > 1:
        raise InputError(f"action space: must have the same number of actions for every instrument, was {space}")
    observations: Any = model.observation_space
    return NetworkShape(
        n_observations=observations.shape[0],
        n_actions=sizes.pop(),
        lstm_layers=lstm.num_layers if lstm else 0,
        lstm_hidden_size=lstm.hidden_size if lstm else 0,
        n_instruments=1 if isinstance(space, spaces.Discrete) else len(space.nvec),
        activations=activations,
        held_columns=tuple(getattr(model.policy, "held_columns", ())),
        keep_logit=float(getattr(model.policy, "keep_logit", 0.0)),
        abstains=abstains,
    )


def golden_observations(
    vecnormalize: VecNormalize, *, n_steps: int = 64, n_envs: int = 4, seed: int = 0
) -> NDArray[np.float32]:
    """Observations for `golden_outputs`: normal draws with the normaliser's mean and twice its standard deviation.

    Drawn, not recorded, so that a bundle contains no market data; twice the deviation, so that clipping occurs.

    Returns
    -------
    float32[n_steps, n_envs, n_observations]
    """
    mean, deviation = _statistics(vecnormalize)
    generator = np.random.default_rng(seed)
    draws = generator.normal(size=(n_steps, n_envs, len(mean)))
    observations = (mean + 2.0 * deviation * draws).astype(np.float32)
    held = _held_columns(vecnormalize)
    observations[..., held] = generator.integers(-1, 2, size=(n_steps, n_envs, len(held)))
    masked = vecnormalize.mask_columns if isinstance(vecnormalize, MaskedVecNormalize) else 0
    if masked:
        mask = generator.integers(2, size=(n_steps, n_envs, masked))
        mask[..., FLAT::ACTIONS] = 1  # something must be allowed
        observations[..., -masked:] = mask
    return observations


def golden_outputs(
    model: BaseAlgorithm,
    vecnormalize: VecNormalize,
    observations: NDArray[np.float32],
    *,
    episode_length: int = 16,
    tolerance: float = 1e-5,
    abstains: bool = False,
) -> Golden:
    """Log-probabilities of the trained model over a few recurrent rollouts, computed with torch.

    Parameters
    ----------
    model, vecnormalize
        As trained. VecNormalize's own code normalises here, not the exported graph.
    observations : float32[n_steps, n_envs, n_observations]
    episode_length : int
        Environment ``i`` starts a new episode every ``episode_length + i`` steps, so that memory and resets both count.
    tolerance : float
        Largest difference of a log-probability that later checks accept.
    abstains : bool
        Outputs of a policy that stays flat, as in `export_onnx`.

    Returns
    -------
    Golden
    """
    n_steps, n_envs, _ = observations.shape
    steps = np.arange(n_steps)[:, np.newaxis]
    episode_start = steps % (episode_length + np.arange(n_envs)) == 0
    policy: Any = model.policy
    policy.set_training_mode(False)
    lstm = getattr(policy, "lstm_actor", None)
    state = lstm and tuple(torch.zeros(lstm.num_layers, n_envs, lstm.hidden_size, device=model.device) for _ in "hc")
    log_probs = []
    with torch.no_grad():
        for observation, start in zip(observations, episode_start, strict=True):
            normalised = torch.as_tensor(vecnormalize.normalize_obs(observation), device=model.device)
            if lstm is None:
                decision = policy.get_distribution(normalised)
            else:
                starts = torch.as_tensor(start, dtype=torch.float32, device=model.device)
                decision, state = policy.get_distribution(normalised, state, starts)
            log_probs.append(_log_probs(decision))
    outputs = np.stack(log_probs)
    if abstains:
        outputs[:] = np.where(np.arange(outputs.shape[-1]) == FLAT, 0.0, -np.inf)
    return Golden(observations, episode_start, outputs, tolerance)


def _log_probs(decision: Any) -> NDArray[np.float32]:
    if isinstance(decision.distribution, list):
        logits = torch.stack([part.logits for part in decision.distribution], dim=1)
    else:
        logits = decision.distribution.logits
    # torch keeps masked logits finite; in the exported graph they are -inf.
    return logits.masked_fill(logits < IMPOSSIBLE / 2, -torch.inf).cpu().numpy()


def _statistics(vecnormalize: VecNormalize) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    statistics: Any = vecnormalize.obs_rms
    mean, deviation = statistics.mean.copy(), np.sqrt(statistics.var + vecnormalize.epsilon)
    held = _held_columns(vecnormalize)
    mean[held], deviation[held] = 0.0, 1.0  # these pass unchanged
    return mean, deviation


def _held_columns(vecnormalize: VecNormalize) -> list[int]:
    return list(vecnormalize.held_columns) if isinstance(vecnormalize, MaskedVecNormalize) else []


def _normalise(graph: Graph, vecnormalize: VecNormalize, columns: int) -> None:
    mean, deviation = (statistic[:columns] for statistic in _statistics(vecnormalize))
    first, last = graph.constant("first_column", [0], np.int64), graph.constant("mask_begins", [columns], np.int64)
    graph.add("Slice", ["obs", first, last, graph.constant("column_axis", [1], np.int64)], "observed")
    graph.add("Cast", ["observed"], "obs_f64", to=TensorProto.DOUBLE)
    graph.add("Sub", ["obs_f64", graph.constant("mean", mean, np.float64)], "centred")
    graph.add("Div", ["centred", graph.constant("deviation", deviation, np.float64)], "scaled")
    low = graph.constant("clip_low", -vecnormalize.clip_obs, np.float64)
    high = graph.constant("clip_high", vecnormalize.clip_obs, np.float64)
    graph.add("Clip", ["scaled", low, high], "clipped")
    graph.add("Cast", ["clipped"], "normalised", to=TensorProto.FLOAT)


def _lstm(graph: Graph, lstm: nn.LSTM) -> None:
    # The LSTM operator wants a leading time axis; here time is always one step.
    graph.add("Unsqueeze", ["normalised", graph.constant("time_axis", [0], np.int64)], "sequence_0")
    graph.add("Sub", [graph.constant("one", 1.0, np.float32), "episode_start"], "keep")
    graph.add("Unsqueeze", ["keep", graph.constant("state_axes", [0, 2], np.int64)], "keep_state")
    layers = range(lstm.num_layers)
    for part in ("h", "c"):
        graph.add("Mul", [part, "keep_state"], f"{part}_kept")
        graph.add("Split", [f"{part}_kept"], [f"{part}_{k}" for k in layers], axis=0, num_outputs=lstm.num_layers)
    for k, weights in enumerate(lstm.all_weights):
        w_input, w_hidden, b_input, b_hidden = (gates_as_onnx(w) for w in weights)
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


def _head(graph: Graph, layers: list[tuple[nn.Linear, str]]) -> None:
    for k, (linear, activation) in enumerate(layers):
        weight = graph.constant(f"weight_{k}", as_array(linear.weight), np.float32)
        bias = graph.constant(f"head_bias_{k}", as_array(linear.bias), np.float32)
        graph.add("Gemm", [f"hidden_{k}", weight, bias], f"dense_{k}", transB=1)
        output = "learned" if k == len(layers) - 1 else f"hidden_{k + 1}"
        graph.add(activation, [f"dense_{k}"], output)


def _keep(graph: Graph, shape: NetworkShape) -> None:
    # Adds keep_logit to the logit of the side that each instrument holds.
    if not shape.held_columns:
        graph.add("Identity", ["learned"], "preferences")
        return
    sides = np.arange(shape.n_actions, dtype=np.float32) - FLAT
    columns = graph.constant("held_columns", shape.held_columns, np.int64)
    graph.add("Gather", ["obs", columns], "held", axis=1)
    graph.add("Unsqueeze", ["held", graph.constant("side_axis", [2], np.int64)], "held_side")
    graph.add("Sub", ["held_side", graph.constant("sides", sides, np.float32)], "distance")
    graph.add("Abs", ["distance"], "apart")
    graph.add("Less", ["apart", graph.constant("near", 0.5, np.float32)], "is_held")
    graph.add("Cast", ["is_held"], "kept", to=TensorProto.FLOAT)
    graph.add("Mul", ["kept", graph.constant("keep_logit", shape.keep_logit, np.float32)], "added_by_side")
    logits = graph.constant("logits_shape", [-1, shape.n_instruments * shape.n_actions], np.int64)
    graph.add("Reshape", ["added_by_side", logits], "added")
    graph.add("Add", ["learned", "added"], "preferences")


def _mask(graph: Graph, columns: int, mask_columns: int) -> None:
    if mask_columns == 0:
        graph.add("Identity", ["preferences"], "allowed_logits")
        return
    end = graph.constant("mask_ends", [columns + mask_columns], np.int64)
    graph.add("Slice", ["obs", "mask_begins", end, "column_axis"], "mask")
    graph.add("Greater", ["mask", graph.constant("half", 0.5, np.float32)], "allowed")
    graph.add("Where", ["allowed", "preferences", graph.constant("impossible", -np.inf, np.float32)], "allowed_logits")


def _abstain(graph: Graph, shape: NetworkShape) -> None:
    if not shape.abstains:
        graph.add("Identity", ["allowed_logits"], "logits")
        return
    # Flat keeps the network's finite output, whatever the mask says: there is always an action.
    is_flat = np.arange(shape.n_instruments * shape.n_actions) % shape.n_actions == FLAT
    graph.add(
        "Where",
        [graph.constant("is_flat", is_flat, np.bool_), "preferences", graph.constant("never", -np.inf, np.float32)],
        "logits",
    )
