"""Ensembles: several exported networks as one ONNX file, and the golden outputs of what they decide together.

The graph contains every member's as it was exported, with the members' recurrent states one after another in ``h`` and
``c``. The golden outputs are computed with NumPy from the members' own, so that they hold the graph to account.
"""

from collections.abc import Sequence
from math import log
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.bundle.golden import Golden
from rl_strategies.decision.actions import FLAT
from rl_strategies.policy.onnx_network import Combine, NetworkShape, RecurrentNetwork, member_prefix
from training.onnx_graph import Graph

SHARED_INPUTS = ("obs", "episode_start")


def export_ensemble(
    members: Sequence[bytes], path: Path, *, combine: Combine, mask_columns: int = 0, abstains: bool = False
) -> None:
    """Write exported networks as the members of one.

    Parameters
    ----------
    members : sequence of bytes
        Contents of files from `training.export.export_onnx`, of equal shapes. An abstaining one wants to be flat.
    path : Path
        Replaced if it exists.
    combine : {"mean", "agree"}
        See `rl_strategies.policy.onnx_network.NetworkShape`.
    mask_columns : int
        Last columns of the observation that are an action mask.
    abstains : bool
        Export a policy that stays flat.

    Raises
    ------
    InputError
        If there are fewer than two members or their shapes differ.
    """
    shapes = [RecurrentNetwork(content, n_lanes=1).shape for content in members]
    shape = _common(shapes)
    shape = msgspec.structs.replace(
        shape,
        members=len(members),
        combine=combine,
        abstaining_members=tuple(k for k, own in enumerate(shapes) if own.abstains),
        abstains=abstains or all(own.abstains for own in shapes),
    )
    graph = Graph()
    _split_state(graph, shape)
    for k, content in enumerate(members):
        _add_member(graph, onnx.load_from_string(content).graph, member_prefix(k))
    _join_state(graph, shape)
    _combine(graph, shape, mask_columns)
    graph.save(shape, path)


def ensemble_golden(
    members: Sequence[Golden], *, combine: Combine, mask_columns: int = 0, abstains: bool = False
) -> Golden:
    """Golden outputs of an ensemble from those of its members to the same observations.

    Parameters
    ----------
    members : sequence of Golden
        Of abstaining members as they abstain.
    combine, mask_columns, abstains
        As in `export_ensemble`.
    """
    first = members[0]
    each = np.stack([golden.log_probs for golden in members]).astype(np.float64)
    if abstains:
        outputs = np.full(first.log_probs.shape, -np.inf)
        outputs[..., FLAT] = 0.0
    else:
        outputs = _decided(each, _allowed(first, mask_columns), combine)
    return Golden(first.observations, first.episode_start, outputs.astype(np.float32), first.tolerance)


def smallest_margin(golden: Golden) -> float:
    """Smallest difference between the two likeliest actions of a decision.

    Where it is near zero, rounding decides which action is the likeliest, and with it whether members agree.
    """
    ordered = np.sort(golden.log_probs, axis=-1)
    return float((ordered[..., -1] - ordered[..., -2]).min())


def _common(shapes: Sequence[NetworkShape]) -> NetworkShape:
    alike = [msgspec.structs.replace(shape, abstains=False) for shape in shapes]
    if len(alike) < 2 or any(shape != alike[0] for shape in alike):
        raise InputError(f"an ensemble must have two or more members of equal shape, had {', '.join(map(str, alike))}")
    return alike[0]


def _decided(each: NDArray[np.float64], allowed: NDArray[np.bool_], combine: Combine) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):  # an impossible action has log-probability -inf
        together = np.log(np.exp(each).mean(axis=0))
    if combine == "agree":
        likeliest = each.argmax(axis=-1)
        stays_flat = (likeliest != likeliest[0]).any(axis=0) & allowed[..., FLAT]
        others = np.arange(each.shape[-1]) != FLAT
        together[stays_flat[..., np.newaxis] & others] = -np.inf
    together = np.where(allowed, together, -np.inf)
    return together - np.logaddexp.reduce(together, axis=-1, keepdims=True)


def _allowed(golden: Golden, mask_columns: int) -> NDArray[np.bool_]:
    if not mask_columns:
        return np.ones(golden.log_probs.shape, bool)
    return (golden.observations[..., -mask_columns:] > 0.5).reshape(golden.log_probs.shape)


def _split_state(graph: Graph, shape: NetworkShape) -> None:
    if shape.lstm_layers:
        for part in ("h", "c"):
            own = [f"{member_prefix(k)}{part}" for k in range(shape.members)]
            graph.add("Split", [part], own, axis=0, num_outputs=shape.members)


