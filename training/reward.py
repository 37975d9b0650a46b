"""Rewards by name: what a step is worth, from the account's equity before and after it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError

Reward = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def pnl(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Change of equity in USD, costs included. Shape float64[lanes]."""
    return after - before


def log_equity(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the growth of equity. Shape float64[lanes]; equity must stay above zero."""
    return np.log(after / before)


REWARDS: dict[str, Reward] = {"pnl": pnl, "log_equity": log_equity}


def reward_named(name: str) -> Reward:
    """Reward registered under ``name``.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in REWARDS:
        raise InputError(f"reward must be one of {', '.join(sorted(REWARDS))}, was {name!r}")
    return REWARDS[name]
