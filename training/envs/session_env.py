"""Environments over the simulator: `SessionVecEnv` for training with stable-baselines3, `SessionEnv` for Gymnasium.

An episode is one trading day of one or many instruments. It ends by termination, never by truncation: at the closing
time the account is flat and nothing more can be earned; a ruined account ends it earlier.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rl_strategies.decision.actions import ACTIONS
from training.envs.generator_state import generator_words, set_generator
from training.envs.lane_vec_env import LaneVecEnv
from training.envs.reward import RewardConfig, Step, make_reward
from training.simulator.lanes import Lanes, named_refusals
from training.simulator.market import TrainingMarket


class RewardMeter:
    """Turns what the last step did to accounts into rewards, and sums their components over each episode.

    Parameters
    ----------
    config : str or RewardConfig
    accounts : records with the fields of `rl_strategies.accounting.position.ACCOUNT`, shape [lanes]
        Read after every step.
    legs : `rl_strategies.accounting.position.LEG`[lanes, K]
    multiplier : float64[K]

    Attributes
    ----------
    equity : float64[lanes]
        After the last step.
    summed : dict of str to float64[lanes]
        Components of the episode so far.
    """

    def __init__(self, config: str | RewardConfig, accounts: Any, legs: Any, multiplier: NDArray[np.float64]) -> None:
        self._accounts, self._legs, self._multiplier = accounts, legs, multiplier
        self._reward = make_reward(config, len(accounts))
        self._totals = {name: accounts[name].copy() for name in ("traded_cents", "trades")}
        self.equity = np.zeros(len(accounts))
        self.summed: dict[str, NDArray[np.float64]] = {}

    def begin(self, which: NDArray[np.bool_]) -> None:
        """The lanes where ``which`` is set have just begun an episode."""
        equity = self._accounts["equity"].copy()
        self.equity = np.where(which, equity, self.equity)
        for total in self._totals.values():
            total[which] = 0
        self._reward.begin(which, equity)
        for component in self.summed.values():
            component[which] = 0.0

    def measure(self) -> NDArray[np.float64]:
        """Rewards of the last step, float64[lanes]."""
        equity = self._accounts["equity"].copy()
        parts = self._reward.step(Step(self.equity, equity, self._change, self._legs, self._multiplier))
        self.equity = equity
        for name, part in parts.items():
            known = self.summed.get(name)
            if known is None:
                self.summed[name] = part.copy()
            else:
                known += part
        first, *others = parts.values()
        return sum(others, start=first) if others else first

    def _change(self, name: str) -> NDArray[np.float64]:
        now = self._accounts[name].copy()
        change = now - self._totals[name]
        self._totals[name] = now
        return change

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next rewards depend on."""
        parts = {f"reward.{name}": value.copy() for name, value in self._reward.state.items()}
        sums = {f"summed.{name}": value.copy() for name, value in self.summed.items()}
        totals = {f"total.{name}": value.copy() for name, value in self._totals.items()}
        return parts | sums | totals | {"equity": self.equity.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot`."""
        for name, value in self._reward.state.items():
            value[:] = state[f"reward.{name}"]
        self.summed = {
            key.removeprefix("summed."): value.copy() for key, value in state.items() if key.startswith("summed.")
        }
        self._totals = {name: state[f"total.{name}"].copy() for name in self._totals}
        self.equity = state["equity"].copy()

    def components_of(self, lane: int) -> dict[str, float]:
        """Sums of a lane's episode so far."""
        return {name: float(part[lane]) for name, part in self.summed.items()}


def reward_meter(config: str | RewardConfig, lanes: Lanes) -> RewardMeter:
    """The meter of simulator lanes."""
    return RewardMeter(config, lanes.book.lanes, lanes.book.legs, lanes.built.world.rules["multiplier"])


def action_space(built: TrainingMarket) -> spaces.Discrete | spaces.MultiDiscrete:
    """`rl_strategies.decision.actions` for one instrument; one of them per instrument for several."""
    count = len(built.instruments)
    return spaces.Discrete(ACTIONS) if count == 1 else spaces.MultiDiscrete([ACTIONS] * count)


def observation_space(built: TrainingMarket) -> spaces.Box:
    """Unbounded float32 vector of `TrainingMarket.observation_names`."""
    return spaces.Box(-np.inf, np.inf, (len(built.observation_names),), np.float32)


class SessionVecEnv(LaneVecEnv):
    """The simulator as a stable-baselines3 ``VecEnv``: episodes drawn at random, a new one begun when one ends.

    Parameters
    ----------
    built : TrainingMarket
    num_envs : int
    reward : str
        Name of a registered reward.
    seed : int
        Of the draw of episodes.

    Notes
    -----
    ``infos[i]`` of an ended episode holds ``terminal_observation``, ``TimeLimit.truncated`` (always False) and
    ``episode`` (``r`` summed reward, ``l`` steps, ``pnl_usd``, ``fills``, ``session``).
    """

    def __init__(
        self, built: TrainingMarket, num_envs: int, *, reward: str | RewardConfig = "pnl", seed: int = 0
    ) -> None:
        self.built = built
        self._lanes = Lanes(built, num_envs)
        self._meter = reward_meter(reward, self._lanes)
        self._random = np.random.default_rng(seed)
        self._actions = np.ones(num_envs, np.int64)
        super().__init__(num_envs, observation_space(built), action_space(built))

    def _draw(self) -> NDArray[np.int64]:
        return self._random.integers(len(self.built), size=self.num_envs)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every lane; observations float32[num_envs, n]."""
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
        """Step every lane: observations, rewards float32[num_envs], dones, infos."""
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
        # Column by column: reading records lane by lane would cost more than the steps of an episode.
        book = self._lanes.book
        lanes = np.flatnonzero(dones).tolist()
        state, last = book.lanes[dones], self._lanes.observations[dones]
        pnl = (state["equity"] - self.built.starting_usd).tolist()
        fills = book.legs["fill_count"][dones].sum(axis=1).tolist()
        days = self.built.session_dates[state["episode"]].astype(str).tolist()
        refused = state["refused"].tolist()
        parts = [self._meter.components_of(lane) for lane in lanes]
        steps = state["steps"].tolist()
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
        """Everything that the next steps depend on, as arrays; `restore` goes on from it."""
        return {
            "lanes": self._lanes.book.lanes.copy(),
            "legs": self._lanes.book.legs.copy(),
            "observations": self._lanes.observations.copy(),
            "generator": generator_words(self._random),
            **self._meter.snapshot(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot` of an environment over the same market."""
        self._lanes.book.lanes[:] = state["lanes"]
        self._lanes.book.legs[:] = state["legs"]
        self._lanes.observations[:] = state["observations"]
        set_generator(self._random, state["generator"])
        self._meter.restore(state)


class SessionEnv(gym.Env):
    """The simulator as a Gymnasium environment of one lane.

    Parameters
    ----------
    built : TrainingMarket
    reward : str or RewardConfig
    fills_kept : int
        Per instrument and episode.

    Notes
    -----
    ``reset(options=...)`` may choose the ``episode``, the account's ``balance_cents`` and where the episode enters
    the stream of slippage ``draws``; otherwise the seeded generator draws an episode. ``info`` holds ``equity_usd``
    and ``session``, on the last step also ``fills`` (a list per instrument), ``refusals`` and ``ruined``.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, built: TrainingMarket, *, reward: str | RewardConfig = "pnl", fills_kept: int = 4096) -> None:
        self.built = built
        self._lanes = Lanes(built, 1, fills_kept)
        self._meter = reward_meter(reward, self._lanes)
        self.observation_space = observation_space(built)
        self.action_space = action_space(built)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        episode = chosen_episode(self, len(self.built), options)
        named = {name: np.array([options[name]]) for name in ("balance_cents", "draws") if options and name in options}
        self._lanes.begin(np.array([episode]), **named)
        self._meter.begin(np.ones(1, bool))
        return self._lanes.observations[0].copy(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        self._lanes.step(np.atleast_1d(np.asarray(action, np.int64)))
        reward = float(self._meter.measure()[0])
        over = bool(self._lanes.over[0])
        info = self._info()
        if over:
            info |= self._outcome()
        return self._lanes.observations[0].copy(), reward, over, False, info

    def _info(self) -> dict[str, Any]:
        episode = self._lanes.book.lanes["episode"][0]
        return {"equity_usd": float(self._meter.equity[0]), "session": str(self.built.session_dates[episode])}

    def _outcome(self) -> dict[str, Any]:
        book = self._lanes.book
        return {
            "fills": [self._lanes.fills_of(0, k) for k in range(len(self.built.instruments))],
            "refusals": self._lanes.refusals_of(0),
            "ruined": bool(book.lanes["ruined"][0]),
            "balance_cents": int(book.lanes["balance_cents"][0]),
            "draws": int(book.lanes["draws"][0]),
        }


def chosen_episode(env: gym.Env, count: int, options: dict[str, Any] | None) -> int:
    """Episode of ``options``, or one drawn by the environment's own generator."""
    if options and "episode" in options:
        return int(options["episode"])
    return int(env.np_random.integers(count))
