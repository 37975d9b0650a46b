"""PPO with an LSTM: sb3-contrib's RecurrentPPO, the LSTM called once per sequence instead of once per step.

The algorithm, its minibatches and its save format are sb3-contrib's. Only the way a padded batch passes through the
LSTM and the work around every step differ, so that results agree with the stock class up to float32 rounding.
"""

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from training.masking import MaskedPolicy
from training.sequence_buffer import LstmState, PackedStates, SequenceRolloutBuffer


class SequenceLstmPolicy(MaskedPolicy, RecurrentActorCriticPolicy):
    """Actor-critic whose LSTM takes whole blocks of sequences in one call.

    Stock sb3-contrib steps the LSTM through every minibatch in which an episode begins. Its buffer cuts minibatches at
    every episode start, so that only the first step of a sequence can be one; `SequenceRolloutBuffer` zeroes the state
    there and packs the sequences. While acting (one step, no gradient) a fused cell per layer replaces the sequence
    machinery. Any other batch takes the stock way.
    """

    lstm_actor: nn.LSTM
    lstm_critic: nn.LSTM | None
    critic: nn.Linear
    shared_lstm: bool

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
        hidden = _run_blocks(self.lstm_actor, features, lstm_states.pi, lstm_states.blocks)
        if self.lstm_critic is not None:
            critic_hidden = _run_blocks(self.lstm_critic, features, lstm_states.vf, lstm_states.blocks)
        else:
            critic_hidden = hidden.detach() if self.shared_lstm else self.critic(features)
        values = self.value_net(self.mlp_extractor.forward_critic(critic_hidden))
        distribution = self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(hidden))
        return values, distribution.log_prob(actions), distribution.entropy()

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


def _run_blocks(
    lstm: nn.LSTM, features: torch.Tensor, state: LstmState, blocks: tuple[tuple[int, int], ...]
) -> torch.Tensor:
    outputs, begin = [], 0
    for steps, sequences in blocks:
        block = features[begin : begin + steps * sequences].view(steps, sequences, -1)
        h, c = (part[:, :sequences].contiguous() for part in state)
        output, state = lstm(block, (h, c))
        outputs.append(output.flatten(0, 1))
        begin += steps * sequences
    return torch.cat(outputs)


class SequenceRecurrentPPO(RecurrentPPO):
    """RecurrentPPO that builds `SequenceLstmPolicy` under the name ``"MlpLstmPolicy"``, with a lean rollout.

    Parameters
    ----------
    seq_len : int, optional
        Longest sequence that gradients flow through, see `SequenceRolloutBuffer`; whole episodes if None.
    **kwargs
        Of sb3-contrib's RecurrentPPO. Discrete or MultiDiscrete actions, flat observations.

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
        # The stock class chooses its buffer itself, without a parameter for it.
        self.rollout_buffer.__class__ = SequenceRolloutBuffer
        self.rollout_buffer.seq_len = self.seq_len

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceRolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer; the stock method without its work per step on what does not change."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            observations, starts = self._last_obs, self._last_episode_starts
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
        policy, before, start = self.policy, self._last_lstm_states, self._tensor(starts)
        with torch.no_grad():
            features = policy.extract_features(self._tensor(observations))
            hidden, pi = policy._process_sequence(features, before.pi, start, policy.lstm_actor)
            if policy.lstm_critic is not None:
                critic_hidden, vf = policy._process_sequence(features, before.vf, start, policy.lstm_critic)
            else:
                critic_hidden, vf = hidden if policy.shared_lstm else policy.critic(features), pi
            values = policy.value_net(policy.mlp_extractor.forward_critic(critic_hidden))
            logits = policy.action_logits(policy.mlp_extractor.forward_actor(hidden))
            actions, log_prob = _sample(logits, self.action_space)
        return actions.cpu().numpy(), values.cpu().numpy()[:, 0], log_prob.cpu().numpy(), RNNStates(pi, vf)

    def _bootstrap_truncated(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], states: RNNStates
    ) -> None:
        # A time limit ends the episode, not the world: the value of the last observation stands for what follows.
        for i in np.flatnonzero(dones):
            if not infos[i].get("TimeLimit.truncated", False):
                continue
            observation = self._tensor(infos[i]["terminal_observation"][np.newaxis])
            state = tuple(part[:, i : i + 1].contiguous() for part in states.vf)
            with torch.no_grad():
                value = self.policy.predict_values(observation, state, torch.zeros(1, device=self.device))
            rewards[i] += self.gamma * float(value)

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
        before = self._last_lstm_states
        for name, state in zip(buffer.STATES, (*before.pi, *before.vf), strict=True):
            getattr(buffer, name)[at] = state.cpu().numpy()
        buffer.observations[at] = observations
        buffer.actions[at] = actions.reshape(buffer.actions.shape[1:])
        buffer.rewards[at] = rewards
        buffer.episode_starts[at] = starts
        buffer.values[at] = values
        buffer.log_probs[at] = log_prob
        buffer.pos += 1


def _sample(logits: torch.Tensor, action_space: spaces.Space) -> tuple[torch.Tensor, torch.Tensor]:
    # The draws are those of torch's Categorical, without building the distribution.
    if isinstance(action_space, spaces.Discrete):
        actions, log_prob = _draw(logits)
        return actions[:, 0], log_prob
    assert isinstance(action_space, spaces.MultiDiscrete)
    drawn = [_draw(part) for part in torch.split(logits, action_space.nvec.tolist(), dim=1)]
    return torch.cat([actions for actions, _ in drawn], dim=1), torch.stack([logp for _, logp in drawn]).sum(0)


def _draw(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs = torch.log_softmax(logits, dim=1)
    actions = torch.multinomial(log_probs.exp(), 1)
    return actions, log_probs.gather(1, actions)[:, 0]
