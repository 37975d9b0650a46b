"""The environments keep the contracts of Gymnasium and stable-baselines3."""

import warnings
from contextlib import closing

import numpy as np
import pytest
from gymnasium.error import Error, InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.vec_env import VecNormalize

from catalogs.errors import InputError
from rl_strategies.decision.rules import TradingConfig
from rl_strategies.risk.config import RiskConfig
from tests.training.conftest import market_of
from training.envs.engine_env import EngineEnv
from training.envs.session_env import SessionEnv, SessionVecEnv
from training.envs.vector_env import SessionVectorEnv
from training.simulator.market import TrainingMarket


@pytest.mark.parametrize("make", [SessionEnv, EngineEnv])
@pytest.mark.parametrize("check", [gymnasium_check, sb3_check])
def test_checkers_pass(make: type, check: object, spy_market: TrainingMarket) -> None:
    env = make(spy_market)
    with warnings.catch_warnings():
        # Unbounded observations and a missing spec are meant: they are normalised later, and there is no registry.
        for known in (".*infinity. This is probably too", ".*spec.*", ".*symmetric and normalized.*", ".*not within.*"):
            warnings.filterwarnings("ignore", message=known)
        try:
            check(env)  # type: ignore[operator]
        finally:
            env.close()


def test_seed_repeats_episodes(spy_market: TrainingMarket) -> None:
    def tape(seed: int) -> list[str]:
        env = SessionEnv(spy_market)
        env.reset(seed=seed)
        return [env.reset()[1]["session"] for _ in range(12)]

    assert tape(3) == tape(3)
    assert tape(3) != tape(4)


def test_vectorised_environments_equal_single_ones(spy_market: TrainingMarket) -> None:
    vector = SessionVecEnv(spy_market, 3, seed=5)
    random = np.random.default_rng(1)
    seen = vector.reset()
    # Lanes draw their episodes from one generator: find which by the first observation.
    episodes = vector._lanes.state.lanes["episode"].tolist()
    singles = [SessionEnv(spy_market) for _ in episodes]
    for single, episode, observation in zip(singles, episodes, seen, strict=True):
        np.testing.assert_array_equal(single.reset(options={"episode": episode})[0], observation)
    for _ in range(500):
        actions = random.integers(0, 3, 3)
        seen, rewards, dones, infos = vector.step(actions)
        for lane, single in enumerate(singles):
            observation, reward, over, truncated, _ = single.step(int(actions[lane]))
            assert not truncated
            assert (np.float32(reward), over) == (rewards[lane], dones[lane])
            last = infos[lane]["terminal_observation"] if over else seen[lane]
            np.testing.assert_array_equal(observation, last)
            if over:
                episode = int(vector._lanes.state.lanes["episode"][lane])
                np.testing.assert_array_equal(single.reset(options={"episode": episode})[0], seen[lane])


def test_ended_episode_tells_its_result(spy_market: TrainingMarket) -> None:
    vector = SessionVecEnv(spy_market, 2, seed=0)
    vector.reset()
    summed = np.zeros(2)
    while True:
        _, rewards, dones, infos = vector.step(np.array([2, 0]))
        summed += rewards
        if dones.any():
            lane = int(np.argmax(dones))
            break
    told = infos[lane]
    assert told["TimeLimit.truncated"] is False
    assert told["episode"]["r"] == pytest.approx(summed[lane], abs=0.05)
    assert told["episode"]["pnl_usd"] == pytest.approx(told["episode"]["r"])


def test_vec_normalize_takes_it(spy_market: TrainingMarket) -> None:
    env = VecNormalize(SessionVecEnv(spy_market, 4))
    assert env.reset().shape == (4, len(spy_market.observation_names))


def test_engine_survives_a_reset_in_the_middle(spy_market: TrainingMarket) -> None:
    env = EngineEnv(spy_market)
    try:
        fresh = play_engine(env, 1)
        env.reset(options={"episode": 0})
        for action in (2, 2, 0):
            env.step(action)
        assert play_engine(env, 1) == fresh
    finally:
        env.close()


def play_engine(env: EngineEnv, episode: int) -> list[object]:
    """Fills of one episode under a fixed tape."""
    env.reset(options={"episode": episode})
    over, step = False, 0
    while not over:
        _, _, over, _, info = env.step((2, 2, 1, 0, 0)[step % 5])
        step += 1
    return list(info["fills"][0])


BOTH = pytest.mark.parametrize("make", [SessionEnv, EngineEnv])


@BOTH
def test_a_step_without_an_episode_is_refused(make: type, spy_market: TrainingMarket) -> None:
    with closing(make(spy_market)) as env:
        with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
            env.step(1)
        env.reset(options={"episode": 0})
        over = False
        while not over:
            _, _, over, _, _ = env.step(1)
        with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
            env.step(1)
        env.reset(options={"episode": 0})
        env.step(1)


@BOTH
@pytest.mark.parametrize("action", [3, -1, 2**40, 1.0, True, [1, 1], [], [[1]], "1", None])
def test_what_is_no_action_is_refused(make: type, action: object, spy_market: TrainingMarket) -> None:
    with closing(make(spy_market)) as env:
        env.reset(options={"episode": 0})
        with pytest.raises(InvalidAction, match="an action must be"):
            env.step(action)
        assert env.step(np.array([2]))[4]["equity_usd"] > 0  # nothing was changed, and the episode goes on


