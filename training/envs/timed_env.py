"""Time spent in the environments, apart from the policy."""

import time

from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


class TimedVecEnv(VecEnvWrapper):
    """Wrapper that adds up the time of steps.

    Attributes
    ----------
    seconds : float
        Time in ``step_wait`` so far.
    """

    seconds = 0.0

    def reset(self) -> VecEnvObs:
        """Reset the wrapped environments."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Step the wrapped environments and add the time."""
        began = time.perf_counter()
        result = self.venv.step_wait()
        self.seconds += time.perf_counter() - began
        return result
