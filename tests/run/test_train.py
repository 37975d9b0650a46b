"""From an experiment to a bundle and back: held-out windows, resuming, several tickers, equal seeds."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from catalogs.errors import InputError
from configs.schema import DateRange, Experiment, parse_experiment
from rl_strategies.bundle.bundle import load_bundle
from rl_strategies.features import REGISTRY
from run.backtest.evaluation import SampledPolicy
from run.cli import main
from run.train.markets import experiment_markets, session_pnl
from run.train.resume import resume_run
from run.train.run_metadata import RunMetadata, write_run_metadata
from run.train.train import train_experiment
from tests.run.conftest import experiment
from training.algorithms.config import LearnerConfig
from training.envs.reward import REWARDS, PnL, RewardConfig
from training.learning.update_metrics import UpdateMetrics
from training.simulator.lanes import rollout

LATER = {"start": "2024-11-27", "end": "2024-12-03"}


@pytest.fixture(autouse=True)
def one_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles name the program's commit; a commit made while these tests run must not tell two bundles apart."""
    monkeypatch.setattr("run.train.run_folder.git_commit", lambda: "0" * 40)


@pytest.fixture
def known_features() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    known = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(known)


def quiet(metrics: UpdateMetrics) -> None:
    del metrics


def interrupt(metrics: UpdateMetrics) -> None:
    raise KeyboardInterrupt


def test_equal_seeds_give_equal_bundles(synthetic_catalog: Path, tmp_path: Path) -> None:
    first, second = (
        train_experiment(experiment(), synthetic_catalog, tmp_path / name, listener=quiet) for name in "ab"
    )
    assert first.bundle.name == second.bundle.name
    other = train_experiment(experiment(seed=2), synthetic_catalog, tmp_path / "c", listener=quiet)
    assert other.bundle.name != first.bundle.name


@pytest.mark.usefixtures("known_features")
def test_a_bundle_names_no_folder_of_the_machine_it_was_trained_on(synthetic_catalog: Path, tmp_path: Path) -> None:
    own = tmp_path / "own_gap.py"
    own.write_text(
        "from rl_strategies.features import State, feature\n\n\n"
        "@feature()\n"
        "def own_gap(s: State, open: float, close: float) -> float:\n"
        '    """Gap between open and close."""\n'
        "    return open - close\n"
    )
    atr = {"kind": "atr", "name": "atr_14", "params": {"n": 14}, "observe": False}
    changed = experiment(features=[atr, {"kind": "own_gap", "name": "gap"}], feature_files=[str(own)])
    result = train_experiment(changed, synthetic_catalog, tmp_path / "runs", listener=quiet)
    texts = {path.name: path.read_bytes() for path in result.bundle.iterdir() if path.suffix != ".zip"}
    assert [name for name, content in texts.items() if str(tmp_path).encode() in content] == []
    assert b"own_gap.py" in texts["experiment.yaml"]
    assert load_bundle(result.bundle).id == result.bundle.name


TRAINING_PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
(OWN_REWARD,) = re.findall(r"```python\n(.*?)```", TRAINING_PAGE, re.DOTALL)


@pytest.fixture
def known_rewards() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    known = dict(REWARDS)
    yield
    REWARDS.clear()
    REWARDS.update(known)


@pytest.mark.usefixtures("known_rewards")
def test_a_reward_of_the_users_own_file_trains_and_its_bundle_finds_the_file_by_name(
    synthetic_catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own_reward.py"
    own.write_text(OWN_REWARD)
    changed = experiment(reward={"kind": "pnl_less_turnover"}, reward_files=[str(own)])
    bundle = load_bundle(train_experiment(changed, synthetic_catalog, tmp_path / "runs", listener=quiet).bundle)
    assert bundle.experiment["reward_files"] == ["own_reward.py"]

    own.rename(tmp_path / "put_away.py")
    assert parse_experiment(bundle.experiment, "bundle").reward == RewardConfig(
        "pnl_less_turnover"
    )  # this process has it
    del REWARDS["pnl_less_turnover"]
    with pytest.raises(InputError, match=r"reward file own_reward.py not found: put it into the working folder"):
        parse_experiment(bundle.experiment, "bundle")
    moved = tmp_path / "elsewhere" / own.name
    moved.parent.mkdir()
    moved.write_text(OWN_REWARD)
    monkeypatch.setenv("RL_INTRADAY_FEATURES", str(moved.parent))
    assert parse_experiment(bundle.experiment, "bundle").reward == RewardConfig("pnl_less_turnover")


@pytest.mark.usefixtures("known_rewards")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "must register at least one reward with @reward, had none"),
        (
            OWN_REWARD.replace("pnl_less_turnover", "pnl"),
            "names of rewards must be unique; 'pnl' is taken by training.envs.reward",
        ),
    ],
)
def test_a_file_of_rewards_that_adds_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    own = tmp_path / "own_reward.py"
    own.write_text(text)
    with pytest.raises(InputError, match=message):
        experiment(reward_files=[str(own)])
    assert REWARDS["pnl"] is PnL


