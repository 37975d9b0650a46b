"""An ensemble is traded, backtested and replayed as any policy, with the recurrent states of all its members."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import read_journal
from rl_strategies.live.journal.resume import ResumeError
from rl_strategies.live.journal.session_journal import fingerprint
from rl_strategies.policy.policies import OnnxPolicy
from tests.live import resumable_session
from tests.live.conftest import PAPER_DAY, PAPER_EXPERIMENT, PaperDay, trade_paper_day
from tests.live.resumable_session import ResumableSession, new_core
from tests.summing_network import summing_network
from training.ensemble import export_ensemble

MEMBERS = 3


@pytest.fixture(scope="module")
def ensemble_day(tmp_path_factory: pytest.TempPathFactory) -> PaperDay:
    """The session of `paper_day`, traded by three hardly trained members."""
    learner = PAPER_EXPERIMENT["learner"] | {"members": MEMBERS, "combine": "mean"}
    return trade_paper_day(tmp_path_factory.mktemp("ensemble"), PAPER_EXPERIMENT | {"learner": learner})


def test_a_session_of_an_ensemble_replays_without_a_difference(
    ensemble_day: PaperDay, answer: Callable[..., dict]
) -> None:
    for more in ((), ("--catalog", ensemble_day.catalog)):
        replay = answer("replay", ensemble_day.folder, *more)
        assert replay["is_equal"]
        assert replay["decisions"] == replay["equal_observations"] > 200
        assert {cause: found["divergences"] for cause, found in replay["causes"].items()} == dict.fromkeys(
            replay["causes"], 0
        )


def test_its_journal_has_the_states_of_all_members(ensemble_day: PaperDay) -> None:
    rows = read_journal(ensemble_day.folder / "journal").rows.to_pylist()
    policy = load_bundle(ensemble_day.bundle).policy()
    assert policy.snapshot().shape == (2, MEMBERS, 1, 8)
    observed = [row["values"] for row in rows if row["kind"] == "observation"]
    written = [row["text"] for row in rows if row["kind"] == "recurrent_state"]
    assert len(observed) == len(written) > 200
    for observation, text in zip(observed, written, strict=True):
        policy.act(np.array(observation, np.float32))
        assert fingerprint(policy.snapshot()) == text
    assert policy.snapshot()[:, -1].any()


def test_its_backtest_is_the_simulator_s(ensemble_day: PaperDay, answer: Callable[..., dict]) -> None:
    window = ("--start", PAPER_DAY, "--end", PAPER_DAY)
    backtest = answer("backtest", ensemble_day.bundle, *window, "--catalog", ensemble_day.catalog)
    assert backtest["simulator_agrees"]
    assert backtest["metrics"]["trades"] > 10


@pytest.fixture
def summing_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of `ResumableSession` trade with three members that weigh what they saw differently."""
    count = len(new_core().observation_names)
    members = [summing_network(count, scale) for scale in (10_000.0, -2_000.0, 6_000.0)]
    export_ensemble(members, tmp_path / "policy.onnx", combine="mean", mask_columns=3)
    monkeypatch.setattr(resumable_session, "new_policy", lambda plan: OnnxPolicy(tmp_path / "policy.onnx"))


FIRST = 385  # five bars of the first day, then the second


@pytest.mark.usefixtures("summing_members")
@pytest.mark.parametrize("is_checkpointed", [True, False])
def test_a_killed_session_of_an_ensemble_goes_on_bit_for_bit(tmp_path: Path, is_checkpointed: bool) -> None:
    first = ResumableSession(tmp_path / "first")
    first.trade(np.random.default_rng(3), FIRST, 45)
    assert len(first.strategy.execution.fills) > 10
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    if not is_checkpointed:
        (tmp_path / "again" / "checkpoint.npz").unlink()
    again = ResumableSession(tmp_path / "again")
    memory = again.strategy.policy.snapshot()
    assert memory.shape == (2, 3, 1, 1)
    assert len(set(memory[0].ravel())) == 3
    assert again.state() == first.state()
    for session in (first, again):
        session.trade(np.random.default_rng(4), FIRST + 45, 20)
        session.die()
    assert again.state() == first.state()
    assert again.strategy.execution.fills == first.strategy.execution.fills


@pytest.mark.usefixtures("summing_members")
def test_the_state_of_one_member_alone_is_missed(tmp_path: Path) -> None:
    session = ResumableSession(tmp_path / "first")
    session.trade(np.random.default_rng(3), FIRST, 45)
    session.die()
    path = tmp_path / "first" / "checkpoint.npz"
    with np.load(path) as kept:
        state = dict(kept)
    state["policy.memory"][0, 2] += np.float32(0.001)
    np.savez(path, allow_pickle=False, **state)
    with pytest.raises(ResumeError, match=r"differs in policy\.memory"):
        ResumableSession(tmp_path / "first")
