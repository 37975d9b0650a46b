"""Environments over the simulator: `SessionVecEnv` for training with stable-baselines3, `SessionEnv` for Gymnasium.

An episode is one session of one instrument. It ends by termination, never by truncation: at the session's closing
time the account is flat and nothing more can be earned.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from rl_strategies.actions import ACTIONS, side_of
from rl_strategies.risk.overlay import REASONS
from rl_strategies.telemetry import FILL_REASONS, ORDER_KINDS, Fill
from training.generator_state import generator_words, set_generator
from training.market import TrainingMarket
from training.reward import reward_named
from training.simulator import FILL, LANE, begin_lanes, step_lanes


class Lanes:
    """Many accounts walking through episodes of one market, moved together by the compiled kernels.

    Parameters
    ----------
    built : TrainingMarket
    count : int
        Number of lanes.
    fills_kept : int
        Fills remembered per lane and episode; later ones are counted, not kept.

    Attributes
    ----------
    observations : float32[count, n]
        After the last call; overwritten by the next.
    over : bool[count]
        Lanes whose episode ended with the last step.
    """

    def __init__(self, built: TrainingMarket, count: int, fills_kept: int = 0) -> None:
        self.built = built
        self.state = np.zeros(count, LANE)
        self.fills = np.zeros((count, fills_kept), FILL)
        self.observations = np.zeros((count, len(built.observation_names)), np.float32)
        self.over = np.zeros(count, bool)
        self._all = np.ones(count, bool)

    def begin(self, episodes: NDArray[np.int64], which: NDArray[np.bool_] | None = None) -> None:
        """Put the lanes (where ``which`` is set; all by default) flat on the first bar of their episodes."""
        built = self.built
        begin_lanes(
            self.state,
            self._all if which is None else which,
            built.rules,
            built.market,
            built.episodes,
            episodes,
            self.observations,
        )

    def step(self, actions: NDArray[np.int64], which: NDArray[np.bool_] | None = None) -> None:
        """One decision in every lane (where ``which`` is set). An ended lane must be begun again before its next."""
        built = self.built
        step_lanes(
            self.state,
            self._all if which is None else which,
            built.rules,
            built.market,
            built.episodes,
            self.fills,
            side_of(actions),  # type: ignore[arg-type]
            self.observations,
            self.over,
        )

    @property
    def equity(self) -> NDArray[np.float64]:
        """Copy of every lane's equity, USD; float64[count]."""
        return self.state["equity"].copy()

    @property
    def starting_usd(self) -> float:
        """Balance that every lane begins with."""
        return float(self.built.rules["starting_cents"][0]) / 100.0

    def fills_of(self, lane: int) -> list[Fill]:
        """Fills of a lane's current episode.

        Raises
        ------
        ValueError
            If there were more than are kept.
        """
        count, kept = int(self.state["fills"][lane]), self.fills.shape[1]
        if count > kept:
            raise ValueError(f"lane {lane} keeps {kept} fills, made {count}")
        return [
            Fill(
                int(fill["ts_ns"]),
                int(fill["units"]),
                int(fill["price_ticks"]),
                int(fill["commission_cents"]),
                ORDER_KINDS[fill["kind"]],
                int(fill["trigger_ticks"]),
                FILL_REASONS[fill["reason"]],
            )
            for fill in self.fills[lane, :count]
        ]

    def refusals_of(self, lane: int) -> dict[str, int]:
        """Refusals of a lane's current episode, by reason."""
        counts = self.state["refused"][lane]
        return {reason: int(count) for reason, count in zip(REASONS, counts, strict=True) if count}


def observation_space(built: TrainingMarket) -> spaces.Box:
    """Unbounded float32 vector of `TrainingMarket.observation_names`."""
    return spaces.Box(-np.inf, np.inf, (len(built.observation_names),), np.float32)


