"""An exported ensemble as compiled functions: each member as a single network, then what they decide together.

As in `rl_strategies.policy.compiled_network`, onnxruntime stays the reference. Recurrent states have the same bits on
every machine; the logits are combined in double precision with the machine's exponential and logarithm.
"""

import math

import numpy as np
from numpy.typing import NDArray

from catalogs.compiled import inlined, kernel
from rl_strategies.decision.actions import ACTIONS, FLAT
from rl_strategies.policy.compiled_network import CompiledNetwork
from rl_strategies.policy.onnx_network import NetworkShape

_HALF = np.float32(0.5)


class CompiledEnsemble:
    """Runs an exported ensemble for one lane; replaces `rl_strategies.policy.onnx_network.RecurrentNetwork` there.

    Parameters
    ----------
    content : bytes
        An ONNX file written by `training.ensemble.export_ensemble`.
    shape : NetworkShape
        Shape stored in that file, with ``activations``.

    Attributes
    ----------
    shape : NetworkShape
    logits : float32[1, n_instruments * n_actions]
        Combined logits of the last run; overwritten by the next.
    state : float32[2, members * layers, 1, hidden]
        Hidden, then cell states that the next run starts from; writable.

    Raises
    ------
    InputError
        If the file lacks a weight.
    """

    def __init__(self, content: bytes, shape: NetworkShape) -> None:
        self.shape = shape
        self.logits = np.zeros((1, shape.n_instruments * shape.n_actions), np.float32)
        self.state = np.zeros((2, shape.state_layers, 1, shape.lstm_hidden_size), np.float32)
        self._members = [CompiledNetwork(content, shape, k, self.state) for k in range(shape.members)]
        self._each = np.zeros((shape.members, self.logits.shape[1]))
        self._columns = self._members[0].columns
        self._must_agree, self._abstains = shape.combine == "agree", shape.abstains

    def step(self, observation: NDArray[np.float32]) -> int:
        """Advance by one observation, float32[n_observations]; see `RecurrentNetwork.step`."""
        for k, member in enumerate(self._members):  # the first refuses what is not finite before any has changed
            member.step(observation)
            self._each[k] = member.logits[0]
        return combine(
            self._each, observation, self._columns, self._must_agree, self._abstains, self.logits[0]
        )  # fmt: skip


@kernel
def combine(each, observation, columns, must_agree, abstains, logits):  # type: ignore[no-untyped-def]
    """Write the combined logits; returns the index of the largest.

    ``each`` float64[members, K * actions], logits of the members, is overwritten with their log-probabilities; the
    mask, if there is one, begins at ``columns`` of ``observation``. With ``must_agree`` only flat is possible where the
    members' likeliest actions differ and the mask allows flat; with ``abstains`` everywhere.
    """
    is_masked = columns < observation.shape[0]
    for begin in range(0, logits.shape[0], ACTIONS):
        stays_flat = must_agree and _differ(each, begin)
        if is_masked and not observation[columns + begin + FLAT] > _HALF:
            stays_flat = False
        for m in range(each.shape[0]):
            _normalise(each[m], begin)
        for action in range(ACTIONS):
            j = begin + action
            masked = is_masked and not observation[columns + j] > _HALF
            if masked or (stays_flat and action != FLAT):
                logits[j] = -np.inf
            else:
                logits[j] = _log_mean(each[:, j])
            if abstains:
                logits[j] = 0.0 if action == FLAT else -np.inf
    largest = 0
    for j in range(1, logits.shape[0]):
        if logits[j] > logits[largest]:
            largest = j
    return largest


@inlined
def _differ(each, begin):  # type: ignore[no-untyped-def]
    differ = False
    for m in range(1, each.shape[0]):
        differ = differ or _likeliest(each[m], begin) != _likeliest(each[0], begin)
    return differ


@inlined
def _likeliest(logits, begin):  # type: ignore[no-untyped-def]
    largest = begin
    for j in range(begin + 1, begin + ACTIONS):
        if logits[j] > logits[largest]:
            largest = j
    return largest


@inlined
def _normalise(logits, begin):  # type: ignore[no-untyped-def]
    # From logits to log-probabilities; at least one is finite.
    highest = logits[_likeliest(logits, begin)]
    total = 0.0
    for j in range(begin, begin + ACTIONS):
        total += math.exp(logits[j] - highest)
    for j in range(begin, begin + ACTIONS):
        logits[j] -= highest + math.log(total)


@inlined
def _log_mean(log_probs):  # type: ignore[no-untyped-def]
    highest = log_probs[0]
    for m in range(1, log_probs.shape[0]):
        highest = max(highest, log_probs[m])
    if highest == -np.inf:
        return highest
    total = 0.0
    for m in range(log_probs.shape[0]):
        total += math.exp(log_probs[m] - highest)
    return highest + math.log(total / log_probs.shape[0])
