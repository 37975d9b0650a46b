"""The check behind every backtest must be able to say no."""

from dataclasses import replace

import numpy as np
import pytest

from run.backtest.backtest import simulator_agrees
from run.backtest.node import NodeRun
from tests.training.conftest import market_of, synthetic_bars
from training.envs.session_env import SessionEnv
from training.simulator.market import TrainingMarket


@pytest.fixture(scope="module")
def market() -> TrainingMarket:
    """A few sessions of a synthetic share."""
    return market_of(*synthetic_bars("SPY", "2025-01-06", "2025-01-14", seed=4))


@pytest.fixture(scope="module")
def run(market: TrainingMarket) -> NodeRun:
    """What the simulator itself does with random actions on one account."""
    env, random = SessionEnv(market), np.random.default_rng(1)
    observations, actions, fills = [], [], []
    balance = market.execution.starting_cents
    for episode in range(len(market)):
        seen, _ = env.reset(options={"episode": episode, "balance_cents": balance, "draws": 0})
        over = False
        while not over:
            observations.append(seen)
            actions.append([int(random.integers(3))])
            seen, _, over, _, told = env.step(actions[-1])
        balance = told["balance_cents"]
        fills += told["fills"][0]
    return NodeRun((tuple(fills),), {}, balance, np.array(observations), np.array(actions))


def test_the_same_is_the_same(market: TrainingMarket, run: NodeRun) -> None:
    assert len(run.fills[0]) > 20
    assert simulator_agrees(market, run)


def test_one_changed_thing_is_seen(market: TrainingMarket, run: NodeRun) -> None:
    *first, last = run.fills[0]
    moved = (*first, replace(last, price_ticks=last.price_ticks + 1))
    assert not simulator_agrees(market, replace(run, fills=(moved,)))
    assert not simulator_agrees(market, replace(run, fills=(tuple(first),)))
    assert not simulator_agrees(market, replace(run, actions=run.actions[:-1]))
    bent = run.observations.copy()
    bent[-1, 0] = np.nextafter(bent[-1, 0], np.float32(1))
    assert not simulator_agrees(market, replace(run, observations=bent))
