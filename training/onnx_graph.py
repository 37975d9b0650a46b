"""An ONNX graph built node by node, with the inputs, outputs and metadata of an exported policy."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from catalogs.cache import written_aside
from rl_strategies.policy.onnx_network import METADATA_KEY, NetworkShape, inputs_of, outputs_of

OPSET = 20
IR_VERSION = 10


class Graph:
    """Nodes and constants of a graph, in the order in which they run.

    Attributes
    ----------
    nodes : list of onnx.NodeProto
    constants : list of onnx.TensorProto
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any, dtype: type[np.generic]) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, inputs: list[str], outputs: list[str] | str, **attributes: Any) -> None:
        """Add a node, which is named as its last output."""
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[-1], **attributes))

    def save(self, shape: NetworkShape, path: Path) -> None:
        """Check the graph and write it with its shape; ``path`` is replaced if it exists."""
        content = self._model(shape)
        onnx.checker.check_model(content, full_check=True)
        with written_aside(path) as aside:
            onnx.save(content, aside)

    def _model(self, shape: NetworkShape) -> onnx.ModelProto:
        state = [shape.state_layers, "b", shape.lstm_hidden_size]
        logits = ["b", shape.n_instruments * shape.n_actions]
        sizes = {"obs": ["b", shape.n_observations], "h": state, "c": state, "episode_start": ["b"]}
        sizes |= {"logits": logits, "h_next": state, "c_next": state}
        inputs, outputs = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes[name]) for name in names]
            for names in (inputs_of(shape), outputs_of(shape))
        )
        graph = helper.make_graph(self.nodes, "policy", inputs, outputs, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="rl-intraday")
        helper.set_model_props(model, {METADATA_KEY: msgspec.json.encode(shape).decode()})
        return model
