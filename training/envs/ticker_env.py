"""Several tickers behind one VecEnv: one policy learns from all of them, each environment trades one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from training.envs.batched_vec_env import BatchedVecEnv
from training.envs.session_env import SessionVecEnv
from training.simulator.market import TrainingMarket


class TickerVecEnv(BatchedVecEnv):
    """Environments shared out over several tickers; each draws sessions of its own ticker.

    Parameters
    ----------
    markets : sequence of TrainingMarket
        Markets with equal observations.
    num_envs : int
        At least one environment per market; the first markets get one more if it does not divide.
    reward
        As for `SessionVecEnv`.
    seed : int

    Raises
    ------
    InputError
        If there are fewer environments than markets, or their observations differ.
    """

    def __init__(self, markets: Sequence[TrainingMarket], num_envs: int, *, reward: Any = "pnl", seed: int = 0) -> None:
        if num_envs < len(markets):
            raise InputError(f"learner.n_envs: must be at least the number of tickers, {len(markets)}, was {num_envs}")
        require_equal_observations(markets)
        counts = [len(part) for part in np.array_split(np.arange(num_envs), len(markets))]
        self.parts = [
            SessionVecEnv(market, count, reward=reward, seed=seed + 1000 * k)
            for k, (market, count) in enumerate(zip(markets, counts, strict=True))
        ]
        self._cuts = np.cumsum(counts)[:-1]
        super().__init__(num_envs, self.parts[0].observation_space, self.parts[0].action_space)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every environment."""
        for k, part in enumerate(self.parts):
            if self._seeds[0] is not None:
                part.seed(self._seeds[0] + 1000 * k)
        self._reset_seeds()
        return np.concatenate([part.reset() for part in self.parts])

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Pass the actions on."""
        for part, its in zip(self.parts, np.split(actions, self._cuts), strict=True):
            part.step_async(its)

    def step_wait(self) -> Any:
        """Observations, rewards, dones and infos of all environments."""
        steps = [part.step_wait() for part in self.parts]
        observations, rewards, dones = (np.concatenate([step[k] for step in steps]) for k in range(3))
        return observations, rewards, dones, [info for step in steps for info in step[3]]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next steps depend on; see `SessionVecEnv.snapshot`."""
        return {f"{k}/{name}": value for k, part in enumerate(self.parts) for name, value in part.snapshot().items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot`."""
        for k, part in enumerate(self.parts):
            prefix = f"{k}/"
            part.restore({n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)})


def require_equal_observations(markets: Sequence[TrainingMarket]) -> None:
    """Raise `InputError` if one policy cannot observe all of the markets."""
    names = markets[0].observation_names
    for market in markets[1:]:
        if market.observation_names != names:
            different = sorted(set(names) ^ set(market.observation_names))
            raise InputError(
                f"tickers must have equal features, {market.instrument.instrument_id} and "
                f"{markets[0].instrument.instrument_id} differ in {', '.join(different)}"
            )
