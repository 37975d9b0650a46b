"""Environments over the simulator: `SessionVecEnv` for training with stable-baselines3, `SessionEnv` for Gymnasium.

An episode is one trading day of one or many instruments. It ends by termination, never by truncation: at the closing
time the account is flat and nothing more can be earned; a ruined account ends it earlier.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from training.envs.batched_vec_env import BatchedVecEnv
from training.envs.generator_state import generator_words, set_generator
from training.envs.reward import RewardConfig
from training.envs.reward_meter import reward_meter
from training.envs.spaces import action_space, known_action, observation_space, pick_episode, require_episode
from training.simulator.lanes import Lanes, named_refusals
from training.simulator.market import TrainingMarket


class SessionVecEnv(BatchedVecEnv):
    """The simulator as a stable-baselines3 ``VecEnv``; every episode is drawn at random.

    Parameters
    ----------
    market : TrainingMarket
    num_envs : int
    reward : str
        Name of a registered reward.
    seed : int
        Seed of the draw of episodes.

    Notes
    -----
    ``infos[i]`` of an ended episode holds ``terminal_observation``, ``TimeLimit.truncated`` (always False) and
    ``episode`` (``r`` summed reward, ``l`` steps, ``pnl_usd``, ``fills``, ``session``).
    """

    def __init__(
        self, market: TrainingMarket, num_envs: int, *, reward: str | RewardConfig = "pnl", seed: int = 0
    ) -> None:
        self.market = market
        self._lanes = Lanes(market, num_envs)
        self._meter = reward_meter(reward, self._lanes)
        self._random = np.random.default_rng(seed)
        self._actions = np.ones(num_envs, np.int64)
        super().__init__(num_envs, observation_space(market), action_space(market))

    def _draw(self) -> NDArray[np.int64]:
        return self._random.integers(len(self.market), size=self.num_envs)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every environment; observations float32[num_envs, n]."""
        if self._seeds[0] is not None:
            self._random = np.random.default_rng(self._seeds[0])
            self._reset_seeds()
        self._lanes.begin(self._draw())
        self._meter.begin(np.ones(self.num_envs, bool))
        return self._lanes.observations.copy()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Remember the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Step every environment: observations, rewards float32[num_envs], dones, infos."""
        lanes = self._lanes
        ended = lanes.step(self._actions)
        rewards = self._meter.measure()
        dones = lanes.over.copy()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended:
            for lane, info in zip(np.flatnonzero(dones).tolist(), self._ended(dones), strict=True):
                infos[lane] = info
            lanes.begin(self._draw(), dones)
            self._meter.begin(dones)
        return lanes.observations.copy(), rewards.astype(np.float32), dones, infos

    def _ended(self, dones: NDArray[np.bool_]) -> list[dict[str, Any]]:
        # Column by column: reading records one by one would cost more than the steps of an episode.
        state = self._lanes.state
        lanes = np.flatnonzero(dones).tolist()
        ended, last = state.lanes[dones], self._lanes.observations[dones]
        pnl = (ended["equity"] - self.market.starting_usd).tolist()
        fills = state.legs["fill_count"][dones].sum(axis=1).tolist()
        days = self.market.session_dates[ended["episode"]].astype(str).tolist()
        refused = ended["refused"].tolist()
        parts = [self._meter.components_of(lane) for lane in lanes]
        steps = ended["steps"].tolist()
        return [
            {
                "terminal_observation": last[place],
                "TimeLimit.truncated": False,
                "episode": {
                    "r": sum(parts[place].values()),
                    "l": steps[place],
                    "pnl_usd": pnl[place],
                    "fills": fills[place],
                    "session": days[place],
                },
                "reward_components": parts[place],
                "refusals": named_refusals(refused[place]),
            }
            for place in range(len(lanes))
        ]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next steps depend on, as arrays for `restore`."""
        return {
            "lanes": self._lanes.state.lanes.copy(),
            "legs": self._lanes.state.legs.copy(),
            "observations": self._lanes.observations.copy(),
            "generator": generator_words(self._random),
            **self._meter.snapshot(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot` of an environment over the same market."""
        for name in ("lanes", "legs"):
            own, stored = getattr(self._lanes.state, name), state[name]
            for field in stored.dtype.names or ():  # a state of an older version has fewer
                own[field] = stored[field]
        self._lanes.observations[:] = state["observations"]
        self._lanes.has_begun = True
        set_generator(self._random, state["generator"])
        self._meter.restore(state)


class SessionEnv(gym.Env):
    """The simulator as a Gymnasium environment.

    Parameters
    ----------
    market : TrainingMarket
    reward : str or RewardConfig
    fills_kept : int
        Fills kept per instrument and episode.

    Notes
    -----
    ``reset(options=...)`` may choose the ``episode``, the account's ``balance_cents`` and the start in the stream of
    slippage ``draws``; otherwise the seeded generator draws an episode. ``info`` holds ``equity_usd``
    and ``session``, on the last step also ``fills`` (a list per instrument), ``refusals`` and ``ruined``. What is no
    action or episode, and a step without an episode, raise Gymnasium's errors.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, market: TrainingMarket, *, reward: str | RewardConfig = "pnl", fills_kept: int = 4096) -> None:
        self.market = market
        self._lanes = Lanes(market, 1, fills_kept)
        self._meter = reward_meter(reward, self._lanes)
        self.observation_space = observation_space(market)
        self.action_space = action_space(market)
        self._is_under_way = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        episode = pick_episode(self, len(self.market), options)
        named = {name: np.array([options[name]]) for name in ("balance_cents", "draws") if options and name in options}
        self._lanes.begin(np.array([episode]), **named)
        self._meter.begin(np.ones(1, bool))
        self._is_under_way = True
        return self._lanes.observations[0].copy(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        require_episode(self._is_under_way)
        self._lanes.step(known_action(action, len(self.market.instruments)))
        reward = float(self._meter.measure()[0])
        over = bool(self._lanes.over[0])
        info = self._info()
        if over:
            self._is_under_way = False
            info |= self._outcome()
        return self._lanes.observations[0].copy(), reward, over, False, info

    def _info(self) -> dict[str, Any]:
        episode = self._lanes.state.lanes["episode"][0]
        return {"equity_usd": float(self._meter.equity[0]), "session": str(self.market.session_dates[episode])}

    def _outcome(self) -> dict[str, Any]:
        state = self._lanes.state
        return {
            "fills": [self._lanes.fills_of(0, k) for k in range(len(self.market.instruments))],
            "refusals": self._lanes.refusals_of(0),
            "ruined": bool(state.lanes["ruined"][0]),
            "balance_cents": int(state.lanes["balance_cents"][0]),
            "draws": int(state.lanes["draws"][0]),
        }
