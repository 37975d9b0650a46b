"""Every verb × every path it takes × everything that can be wrong with a path: one line, exit code 2, nothing written.

Verbs and their paths are found in the command line itself; a new verb fails here until it has a call below.
"""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from run.cli import VERBS, build_app, main
from run.train.train import train_experiment
from tests.run.conftest import experiment

DAYS = ("--start", "2024-11-25", "--end", "2024-11-26")
# A call of each verb that is right but for the path that a test replaces. Nothing here trades or asks a vendor.
CALLS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("demo",): ("--timesteps", "1"),
    ("universe",): ("UNIVERSE", "--catalog", "CATALOG", "--runs", "RUNS"),
    ("train",): ("EXPERIMENT", "--catalog", "CATALOG", "--runs", "RUNS"),
    ("resume",): ("RUN",),
    ("runs",): ("RUN",),
    ("lr-bump",): ("RUN",),
    ("certify",): ("--episodes", "1"),
    ("evaluate",): ("BUNDLE", "--catalog", "CATALOG", *DAYS),
    ("backtest",): ("BUNDLE", "--catalog", "CATALOG", *DAYS),
    ("paper",): ("BUNDLE", "--catalog", "CATALOG", "--simulated", "--start", "2024-11-25"),
    ("init", "live"): ("BUNDLE", "--out", "YAML"),
    ("live",): ("BUNDLE", "--account", "U1", "--live"),
    ("replay",): ("SESSION",),
    ("guard",): ("SESSION",),
    ("flatten",): ("LIVE", "--timeout", "1"),
    ("doctor",): ("LIVE",),
    ("unhalt",): ("SESSION", "--reason", "tested", "--yes"),
    ("calibrate",): ("SESSION",),
    ("gateway",): ("SPY", "--start", "2024-11-25", "--catalog", "CATALOG", "--port", "0"),
    ("data", "import"): ("BARS", "--instrument", "SPY", "--catalog", "CATALOG"),
    ("data", "list"): ("--catalog", "CATALOG", "--runs", "RUNS"),
    ("data", "check"): ("--catalog", "CATALOG"),
    ("data", "consolidate"): ("--catalog", "CATALOG"),
    ("data", "export"): ("SPY.EQUS-1-MINUTE-LAST-EXTERNAL", "OUT", "--catalog", "CATALOG"),
    ("data", "rolls"): ("ES", "--catalog", "CATALOG"),
    ("data", "spreads"): ("SPY", "--catalog", "CATALOG"),
    ("data", "fetch", "vix"): ("--sources", "", "--catalog", "CATALOG"),
    ("data", "fetch", "yahoo"): ("SPY", "--catalog", "CATALOG"),
    ("data", "fetch", "massive"): ("--tickers", "SPY", "--start", "2024-11-25", "--catalog", "CATALOG"),
    ("data", "fetch", "massive-reference"): ("--tickers", "SPY", "--catalog", "CATALOG"),
    ("data", "fetch", "databento"): ("--symbols", "ES.v.0", *DAYS, "--catalog", "CATALOG"),
    ("data", "fetch", "ibkr"): ("--symbols", "SPY", *DAYS, "--port", "1", "--catalog", "CATALOG"),
    ("ledger", "show"): ("--runs", "RUNS"),
    ("ledger", "verify"): ("--runs", "RUNS"),
    ("ledger", "merge"): ("LEDGER", "--runs", "RUNS"),
    ("features", "list"): (),
    ("features", "build"): ("SPY", "--catalog", "CATALOG"),
    ("features", "check"): ("default",),
}
NAMED_FILES = ("experiment", "universe", "live", "configuration", "plan")  # options that take a preset or a file
WRITTEN = ("out", "runs", "sessions", "folder", "catalog", "continuous")  # missing ones are made, or are no mistake


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and command of every verb."""
    for name in VERBS:
        yield from _below((name,), typer.main.get_command(build_app(name)).commands[name])


def _below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    else:
        for name, below in inner.items():
            yield from _below((*path, name), below)


def paths_of(command: Any) -> Iterator[Any]:
    """Parameters of a verb that name a file or a folder."""
    hints = typing.get_type_hints(command.callback)
    for param in command.params:
        if "Path" in str(hints.get(param.name)) or param.name in NAMED_FILES:
            yield param


IN_THE_TABLE = {(("doctor",), "bundle")}  # a bundle that is none is a failed check of the table, exit code 1
TRIED = [
    (path, param.name)
    for path, command in commands()
    for param in paths_of(command)
    if (path, param.name) not in IN_THE_TABLE
]


def test_every_verb_has_a_call() -> None:
    assert {path for path, _ in commands()} == CALLS.keys()


@pytest.fixture(scope="module")
def words(synthetic_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What stands for the placeholders of `CALLS`."""
    home = tmp_path_factory.mktemp("home")
    bundle = train_experiment(experiment(), synthetic_catalog, home / "runs", listener=lambda metrics: None).bundle
    (home / "mine.yaml").write_text(experiment().to_yaml())
    (home / "universe.yaml").write_text(
        "name: u\nvendor: catalog\ntickers: [SPY]\nfirst_day: 2024-11-18\ntrain_until: 2024-11-22\n"
        "last_day: 2024-11-26\nexperiment: spy_single\n"
    )
    (home / "bars.csv").write_text("timestamp,open,high,low,close,volume\n2024-04-01T13:30Z,5,5,5,5,9\n")
    (home / "session").mkdir()
    named = {
        "CATALOG": synthetic_catalog, "RUNS": home / "new-runs", "RUN": bundle.parent.parent, "BUNDLE": bundle,
        "EXPERIMENT": home / "mine.yaml", "UNIVERSE": home / "universe.yaml", "LIVE": "paper",
        "BARS": home / "bars.csv", "SESSION": home / "session", "OUT": home / "out.csv", "YAML": home / "new.yaml",
        "LEDGER": home / "runs-ledger",
    }  # fmt: skip
    return {name: str(value) for name, value in named.items()}