def _join_state(graph: Graph, shape: NetworkShape) -> None:
    if shape.lstm_layers:
        for part in ("h_next", "c_next"):
            graph.add("Concat", [f"{member_prefix(k)}{part}" for k in range(shape.members)], part, axis=0)


def _add_member(graph: Graph, own: onnx.GraphProto, prefix: str) -> None:
    def renamed(name: str) -> str:
        return name if name in ("", *SHARED_INPUTS) else f"{prefix}{name}"

    for constant in own.initializer:
        constant.name = renamed(constant.name)
        graph.constants.append(constant)
    for node in own.node:
        node.name = renamed(node.name)
        node.input[:], node.output[:] = ([renamed(name) for name in names] for names in (node.input, node.output))
        graph.nodes.append(node)


def _combine(graph: Graph, shape: NetworkShape, mask_columns: int) -> None:
    # One row per decision of an instrument; the members' axis comes first.
    rows = graph.constant("rows", [-1, shape.n_actions], np.int64)
    first = graph.constant("members_axis", [0], np.int64)
    for k in range(shape.members):
        graph.add("Reshape", [f"{member_prefix(k)}logits", rows], f"rows_{k}")
        graph.add("LogSoftmax", [f"rows_{k}"], f"log_probs_{k}", axis=1)
        graph.add("Unsqueeze", [f"log_probs_{k}", first], f"member_{k}")
    graph.add("Concat", [f"member_{k}" for k in range(shape.members)], "members", axis=0)
    graph.add("ReduceLogSumExp", ["members", first], "summed", keepdims=0)
    graph.add("Sub", ["summed", graph.constant("log_members", log(shape.members), np.float32)], "mean")
    graph.constant("never", -np.inf, np.float32)
    _allow(graph, shape, mask_columns)
    _agree(graph, shape)
    graph.add("Where", ["allowed", "decided", "never"], "decided_rows")
    width = graph.constant("logits_shape", [-1, shape.n_instruments * shape.n_actions], np.int64)
    graph.add("Reshape", ["decided_rows", width], "decided_logits")
    _abstain(graph, shape)


def _allow(graph: Graph, shape: NetworkShape, mask_columns: int) -> None:
    if not mask_columns:
        graph.constant("allowed", np.ones((1, shape.n_actions)), np.bool_)
        return
    begin = graph.constant("mask_begins", [shape.n_observations - mask_columns], np.int64)
    end = graph.constant("mask_ends", [shape.n_observations], np.int64)
    graph.add("Slice", ["obs", begin, end, graph.constant("column_axis", [1], np.int64)], "mask")
    graph.add("Reshape", ["mask", "rows"], "mask_rows")
    graph.add("Greater", ["mask_rows", graph.constant("half", 0.5, np.float32)], "allowed")


def _agree(graph: Graph, shape: NetworkShape) -> None:
    if shape.combine == "mean":
        graph.add("Identity", ["mean"], "decided")
        return
    graph.add("ArgMax", ["members"], "likeliest", axis=2, keepdims=0)
    for operator in ("ReduceMin", "ReduceMax"):
        graph.add(operator, ["likeliest", "members_axis"], operator, keepdims=0)
    graph.add("Equal", ["ReduceMin", "ReduceMax"], "agreed")
    graph.add("Not", ["agreed"], "differed")
    graph.add("Gather", ["allowed", graph.constant("flat", FLAT, np.int64)], "flat_allowed", axis=1)
    graph.add("And", ["differed", "flat_allowed"], "stays_flat")
    graph.add("Unsqueeze", ["stays_flat", graph.constant("action_axis", [1], np.int64)], "stays_flat_rows")
    others = graph.constant("others", np.arange(shape.n_actions) != FLAT, np.bool_)
    graph.add("And", ["stays_flat_rows", others], "ruled_out")
    graph.add("Where", ["ruled_out", "never", "mean"], "decided")


def _abstain(graph: Graph, shape: NetworkShape) -> None:
    if not shape.abstains:
        graph.add("Identity", ["decided_logits"], "logits")
        return
    is_flat = np.arange(shape.n_instruments * shape.n_actions) % shape.n_actions == FLAT
    flat = graph.constant("is_flat", is_flat, np.bool_)
    # Flat keeps the first member's finite output, whatever the mask says: there is always an action.
    graph.add("Where", [flat, f"{member_prefix(0)}preferences", "never"], "logits")
