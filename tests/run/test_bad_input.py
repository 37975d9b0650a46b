"""Bad input ends in one readable line on standard error, exit code 2, and nothing written."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from run.cli import main


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Run a command that must be refused; the line it prints."""
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


@pytest.fixture
def bars_csv(tmp_path: Path) -> Path:
    """Two good minutes of SPY with explicit UTC."""
    path = tmp_path / "bars.csv"
    times = pd.date_range("2024-04-01T13:30Z", periods=2, freq="1min")
    prices = {"open": 500.0, "high": 500.5, "low": 499.5, "close": 500.1}
    frame = pd.DataFrame({"timestamp": times, **prices, "volume": 900})
    frame.to_csv(path, index=False)
    return path


def import_words(path: Path, catalog: Path, instrument: str = "SPY") -> list[str | Path]:
    """A full import command."""
    return ["data", "import", path, "--instrument", instrument, "--bar", "1-MINUTE", "--catalog", catalog]


def test_missing_file(tmp_path: Path) -> None:
    """In a process of its own: importing a vendor's package must not make warnings show."""
    path = tmp_path / "nowhere.csv"
    words = [str(word) for word in import_words(path, tmp_path / "store")]
    done = subprocess.run([sys.executable, "-m", "run.cli", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: file {path} does not exist\n")
    assert not (tmp_path / "store").exists()


def test_unknown_column(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_csv(bars_csv).rename(columns={"close": "settled"}).to_csv(bars_csv, index=False)
    assert "close" in refused(capsys, *import_words(bars_csv, tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_naive_time_without_zone(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = bars_csv.read_text().replace("+00:00", "")
    bars_csv.write_text(text)
    assert "--tz" in refused(capsys, *import_words(bars_csv, tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_unknown_instrument(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "XYZZY9" in refused(capsys, *import_words(bars_csv, tmp_path / "store", "XYZZY9.XCME"))
    assert not (tmp_path / "store").exists()


def test_good_file_is_not_refused(bars_csv: Path, tmp_path: Path) -> None:
    assert main([str(word) for word in import_words(bars_csv, tmp_path / "store")]) == 0
    assert (tmp_path / "store").is_dir()


def test_unknown_experiment_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ninstrument: SPY\ntrain: {start: 2024-04-01, end: 2024-04-30}\nlearning_speed: 3\n")
    line = refused(capsys, "train", path, "--runs", tmp_path / "runs")
    assert "unknown key learning_speed" in line
    assert not (tmp_path / "runs").exists()


def test_unknown_nested_key_by_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "spy_single", "--runs", tmp_path / "runs", "--set", "trading.lots=2")
    assert "unknown key trading.lots" in refused(capsys, *words)
    assert not (tmp_path / "runs").exists()


def test_unknown_preset_names_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert "spy_single" in refused(capsys, "train", "no_such_preset")


def test_range_that_ends_before_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--start", "2024-05-01", "--end", "2024-04-01", "--runs", tmp_path / "runs")
    line = refused(capsys, "train", "spy_single", *words)
    assert line == "error: --end must not be before --start (2024-05-01), was 2024-04-01"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "trading.unts=2"), "--set trading.unts=2: unknown key trading.unts"),
        (("--set", "trading=2"), "--set trading=2: trading must be mapping, was int"),
        (("--set", "seed=[1"), "--set seed=[1: the value must be YAML, was '[1'"),
        (
            ("--start", "2026-01-01"),
            "--start 2026-01-01: train: end must not be before start (2026-01-01), was 2024-12-31",
        ),
        (("--timesteps", "0", "--seed", "3"), "--timesteps 0: learner.total_timesteps: must be at least 1, was 0"),
        (
            ("--tickers", "SPY"),
            "--tickers SPY: SPY must be named once in instrument, portfolio, tickers and test_tickers",
        ),
    ],
)
def test_an_option_that_breaks_the_experiment_is_named_instead_of_the_file(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "train", "spy_single", *words) == f"error: {said}"


def test_an_error_of_the_file_is_not_blamed_on_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ninstrument: SPY\ntrain: {start: 2024-04-01, end: 2024-04-30}\nspeed: 3\n")
    assert refused(capsys, "train", path, "--seed", "3") == f"error: {path}: unknown key speed"


def test_unknown_kind_of_feature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    text = "name: mine\ninstrument: SPY\ntrain: {start: 2024-04-01, end: 2024-04-30}\n"
    path.write_text(text + "features: [{kind: log_retrun, name: x}]\n")
    line = refused(capsys, "train", path, "--runs", tmp_path / "runs")
    assert line.startswith(f"error: {path}: 'log_retrun' is no kind of feature: nearest are log_return, ")
    assert line.endswith("; `rl-intraday features list` has all")


@pytest.mark.parametrize("name", ["fulll", "default+fulll"])
def test_unknown_features_to_check(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "features", "check", name)
    assert line.startswith("error: features must be sets (default, ")
    assert line.endswith(f" or a bundle, was {name!r}; did you mean 'full'?")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "demo", "--start", "2024-13-01"], "--start must be a day such as 2025-01-31, was '2024-13-01'"),
        (["data", "rolls", "ES", "--method", "calender"], "--method must be volume or calendar, was 'calender'"),
        (["lr-bump", "run", "--factor", "x"], "--factor must be a number, was 'x'"),
        (["certify", "--episodes", "0"], "--episodes must be 1 or more, was 0"),
        (["certify", "--episodes", "1.5"], "--episodes must be a whole number, was 1.5"),
        (
            ["gateway", "SPY", "--start", "2025-01-02", "--slippage-ticks", "3"],
            "--slippage-ticks must be 1 or less, was 3",
        ),
        (["flatten"], "name the configuration: paper, live or a YAML file"),
        (["data", "export"], "name the bar type: bar type as `data list` names it"),
        (["backtest", "bundle"], "--start is missing: first trading day"),
        (["flatten", "my.yaml"], "live configuration my.yaml does not exist"),
        (["flatten", "papr"], "no live configuration 'papr': presets are live, paper, or name a YAML file"),
        (["runs", "nowhere"], "run nowhere does not exist"),
        (["doctor", "my.yaml", "--sessions", "here"], "live configuration my.yaml does not exist"),
        (["doctor", "my.yaml", "--folder", "here"], "live configuration my.yaml does not exist"),
    ],
)
def test_a_wrong_word_is_named_with_its_rule(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *words).split("; did you mean")[0] == f"error: {said}"