def wrong_paths(folder: Path, param: Any) -> dict[str, Path]:
    """Paths that a parameter must refuse."""
    folder.mkdir()
    (folder / "empty.yaml").touch()
    (folder / "latin.yaml").write_bytes(b"name: caf\xe9\n\xff\xfe\x00")
    (folder / "folder.yaml").mkdir()
    wrong = {
        "missing": folder / "nowhere.yaml",
        "an empty file": folder / "empty.yaml",
        "not UTF-8": folder / "latin.yaml",
        "a folder": folder / "folder.yaml",
        "below a file": folder / "empty.yaml" / "below",
    }
    if param.name not in WRITTEN:
        return wrong
    refused = ("an empty file", "below a file") if param.metavar == "FOLDER" else ("a folder", "below a file")
    return {what: wrong[what] for what in refused}


def call_with(path: tuple[str, ...], param: Any, wrong: Path, words: dict[str, str]) -> list[str]:
    """The call of a verb with one path replaced, or added as an option, of which the last one counts."""
    call = [words.get(word, word) for word in CALLS[path]]
    if param.param_type_name == "option":
        return [*path, *call, max(param.opts, key=len), str(wrong)]
    [parameters] = [command.params for found, command in commands() if found == path]
    index = [other.name for other in parameters if other.param_type_name == "argument"].index(param.name)
    return [*path, *call[:index], str(wrong), *call[index + 1 :]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "name"), TRIED, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_a_wrong_path_is_one_line(
    path: tuple[str, ...], name: str, words: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IB_ACCOUNT", "U1")
    [param] = [
        param for found, command in commands() if found == path for param in paths_of(command) if param.name == name
    ]
    for what, wrong in wrong_paths(tmp_path / "wrong", param).items():
        before = {*tmp_path.rglob("*")}
        refused_in_one_line(call_with(path, param, wrong, words), capsys)
        assert {*tmp_path.rglob("*")} == before, what


READERS = [path for path, words in CALLS.items() if "CATALOG" in words and path[:2] != ("data", "fetch")]
FINE_WITHOUT_BARS = {("data", "list"), ("data", "check"), ("data", "consolidate"), ("data", "import")}
DATED = [path for path, words in CALLS.items() if "--start" in words and path[:2] != ("data", "fetch")]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted({*READERS} - FINE_WITHOUT_BARS), ids="-".join)
def test_a_catalog_without_bars_is_one_line(
    path: tuple[str, ...], words: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    given = words | {"CATALOG": str(tmp_path / "empty"), "RUNS": str(tmp_path / "runs")}
    refused_in_one_line([*path, *(given.get(word, word) for word in CALLS[path])], capsys)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.slow
@pytest.mark.parametrize("day", ["0001-01-01", "1970-01-01", "2024-11-28", "2024-11-30", "2026-07-06", "9999-12-31"])
@pytest.mark.parametrize("path", DATED, ids="-".join)
def test_days_without_a_session_are_one_line(
    path: tuple[str, ...], day: str, words: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Before the calendar, before the bars, Thanksgiving, a Saturday, after the bars, after the calendar."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IB_ACCOUNT", "DU1")
    call = [words.get(word, word) for word in CALLS[path]]
    call[call.index("--start") + 1] = day
    if "--end" in call:
        call[call.index("--end") + 1] = day
    line = refused_in_one_line([*path, *call], capsys)
    assert day == "1970-01-01" or "1970" not in line
    assert list(tmp_path.iterdir()) == []


def refused_in_one_line(call: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must be refused; the line that it prints."""
    assert main(call) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    "code",
    ["1 / 0", "raise RuntimeError('no')", "raise SystemExit(3)", "import nowhere", "def f(:", "x = {}['a']",
     "assert False", "open('/nowhere/at/all')", "raise type('Odd', (Exception,), {})('own')"],
)  # fmt: skip
def test_a_file_of_features_that_fails_at_import_is_one_line(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code + "\n")
    assert "mine.py does not run: " in refused_in_one_line(["features", "check", "--file", "mine.py"], capsys)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ninstrument: SPY\ntrain: {start: 2024-04-01, end: 2024-04-30}\nfeature_files: [mine.py]\n"
        "features: [{kind: log_return, name: r}]\n"
    )
    assert "mine.py does not run: " in refused_in_one_line(["train", "mine.yaml"], capsys)


def test_a_run_that_cannot_begin_leaves_nothing(
    words: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    call = ["train", words["EXPERIMENT"], "--catalog", words["CATALOG"], "--runs", str(runs)]
    line = refused_in_one_line([*call, "--set", "learner.algorithm=dqn"], capsys)
    assert line.startswith("error: learner.algorithm: must be one of ")
    assert list(runs.iterdir()) == []
