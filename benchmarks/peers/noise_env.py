"""An environment that costs almost no time, so that a benchmark measures the learner."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from training.envs.batched_vec_env import BatchedVecEnv

_BANK = 4096


class NoiseVecEnv(BatchedVecEnv):
    """Noise observations; episodes of one length that start at different steps in different environments.

    Parameters
    ----------
    num_envs, columns, episode_length : int
    seed : int
    """

    def __init__(self, num_envs: int, columns: int, episode_length: int, seed: int) -> None:
        super().__init__(num_envs, spaces.Box(-np.inf, np.inf, (columns,), np.float32), spaces.Discrete(3))
        self._bank = np.random.default_rng(seed).standard_normal((_BANK, num_envs, columns), np.float32)
        self._episode_length = episode_length
        self._age = np.zeros(num_envs, np.int64)
        self._row = 0
        self._actions = np.zeros(num_envs, np.int64)

    def _observe(self) -> NDArray[np.float32]:
        self._row = (self._row + 1) % _BANK
        return self._bank[self._row].copy()

    def reset(self) -> NDArray[np.float32]:
        """First observations, float32[num_envs, columns]."""
        self._age[:] = np.arange(self.num_envs) * self._episode_length // self.num_envs
        return self._observe()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Remember the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Observations, rewards, dones, infos."""
        observations = self._observe()
        rewards = (self._actions - 1.0).astype(np.float32) * observations[:, 0]
        self._age += 1
        dones = self._age >= self._episode_length
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            infos[i] = {"terminal_observation": observations[i], "TimeLimit.truncated": False}
        self._age[dones] = 0
        return observations, rewards, dones, infos
