"""Actor and critic of a recurrent policy, compiled for the steps of a rollout on a CPU.

torch spends more time on calling a dozen small operations than on their arithmetic. The kernels are those of an update,
so that the probability ratios of the first minibatch are one.
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
from training.networks.matmul import pack_panels, padded


class RolloutNetwork:
    """Steps a policy through a rollout, all environments at once.

    Parameters
    ----------
    policy : SequenceLstmPolicy
        A policy whose layers run compiled (`training.networks.backend`). `begin` copies its weights.
    n_envs : int

    Attributes
    ----------
    states : RNNStates
        Views of the state before the next step; a critic without an LSTM has the actor's.
    """

    def __init__(self, policy: Any, n_envs: int) -> None:
        self._policy = policy
        lstm = policy.lstm_actor
        shape = (2, lstm.num_layers, n_envs, lstm.hidden_size)
        self._actor_state = np.zeros(shape, np.float32)
        self._critic_state = np.zeros(shape, np.float32) if policy.lstm_critic is not None else self._actor_state
        (pi_h, pi_c), (vf_h, vf_c) = (torch.from_numpy(state) for state in (self._actor_state, self._critic_state))
        self.states = RNNStates((pi_h, pi_c), (vf_h, vf_c))
        self._actor = _LstmStep(policy.lstm_actor, n_envs), _DenseStep(policy.decision_layers(), n_envs)
        self._critic = _LstmStep(policy.lstm_critic, n_envs), _DenseStep(policy.critic_layers(), n_envs)

    def begin(self, states: RNNStates) -> None:
        """Copy the policy's weights and the states to continue from."""
        for part in (*self._actor, *self._critic):
            part.copy_weights()
        for own, given in zip((*self.states.pi, *self.states.vf), (*states.pi, *states.vf), strict=True):
            own.copy_(given)

    def step(
        self, features: NDArray[np.float32], starts: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unmasked logits, float32[n_envs, n], and values, float32[n_envs], of the next observations.

        Parameters
        ----------
        features : float32[n_envs, columns]
            Observations without their mask.
        starts : bool[n_envs]
            Environments whose memory is cleared first.
        """
        if starts.any():
            cleared = starts.astype(bool)
            self._actor_state[:, :, cleared] = 0.0
            self._critic_state[:, :, cleared] = 0.0
        (actor_lstm, actor), (critic_lstm, critic) = self._actor, self._critic
        hidden = actor_lstm.run(features, self._actor_state)
        if self._policy.lstm_critic is not None:
            seen = critic_lstm.run(features, self._critic_state)
        else:
            seen = hidden if self._policy.shared_lstm else features
        return actor.run(hidden), critic.run(seen)[:, 0]


class _LstmStep:
    # LSTM layers, advanced by one step.

    def __init__(self, lstm: nn.LSTM | None, n_envs: int) -> None:
        self._lstm, self._one_step = lstm, np.array([0, n_envs])
        self._buffers: list[tuple[NDArray[np.float32], ...]] = []
        if lstm is not None:
            widths = padded(4 * lstm.hidden_size), lstm.hidden_size, lstm.hidden_size
            self._buffers = [tuple(np.empty((n_envs, n), np.float32) for n in widths) for _ in range(lstm.num_layers)]

    def copy_weights(self) -> None:
        weights = self._lstm.all_weights if self._lstm is not None else []
        self._weights = [
            (
                pack_panels(as_array(w_input).T),
                pack_panels(as_array(w_hidden).T),
                as_array(b_input) + as_array(b_hidden),
            )
            for w_input, w_hidden, b_input, b_hidden in weights
        ]

    def run(self, inputs: NDArray[np.float32], state: NDArray[np.float32]) -> NDArray[np.float32]:
        for k, (weights, buffers) in enumerate(zip(self._weights, self._buffers, strict=True)):
            fused_lstm.forward(inputs, self._one_step, *state[:, k], *weights, *buffers)
            _, cells, inputs = buffers
            state[0, k], state[1, k] = inputs, cells
        return inputs


class _DenseStep:
    # Dense layers.

    def __init__(self, modules: list[nn.Module], n_envs: int) -> None:
        self._layers, self._n_envs = dense_layers(modules), n_envs

    def copy_weights(self) -> None:
        self._weights = [
            (pack_panels(as_array(linear.weight).T), as_array(linear.bias), ACTIVATIONS.index(activation))
            for linear, activation in self._layers
        ]

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        for weight, bias, kind in self._weights:
            outputs = np.empty((self._n_envs, padded(len(bias))), np.float32)
            fused_dense.forward(inputs, weight, bias, kind, outputs)
            inputs = outputs[:, : len(bias)]
        return inputs