def test_own_rewards_need_the_simulator() -> None:
    with pytest.raises(ValueError, match=r"reward_files need learner.environment simulator, was engine"):
        Experiment(
            name="own", instrument="SPY", train=DateRange(date(2024, 11, 18), date(2024, 11, 26)),
            reward_files=["own_reward.py"], learner=LearnerConfig(environment="engine"),
        )  # fmt: skip


def test_a_stopped_run_makes_no_bundle_and_says_how_to_go_on(
    synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train_experiment(experiment(), synthetic_catalog, tmp_path / "whole", listener=quiet)
    with pytest.raises(KeyboardInterrupt):
        train_experiment(experiment(), synthetic_catalog, tmp_path / "runs", listener=interrupt)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert f"Resume with: rl-intraday resume {run_dir}" in capsys.readouterr().err
    assert not (run_dir / "bundle").exists()

    resumed = resume_run(run_dir)
    assert resumed.bundle.name == whole.bundle.name
    assert resumed.summary.steps == 1024
    with pytest.raises(InputError, match=f"run {run_dir} has finished: its bundle is {resumed.bundle}"):
        resume_run(run_dir)


def test_a_run_is_not_resumed_on_other_bars(synthetic_catalog: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_experiment(experiment(), synthetic_catalog, tmp_path, listener=interrupt)
    (run_dir,) = tmp_path.iterdir()
    settings = (run_dir / "experiment.yaml").read_text().replace("2024-11-26", "2024-11-25")
    (run_dir / "experiment.yaml").write_text(settings)
    with pytest.raises(InputError, match="started with other bars"):
        resume_run(run_dir)


def test_resume_of_no_run_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(tmp_path)]) == 2
    assert "is not a training run: origin.json is missing" in capsys.readouterr().err
    assert main(["lr-bump", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_learning_rate_of_a_stopped_run_changes_when_it_is_resumed(
    synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_experiment(experiment(), synthetic_catalog, tmp_path, listener=interrupt)
    (run,) = tmp_path.iterdir()
    capsys.readouterr()
    assert main(["lr-bump", str(run), "--factor", "0.5"]) == 0
    said = f"is multiplied by 0.5 before the next rollout, after `rl-intraday resume {run}`."
    assert said in capsys.readouterr().err
    assert (run / ".lr_bump").read_text() == "0.5\n"


def test_learning_rate_of_a_finished_run_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run_metadata(tmp_path, RunMetadata("catalog", "0" * 64))
    (tmp_path / "experiment.yaml").write_text("name: demo\n")
    (tmp_path / "bundle" / "demo-0123456789ab").mkdir(parents=True)
    assert main(["lr-bump", str(tmp_path)]) == 2
    said = f"error: run {tmp_path} has finished: lr-bump changes a training in progress\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / ".lr_bump").exists()


@pytest.mark.parametrize(
    ("validate", "learned", "kept_out"),
    [
        (
            {"start": "2024-11-27", "end": "2024-12-03"},
            ("2024-11-18", "2024-11-26", 7),
            ("2024-11-27", "2024-12-03", 4),
        ),
        (0.3, ("2024-11-18", "2024-11-22", 5), ("2024-11-25", "2024-11-26", 2)),
    ],
)
def test_validation_sessions_are_not_learned_from(
    synthetic_catalog: Path, validate: Any, learned: tuple[str, str, int], kept_out: tuple[str, str, int]
) -> None:
    markets = experiment_markets(experiment(validate=validate), synthetic_catalog)
    for (market,), (first, last, count) in zip((markets.train, markets.validate), (learned, kept_out), strict=True):
        # Thanksgiving, 28 November 2024, has no session.
        assert (market.session_dates[0], market.session_dates[-1]) == (np.datetime64(first), np.datetime64(last))
        assert len(market) == count


def test_the_best_policy_on_validation_sessions_is_bundled(synthetic_catalog: Path, tmp_path: Path) -> None:
    settings = experiment(validate=0.3, learner=LEARNER | {"total_timesteps": 6 * 512})
    seen: list[UpdateMetrics] = []
    trained = train_experiment(settings, synthetic_catalog, tmp_path, listener=seen.append)
    results = {u.steps: u.validation for u in seen}
    assert None not in results.values()
    assert trained.summary.best_validation == max(v for v in results.values() if v is not None)
    assert results[trained.summary.best_step or 0] == trained.summary.best_validation
    # The bundle earns on those sessions what the best state earned.
    (market,) = experiment_markets(settings, synthetic_catalog).validate
    policy = load_bundle(trained.bundle).policy().batch(len(market))
    assert session_pnl(market, policy).mean() == pytest.approx(trained.summary.best_validation)


LEARNER: dict[str, Any] = msgspec.to_builtins(experiment().learner)


def test_one_policy_learns_from_several_tickers(synthetic_catalog: Path, tmp_path: Path) -> None:
    settings = experiment(tickers=["AAPL", "MSFT"], validate=0.3)
    whole = train_experiment(settings, synthetic_catalog, tmp_path / "whole", listener=quiet)
    assert whole.sessions == 3 * 5
    with pytest.raises(KeyboardInterrupt):
        train_experiment(settings, synthetic_catalog, tmp_path / "runs", listener=interrupt)
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert resume_run(run_dir).bundle.name == whole.bundle.name


def test_fewer_lanes_than_tickers_are_refused(synthetic_catalog: Path, tmp_path: Path) -> None:
    settings = experiment(tickers=["AAPL", "MSFT"], learner=LEARNER | {"n_envs": 2})
    with pytest.raises(InputError, match=r"learner\.n_envs: must be at least the number of tickers, 3, was 2"):
        train_experiment(settings, synthetic_catalog, tmp_path, listener=quiet)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tickers": ["SPY"]}, "SPY must be named once in instrument, portfolio, tickers and test_tickers"),
        ({"tickers": ["AAPL"], "test_tickers": ["AAPL"]}, "AAPL must be named once"),
        ({"validate": 0.7}, "validate must be a date range, or a share above 0 and up to 0.5, was 0.7"),
        ({"validate": {"start": "2024-11-26", "end": "2024-12-03"}}, "train and validate must not overlap"),
        ({"test": {"start": "2024-11-01", "end": "2024-12-03"}}, "train and test must not overlap"),
    ],
)
def test_wrong_windows_and_tickers_are_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        experiment(**changes)


def test_dates_stay_dates() -> None:
    assert experiment(validate={"start": "2024-11-27", "end": "2024-12-03"}).validate.start == date(2024, 11, 27)  # type: ignore[union-attr]


@pytest.mark.parametrize("masked", [True, False])
def test_a_masked_policy_never_asks_for_what_the_overlay_refuses(
    synthetic_catalog: Path, tmp_path: Path, masked: bool
) -> None:
    trading = {"risk": {"max_entries_per_session": 2}, "mask_actions": masked}
    settings = experiment(trading=trading, validate=0.3)
    trained = train_experiment(settings, synthetic_catalog, tmp_path, listener=quiet)
    refused: Counter[str] = Counter()
    (market,) = experiment_markets(settings, synthetic_catalog).train
    policies = [load_bundle(trained.bundle).policy().batch(len(market)) for _ in range(2)]
    for policy in (policies[0], SampledPolicy(policies[1], seed=1)):
        lanes = rollout(market, lambda seen, new, at, policy=policy: policy.act_batch(seen, new), range(len(market)))  # type: ignore[misc]
        for lane in range(len(market)):
            refused.update(lanes.refusals_of(lane))
    assert (refused["entry_limit"] == 0) is masked


def test_augmented_bars_are_made_of_the_training_sessions_alone(synthetic_catalog: Path) -> None:
    settings = experiment(validate=0.3, augment=["mirrored", "shuffled_blocks"])
    plain, mirror, shuffled = experiment_markets(settings, synthetic_catalog).train
    assert [len(market) for market in (plain, mirror, shuffled)] == [5, 5, 5]
    for made in (mirror, shuffled):
        np.testing.assert_array_equal(made.session_dates, plain.session_dates)
    own, turned = plain.bars.close, mirror.bars.close
    np.testing.assert_array_equal(np.diff(turned), -np.diff(own[: len(turned)]))
    # A block of a validation day would be seen in the sizes of the moves.
    first, count = plain.bars.open[0], len(shuffled.bars)
    assert shuffled.bars.ts_ns[-1] <= plain.close_ns(4)
    sizes = [sorted(abs(np.diff(closes, prepend=first))) for closes in (shuffled.bars.close, own[:count])]
    assert sizes[0] == sizes[1]


def test_augmented_prices_that_belong_to_others_are_refused() -> None:
    with pytest.raises(InputError, match="augment must not be combined with portfolio or context"):
        experiment(portfolio=["AAPL"], augment=["mirrored"])


def test_augmented_bars_are_learned_from(synthetic_catalog: Path, tmp_path: Path) -> None:
    trained = train_experiment(experiment(augment=["mirrored"]), synthetic_catalog, tmp_path, listener=quiet)
    assert trained.sessions == 2 * len(experiment_markets(experiment(), synthetic_catalog).train[0])


SHORT_MEMORY = [
    {"kind": "sma", "name": "atr_14", "params": {"n": 2}, "observe": False},
    {"kind": "momentum", "name": "momentum", "params": {"n": 60}},
]
WINDOW = {"start": "2024-11-12", "end": "2024-12-03"}  # fifteen sessions; Thanksgiving has none


def test_folds_are_the_same_days_for_all_tickers_and_nothing_made_of_them_is_learned_from(
    synthetic_catalog: Path,
) -> None:
    settings = experiment(
        tickers=["AAPL"], train=WINDOW, features=SHORT_MEMORY, validate=0.3, validation_folds=2,
        augment=["mirrored", "shuffled_blocks"],
    )  # fmt: skip
    markets = experiment_markets(settings, synthetic_catalog)
    days = [market.session_dates.astype(str).tolist() for market in markets.validate]
    # Of eight sessions the last two, and of the seven others.
    assert days[0] == days[1] == ["2024-11-20", "2024-11-21", "2024-12-02", "2024-12-03"]
    purged = ["2024-11-19", "2024-11-22", "2024-11-29"]
    for market in markets.train:
        learned = market.session_dates.astype(str).tolist()
        assert len(learned) == 8
        assert not {*learned} & {*days[0], *purged}
    plain, mirror, shuffled = markets.train[:3]
    for made in (mirror, shuffled):
        bars_of = made.calendar.session_date[made.calendar.locate(made.bars.ts_ns)].astype(str)
        assert not {*bars_of} & {*days[0], *purged}
    assert len(plain.bars) > len(mirror.bars)


def test_the_kept_state_is_judged_on_all_folds_together(
    synthetic_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = experiment(train=WINDOW, features=SHORT_MEMORY, validate=0.4, validation_folds=3)
    trained = train_experiment(settings, synthetic_catalog, tmp_path, listener=quiet)
    said = capsys.readouterr().err
    assert "validation on 6 sessions in 3 folds 2024-11-15 to 2024-12-03" in said
    assert "sessions: within the warm-up of a validation fold" in said
    (market,) = experiment_markets(settings, synthetic_catalog).validate
    pnl = session_pnl(market, load_bundle(trained.bundle).policy().batch(len(market)))
    assert trained.summary.best_validation == pytest.approx(pnl.mean())


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"validation_folds": 0}, "validation_folds must be at least 1, was 0"),
        ({"validation_folds": 2}, "validation_folds above 1 need a share in validate, such as 0.2, was None"),
        ({"validation_folds": 2, "validate": LATER}, "need a share in validate"),
    ],
)
def test_folds_need_a_share_of_the_training_window(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        experiment(**changes)
