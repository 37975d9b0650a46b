"""Running normalisation of observations and rewards that does not touch action masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize


class MaskedVecNormalize(VecNormalize):
    """stable-baselines3's VecNormalize, with columns that pass unchanged.

    Parameters
    ----------
    venv : VecEnv
    mask_columns : int
        Number of last columns of an observation that are an action mask.
    held_columns : sequence of int
        Columns with the side held of each instrument, which `training.algorithms.masking` reads.
    **kwargs
        Of VecNormalize.
    """

    def __init__(self, venv: VecEnv, mask_columns: int = 0, held_columns: Sequence[int] = (), **kwargs: Any) -> None:
        self.mask_columns, self.held_columns = mask_columns, tuple(held_columns)
        super().__init__(venv, **kwargs)
        columns = self.observation_space.shape[0]  # type: ignore[index]
        self._unchanged = [*self.held_columns, *range(columns - mask_columns, columns)]

    def _normalize_obs(self, obs: np.ndarray, obs_rms: RunningMeanStd) -> np.ndarray:
        normalised = super()._normalize_obs(obs, obs_rms)
        if self._unchanged:
            normalised[..., self._unchanged] = obs[..., self._unchanged]
        return normalised

    def _unnormalize_obs(self, obs: np.ndarray, obs_rms: RunningMeanStd) -> np.ndarray:
        original = super()._unnormalize_obs(obs, obs_rms)
        if self._unchanged:
            original[..., self._unchanged] = obs[..., self._unchanged]
        return original
