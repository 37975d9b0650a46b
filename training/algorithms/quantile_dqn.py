"""QR-DQN with action masks: sb3-contrib's algorithm, which learns the distribution of each action's return.

Without memory, for one instrument. A masked action is never chosen: not in exploration, not in the target of an update,
not in the exported graph, whose logits are the mean returns.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import QRDQN
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution
from torch import nn

from training.algorithms.masking import IMPOSSIBLE, DetachMask, MaskReading


class MaskedQuantileNetwork(QuantileNetwork):
    """sb3-contrib's network; masked actions have the return `IMPOSSIBLE`."""

    features_extractor: DetachMask

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Quantiles of the return, float32[batch, quantiles, actions]."""
        quantiles = super().forward(obs)
        if self.features_extractor.mask_columns == 0:
            return quantiles
        allowed = self.features_extractor.allowed
        assert allowed is not None
        return quantiles.masked_fill(~allowed[:, None, :], IMPOSSIBLE)


class MaskedQuantilePolicy(MaskReading, QRDQNPolicy):
    """Takes the allowed action with the largest mean return.

    Parameters
    ----------
    mask_columns : int
        Number of the observation's last columns that are the mask: as many as there are actions, or 0.

    Raises
    ------
    InputError
        If ``mask_columns`` is neither.
    """

    def make_quantile_net(self) -> MaskedQuantileNetwork:
        """A network with its own feature extractor."""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedQuantileNetwork(**arguments).to(self.device)

    def get_distribution(self, obs: torch.Tensor) -> Distribution:
        """The mean returns as logits, so that the most likely action is the one taken."""
        return CategoricalDistribution(int(self.action_space.n)).proba_distribution(self.quantile_net(obs).mean(dim=1))

    def decision_layers(self) -> list[nn.Module]:
        """Layers from the observation less its mask to the mean returns; the last one averages over quantiles."""
        *hidden, last = self.quantile_net.quantile_net
        weight, bias = (
            part.detach().unflatten(0, (self.n_quantiles, -1)).double().mean(0).float()
            for part in (last.weight, last.bias)
        )
        mean = nn.Linear(weight.shape[1], weight.shape[0])
        mean.weight, mean.bias = nn.Parameter(weight), nn.Parameter(bias)
        return [*hidden, mean]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        parameters = super()._get_constructor_parameters()
        for replaced in ("features_extractor_class", "features_extractor_kwargs"):
            parameters.pop(replaced)
        return parameters | {"mask_columns": self.mask_columns}


class MaskedQRDQN(QRDQN):
    """QR-DQN that explores among the allowed actions, independently in every environment.

    References
    ----------
    Dabney et al. (2018), "Distributional Reinforcement Learning with Quantile Regression", arXiv:1710.10044.
    """

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        observations: Any = self._last_obs
        actions, _ = self.policy.predict(observations, deterministic=True)
        masked = self.policy.mask_columns
        allowed = observations[:, -masked:] > 0.5 if masked else np.ones((n_envs, int(self.action_space.n)), bool)
        rate = 1.0 if self.num_timesteps < learning_starts else self.exploration_rate
        # NumPy's global generator, as in the library: checkpoints save its state.
        explores = np.random.random(n_envs) < rate  # noqa: NPY002
        drawn = np.where(allowed, np.random.random(allowed.shape), -1.0).argmax(axis=1)  # noqa: NPY002
        actions = np.where(explores, drawn, actions)
        return actions, actions
