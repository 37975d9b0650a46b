"""PPO with an LSTM: sb3-contrib's RecurrentPPO, with the LSTM called once per sequence instead of once per step.

Algorithm, minibatches and save format are sb3-contrib's. Batches are packed instead of padded and a rollout does less
work per step; results agree with the stock class up to float32 rounding.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from training.algorithms.masking import MaskedPolicy
from training.algorithms.sequence_buffer import LstmState, PackedStates, SequenceRolloutBuffer
from training.networks.backend import dense_outputs, lstm_outputs, rollout_network
from training.networks.categorical import draw, evaluate


class SequenceLstmPolicy(MaskedPolicy, RecurrentActorCriticPolicy):
    """Actor-critic whose LSTM takes whole sequences in one call.

    Stock sb3-contrib steps the LSTM through every minibatch in which an episode begins. Its buffer cuts minibatches at
    every episode start, so only the first step of a sequence can be one: `SequenceRolloutBuffer` zeroes the state there
    and packs the sequences. While acting (one step, no gradient) one fused cell per layer is called. Any other batch
    takes the stock path.
    """

    lstm_actor: nn.LSTM
    lstm_critic: nn.LSTM | None
    critic: nn.Linear
    shared_lstm: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The library's settings, but one call for all weights instead of one each.
        kwargs.setdefault("optimizer_kwargs", {"eps": 1e-5, "fused": True})
        super().__init__(*args, **kwargs)

    def evaluate_actions(  # type: ignore[override]  # of a base that sb3-contrib's recurrent policy replaces
        self,
        obs: torch.Tensor,
        actions: torch.Tensor,
        lstm_states: PackedStates | RNNStates,
        episode_starts: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Values, log-probabilities of the actions, and entropy, in the order of the batch."""
        if not isinstance(lstm_states, PackedStates):
            return RecurrentActorCriticPolicy.evaluate_actions(self, obs, actions, lstm_states, episode_starts)
        features: Any = self.extract_features(obs)
        hidden = lstm_outputs(self.lstm_actor, features, lstm_states.pi, lstm_states.counts)
        if self.lstm_critic is not None:
            seen = lstm_outputs(self.lstm_critic, features, lstm_states.vf, lstm_states.counts)
        else:
            seen = hidden.detach() if self.shared_lstm else features
        values = dense_outputs(self.critic_layers(), seen)
        logits = self.masked(dense_outputs(self.decision_layers(), hidden))
        return values, *evaluate(logits, actions, self.action_space)

    def critic_layers(self) -> list[nn.Module]:
        """Layers from the critic's LSTM output, or from the observation less its mask, to the value."""
        first = [self.critic] if self.lstm_critic is None and not self.shared_lstm else []
        return [*first, *self.mlp_extractor.value_net, self.value_net]

    @staticmethod
    def _process_sequence(
        features: torch.Tensor, lstm_states: LstmState, episode_starts: torch.Tensor, lstm: nn.LSTM
    ) -> tuple[torch.Tensor, LstmState]:
        one_step = len(features) == lstm_states[0].shape[1] and not torch.is_grad_enabled()
        if not one_step or not lstm.bias or lstm.bidirectional or lstm.proj_size:
            return RecurrentActorCriticPolicy._process_sequence(features, lstm_states, episode_starts, lstm)
        keep = (1.0 - episode_starts)[:, None]
        output, new_h, new_c = features, [], []
        for h, c, weights in zip(*lstm_states, lstm.all_weights, strict=True):
            output, cell = torch.lstm_cell(output, (h * keep, c * keep), *weights)
            new_h.append(output)
            new_c.append(cell)
        return output, (torch.stack(new_h), torch.stack(new_c))


