"""Actor and critic of a recurrent policy as compiled functions: what a step of a rollout on a CPU needs.

torch spends more on calling a dozen small operations than on their arithmetic. The kernels are those of an update, so
that its first ratios are one.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from torch import nn

from rl_strategies.policy.onnx_network import ACTIVATIONS
from training.networks import fused_dense, fused_lstm
from training.networks.layers import as_array, dense_layers
from training.networks.matmul import padded, panels


class RolloutNetwork:
    """Steps a policy through a rollout, all environments at once.

    Parameters
    ----------
    policy : SequenceLstmPolicy
        One that `can_run` accepts. Its weights are taken over by `begin`.
    lanes : int

    Attributes
    ----------
    states : RNNStates
        Views of the state that the next step starts from; the critic's is the actor's where it has none of its own.
    """

    def __init__(self, policy: Any, lanes: int) -> None:
        self._policy = policy
        lstm = policy.lstm_actor
        shape = (2, lstm.num_layers, lanes, lstm.hidden_size)
        self._actor_state = np.zeros(shape, np.float32)
        self._critic_state = np.zeros(shape, np.float32) if policy.lstm_critic is not None else self._actor_state
        (pi_h, pi_c), (vf_h, vf_c) = (torch.from_numpy(state) for state in (self._actor_state, self._critic_state))
        self.states = RNNStates((pi_h, pi_c), (vf_h, vf_c))
        self._actor = _Memory(policy.lstm_actor, lanes), _Head(policy.decision_layers(), lanes)
        self._critic = _Memory(policy.lstm_critic, lanes), _Head(policy.critic_layers(), lanes)

    @staticmethod
    def can_run(policy: Any) -> bool:
        """Whether an update of a policy runs compiled, and a rollout with it."""
        modules = [*policy.decision_layers(), *policy.critic_layers()]
        return fused_lstm.can_run(policy.lstm_actor) and fused_dense.can_run(modules)

    def begin(self, states: RNNStates) -> None:
        """Take over the policy's weights, and the states to go on from."""
        for part in (*self._actor, *self._critic):
            part.take()
        for own, given in zip((*self.states.pi, *self.states.vf), (*states.pi, *states.vf), strict=True):
            own.copy_(given)

    def step(
        self, features: NDArray[np.float32], starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unmasked logits, float32[lanes, n], and values, float32[lanes], of the next observations.

        Parameters
        ----------
        features : float32[lanes, columns]
            Observations without their mask.
        starts : bool[lanes]
            Whose memory is cleared first.
        """
        if starts.any():
            cleared = starts.astype(bool)
            self._actor_state[:, :, cleared] = 0.0
            self._critic_state[:, :, cleared] = 0.0
        (actor_memory, actor), (critic_memory, critic) = self._actor, self._critic
        remembered = actor_memory.run(features, self._actor_state)
        if self._policy.lstm_critic is not None:
            seen = critic_memory.run(features, self._critic_state)
        else:
            seen = remembered if self._policy.shared_lstm else features
        return actor.run(remembered), critic.run(seen)[:, 0]


class _Memory:
    # LSTM layers, advanced by one step.

    def __init__(self, lstm: nn.LSTM | None, lanes: int) -> None:
        self._lstm, self._one_step = lstm, np.array([0, lanes])
        self._room: list[tuple[NDArray[np.float32], ...]] = []
        if lstm is not None:
            widths = padded(4 * lstm.hidden_size), lstm.hidden_size, lstm.hidden_size
            self._room = [tuple(np.empty((lanes, n), np.float32) for n in widths) for _ in range(lstm.num_layers)]

    def take(self) -> None:
        weights = self._lstm.all_weights if self._lstm is not None else []
        self._weights = [
            (panels(as_array(w_input).T), panels(as_array(w_hidden).T), as_array(b_input) + as_array(b_hidden))
            for w_input, w_hidden, b_input, b_hidden in weights
        ]

    def run(self, inputs: NDArray[np.float32], state: NDArray[np.float32]) -> NDArray[np.float32]:
        for k, (weights, room) in enumerate(zip(self._weights, self._room, strict=True)):
            fused_lstm.forward(inputs, self._one_step, *state[:, k], *weights, *room)
            _, cells, inputs = room
            state[0, k], state[1, k] = inputs, cells
        return inputs


class _Head:
    # Dense layers.

    def __init__(self, modules: list[nn.Module], lanes: int) -> None:
        self._layers, self._lanes = dense_layers(modules), lanes

    def take(self) -> None:
        self._weights = [
            (panels(as_array(linear.weight).T), as_array(linear.bias), ACTIVATIONS.index(activation))
            for linear, activation in self._layers
        ]

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        for weight, bias, kind in self._weights:
            outputs = np.empty((self._lanes, padded(len(bias))), np.float32)
            fused_dense.forward(inputs, weight, bias, kind, outputs)
            inputs = outputs[:, : len(bias)]
        return inputs
