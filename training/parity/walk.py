"""Walks one tape of actions through the simulator and through the real engine, and finds where they part."""

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
    """The first thing that simulator and engine said differently.

    Attributes
    ----------
    what : str
        ``observation``, ``reward``, ``end``, ``fills``, ``refusals``, ``balance`` and the like.
    step : int
        Decisions taken before it; 0 is the reset.
    session : str
    simulator, engine : str
        What each said, with its context.
    """

    what: str
    step: int
    session: str
    simulator: str
    engine: str


class Walk(msgspec.Struct, frozen=True):
    """Outcome of one tape.

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


def walk_both(
    market: TrainingMarket, engine: EngineEnv, episode: int, tape: NDArray[np.int64], reward: str | RewardConfig = "pnl"
) -> Walk:
    """Walk ``tape`` (int64[steps, K], repeated if too short) through an episode of both environments.

    Parameters
    ----------
    market : TrainingMarket
    engine : EngineEnv
        Over the same market and reward.
    episode : int
    tape : int64[steps, K]
    reward : str or RewardConfig
    """
    both, seconds = (SessionEnv(market, reward=reward), engine), [0.0, 0.0]
    said = [_timed(seconds, which, env.reset, options={"episode": episode}) for which, env in enumerate(both)]
    steps, over = 0, False
    found = _differs("observation", 0, said[0][0], said[1][0], said, market)
    while found is None and not over:
        action = tape[steps % len(tape)]
        said = [_timed(seconds, which, env.step, action) for which, env in enumerate(both)]
        steps += 1
        over = said[0][2]
        found = _compare_step(steps, said, market)
    fills = sum(len(made) for made in said[0][-1].get("fills", ()))
    return Walk(steps, fills, seconds[0], seconds[1], found)


def _timed(seconds: list[float], which: int, call: Any, *words: Any, **named: Any) -> Any:
    began = time.perf_counter()
    answer = call(*words, **named)
    seconds[which] += time.perf_counter() - began
    return answer


def _compare_step(step: int, said: list[Any], market: TrainingMarket) -> Divergence | None:
    ours, theirs = said
    pairs = [("end", ours[2], theirs[2]), ("observation", ours[0], theirs[0]), ("reward", ours[1], theirs[1])]
    shared = ours[4].keys() | theirs[4].keys()
    pairs += [(name, ours[4].get(name), theirs[4].get(name)) for name in sorted(shared)]
    for what, one, other in pairs:
        found = _differs(what, step, one, other, said, market)
        if found:
            return found
    return None


def _differs(what: str, step: int, one: Any, other: Any, said: list[Any], market: TrainingMarket) -> Divergence | None:
    if isinstance(one, np.ndarray):
        if one.tobytes() == other.tobytes():
            return None
        names = np.array(market.observation_names)[one != other]
        one, other = (dict(zip(names, row[one != other].tolist(), strict=True)) for row in (one, other))
    elif one == other:
        return None
    elif what == "fills":
        one, other = _first_unequal(one, other)
    context = [{"reward": answer[1], **answer[-1]} if len(answer) > 2 else answer[-1] for answer in said]
    texts = [f"{value}; context {_shortened(told)}" for value, told in zip((one, other), context, strict=True)]
    return Divergence(what, step, str(said[0][-1].get("session")), *texts)


def _first_unequal(one: list[Any], other: list[Any]) -> tuple[str, str]:
    for k, (ours, theirs) in enumerate(zip(one, other, strict=True)):
        for place in range(max(len(ours), len(theirs))):
            if ours[place : place + 1] != theirs[place : place + 1]:
                around = slice(max(0, place - 1), place + 2)
                return f"instrument {k}, from fill {place}: {ours[around]}", f"{theirs[around]}"
    raise ValueError("the fills must differ somewhere, did not")


def _shortened(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "fills"}
