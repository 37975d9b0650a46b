"""Spaces and choice of an episode, the same for every environment over a market."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

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
    """``options["episode"]`` if given, else a draw from the environment's generator."""
    if options and "episode" in options:
        return int(options["episode"])
    return int(env.np_random.integers(count))
