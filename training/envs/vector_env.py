"""The simulator as a Gymnasium ``VectorEnv``: for learners other than stable-baselines3."""

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from training.envs.reward import RewardConfig
from training.envs.reward_meter import reward_meter
from training.envs.spaces import action_space, known_episodes, observation_space
from training.simulator.lanes import Lanes
from training.simulator.market import TrainingMarket


class SessionVectorEnv(VectorEnv):
    """Many environments; an ended one begins its next episode within the same step.

    Parameters
    ----------
    market : TrainingMarket
    num_envs : int
    reward : str or RewardConfig

    Notes
    -----
    ``metadata["autoreset_mode"]`` is ``SAME_STEP``: where ``terminations`` is True, the observation is the first of
    the new episode and ``infos["final_obs"]`` holds the last of the old one. Nothing is ever truncated.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, market: TrainingMarket, num_envs: int, *, reward: str | RewardConfig = "pnl") -> None:
        self.market = market
        self.num_envs = num_envs
        self.single_observation_space = observation_space(market)
        self.single_action_space = action_space(market)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._lanes = Lanes(market, num_envs)
        self._meter = reward_meter(reward, self._lanes)

    def _draw(self) -> NDArray[np.int64]:
        return self.np_random.integers(len(self.market), size=self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every environment; ``options["episodes"]`` (int64[num_envs]) chooses them."""
        super().reset(seed=seed if isinstance(seed, int) or seed is None else seed[0])
        chosen = (options or {}).get("episodes")
        self._lanes.begin(self._draw() if chosen is None else known_episodes(chosen, len(self.market)))
        self._meter.begin(np.ones(self.num_envs, bool))
        return self._lanes.observations.copy(), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step every environment."""
        lanes = self._lanes
        lanes.step(actions)
        rewards = self._meter.measure()
        over = lanes.over.copy()
        infos: dict[str, Any] = {}
        if over.any():
            infos = {"final_obs": lanes.observations.copy(), "_final_obs": over}
            lanes.begin(self._draw(), over)
            self._meter.begin(over)
        return lanes.observations.copy(), rewards, over, np.zeros(self.num_envs, bool), infos
