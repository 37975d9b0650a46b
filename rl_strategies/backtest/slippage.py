"""Slippage of simulated fills: none, one tick, or random draws that simulator and engine share."""

import numpy as np
from numpy.typing import NDArray

from rl_strategies.decision.rules import ExecutionConfig

STREAM_LENGTH = 65_537  # prime, so that no session length divides it


def slippage_stream(execution: ExecutionConfig) -> NDArray[np.bool_]:
    """Whether the n-th fill slips; bool[s], of length 1 if nothing is random."""
    certain = execution.slippage_ticks == 0 or execution.slippage_probability == 1.0
    if certain:
        return np.ones(1, bool)
    draws = np.random.default_rng(execution.slippage_seed).random(STREAM_LENGTH)
    return draws < execution.slippage_probability