def test_live_configuration_that_is_no_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("host: [1\n")
    assert refused(capsys, "flatten", path).startswith(f"error: live configuration {path}: not a YAML file: ")


def test_empty_date_range(bars_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = tmp_path / "store"
    main([str(word) for word in import_words(bars_csv, catalog)])
    capsys.readouterr()
    words = ("train", "spy_single", "--catalog", catalog, "--start", "2030-01-01", "--end", "2030-01-31")
    assert "2030-01-01" in refused(capsys, *words, "--runs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_catalog_without_the_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "SPY.EQUS-1-MINUTE" in refused(
        capsys, "train", "spy_single", "--catalog", tmp_path / "none", "--runs", tmp_path / "runs"
    )
    assert list(tmp_path.iterdir()) == []


def test_unknown_verb_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trian" in refused(capsys, "trian", "spy_single")
    assert "--spede" in refused(capsys, "train", "spy_single", "--spede", "3")


def test_bundle_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("backtest", tmp_path / "nothing", "--start", "2025-01-01", "--end", "2025-01-31")
    assert "nothing" in refused(capsys, *words)


@pytest.mark.parametrize(
    "words",
    [
        ("backtest", "RUN", "--start", "2025-01-01", "--end", "2025-01-31"),
        ("evaluate", "RUN"),
        ("paper", "RUN"),
        ("live", "RUN", "--account", "U1234567", "--live"),
        ("features", "check", "RUN"),
    ],
)
def test_run_instead_of_its_bundle(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IB_ACCOUNT", "U1234567")
    run = tmp_path / "20260102-090000-demo"
    bundle = run / "bundle" / "demo-0123456789ab"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    line = refused(capsys, *(run if word == "RUN" else word for word in words))
    assert line == f"error: {run} is a training run; its bundle is {bundle}"


def test_folder_that_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    line = refused(capsys, "evaluate", tmp_path)
    assert line == f"error: not a bundle: {tmp_path} has no manifest.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("execution.fill=2", "execution.fill must be next_open or same_close, was int"),
        ("learner.environment=real", "learner.environment must be engine or simulator, was real"),
        ("learner.device=tpu", "learner.device must be auto, cpu or cuda, was tpu"),
    ],
)
def test_a_value_that_is_no_choice_is_answered_with_the_choices(
    change: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "train", "spy_single", "--set", change) == f"error: --set {change}: {said}"


@pytest.mark.parametrize("words", [["train", "no_such_preset"], ["backtest", "bundle"], ["runs", "nowhere"]])
def test_an_error_is_json_for_programs_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == f"error: {json.loads(out)['error']}\n"