class SequenceRecurrentPPO(RecurrentPPO):
    """RecurrentPPO that builds `SequenceLstmPolicy` under the name ``"MlpLstmPolicy"``, with a lean rollout.

    Parameters
    ----------
    seq_len : int, optional
        Longest sequence that gradients flow through, see `SequenceRolloutBuffer`; whole episodes if None.
    **kwargs
        Arguments of sb3-contrib's RecurrentPPO. Discrete or MultiDiscrete actions, flat observations.

    Examples
    --------
    >>> from stable_baselines3.common.env_util import make_vec_env
    >>> env = make_vec_env("CartPole-v1", n_envs=2, seed=0)
    >>> model = SequenceRecurrentPPO("MlpLstmPolicy", env, n_steps=8, batch_size=16, device="cpu")
    >>> type(model.policy).__name__
    'SequenceLstmPolicy'

    References
    ----------
    Schulman et al. (2017), "Proximal Policy Optimization Algorithms", arXiv:1707.06347.
    """

    policy_aliases: ClassVar[dict[str, type]] = {
        **RecurrentPPO.policy_aliases,
        "MlpLstmPolicy": SequenceLstmPolicy,
    }
    _last_obs: Any
    _last_episode_starts: Any
    _last_lstm_states: Any

    def __init__(self, *args: Any, seq_len: int | None = None, **kwargs: Any) -> None:
        self.seq_len = seq_len
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()
        # The stock class has no parameter for the buffer.
        self.rollout_buffer.__class__ = SequenceRolloutBuffer
        self.rollout_buffer.seq_len = self.seq_len
        self._network = rollout_network(self.policy, self.n_envs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_network"]

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer, as the stock method does with more work per step."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        if self._network is not None:
            self._network.begin(self._last_lstm_states)
            self._last_lstm_states = self._network.states
        for _ in range(n_rollout_steps):
            observations, starts = self._last_obs, self._last_episode_starts
            self._store_states(rollout_buffer)
            actions, values, log_prob, states = self._act(observations, starts)
            new_observations, rewards, dones, infos = env.step(actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            if dones.any():
                self._update_info_buffer(infos, dones)
                self._bootstrap_truncated(rewards, dones, infos, states)
            self._store(rollout_buffer, observations, actions, rewards, starts, values, log_prob)
            self._last_obs, self._last_episode_starts, self._last_lstm_states = new_observations, dones, states
        rollout_buffer.full = True
        with torch.no_grad():
            last = self.policy.predict_values(
                self._tensor(self._last_obs), self._last_lstm_states.vf, self._tensor(self._last_episode_starts)
            )
        rollout_buffer.compute_returns_and_advantage(last_values=last, dones=self._last_episode_starts)
        callback.on_rollout_end()
        return True

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def _act(
        self, observations: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, RNNStates]:
        with torch.no_grad():
            features = self.policy.extract_features(self._tensor(observations))
            if self._network is not None:
                found, values = self._network.step(features.numpy(), starts)
                logits, after = self.policy.masked(torch.from_numpy(found)), self._network.states
            else:
                logits, values, after = self._act_with_torch(features, self._tensor(starts))
            actions, log_prob = draw(logits, self.action_space)
        return actions.cpu().numpy(), values, log_prob.cpu().numpy(), after

    def _act_with_torch(
        self, features: torch.Tensor, start: torch.Tensor
    ) -> tuple[torch.Tensor, np.ndarray, RNNStates]:
        policy, before = self.policy, self._last_lstm_states
        hidden, pi = policy._process_sequence(features, before.pi, start, policy.lstm_actor)
        if policy.lstm_critic is not None:
            critic_hidden, vf = policy._process_sequence(features, before.vf, start, policy.lstm_critic)
        else:
            critic_hidden, vf = hidden if policy.shared_lstm else policy.critic(features), pi
        values = policy.value_net(policy.mlp_extractor.forward_critic(critic_hidden))
        logits = policy.action_logits(policy.mlp_extractor.forward_actor(hidden))
        return logits, values.cpu().numpy()[:, 0], RNNStates(pi, vf)

    def _bootstrap_truncated(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], states: RNNStates
    ) -> None:
        # After a truncation the value of the last observation stands for the rewards that would have followed.
        for i in np.flatnonzero(dones):
            if not infos[i].get("TimeLimit.truncated", False):
                continue
            observation = self._tensor(infos[i]["terminal_observation"][np.newaxis])
            state = tuple(part[:, i : i + 1].contiguous() for part in states.vf)
            with torch.no_grad():
                value = self.policy.predict_values(observation, state, torch.zeros(1, device=self.device))
            rewards[i] += self.gamma * float(value)

    def _store_states(self, buffer: SequenceRolloutBuffer) -> None:
        before = self._last_lstm_states
        for name, state in zip(buffer.STATES, (*before.pi, *before.vf), strict=True):
            getattr(buffer, name)[buffer.pos] = state.cpu().numpy()

    def _store(
        self,
        buffer: SequenceRolloutBuffer,
        observations: np.ndarray,
        actions: np.ndarray,
        rewards: np.ndarray,
        starts: np.ndarray,
        values: np.ndarray,
        log_prob: np.ndarray,
    ) -> None:
        at = buffer.pos
        buffer.observations[at] = observations
        buffer.actions[at] = actions.reshape(buffer.actions.shape[1:])
        buffer.rewards[at] = rewards
        buffer.episode_starts[at] = starts
        buffer.values[at] = values
        buffer.log_probs[at] = log_prob
        buffer.pos += 1
