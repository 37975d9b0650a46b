"""An ensemble is traded, backtested and replayed as any policy, with the recurrent states of all its members."""

from collections.abc import Callable

import numpy as np
import pytest

from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.live.journal.journal import read_journal
from rl_strategies.live.journal.session_journal import fingerprint
from tests.live.conftest import PAPER_DAY, PAPER_EXPERIMENT, PaperDay, trade_paper_day

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
