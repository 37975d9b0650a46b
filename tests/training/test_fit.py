"""A training run: learns what needs memory, repeats bit by bit, ends cleanly, refuses what cannot work."""

import csv
import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from catalogs.errors import InputError
from rl_strategies.policy.policies import OnnxPolicy
from training.algorithms.config import LearnerConfig, StabilityConfig
from training.algorithms.recurrent_ppo import SequenceRecurrentPPO
from training.export import export_onnx
from training.learning.callbacks import read_updates
from training.learning.checkpoint import latest_checkpoint
from training.learning.fit import FitResult, fit
from training.learning.update_metrics import UpdateMetrics

SMALL = LearnerConfig(
    total_timesteps=256, n_envs=4, n_steps=32, batch_size=64, n_epochs=2, lstm_hidden_size=8, net_arch=()
)


class RememberEnv(gymnasium.Env[np.ndarray, int]):
    """Shows short or long (-1 or 1) once, then zeros; only the last action, five bars later, is rewarded."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(3)
    length = 6

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.age, self.cue = 0, int(self.np_random.integers(2)) * 2 - 1
        return self.observe(self.cue), {}

    def observe(self, cue: int) -> np.ndarray:
        return np.array([cue, self.age], np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.age += 1
        over = self.age == self.length
        reward = float(over and int(action) - 1 == self.cue)
        return self.observe(0), reward, over, False, {}


class TamperedEnv(RememberEnv):
    """Calls `tamper` with every reward from step 50 on."""

    def __init__(self, tamper: Callable[[float], float]) -> None:
        self.tamper, self.steps = tamper, 0

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, *rest = super().step(action)
        self.steps += 1
        return observation, self.tamper(reward) if self.steps >= 50 else reward, *rest


def monitored(*makers: Callable[[], gymnasium.Env]) -> VecMonitor:
    return VecMonitor(DummyVecEnv(list(makers)))


def remember_envs(n: int = 4) -> VecMonitor:
    return monitored(*[RememberEnv] * n)


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


def run(path: Path, config: LearnerConfig = SMALL, seed: int = 1, **changes: Any) -> FitResult:
    config = msgspec.structs.replace(config, **changes)
    return fit(config, remember_envs(config.n_envs), path, seed=seed, on_update=quiet)


def weights(result: FitResult) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.model.policy.parameters()])


def share_of_right_answers(policy: OnnxPolicy, forgets: bool) -> float:
    env = RememberEnv()
    rewards = []
    for seed in range(100):
        observation, _ = env.reset(seed=seed)
        policy.reset()
        over = False
        while not over:
            if forgets:
                policy.reset()
            observation, reward, over, _, _ = env.step(policy.act(observation))
        rewards.append(reward)
    return float(np.mean(rewards))


def test_learns_what_only_memory_can_solve(tmp_path: Path) -> None:
    result = run(
        tmp_path, seed=0, total_timesteps=16_000, n_envs=16, n_steps=60, batch_size=480, n_epochs=6,
        learning_rate=1e-2, final_learning_rate=1e-3, lstm_hidden_size=16, ent_coef=0.01, gamma=0.9,
    )  # fmt: skip
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    policy = OnnxPolicy(tmp_path / "policy.onnx")
    assert share_of_right_answers(policy, forgets=False) > 0.95
    # Without memory at most one of the two equally likely cues can be answered.
    assert share_of_right_answers(policy, forgets=True) < 0.7


def test_without_memory_it_cannot_be_learned(tmp_path: Path) -> None:
    result = run(
        tmp_path, seed=0, algorithm="ppo_mlp", total_timesteps=16_000, n_envs=16, n_steps=60, batch_size=480,
        n_epochs=6, learning_rate=1e-2, final_learning_rate=1e-3, net_arch=(16,), ent_coef=0.01, gamma=0.9,
    )  # fmt: skip
    export_onnx(result.model, result.vecnormalize, tmp_path / "policy.onnx")
    assert share_of_right_answers(OnnxPolicy(tmp_path / "policy.onnx"), forgets=False) < 0.7


def test_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second, other = (run(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    np.testing.assert_array_equal(first.vecnormalize.obs_rms.mean, second.vecnormalize.obs_rms.mean)  # type: ignore[union-attr]


def test_run_directory_holds_the_record(tmp_path: Path) -> None:
    result = run(tmp_path, final_learning_rate=0.0)
    with (tmp_path / "metrics" / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == [128, 256]
    # Linear from the first value at the start to the second at the end: half way, then the end.
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([1.5e-4, 0.0])
    # Episodes last six steps: five end in 32 steps of one environment, ten in 64.
    assert [int(row["episodes"]) for row in rows] == [20, 20]
    assert float(rows[0]["entropy"]) == pytest.approx(np.log(3), abs=0.05), "an untrained policy is near uniform"
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    summary = json.loads((tmp_path / "metrics" / "training_summary.json").read_text())
    assert summary["steps"] == 256
    assert summary["episodes"] == 40
    assert summary["seed"] == 1
    assert summary["interrupted"] is False
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    assert summary["mean_episode_reward_last"] == pytest.approx(float(rows[1]["mean_episode_reward"]))
    assert {"model.zip", "vecnormalize.pkl"} < {p.name for p in result.checkpoint.iterdir()}
    assert result.checkpoint == tmp_path / "checkpoints" / "step_000000000256"
    for row in rows:  # near uniform over 128 steps: a third each, give or take three deviations
        assert json.loads(row["action_shares"]) == pytest.approx([1 / 3] * 3, abs=0.125)
    assert read_updates(tmp_path / "metrics" / "progress.csv") == list(result.updates)


def test_every_update_is_reported(tmp_path: Path) -> None:
    seen: list[UpdateMetrics] = []
    result = fit(SMALL, remember_envs(), tmp_path, seed=1, on_update=seen.append)
    assert [m.steps for m in seen] == [128, 256]
    assert tuple(seen) == result.updates
    assert seen[-1].remaining_s == 0.0


def test_progress_bar_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(SMALL, remember_envs(), tmp_path, seed=1)
    output = capsys.readouterr()
    assert output.out == ""
    assert "samples/s" in output.err
    assert "KL" in output.err


def test_interrupt_leaves_a_checkpoint_and_is_passed_on(tmp_path: Path) -> None:
    def press_control_c(reward: float) -> float:
        signal.raise_signal(signal.SIGINT)
        return reward

    env = monitored(*[RememberEnv] * 3, partial(TamperedEnv, press_control_c))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born ignoring it
    with pytest.raises(KeyboardInterrupt):
        fit(SMALL, env, tmp_path, seed=1, on_update=quiet)
    # The 50th step of an environment is in the second rollout: one whole rollout of 128 steps was learned from.
    assert latest_checkpoint(tmp_path).name == "step_000000000128"
    summary = json.loads((tmp_path / "metrics" / "training_summary.json").read_text())
    assert summary["interrupted"] is True
    assert summary["steps"] == 128


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_stops_the_run(tmp_path: Path, value: float) -> None:
    env = monitored(*[RememberEnv] * 3, partial(TamperedEnv, lambda _: value))
    with pytest.raises(InputError, match=f"reward of environment 3: must be finite, was {value}"):
        fit(SMALL, env, tmp_path, seed=1, on_update=quiet)


def test_an_observation_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class BlindEnv(RememberEnv):
        def observe(self, cue: int) -> np.ndarray:
            return np.array([cue, np.nan], np.float32)

    env = monitored(*[BlindEnv] * 4)
    with pytest.raises(InputError, match="observation of environment 0, column 1: must be finite, was nan"):
        fit(SMALL, env, tmp_path, seed=1, on_update=quiet)


def test_divergence_stops_the_run_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be finite, .* lower learning_rate \(now 1e\+30\)"):
        run(tmp_path, learning_rate=1e30, final_learning_rate=None)


def test_a_checkpoint_restores_model_and_statistics(tmp_path: Path) -> None:
    result = run(tmp_path)
    model = SequenceRecurrentPPO.load(result.checkpoint / "model.zip", device="cpu")
    vecnormalize = VecNormalize.load(str(result.checkpoint / "vecnormalize.pkl"), remember_envs())
    assert model.num_timesteps == 256
    for name, value in result.model.policy.state_dict().items():
        assert torch.equal(model.policy.state_dict()[name], value)
    observations = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_array_equal(
        vecnormalize.normalize_obs(observations), result.vecnormalize.normalize_obs(observations)
    )


def test_a_directory_that_holds_a_run_is_not_written_into(tmp_path: Path) -> None:
    run(tmp_path)
    before = sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*"))
    with pytest.raises(
        InputError, match=r"run directory .* already has checkpoints; choose a new one, or resume the run"
    ):
        run(tmp_path)
    assert sorted((p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*")) == before


def test_old_checkpoints_are_removed(tmp_path: Path) -> None:
    run(tmp_path, total_timesteps=6 * 128, stability=StabilityConfig(checkpoints_kept=3))
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_000000000512", "step_000000000640", "step_000000000768"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"batch_size": 48}, "learner.batch_size: must divide n_envs * n_steps = 128, was 48"),
        ({"batch_size": 1}, "learner.batch_size: must be at least 2, was 1"),
        ({"n_steps": 0}, "learner.n_steps: must be at least 1, was 0"),
        ({"learning_rate": 0.0}, "learner.learning_rate: must be above 0 and finite, was 0.0"),
        ({"learning_rate": float("nan")}, "learner.learning_rate: must be above 0 and finite, was nan"),
        ({"final_clip_range": -0.1}, "learner.final_clip_range: must be at least 0 and finite, was -0.1"),
        ({"seq_len": 0}, "learner.seq_len: must be at least 1, was 0"),
        ({"gamma": 1.01}, "learner.gamma: must be in [0, 1], was 1.01"),
        ({"ent_coef": -1.0}, "learner.ent_coef: must be at least 0 and finite, was -1.0"),
        ({"target_kl": 0.0}, "learner.target_kl: must be above 0, was 0.0"),
        ({"net_arch": (64, 0)}, "learner.net_arch: must have widths of at least 1, was (64, 0)"),
        ({"shared_lstm": True}, "learner.shared_lstm: must be false if critic_lstm is true, was True"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as error:
        msgspec.structs.replace(SMALL, **changes)
    assert str(error.value) == line


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `gama`"):
        msgspec.convert({"gama": 0.9}, LearnerConfig)


def test_an_environment_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"learner\.n_envs: must equal the number of environments, 3, was 4"):
        fit(SMALL, remember_envs(3), tmp_path, seed=1)

    class BoxActionEnv(RememberEnv):
        action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    with pytest.raises(InputError, match="action space: must be Discrete or MultiDiscrete, was Box"):
        fit(SMALL, monitored(*[BoxActionEnv] * 4), tmp_path, seed=1)
    assert list(tmp_path.iterdir()) == [], "nothing may be written for input that is refused"
