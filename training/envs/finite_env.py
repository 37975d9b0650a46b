"""Stops training at the first NaN or infinity, before it reaches the running statistics."""

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from catalogs.errors import InputError


class FiniteVecEnv(VecEnvWrapper):
    """Wrapper that refuses observations and rewards that are NaN or infinite.

    Must be the innermost wrapper: one NaN in VecNormalize's statistics spoils every later observation.

    Raises
    ------
    InputError
        Naming the environment, the column and the value.
    """

    def reset(self) -> VecEnvObs:
        """Reset and check the first observations."""
        observations = self.venv.reset()
        _check("observation", np.asarray(observations))
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        """Step and check observations and rewards."""
        observations, rewards, dones, infos = self.venv.step_wait()
        _check("observation", np.asarray(observations))
        _check("reward", rewards)
        return observations, rewards, dones, infos


def _check(thing: str, values: np.ndarray) -> None:
    finite = np.isfinite(values)
    if finite.all():
        return
    index = tuple(int(i) for i in np.argwhere(~finite)[0])
    column = f", column {index[1]}" if len(index) > 1 else ""
    raise InputError(f"{thing} of environment {index[0]}{column}: must be finite, was {values[index]}")
