"""Spaces and choice of an episode, the same for every environment over a market."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import Error, InvalidAction, ResetNeeded
from numpy.typing import NDArray

from rl_strategies.decision.actions import ACTIONS
from training.simulator.market import TrainingMarket


def action_space(market: TrainingMarket) -> spaces.Discrete | spaces.MultiDiscrete:
    """One action of `rl_strategies.decision.actions` per instrument; Discrete for one, MultiDiscrete for several."""
    count = len(market.instruments)
    return spaces.Discrete(ACTIONS) if count == 1 else spaces.MultiDiscrete([ACTIONS] * count)


def observation_space(market: TrainingMarket) -> spaces.Box:
    """Unbounded float32 vector of `TrainingMarket.observation_names`."""
    return spaces.Box(-np.inf, np.inf, (len(market.observation_names),), np.float32)


def pick_episode(env: gym.Env, count: int, options: dict[str, Any] | None) -> int:
    """``options["episode"]`` if given, else a draw from the environment's generator.

    Raises
    ------
    gymnasium.error.Error
        If there is no such episode.
    """
    if options and "episode" in options:
        return int(known_episodes(options["episode"], count))
    return int(env.np_random.integers(count))


def known_episodes(episodes: Any, count: int) -> NDArray[np.int64]:
    """Episodes as integers.

    Raises
    ------
    gymnasium.error.Error
        If one is none of the market's ``count``.
    """
    chosen = np.asarray(episodes)
    if chosen.dtype.kind not in "iu" or chosen.size == 0 or chosen.min() < 0 or chosen.max() >= count:
        raise Error(f"an episode must be an integer from 0 to {count - 1}, was {episodes}")
    return chosen.astype(np.int64)


def known_action(action: Any, instruments: int) -> NDArray[np.int64]:
    """One action for each instrument, int64[K].

    Raises
    ------
    gymnasium.error.InvalidAction
        If there are more or fewer, or one is no action.
    """
    actions = np.asarray(action)
    if actions.dtype.kind not in "iu" or actions.ndim > 1 or actions.size != instruments:
        raise InvalidAction(f"an action must be {instruments} integers, one for each instrument, was {action!r}")
    if actions.min() < 0 or actions.max() >= ACTIONS:
        raise InvalidAction(f"an action must be from 0 to {ACTIONS - 1}, was {action!r}")
    return actions.reshape(-1).astype(np.int64)


def require_episode(is_under_way: bool) -> None:
    """Check that there is something to step.

    Raises
    ------
    gymnasium.error.ResetNeeded
        If no episode has begun, or the last is over.
    """
    if not is_under_way:
        raise ResetNeeded("no episode is under way: call reset() before step()")
