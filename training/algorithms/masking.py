"""What an observation says about the actions themselves: which are allowed, and which keeps the position.

The action mask (1 allowed, 0 not) is the last columns of an observation, so that rollouts, updates and predictions all
apply it: no other action is ever taken. The network does not see it. The sides held are columns that the network sees
too; the action that keeps a side has a logit larger by a constant, so that an untrained policy holds what it has.
"""

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from catalogs.errors import InputError
from rl_strategies.decision.actions import ACTIONS, FLAT

# Far below any logit, and finite, so that the entropy is not NaN.
IMPOSSIBLE = -1e8


class DetachMask(BaseFeaturesExtractor):
    """Splits an observation into the part for the network and the mask, which it keeps.

    Parameters
    ----------
    observation_space : Box, shape (n,)
    mask_columns : int
        Last columns of the observation; 0 for no mask.
    held_columns : sequence of int
        Columns with the side held, -1, 0 or 1, one per instrument; none if they are not wanted.

    Attributes
    ----------
    allowed : bool[batch, mask_columns]
        Mask of the last observations.
    held : float[batch, instruments]
        Sides held in the last observations.
    """

    def __init__(self, observation_space: spaces.Box, mask_columns: int = 0, held_columns: Sequence[int] = ()) -> None:
        super().__init__(observation_space, observation_space.shape[0] - mask_columns)
        self.mask_columns, self.held_columns = mask_columns, list(held_columns)
        self.allowed: torch.Tensor | None = None
        self.held: torch.Tensor | None = None

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Observations without their mask."""
        if self.held_columns:
            self.held = observations[:, self.held_columns]
        if self.mask_columns == 0:
            return observations
        self.allowed = observations[:, -self.mask_columns :] > 0.5
        return observations[:, : -self.mask_columns]


class MaskReading:
    """Mixin that takes the mask off the observation; list it before the policy class of stable-baselines3."""

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Space,
        *args: Any,
        mask_columns: int = 0,
        held_columns: Sequence[int] = (),
        keep_logit: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check_mask_columns(mask_columns, action_space)
        held_columns = held_columns if keep_logit else ()
        kwargs |= {
            "features_extractor_class": DetachMask,
            "features_extractor_kwargs": {"mask_columns": mask_columns, "held_columns": held_columns},
        }
        self.mask_columns, self.held_columns, self.keep_logit = mask_columns, held_columns, keep_logit
        super().__init__(observation_space, action_space, *args, **kwargs)  # type: ignore[call-arg]


class MaskedPolicy(MaskReading, ActorCriticPolicy):
    """Actor-critic that never takes an action that its observation forbids.

    Parameters
    ----------
    mask_columns : int
        Number of the observation's last columns that are the mask: as many as there are action logits, or 0.
    held_columns : sequence of int
        Columns with the side held of each instrument, not normalised.
    keep_logit : float
        Added to the logit of the action that keeps the side; `LearnerConfig.keep_logit`.

    Raises
    ------
    InputError
        If ``mask_columns`` is neither.
    """

    features_extractor: DetachMask

    def action_logits(self, latent_pi: torch.Tensor) -> torch.Tensor:
        """Unnormalised log-probabilities of all actions; `IMPOSSIBLE` where the last observation forbids one."""
        return self.masked(self.action_net(latent_pi))

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits with ``keep_logit`` added where a side is kept, `IMPOSSIBLE` where an action is forbidden."""
        if self.held_columns:
            held = self.features_extractor.held
            assert held is not None
            sides = torch.arange(ACTIONS, device=held.device) - FLAT
            logits = logits + self.keep_logit * ((held[:, :, None] - sides).abs() < 0.5).flatten(1)
        if self.mask_columns == 0:
            return logits
        allowed = self.features_extractor.allowed
        assert allowed is not None
        return logits.masked_fill(~allowed, IMPOSSIBLE)

    def decision_layers(self) -> list[nn.Module]:
        """Layers to the unmasked logits, from the LSTM output or, without LSTM, from the observation less its mask."""
        return [*self.mlp_extractor.policy_net, self.action_net]

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Distribution:
        return self.action_dist.proba_distribution(action_logits=self.action_logits(latent_pi))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        parameters = super()._get_constructor_parameters()
        for replaced in ("features_extractor_class", "features_extractor_kwargs"):
            parameters.pop(replaced)
        return parameters | {
            "mask_columns": self.mask_columns,
            "held_columns": self.held_columns,
            "keep_logit": self.keep_logit,
        }


def check_mask_columns(mask_columns: int, action_space: spaces.Space) -> None:
    """Check that the mask is as wide as the action logits.

    Raises
    ------
    InputError
        If there are neither 0 columns nor one per logit.
    """
    if mask_columns not in (0, logit_count(action_space)):
        raise InputError(
            f"mask columns must be 0 or {logit_count(action_space)} for {action_space}, were {mask_columns}"
        )


def logit_count(action_space: spaces.Space) -> int:
    """Logits of a Discrete or MultiDiscrete space.

    Examples
    --------
    >>> logit_count(spaces.Discrete(3)), logit_count(spaces.MultiDiscrete([3, 3]))
    (3, 6)
    """
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return int(action_space.nvec.sum())
    raise InputError(f"action space: must be Discrete or MultiDiscrete, was {action_space}")


class MaskedMlpPolicy(MaskedPolicy):
    """`MaskedPolicy` without memory, for PPO and TRPO."""
