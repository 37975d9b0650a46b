"""A killed run goes on as if it had never been killed: bit for bit where the environments can be put back."""

import base64
import csv
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import VecNormalize

from catalogs.errors import InputError
from tests.training.conftest import market_of, synthetic_bars
from tests.training.test_fit import SMALL, quiet, remember_envs
from training.algorithms.config import LearnerConfig, StabilityConfig
from training.algorithms.normalize import MaskedVecNormalize
from training.algorithms.recurrent_ppo import SequenceLstmPolicy, SequenceRecurrentPPO
from training.algorithms.schedules import RateSchedule
from training.envs.session_env import SessionVecEnv
from training.learning.checkpoint import checkpoints, latest_checkpoint
from training.learning.fit import FitResult, fit
from training.learning.moved_modules import moved_modules
from training.learning.update_metrics import UpdateMetrics
from training.simulator.market import TrainingMarket

CONFIG = LearnerConfig(
    total_timesteps=10 * 512, n_envs=4, n_steps=128, batch_size=128, n_epochs=2, lstm_hidden_size=8, net_arch=(),
    stability=StabilityConfig(kl_target=0.01, entropy_floor=0.99999),
)  # fmt: skip


def train(market: TrainingMarket, run_dir: Path, *, resume: bool = False, stop_at: int | None = None) -> FitResult:
    """A seeded run; stops with Ctrl-C once ``stop_at`` steps are learned."""

    def listen(metrics: UpdateMetrics) -> None:
        if stop_at is not None and metrics.steps >= stop_at:
            raise KeyboardInterrupt

    return fit(CONFIG, SessionVecEnv(market, 4, seed=3), run_dir, seed=3, on_update=listen, resume=resume)


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.policy.parameters()])


def assert_same(found: FitResult, expected: FitResult) -> None:
    assert torch.equal(weights(found.model), weights(expected.model))
    np.testing.assert_array_equal(found.vecnormalize.obs_rms.mean, expected.vecnormalize.obs_rms.mean)
    timed = dict.fromkeys(("seconds", "rollout_s", "env_s", "update_s"), 0.0)
    assert [{**vars(u), **timed} for u in found.updates] == [{**vars(u), **timed} for u in expected.updates]


@pytest.fixture(scope="module")
def uninterrupted(spy_market: TrainingMarket, tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    return train(spy_market, tmp_path_factory.mktemp("whole"))


def test_the_run_uses_what_must_be_carried_over(uninterrupted: FitResult) -> None:
    rates = [u.learning_rate for u in uninterrupted.updates]
    assert rates != sorted(rates, reverse=True), "the rate must have been adapted"
    assert uninterrupted.model.ent_coef > CONFIG.ent_coef


def test_interrupted_and_resumed_is_the_same_run(
    spy_market: TrainingMarket, uninterrupted: FitResult, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(spy_market, tmp_path, stop_at=3 * 512)
    with pytest.raises(KeyboardInterrupt):
        train(spy_market, tmp_path, resume=True, stop_at=7 * 512)
    assert_same(train(spy_market, tmp_path, resume=True), uninterrupted)


def test_a_finished_run_is_resumed_without_another_step(
    spy_market: TrainingMarket, uninterrupted: FitResult, tmp_path: Path
) -> None:
    train(spy_market, tmp_path)
    assert_same(train(spy_market, tmp_path, resume=True), uninterrupted)


# Another package in the environment is called `tests` too.
KILLED = """
import sys, types
from pathlib import Path
sys.modules["tests"] = tests = types.ModuleType("tests")
tests.__path__ = [sys.argv[2]]
from tests.training.test_resume import market, train
train(market(), Path(sys.argv[1]))
"""


def market() -> TrainingMarket:
    """That of the fixture `spy_market`, in a process of its own."""
    return market_of(*synthetic_bars("SPY", "2024-11-21", "2024-12-05", seed=7))


@pytest.mark.slow
def test_kill_9_loses_at_most_one_rollout(spy_market: TrainingMarket, uninterrupted: FitResult, tmp_path: Path) -> None:
    tests = Path(__file__).resolve().parents[1]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), str(tests)], cwd=tests.parent)
    progress = tmp_path / "metrics" / "progress.csv"
    deadline = time.monotonic() + 120
    while not progress.is_file() or len(progress.read_text().splitlines()) < 4:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with progress.open() as file:
        learned = int(list(csv.DictReader(file))[-1]["steps"])
    assert learned - int(latest_checkpoint(tmp_path).name.removeprefix("step_")) <= 512
    assert_same(train(spy_market, tmp_path, resume=True), uninterrupted)


def test_environments_that_cannot_be_put_back_begin_new_episodes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(SMALL, remember_envs(), tmp_path, seed=1, on_update=interrupt)
    assert '"exact": false' in (latest_checkpoint(tmp_path) / "state.json").read_text()
    result = fit(SMALL, remember_envs(), tmp_path, seed=1, on_update=quiet, resume=True)
    assert [u.steps for u in result.updates] == [128, 256]


def interrupt(metrics: UpdateMetrics) -> None:
    raise KeyboardInterrupt


def test_a_run_is_resumable_from_its_first_moment(spy_market: TrainingMarket, tmp_path: Path) -> None:
    class Stops(SessionVecEnv):
        def step_async(self, actions: np.ndarray) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(CONFIG, Stops(spy_market, 4, seed=3), tmp_path, seed=3, on_update=quiet)
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step_000000000000"]


def test_a_folder_without_a_run_is_refused(spy_market: TrainingMarket, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no checkpoint to resume from"):
        train(spy_market, tmp_path, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_files_that_name_the_old_modules_still_load(
    spy_market: TrainingMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_under = {
        MaskedVecNormalize: "training.normalize",
        SequenceLstmPolicy: "training.recurrent_ppo",
        RateSchedule: "training.schedules",
    }
    with monkeypatch.context() as renamed, moved_modules():
        for saved, module in saved_under.items():
            renamed.setattr(saved, "__module__", module)
        result = train(spy_market, tmp_path)
    for file in (result.checkpoint / "vecnormalize.pkl", result.checkpoint / "model.zip"):
        assert "training.algorithms" not in saved_modules(file)
    with pytest.raises(ModuleNotFoundError):
        VecNormalize.load(str(result.checkpoint / "vecnormalize.pkl"), SessionVecEnv(spy_market, 4))
    with moved_modules():
        model = SequenceRecurrentPPO.load(result.checkpoint / "model.zip", device="cpu")
    assert torch.equal(weights(model), weights(result.model))
    assert_same(train(spy_market, tmp_path, resume=True), result)


def saved_modules(file: Path) -> str:
    """Text of a saved file, the pickled parts of a model decoded."""
    if file.suffix == ".pkl":
        return file.read_bytes().decode("latin-1")
    with zipfile.ZipFile(file) as archive:
        parts = json.loads(archive.read("data")).values()
    pickled = [part[":serialized:"] for part in parts if isinstance(part, dict) and ":serialized:" in part]
    return b"".join(map(base64.b64decode, pickled)).decode("latin-1")
