"""Baselines of a backtest: random policies with the same turnover, and rules that know the planted edge."""

import numpy as np
from numpy.typing import NDArray

from rl_strategies.policy.policies import BatchPolicy, RandomPolicy
from training.simulator.lanes import Decide, rollout
from training.simulator.market import TrainingMarket

RANDOM_POLICIES = 200
_PILOT_POLICIES = 8
_PILOTS = 8
_LANES_AT_ONCE = 4096


def random_policies(
    market: TrainingMarket, fills_wanted: int, *, seed: int, count: int = RANDOM_POLICIES
) -> NDArray[np.float64]:
    """Net PnL of random policies that trade about as often as a given policy.

    Parameters
    ----------
    market : TrainingMarket
        Every policy trades every episode from the starting balance, under the market's rules and costs.
    fills_wanted : int
        Fills of the given policy over all episodes.
    seed : int
    count : int

    Returns
    -------
    float64[count]
        PnL of each policy, USD, summed over the episodes.
    """
    probability = _matching_probability(market, fills_wanted, seed)
    pnl, _ = _play(market, probability, seed, count)
    return pnl


def rule_pnl(market: TrainingMarket, side: NDArray[np.int64]) -> float:
    """Net PnL in USD of holding ``side`` (int64[rows of the market], -1, 0 or 1) through every episode."""
    lanes = rollout(market, lambda observations, begun, rows: side[rows] + 1, range(len(market)), fills_kept=0)
    return float((lanes.equity - market.starting_usd).sum())


def _matching_probability(market: TrainingMarket, fills_wanted: int, seed: int) -> float:
    # Barriers make the number of fills a nonlinear function of the switching rate: bisect on its logarithm.
    low, high = 1e-5, 0.9
    wanted = fills_wanted / len(market)
    for _ in range(_PILOTS):
        middle = float(np.sqrt(low * high))
        _, fills = _play(market, middle, seed, _PILOT_POLICIES)
        low, high = (low, middle) if fills / len(market) > wanted else (middle, high)
    return float(np.sqrt(low * high))


def _play(market: TrainingMarket, probability: float, seed: int, count: int) -> tuple[NDArray[np.float64], float]:
    # Lanes are policies times episodes; blocks of policies bound the memory.
    episodes, instruments = len(market), len(market.instruments)
    block = max(1, _LANES_AT_ONCE // episodes)
    pnl, fills = [], 0
    for number, begin in enumerate(range(0, count, block)):
        size = min(block, count - begin)
        policy = RandomPolicy(seed + number, probability).batch(size * episodes * instruments)
        lanes = rollout(market, _blind(policy, instruments), np.tile(np.arange(episodes), size), fills_kept=0)
        pnl.append((lanes.equity - market.starting_usd).reshape(size, episodes).sum(axis=1))
        fills += int(lanes.state.legs["fill_count"].sum())
    return np.concatenate(pnl), fills / count


def _blind(policy: BatchPolicy, instruments: int) -> Decide:
    # Every instrument of a lane has its own action.
    return lambda observations, begun, rows: policy.act_batch(observations, np.repeat(begun, instruments))
