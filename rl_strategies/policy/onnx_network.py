"""An exported recurrent network on onnxruntime: observations in, logits out, memory carried between calls.

The interface of the ONNX file is defined here; `training.export` writes such files.
"""

from typing import Final, Literal

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from catalogs.errors import InputError

INPUTS: Final = ("obs", "h", "c", "episode_start")
OUTPUTS: Final = ("logits", "h_next", "c_next")
METADATA_KEY: Final = "rl_intraday.network"
ACTIVATIONS: Final = ("Identity", "Tanh", "Relu")
Combine = Literal["mean", "agree"]

_UNREADABLE = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class NetworkShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes of an exported network, kept in the ONNX file under `METADATA_KEY` as JSON.

    Attributes
    ----------
    n_observations : int
        Size of an observation, including the action mask if there is one.
    n_actions : int
        Choices per instrument.
    lstm_layers, lstm_hidden_size : int
        Size of the actor's LSTM, of each member of an ensemble; 0 layers for a network without memory, whose only input
        is ``obs``.
    n_instruments : int
        Instruments decided on at once.
    activations : tuple of str, optional
        Activation after each dense layer, one of `ACTIVATIONS`. Given if the graph is normalisation, LSTM layers, dense
        layers and mask, with the weight names that `rl_strategies.policy.compiled_network` reads; such a network can
        also run compiled.
    held_columns : tuple of int
        Places in the observation of the side that each instrument holds (-1, 0, 1), read only with ``keep_logit``.
    keep_logit : float
        Added to the logit of the action that keeps the side.
    abstains : bool
        Whether every action but flat has logit -inf: no trained state did better than doing nothing.
    members : int
        Networks of an ensemble; 1 for a single network.
    combine : {"mean", "agree"}
        How an ensemble decides. ``mean``: the logits are logarithms of the mean of the members' probabilities.
        ``agree``: the same, but where the members' likeliest actions differ, only flat is possible, unless the mask
        forbids it.
    abstaining_members : tuple of int
        Members, counted from 0, that always want to be flat.
    """

    n_observations: int
    n_actions: int
    lstm_layers: int
    lstm_hidden_size: int
    n_instruments: int = 1
    activations: tuple[str, ...] | None = None
    held_columns: tuple[int, ...] = ()
    keep_logit: float = 0.0
    abstains: bool = False
    members: int = 1
    combine: Combine = "mean"
    abstaining_members: tuple[int, ...] = ()

    @property
    def state_layers(self) -> int:
        """LSTM layers of all members together, one member's after another's: layers of the recurrent state."""
        return self.members * self.lstm_layers


class RecurrentNetwork:
    """Runs an exported network for a fixed number of lanes (independent sessions).

    Parameters
    ----------
    content : bytes
        An ONNX file written by `training.export.export_onnx`.
    n_lanes : int

    Attributes
    ----------
    shape : NetworkShape
    logits : float32[n_lanes, n_instruments * n_actions]
        Logits of the last run by instrument, -inf where the mask forbids an action; overwritten by the next.

    Raises
    ------
    InputError
        If the content is not an export of this project or ``n_lanes`` is below 1.

    Notes
    -----
    Normalisation is part of the graph: pass observations as the environment gives them. It uses one thread, so that
    runs are repeatable and never wait for a thread pool. Inputs and outputs are bound once and the state alternates
    between two buffers, so that a run allocates nothing.
    """

    def __init__(self, content: bytes, n_lanes: int) -> None:
        if n_lanes < 1:
            raise InputError(f"n_lanes must be at least 1, was {n_lanes}")
        self._session = _open(content)
        self.shape = _read_shape(self._session)
        self.logits = np.zeros((n_lanes, self.shape.n_instruments * self.shape.n_actions), np.float32)
        self._observations = np.zeros((n_lanes, self.shape.n_observations), np.float32)
        self._episode_start = np.zeros(n_lanes, np.float32)
        layers, hidden = self.shape.state_layers, self.shape.lstm_hidden_size
        self._states = np.zeros((2, 2, layers, n_lanes, hidden), np.float32)
        self._bindings = [self._bind(read=0), self._bind(read=1)]
        self._read = 0

    @property
    def state(self) -> NDArray[np.float32]:
        """float32[2, layers, n_lanes, hidden], hidden then cell state that the next run starts from; writable."""
        return self._states[self._read]

    def run(self, observations: NDArray[np.float32], episode_start: NDArray[np.bool_] | bool) -> None:
        """Advance every lane by one observation; results are in `logits`.

        Parameters
        ----------
        observations : float32[n_lanes, n_observations]
        episode_start : bool[n_lanes] or bool
            Lanes whose memory is cleared first.

        Raises
        ------
        InputError
            If the shape is wrong or a value is not finite; the memory is then unchanged.
        """
        if observations.shape != self._observations.shape:
            raise InputError(f"observations must have shape {self._observations.shape}, was {observations.shape}")
        check_finite(observations)
        self._observations[:] = observations
        self._episode_start[:] = episode_start
        self._session.run_with_iobinding(self._bindings[self._read])
        self._read = 1 - self._read

    def step(self, observation: NDArray[np.float32]) -> int:
        """Advance the only lane by one observation, float32[n_observations].

        Returns
        -------
        int
            Index of the largest logit: the likeliest action of a single instrument.

        Raises
        ------
        InputError
            As in `run`.
        """
        self.run(observation[np.newaxis], episode_start=False)
        return int(self.logits.argmax())

    def _bind(self, read: int) -> onnxruntime.IOBinding:
        binding = self._session.io_binding()
        state, next_state = self._states[read], self._states[1 - read]
        inputs = dict(zip(INPUTS, (self._observations, *state, self._episode_start), strict=True))
        outputs = dict(zip(OUTPUTS, (self.logits, *next_state), strict=True))
        for name in inputs_of(self.shape):
            binding.bind_input(name, "cpu", 0, np.float32, inputs[name].shape, inputs[name].ctypes.data)
        for name in outputs_of(self.shape):
            binding.bind_output(name, "cpu", 0, np.float32, outputs[name].shape, outputs[name].ctypes.data)
        return binding


def check_finite(observations: NDArray[np.float32]) -> None:
    """Refuse observations, float32[n_lanes, n], with a value that is not finite.

    A NaN would stay in the memory forever, and argmax reads NaN logits as action 0.

    Raises
    ------
    InputError
        The message names the first such value.
    """
    if not np.isfinite(observations).all():
        lane, column = np.argwhere(~np.isfinite(observations))[0]
        value = observations[lane, column]
        raise InputError(f"observations must be finite, was {value} in lane {lane}, column {column}")


def member_prefix(member: int) -> str:
    """What the names of a member's weights and nodes begin with, in the file of an ensemble."""
    return f"member_{member}/"


def inputs_of(shape: NetworkShape) -> tuple[str, ...]:
    """Names of a network's inputs; without memory only the observations."""
    return INPUTS if shape.lstm_layers else INPUTS[:1]


def outputs_of(shape: NetworkShape) -> tuple[str, ...]:
    """Names of a network's outputs."""
    return OUTPUTS if shape.lstm_layers else OUTPUTS[:1]


def _open(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except _UNREADABLE as error:
        raise InputError(f"policy network is not a readable ONNX graph: {error}") from error


def _read_shape(session: onnxruntime.InferenceSession) -> NetworkShape:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise InputError(f"policy network is not an export of this project: its metadata lack {METADATA_KEY!r}")
    return msgspec.json.decode(metadata[METADATA_KEY], type=NetworkShape)