@BOTH
@pytest.mark.parametrize("episode", [-1, 10**6, 0.0, "0", None])
def test_what_is_no_episode_is_refused(make: type, episode: object, spy_market: TrainingMarket) -> None:
    with (
        closing(make(spy_market)) as env,
        pytest.raises(Error, match=f"an episode must be an integer from 0 to {len(spy_market) - 1}, was"),
    ):
        env.reset(options={"episode": episode})


@pytest.mark.parametrize("make", [SessionVecEnv, SessionVectorEnv])
@pytest.mark.parametrize("actions", [[0, 3], [0, -1], [1], [1, 1, 1], [[1, 1], [1, 1]], [0.0, 1.0]])
def test_what_are_no_actions_of_many_environments_is_refused(
    make: type, actions: list[int], spy_market: TrainingMarket
) -> None:
    env = make(spy_market, 2)
    with pytest.raises(ResetNeeded):
        env.step(np.array([1, 1]))
    env.reset()
    before = env._lanes.state.lanes.copy(), env._lanes.state.legs.copy()
    with pytest.raises(InvalidAction):
        env.step(np.array(actions))
    assert before[0].tobytes() == env._lanes.state.lanes.tobytes()
    assert before[1].tobytes() == env._lanes.state.legs.tobytes()
    env.step(np.array([0, 2]))


@pytest.mark.parametrize("episodes", [[0, -1], [0, 10**6], [0.0, 1.0]])
def test_what_are_no_episodes_is_refused(episodes: list[int], spy_market: TrainingMarket) -> None:
    with pytest.raises(Error, match="an episode must be an integer"):
        SessionVectorEnv(spy_market, 2).reset(options={"episodes": episodes})


def test_unknown_reward_is_refused(spy_market: TrainingMarket) -> None:
    with pytest.raises(
        InputError, match="reward must be one of blend, differential_sharpe, log_equity, pnl, was 'sharpe'"
    ):
        SessionEnv(spy_market, reward="sharpe")


def test_a_snapshot_goes_on_exactly(spy_market: TrainingMarket) -> None:
    env, again = SessionVecEnv(spy_market, 3, seed=5), SessionVecEnv(spy_market, 3, seed=99)
    actions = np.random.default_rng(0).integers(3, size=(1000, 3))
    env.reset()
    again.reset()
    for row in actions[:150]:
        env.step(row)
    again.restore(env.snapshot())
    ends = 0
    for row in actions[150:]:
        first, second = env.step(row), again.step(row)
        for a, b in zip(first[:3], second[:3], strict=True):
            np.testing.assert_array_equal(a, b)
        ended = [(info.get("episode"), other.get("episode")) for info, other in zip(first[3], second[3], strict=True)]
        assert all(a == b for a, b in ended)
        ends += int(first[2].sum())
    assert ends >= 4, "new episodes must have been drawn"


def test_gymnasium_vector_equals_single_environments(spy_market: TrainingMarket) -> None:
    vector, random = SessionVectorEnv(spy_market, 2), np.random.default_rng(2)
    seen, _ = vector.reset(options={"episodes": [1, 3]})
    singles = [SessionEnv(spy_market) for _ in range(2)]
    for lane, episode in enumerate((1, 3)):
        np.testing.assert_array_equal(singles[lane].reset(options={"episode": episode})[0], seen[lane])
    ended = np.zeros(2, bool)
    while not ended.all():
        actions = random.integers(0, 3, 2)
        seen, rewards, over, truncated, infos = vector.step(actions)
        assert not truncated.any()
        for lane in np.flatnonzero(~ended):
            observation, reward, terminated, _, _ = singles[lane].step(int(actions[lane]))
            assert (reward, terminated) == (rewards[lane], over[lane])
            last = infos["final_obs"][lane] if terminated else seen[lane]
            np.testing.assert_array_equal(observation, last)
        ended |= over


def test_gymnasium_vector_repeats_by_seed(spy_market: TrainingMarket) -> None:
    first, second = (SessionVectorEnv(spy_market, 4).reset(seed=11)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_actions_that_the_mask_grants_are_never_refused(spy: tuple) -> None:
    risk = RiskConfig(max_entries_per_session=3, minimum_hold_bars=4, max_daily_loss=0.001, max_gross_exposure=0.0)
    market = market_of(*spy, TradingConfig(100, risk=risk, mask_actions=True))
    assert market.observation_names[-3:] == ("mask_short", "mask_flat", "mask_long")
    env, random = SessionEnv(market), np.random.default_rng(4)
    masked = 0
    for episode in range(len(market)):
        seen, _ = env.reset(options={"episode": episode})
        over = False
        while not over:
            granted = np.flatnonzero(seen[-3:])
            masked += 3 - len(granted)
            seen, _, over, _, told = env.step(int(random.choice(granted)))
        # A position that is closed for its age is closed whatever is wished.
        assert set(told["refusals"]) <= {"time_limit"}
    assert masked > 100