class SessionVecEnv(VecEnv):
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

    render_mode = None

    def __init__(self, built: TrainingMarket, num_envs: int, *, reward: str = "pnl", seed: int = 0) -> None:
        self.built = built
        self._lanes = Lanes(built, num_envs)
        self._reward = reward_named(reward)
        self._random = np.random.default_rng(seed)
        self._actions = np.ones(num_envs, np.int64)
        self._summed = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, observation_space(built), spaces.Discrete(ACTIONS))

    def _draw(self) -> NDArray[np.int64]:
        return self._random.integers(len(self.built), size=self.num_envs)

    def reset(self) -> NDArray[np.float32]:
        """Begin an episode in every lane; observations float32[num_envs, n]."""
        if self._seeds[0] is not None:
            self._random = np.random.default_rng(self._seeds[0])
            self._reset_seeds()
        self._lanes.begin(self._draw())
        self._equity = self._lanes.equity
        self._summed[:] = 0.0
        self._steps[:] = 0
        return self._lanes.observations.copy()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Remember the actions of the next step."""
        self._actions = np.asarray(actions, np.int64)

    def step_wait(self) -> Any:
        """Step every lane: observations, rewards float32[num_envs], dones, infos."""
        lanes = self._lanes
        lanes.step(self._actions)
        equity = lanes.equity
        rewards = self._reward(self._equity, equity)
        self._summed += rewards
        self._steps += 1
        dones = lanes.over.copy()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            for lane in np.flatnonzero(dones):
                infos[lane] = self._episode_info(int(lane), equity[lane])
            lanes.begin(self._draw(), dones)
            equity = lanes.equity
            self._summed[dones] = 0.0
            self._steps[dones] = 0
        self._equity = equity
        return lanes.observations.copy(), rewards.astype(np.float32), dones, infos

    def _episode_info(self, lane: int, equity: float) -> dict[str, Any]:
        state = self._lanes.state[lane]
        return {
            "terminal_observation": self._lanes.observations[lane].copy(),
            "TimeLimit.truncated": False,
            "episode": {
                "r": float(self._summed[lane]),
                "l": int(self._steps[lane]),
                "pnl_usd": float(equity - self._lanes.starting_usd),
                "fills": int(state["fills"]),
                "session": str(self.built.session_dates[state["episode"]]),
            },
        }

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything that the next steps depend on, as arrays; `restore` goes on from it."""
        return {
            "lanes": self._lanes.state.copy(),
            "observations": self._lanes.observations.copy(),
            "equity": self._equity.copy(),
            "summed": self._summed.copy(),
            "steps": self._steps.copy(),
            "generator": generator_words(self._random),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `snapshot` of an environment over the same market."""
        self._lanes.state[:] = state["lanes"]
        self._lanes.observations[:] = state["observations"]
        self._equity = state["equity"].copy()
        self._summed[:] = state["summed"]
        self._steps[:] = state["steps"]
        set_generator(self._random, state["generator"])

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute, once per lane."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Lanes share everything: setting an attribute of one is refused."""
        raise AttributeError(f"lanes have no attributes of their own, cannot set {attr_name!r}")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Lanes have no methods of their own."""
        raise AttributeError(f"lanes have no methods of their own, cannot call {method_name!r}")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Lanes are never wrapped one by one."""
        return [False for _ in self._get_indices(indices)]


class SessionEnv(gym.Env):
    """The simulator as a Gymnasium environment of one lane.

    Parameters
    ----------
    built : TrainingMarket
    reward : str

    Notes
    -----
    ``reset(options={"episode": k})`` chooses an episode, otherwise the seeded generator draws one. ``info`` holds
    ``equity_usd``, ``session`` and, on the last step, ``fills`` and ``refusals``.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  (gymnasium's own form)

    def __init__(self, built: TrainingMarket, *, reward: str = "pnl", fills_kept: int = 4096) -> None:
        self.built = built
        self._lanes = Lanes(built, 1, fills_kept)
        self._reward = reward_named(reward)
        self.observation_space = observation_space(built)
        self.action_space = spaces.Discrete(ACTIONS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        episode = chosen_episode(self, len(self.built), options)
        self._lanes.begin(np.array([episode]))
        self._equity = self._lanes.equity
        return self._lanes.observations[0].copy(), self._info()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One decision: observation, reward, terminated, truncated (always False), info."""
        self._lanes.step(np.array([action], np.int64))
        equity = self._lanes.equity
        reward = float(self._reward(self._equity, equity)[0])
        self._equity = equity
        over = bool(self._lanes.over[0])
        info = self._info()
        if over:
            info |= {"fills": self._lanes.fills_of(0), "refusals": self._lanes.refusals_of(0)}
        return self._lanes.observations[0].copy(), reward, over, False, info

    def _info(self) -> dict[str, Any]:
        episode = self._lanes.state["episode"][0]
        return {"equity_usd": float(self._equity[0]), "session": str(self.built.session_dates[episode])}


def chosen_episode(env: gym.Env, count: int, options: dict[str, Any] | None) -> int:
    """Episode of ``options``, or one drawn by the environment's own generator."""
    if options and "episode" in options:
        return int(options["episode"])
    return int(env.np_random.integers(count))


Decide = Callable[[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]], NDArray[np.int64]]


def walk(
    built: TrainingMarket, decide: Decide, episodes: Sequence[int] | NDArray[np.int64], fills_kept: int = 4096
) -> Lanes:
    """Walk through ``episodes``, one lane each, until all are over.

    Parameters
    ----------
    built : TrainingMarket
    decide : callable
        Takes observations float32[lanes, n], bool[lanes] (True where an episode has just begun) and int64[lanes]
        (each lane's row of the market); returns actions int64[lanes].
    episodes : sequence of int
    fills_kept : int

    Returns
    -------
    Lanes
        At the end of their episodes, with fills and refusals of each.
    """
    lanes = Lanes(built, len(episodes), fills_kept)
    lanes.begin(np.asarray(episodes, np.int64))
    active = np.ones(len(episodes), bool)
    begun = active.copy()
    while active.any():
        lanes.step(decide(lanes.observations, begun, lanes.state["row"]), active)
        begun[:] = False
        active &= ~lanes.over
    return lanes
