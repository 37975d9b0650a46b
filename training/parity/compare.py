"""One tape of actions through the simulator and the real engine, compared step by step."""

import time
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.envs.engine_env import EngineEnv
from training.envs.reward import RewardConfig
from training.envs.session_env import SessionEnv
from training.simulator.market import TrainingMarket


class Divergence(msgspec.Struct, frozen=True):
    """The first difference between simulator and engine.

    Attributes
    ----------
    what : str
        ``observation``, ``reward``, ``end``, ``fills``, ``refusals``, ``balance_cents`` or another field of the info.
    step : int
        Decisions taken before it; 0 is the reset.
    session : str
    simulator, engine : str
        The value in each, with the reward and info of that step.
    """

    what: str
    step: int
    session: str
    simulator: str
    engine: str


class Comparison(msgspec.Struct, frozen=True):
    """Result of `compare_tape`.

    Attributes
    ----------
    steps, fills : int
    simulator_s, engine_s : float
        Seconds spent in each.
    divergence : Divergence or None
    """

    steps: int
    fills: int
    simulator_s: float
    engine_s: float
    divergence: Divergence | None


def compare_tape(
    market: TrainingMarket, engine: EngineEnv, episode: int, tape: NDArray[np.int64], reward: str | RewardConfig = "pnl"
) -> Comparison:
    """Play a tape of actions through one episode of both environments, up to the first difference.

    Parameters
    ----------
    market : TrainingMarket
    engine : EngineEnv
        Over the same market and reward.
    episode : int
    tape : int64[steps, K]
        Repeated if too short.
    reward : str or RewardConfig
    """
    envs, seconds = (SessionEnv(market, reward=reward), engine), [0.0, 0.0]
    results = [_timed(seconds, which, env.reset, options={"episode": episode}) for which, env in enumerate(envs)]
    steps, over = 0, False
    found = _difference("observation", 0, results[0][0], results[1][0], results, market)
    while found is None and not over:
        action = tape[steps % len(tape)]
        results = [_timed(seconds, which, env.step, action) for which, env in enumerate(envs)]
        steps += 1
        over = results[0][2]
        found = _compare_step(steps, results, market)
    fills = sum(len(made) for made in results[0][-1].get("fills", ()))
    return Comparison(steps, fills, seconds[0], seconds[1], found)


def _timed(seconds: list[float], which: int, call: Any, *args: Any, **kwargs: Any) -> Any:
    began = time.perf_counter()
    result = call(*args, **kwargs)
    seconds[which] += time.perf_counter() - began
    return result


def _compare_step(step: int, results: list[Any], market: TrainingMarket) -> Divergence | None:
    ours, theirs = results
    pairs = [("end", ours[2], theirs[2]), ("observation", ours[0], theirs[0]), ("reward", ours[1], theirs[1])]
    names = ours[4].keys() | theirs[4].keys()
    pairs += [(name, ours[4].get(name), theirs[4].get(name)) for name in sorted(names)]
    for what, one, other in pairs:
        found = _difference(what, step, one, other, results, market)
        if found:
            return found
    return None


def _difference(
    what: str, step: int, one: Any, other: Any, results: list[Any], market: TrainingMarket
) -> Divergence | None:
    if isinstance(one, np.ndarray):
        if one.tobytes() == other.tobytes():
            return None
        names = np.array(market.observation_names)[one != other]
        one, other = (dict(zip(names, row[one != other].tolist(), strict=True)) for row in (one, other))
    elif one == other:
        return None
    elif what == "fills":
        one, other = _first_unequal(one, other)
    texts = [f"{value}; {_details(result)}" for value, result in zip((one, other), results, strict=True)]
    return Divergence(what, step, str(results[0][-1].get("session")), *texts)


def _first_unequal(one: list[Any], other: list[Any]) -> tuple[str, str]:
    for k, (ours, theirs) in enumerate(zip(one, other, strict=True)):
        for i in range(max(len(ours), len(theirs))):
            if ours[i : i + 1] != theirs[i : i + 1]:
                around = slice(max(0, i - 1), i + 2)
                return f"instrument {k}, from fill {i}: {ours[around]}", f"{theirs[around]}"
    raise ValueError("fills are equal")


def _details(result: Any) -> dict[str, Any]:
    # Reward and info of a step; the info alone after a reset.
    reward = {"reward": result[1]} if len(result) > 2 else {}
    return reward | {name: value for name, value in result[-1].items() if name != "fills"}
