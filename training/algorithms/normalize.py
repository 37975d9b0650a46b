"""Running normalisation of observations and rewards that does not touch action masks."""

from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize


class MaskedVecNormalize(VecNormalize):
    """stable-baselines3's VecNormalize; the last ``mask_columns`` columns of an observation pass unchanged.

    Parameters
    ----------
    venv : VecEnv
    mask_columns : int
    **kwargs
        Of VecNormalize.
    """

    def __init__(self, venv: VecEnv, mask_columns: int = 0, **kwargs: Any) -> None:
        self.mask_columns = mask_columns
        super().__init__(venv, **kwargs)

    def _normalize_obs(self, obs: np.ndarray, obs_rms: RunningMeanStd) -> np.ndarray:
        normalised = super()._normalize_obs(obs, obs_rms)
        if self.mask_columns:
            normalised[..., -self.mask_columns :] = obs[..., -self.mask_columns :]
        return normalised

    def _unnormalize_obs(self, obs: np.ndarray, obs_rms: RunningMeanStd) -> np.ndarray:
        original = super()._unnormalize_obs(obs, obs_rms)
        if self.mask_columns:
            original[..., -self.mask_columns :] = obs[..., -self.mask_columns :]
        return original
