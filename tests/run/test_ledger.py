"""Every command that tries something says so in the ledger before it begins, and what came of it after."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalogs.errors import InputError
from run.cli import main
from run.ledger.recording import ledger_of_bundle, recorded
from run.train import run_folder as train_folder
from run.train import train
from run.train.resume import resume_run
from run.train.run_metadata import read_run_metadata
from tests.run.conftest import experiment
from training.validation.ledger.ledger import ENTRIES, append, check

Answer = Callable[..., dict[str, Any]]
WINDOW = ("--start", "2024-11-27", "--end", "2024-12-03")


@pytest.fixture(scope="module")
def trained(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> train.TrainedRun:
    return train.train_experiment(experiment(), synthetic_catalog, tmp_path_factory.mktemp("own") / "runs")


@pytest.fixture
def runs(trained: train.TrainedRun, tmp_path: Path) -> Path:
    """A copy of the run and of its ledger."""
    source = trained.run_dir.parent
    shutil.copytree(source, tmp_path / "runs")
    shutil.copytree(f"{source}-ledger", tmp_path / "runs-ledger")
    return tmp_path / "runs"


def bundle_in(runs: Path) -> Path:
    (bundle,) = runs.glob("*/bundle/*")
    return bundle


def test_a_training_is_in_the_ledger_with_its_settings_and_result(
    trained: train.TrainedRun, runs: Path, answer: Answer
) -> None:
    shown = answer("ledger", "show", "--runs", runs)
    assert shown["counts"] == {"training": 1}
    (row,) = shown["tried"]
    facts, results = row["facts"], row["results"]
    assert (facts["experiment"], facts["instruments"], facts["seed"]) == ("quick", ["SPY"], 1)
    assert (facts["start"], facts["end"]) == ("2024-11-18", "2024-11-26")
    assert (row["outcome"], results["run"], results["bundle"]) == (
        "completed", trained.run_dir.name, trained.bundle.name,
    )  # fmt: skip
    assert read_run_metadata(trained.run_dir).ledger_entry == row["entry"]


def test_what_was_changed_since_the_last_training_is_named(
    runs: Path, synthetic_catalog: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "learn", stopped)
    changes = {"reward": "differential_sharpe", "execution": {"slippage_ticks": 0}, "seed": 5}
    for changed in ({"seed": 5}, changes):
        with pytest.raises(KeyboardInterrupt):
            train.train_experiment(experiment(**changed), synthetic_catalog, runs)
    tried = answer("ledger", "show", "--runs", runs)["tried"]
    assert [row["facts"]["changed"] for row in tried] == [[], [], ["reward", "costs"]]
    assert [row["outcome"] for row in tried] == ["completed", "interrupted", "interrupted"]


def test_evaluation_and_backtest_are_in_the_ledger(runs: Path, synthetic_catalog: Path, answer: Answer) -> None:
    bundle = bundle_in(runs)
    evaluated = answer("evaluate", bundle, "--catalog", synthetic_catalog, *WINDOW, "--samples", "1")
    # The days of the training, too: four sessions have no Sharpe ratio.
    long = ("--start", "2024-11-18", "--end", "2024-12-03")
    tested = answer("backtest", bundle, "--catalog", synthetic_catalog, *long)
    shown = answer("ledger", "show", "--runs", runs, "--last", "2")
    assert shown["counts"] == {"training": 1, "evaluation": 1, "backtest": 1}
    first, second = shown["tried"]
    assert (first["kind"], first["facts"]["bundle"]) == ("evaluation", bundle.name)
    assert first["results"]["net_pnl_usd"] == evaluated["total"]["net_pnl_usd"]
    assert (second["kind"], second["facts"]["start"]) == ("backtest", "2024-11-18")
    assert second["results"]["net_pnl_usd"] == tested["metrics"]["net_pnl_usd"]
    assert second["facts"]["sessions"] == tested["metrics"]["sessions"]
    assert second["facts"]["seen_sessions"] == tested["seen_sessions"] > 0
    assert second["results"]["moments"]["sharpe"] * 252**0.5 == pytest.approx(tested["metrics"]["sharpe"])


def test_a_resumed_training_is_no_new_try(
    tmp_path: Path, synthetic_catalog: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    runs = tmp_path / "runs"
    with monkeypatch.context() as patched:
        patched.setattr("run.train.train.learn", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.train_experiment(experiment(), synthetic_catalog, runs)
    (run_dir,) = runs.iterdir()
    with monkeypatch.context() as patched:
        learned = train_folder.learn
        patched.setattr("run.train.resume.learn", lambda *given, resume: learned(*given))  # it had no checkpoint yet
        resume_run(run_dir)
    shown = answer("ledger", "show", "--runs", runs)
    assert shown["counts"] == {"training": 1}
    first, second = shown["tried"]
    assert (first["outcome"], second["outcome"]) == ("interrupted", "completed")
    assert second["facts"]["resumes"] == first["entry"]


def test_bad_input_tries_nothing(runs: Path, synthetic_catalog: Path) -> None:
    before = (Path(f"{runs}-ledger") / ENTRIES).read_bytes()
    wrong = ("--start", "2030-01-02", "--end", "2030-01-31")
    for verb in ("evaluate", "backtest"):
        assert main([verb, str(bundle_in(runs)), "--catalog", str(synthetic_catalog), *wrong]) == 2
    with pytest.raises(InputError):
        train.train_experiment(experiment(instrument="QQQ"), synthetic_catalog, runs)
    assert (Path(f"{runs}-ledger") / ENTRIES).read_bytes() == before


@pytest.mark.parametrize("verb", ["train", "evaluate", "backtest"])
def test_a_damaged_ledger_stops_the_work_before_it_begins(
    runs: Path, synthetic_catalog: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    path = Path(f"{runs}-ledger") / ENTRIES
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":2'))
    before = sorted(runs.rglob("*"))
    if verb == "train":
        with pytest.raises(InputError, match="is damaged: line 1: its content was changed"):
            train.train_experiment(experiment(), synthetic_catalog, runs)
    else:
        assert main([verb, str(bundle_in(runs)), "--catalog", str(synthetic_catalog), *WINDOW]) == 2
        err = capsys.readouterr().err
        assert "is damaged: line 1: its content was changed" in err
        assert len(err.splitlines()) == 1
    assert sorted(runs.rglob("*")) == before


def test_a_ledger_that_cannot_be_written_stops_the_work_before_it_begins(
    tmp_path: Path, synthetic_catalog: Path
) -> None:
    (tmp_path / "runs-ledger").write_text("a file")
    with pytest.raises(InputError, match=r"ledger must be a folder; .* is a file"):
        train.train_experiment(experiment(), synthetic_catalog, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_end_that_cannot_be_written_does_not_take_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "l"
    with recorded(ledger, "screen", {"features": "default"}) as recording:
        recording.results["best"] = 3
        shutil.rmtree(ledger)
        ledger.write_text("a file")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the end of {recording.entry} is not in the ledger: ledger must be a folder")


def test_a_broken_disk_at_the_end_does_not_take_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with recorded(tmp_path / "l", "screen", {}):
        monkeypatch.setattr("training.validation.ledger.ledger.os.fsync", broken)
    monkeypatch.undo()
    assert "is not in the ledger: [Errno 5] Input/output error" in capsys.readouterr().err
    assert len(check(tmp_path / "l").entries) == 1


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (InputError("no bars"), {"outcome": "failed", "reason": "no bars"}),
        (RuntimeError("broken"), {"outcome": "failed"}),
        (KeyboardInterrupt(), {"outcome": "interrupted"}),
    ],
)
def test_what_failed_counts(tmp_path: Path, error: BaseException, ending: dict[str, str]) -> None:
    with pytest.raises(type(error)), recorded(tmp_path / "l", "backtest", {"seed": 1}):
        raise error
    begun, finished = check(tmp_path / "l").entries
    assert finished.facts == ending
    assert finished.of == begun.name


def test_what_was_killed_counts_as_not_finished(tmp_path: Path, answer: Answer) -> None:
    append(tmp_path / "runs-ledger", "trial", {"seed": 1})
    shown = answer("ledger", "show", "--runs", tmp_path / "runs")
    assert (shown["counts"], shown["tried"][0]["outcome"]) == ({"trial": 1}, "not finished")


def test_verify_says_what_is_wrong_and_ends_with_1(
    tmp_path: Path, answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "runs-ledger"
    for seed in (1, 2, 3):
        append(ledger, "training", {"seed": seed})
    found = answer("ledger", "verify", "--runs", tmp_path / "runs")
    assert (found["entries"], found["problems"]) == (3, [])
    lines = (ledger / ENTRIES).read_bytes().splitlines(keepends=True)
    (ledger / ENTRIES).write_bytes(lines[0] + lines[2])
    assert main(["ledger", "verify", "--runs", str(tmp_path / "runs")]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("damaged: line 2: entry 2 of chain")
    assert "none deleted" not in out


def test_merge_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(tmp_path / "second-ledger", "training", {"seed": 1})
    words = ["ledger", "merge", str(tmp_path / "second-ledger"), "--runs", str(tmp_path / "runs")]
    assert main(words) == 0
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == ["1 new entry", "nothing new"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show"], "error: no ledger of {runs}: {runs}-ledger does not exist"),
        (["verify"], "error: no ledger of {runs}: {runs}-ledger does not exist"),
        (["show", "--kind", "guess"], "error: --kind must be one of training, trial, fold"),
        (["merge", "nowhere"], "error: nowhere is not a ledger: ledger.jsonl is missing"),
    ],
)
def test_wrong_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    runs = tmp_path / "runs"
    assert main(["ledger", *words, "--runs", str(runs)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(line.format(runs=runs))
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_outside_a_run_is_recorded_beside_the_runs_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ledger_of_bundle(Path("kept/spy-0a")) == tmp_path / "runs-ledger"
    assert ledger_of_bundle(Path("/bundle/spy-0a")) == tmp_path / "runs-ledger"
    assert ledger_of_bundle(Path("/r/runs/one/bundle/spy-0a")) == Path("/r/runs-ledger")
