"""Actor and critic of a recurrent policy as compiled functions: what a step of a rollout on a CPU needs.

torch spends more on calling a dozen small operations than on their arithmetic. The kernels are those that trade
(`rl_strategies.compiled_network`); updates stay torch's, and the first ratios of an update show that the two agree.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from torch import nn

from rl_strategies.compiled_network import pack, room, run_layers
from training.layers import OPERATORS, compiled_layers


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
        self._policy, self._lanes = policy, lanes
        lstm = policy.lstm_actor
        shape = (2, lstm.num_layers, lanes, lstm.hidden_size)
        self._actor_state = np.zeros(shape, np.float32)
        self._critic_state = np.zeros(shape, np.float32) if policy.lstm_critic is not None else self._actor_state
        (pi_h, pi_c), (vf_h, vf_c) = (torch.from_numpy(state) for state in (self._actor_state, self._critic_state))
        self.states = RNNStates((pi_h, pi_c), (vf_h, vf_c))
        self._actor = _Stack(self._actor_layers(), lanes)
        self._critic = _Stack(self._critic_layers(), lanes)

    @staticmethod
    def can_run(policy: Any) -> bool:
        """Whether a policy lies on a CPU and has no layers but those that are compiled."""
        modules = [*policy.mlp_extractor.policy_net, *policy.mlp_extractor.value_net]
        known = all(type(module) in {nn.Linear, *OPERATORS} for module in modules)
        plain = policy.lstm_actor.bias and not policy.lstm_actor.bidirectional and not policy.lstm_actor.proj_size
        return bool(known and plain and policy.device.type == "cpu")

    def begin(self, states: RNNStates) -> None:
        """Take over the policy's weights, and the states to go on from."""
        self._actor.take(self._actor_layers())
        self._critic.take(self._critic_layers())
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
        logits = self._actor.run(features, self._actor_state)
        if self._policy.lstm_critic is not None:
            values = self._critic.run(features, self._critic_state)
        else:
            seen = self._actor_state[0, -1] if self._policy.shared_lstm else features
            values = self._critic.run(seen, self._critic_state)
        return logits, values[:, 0]

    def _actor_layers(self) -> list[Any]:
        return compiled_layers(self._policy.lstm_actor, self._policy.decision_layers())

    def _critic_layers(self) -> list[Any]:
        policy = self._policy
        modules = [*policy.mlp_extractor.value_net, policy.value_net]
        if policy.lstm_critic is None and not policy.shared_lstm:
            modules = [policy.critic, *modules]
        return compiled_layers(policy.lstm_critic, modules)


class _Stack:
    def __init__(self, layers: list[Any], lanes: int) -> None:
        self.take(layers)
        self._values, self._sums = room(self._layout, lanes)
        self._outputs = int(self._layout[-1, 2])

    def take(self, layers: list[Any]) -> None:
        self._layout, self._weights = pack(layers)

    def run(self, inputs: NDArray[np.float32], state: NDArray[np.float32]) -> NDArray[np.float32]:
        self._values[:, : inputs.shape[1]] = inputs
        run_layers(self._layout, self._weights, state, self._values, self._sums)
        return self._values[:, : self._outputs].copy()
