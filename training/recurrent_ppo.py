"""PPO with an LSTM: sb3-contrib's RecurrentPPO, the LSTM called once per sequence instead of once per step.

The algorithm, its minibatches and its save format are sb3-contrib's. Only the way a padded batch passes
through the LSTM differs, so that results agree with the stock class up to float32 rounding.
"""

from typing import ClassVar

import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from torch import nn

LstmState = tuple[torch.Tensor, torch.Tensor]


class SequenceLstmPolicy(RecurrentActorCriticPolicy):
    """Actor-critic whose LSTM takes a whole padded batch of sequences in one call.

    The rollout buffer cuts its minibatches at every episode start, so only the first element of a sequence
    can be one: zeroing the initial state there replaces the stock loop over time steps. While acting (one
    step, no gradient) a fused cell per layer replaces the sequence machinery.

    Notes
    -----
    A batch that breaks the buffer's contract (an episode start inside a sequence) takes the stock loop.
    """

    @staticmethod
    def _process_sequence(
        features: torch.Tensor, lstm_states: LstmState, episode_starts: torch.Tensor, lstm: nn.LSTM
    ) -> tuple[torch.Tensor, LstmState]:
        n_sequences = lstm_states[0].shape[1]
        starts = episode_starts.reshape(n_sequences, -1)
        if bool(starts[:, 1:].any()):
            return RecurrentActorCriticPolicy._process_sequence(features, lstm_states, episode_starts, lstm)
        keep = (1.0 - starts[:, 0]).view(1, n_sequences, 1)
        h, c = lstm_states[0] * keep, lstm_states[1] * keep
        one_step = starts.shape[1] == 1 and not torch.is_grad_enabled()
        if one_step and lstm.bias and not lstm.bidirectional and not lstm.proj_size:
            return _one_step(features, h, c, lstm)
        sequences = features.reshape(n_sequences, -1, lstm.input_size).swapaxes(0, 1)
        output, state = lstm(sequences, (h, c))
        return output.transpose(0, 1).flatten(0, 1), state


def _one_step(output: torch.Tensor, h: torch.Tensor, c: torch.Tensor, lstm: nn.LSTM) -> tuple[torch.Tensor, LstmState]:
    new_h, new_c = [], []
    for layer, weights in enumerate(lstm.all_weights):
        output, cell = torch.lstm_cell(output, (h[layer], c[layer]), *weights)
        new_h.append(output)
        new_c.append(cell)
    return output, (torch.stack(new_h), torch.stack(new_c))


class SequenceRecurrentPPO(RecurrentPPO):
    """RecurrentPPO that builds `SequenceLstmPolicy` under the name ``"MlpLstmPolicy"``.

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
