"""Microseconds of one live decision, from a closed bar to a reviewed target, beside stable-baselines3's predict.

Both routes use the same decision core for bar, features and review of the target. In between, one asks the exported,
compiled network, the other VecNormalize and ``model.predict`` on torch.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.support.trained import Trained, synthetic_market, train_briefly
from rl_strategies.decision.core import DecisionCore

BARS_PER_BLOCK = 780
BLOCKS = 12
Answer = Callable[[NDArray[np.float32]], int]


def measure(seed: int) -> dict[str, float]:
    """Percentiles over blocks of two sessions; the routes take turns, the first block is a warm-up."""
    trained = train_briefly(synthetic_market(seed, "2025-01-24"), seed)
    torch.set_num_threads(1)
    routes = {"": _Route(trained, _network(trained)), "sb3_predict_": _Route(trained, _sb3(trained))}
    micros: dict[str, list[NDArray[np.float64]]] = {name: [] for name in routes}
    for _ in range(BLOCKS + 1):
        for name, route in routes.items():
            micros[name].append(route.times(BARS_PER_BLOCK))
    figures = {}
    for name, blocks in micros.items():
        times = np.concatenate(blocks[1:])
        figures[f"{name}p50_us"], figures[f"{name}p99_us"] = (float(p) for p in np.percentile(times, [50, 99]))
    figures["ratio_vs_sb3_predict"] = figures["sb3_predict_p50_us"] / figures["p50_us"]
    figures["observations"] = float(len(trained.market.observation_names))
    return figures


class _Route:
    def __init__(self, trained: Trained, answer: Answer) -> None:
        market = trained.market
        self.core = DecisionCore([market.instrument], market.plan, market.trading, market.execution)
        bars = market.bars
        self.bars = [
            tuple(int(value) for value in row)
            for row in zip(bars.ts_ns, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
        ]
        self.answer = answer
        self.row = 0
        while self.row <= market.plan.warmup:
            self._take()

    def _take(self) -> NDArray[np.float32]:
        bar = self.bars[self.row]
        day = self.core.instruments[0].on_bar(*bar)
        if day != self.core.session_date:
            self.core.begin_session(day)
        self.row += 1
        return self.core.look(bar[0])

    def times(self, bars: int) -> NDArray[np.float64]:
        micros = np.empty(bars)
        for i in range(bars):
            began = time.perf_counter_ns()
            self.core.review([self.answer(self._take())])
            micros[i] = (time.perf_counter_ns() - began) / 1e3
        return micros


def _network(trained: Trained) -> Answer:
    def answer(observation: NDArray[np.float32]) -> int:
        action = trained.policy.act(observation)
        assert isinstance(action, int)
        return action

    return answer


def _sb3(trained: Trained) -> Answer:
    model, normalise = trained.result.model, trained.result.vecnormalize.normalize_obs
    state: Any = None

    def answer(observation: NDArray[np.float32]) -> int:
        nonlocal state
        action, state = model.predict(normalise(observation[np.newaxis]), state, deterministic=True)
        return int(action[0])

    return answer
