"""An experiment with several members: each is the policy of its own seed, and together they are one bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.cli import main
from run.train.markets import experiment_markets, session_pnl
from run.train.resume import resume_run
from run.train.run_folder import TrainedRun, print_run
from run.train.runs import read_run
from run.train.train import train_experiment
from tests.run.conftest import experiment
from training.learning.callbacks import read_updates
from training.learning.update_metrics import UpdateMetrics

LEARNER: dict[str, Any] = msgspec.to_builtins(experiment().learner)
UPDATES = 2  # of each member


@pytest.fixture(autouse=True)
def one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles name the program's commit; a commit made while these tests run must not tell two bundles apart."""
    monkeypatch.setattr("run.train.run_folder.git_commit", lambda: "0" * 40)


class Stop:
    """A listener that presses Ctrl-C after some updates."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, metrics: UpdateMetrics) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def train(catalog: Path, runs: Path, seed: int = 1, *, stop_after: int = 0, **changes: Any) -> TrainedRun:
    learner = LEARNER | {"members": 3, "combine": "agree"} | changes
    return train_experiment(experiment(seed=seed, learner=learner), catalog, runs, listener=Stop(stop_after))


@pytest.fixture(scope="module")
def ensemble(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Three members of the seeds 1 to 3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("run.train.run_folder.git_commit", lambda: "0" * 40)
        return train(synthetic_catalog, tmp_path_factory.mktemp("runs"))


def lanes_of(bundle: Bundle, observations: np.ndarray) -> list[np.ndarray]:
    """Log-probabilities of every step, for a lane per row."""
    lanes, found = bundle.policy().batch(observations.shape[1]), []
    for row in observations:
        lanes.act_batch(row, np.zeros(len(row), bool))
        found.append(lanes.logits.astype(np.float64))
    return [logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in found]


def test_members_are_the_policies_of_their_seeds(ensemble: TrainedRun, synthetic_catalog: Path, tmp_path: Path) -> None:
    together = load_bundle(ensemble.bundle)
    assert together.manifest.metadata.seeds == (1, 2, 3)
    alone = [
        load_bundle(train(synthetic_catalog, tmp_path / str(seed), seed, members=1, combine="mean").bundle)
        for seed in (1, 2, 3)
    ]
    observations = np.random.default_rng(0).normal(size=(40, 20, together.policy().shape.n_observations))
    observations = observations.astype(np.float32)
    each = np.array([lanes_of(bundle, observations) for bundle in alone])
    likeliest = each.argmax(axis=-1)
    differ = (likeliest != likeliest[0]).any(axis=0)
    assert 0.1 < differ.mean() < 0.9
    expected = np.log(np.exp(each).mean(axis=0))
    expected[differ] = (-np.inf, 0.0, -np.inf)
    np.testing.assert_allclose(np.array(lanes_of(together, observations)), expected, rtol=0, atol=1e-5)


def test_a_run_of_members_has_their_folders_and_a_summary_of_all(
    ensemble: TrainedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = sorted(path.name for path in ensemble.run_dir.iterdir() if path.is_dir())
    assert folders == ["bundle", "member_01", "member_02", "member_03", "metrics"]
    summary = ensemble.summary
    assert [member.seed for member in summary.members] == [1, 2, 3]
    assert (summary.steps, summary.members[0].steps) == (3 * 1024, 1024)
    overview = read_run(ensemble.run_dir)
    assert (overview.state, overview.figures["steps"]) == ("finished", 3 * 1024)
    assert not (ensemble.bundle / "model.zip").exists()
    print_run(ensemble)
    said = capsys.readouterr().err
    assert "Member  seed 3: the policy of step 1,024\n" in said
    assert "Kept    an ensemble of 3 members\n" in said


@pytest.mark.parametrize("stop_after", [1, UPDATES + 1, 2 * UPDATES])
def test_a_stopped_run_goes_on_with_the_member_that_it_was_at(
    ensemble: TrainedRun, synthetic_catalog: Path, tmp_path: Path, stop_after: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(synthetic_catalog, tmp_path, stop_after=stop_after)
    (run_dir,) = tmp_path.iterdir()
    assert read_run(run_dir).state == "stopped"
    assert resume_run(run_dir).bundle.name == ensemble.bundle.name
    assert read_run(run_dir).state == "finished"


def test_a_run_killed_before_a_member_s_first_checkpoint_goes_on(
    ensemble: TrainedRun, synthetic_catalog: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(synthetic_catalog, tmp_path, stop_after=UPDATES)
    (run_dir,) = tmp_path.iterdir()
    (run_dir / "member_02" / "checkpoints").mkdir(parents=True)
    assert resume_run(run_dir).bundle.name == ensemble.bundle.name


def test_the_learning_rate_of_the_member_in_training_changes(
    ensemble: TrainedRun, synthetic_catalog: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(synthetic_catalog, tmp_path, stop_after=UPDATES + 1)
    (run_dir,) = tmp_path.iterdir()
    assert main(["lr-bump", str(run_dir), "--factor", "0.5"]) == 0
    resume_run(run_dir)
    assert not (run_dir / ".lr_bump").exists()
    for name, factor in (("member_01", 1.0), ("member_02", 0.5), ("member_03", 1.0)):
        rates = [
            read_updates(folder / name / "metrics" / "progress.csv")[-1].learning_rate
            for folder in (run_dir, ensemble.run_dir)
        ]
        assert rates[0] == pytest.approx(factor * rates[1])


VALIDATED = {"start": "2024-11-27", "end": "2024-12-03"}


def test_an_ensemble_is_asked_to_beat_doing_nothing_as_its_members_are(
    synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.learning.model_selection.FEWEST_SESSIONS", 3)
    settings = experiment(validate=VALIDATED, learner=LEARNER | {"members": 2, "beat_flat_by": 1e6})
    run = train_experiment(settings, synthetic_catalog, tmp_path, listener=Stop(0))
    print_run(run)
    said = capsys.readouterr().err
    assert "standard error" in said
    assert said.count("wants to be flat") == 2
    assert "No policy beats doing nothing here: the bundle abstains, it stays flat." in said
    bundle = load_bundle(run.bundle)
    assert bundle.abstention
    assert bundle.policy().shape.abstaining_members == (0, 1)


def test_an_ensemble_is_validated_as_the_policy_that_it_is(synthetic_catalog: Path, tmp_path: Path) -> None:
    settings = experiment(validate=VALIDATED, learner=LEARNER | {"members": 2})
    run = train_experiment(settings, synthetic_catalog, tmp_path, listener=Stop(0))
    (market,) = experiment_markets(settings, synthetic_catalog).validate
    pnl = session_pnl(market, load_bundle(run.bundle).policy().batch(len(market)))
    assert run.summary.best_validation == pytest.approx(pnl.mean())
    assert pnl.any()


def test_settings_of_members_are_checked() -> None:
    with pytest.raises(InputError, match=r"learner\.members: must be at least 1, was 0"):
        experiment(learner=LEARNER | {"members": 0})
    with pytest.raises(InputError, match=r"must be 1 with qr_dqn, whose outputs are not probabilities, was 2"):
        experiment(learner=LEARNER | {"members": 2, "algorithm": "qr_dqn"})
    with pytest.raises(InputError, match="combine"):
        experiment(learner=LEARNER | {"combine": "median"})


def test_an_ensemble_trades_a_portfolio_as_the_simulator_does(
    synthetic_catalog: Path, tmp_path: Path, answer: Callable[..., dict]
) -> None:
    soon_warm = [
        {"kind": "sma", "name": "atr_14", "params": {"n": 2}, "observe": False},
        {"kind": "momentum", "name": "momentum", "params": {"n": 60}},
    ]
    settings = experiment(
        portfolio=["AAPL"], features=soon_warm, train={"start": "2024-11-12", "end": "2024-11-26"}, validate=0.3,
        validation_folds=2, learner=LEARNER | {"members": 2},
    )  # fmt: skip
    run = train_experiment(settings, synthetic_catalog, tmp_path / "runs", listener=Stop(0))
    words = ("--start", "2024-11-27", "--end", "2024-12-03", "--catalog", synthetic_catalog, "--out", tmp_path / "out")
    backtest = answer("backtest", run.bundle, *words)
    assert backtest["simulator_agrees"]
    assert backtest["fills"] > 10
