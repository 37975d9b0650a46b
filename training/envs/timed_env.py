"""How long the environments take, apart from the policy."""

import time

from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


class TimedVecEnv(VecEnvWrapper):
    """Passes everything through and counts the time of steps.

    Attributes
    ----------
    seconds : float
        Spent in ``step_wait`` so far.
    """

    seconds = 0.0

    def reset(self) -> VecEnvObs:
        """As the environment."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """As the environment."""
        began = time.perf_counter()
        result = self.venv.step_wait()
        self.seconds += time.perf_counter() - began
        return result
