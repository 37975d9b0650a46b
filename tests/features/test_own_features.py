"""Features of the user's own, pruning, and the cache of matrices."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.features import (
    REGISTRY,
    FeaturePlan,
    FeatureSpec,
    PruningConfig,
    cached_matrix,
    load_entry_points,
    load_feature_file,
    plugins,
    pruned_plan,
)
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.store import matrix_path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "features.md"
OWN = '''
from rl_strategies.features import State, Window, feature


@feature(
    parts={
        "before": Window("lag", "close", 1),
        "closes": Window("mean", "before", "n"),
        "opens": Window("mean", "open", "n"),
    }
)
def mean_gap(s: State, opens: float, closes: float, n: int = 3) -> float:
    """Mean gap between the open and the close before."""
    return opens - closes
'''


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's file with one feature; what it registers is forgotten after the test."""
    path = tmp_path / "my_gaps.py"
    path.write_text(OWN)
    known = dict(REGISTRY)
    monkeypatch.chdir(tmp_path)
    yield path
    REGISTRY.clear()
    REGISTRY.update(known)


def test_a_file_of_ten_lines_adds_a_feature(own_file: Path) -> None:
    assert load_feature_file(own_file) == ("mean_gap",)
    assert REGISTRY["mean_gap"].family == "my_gaps"
    plan = FeaturePlan([FeatureSpec("mean_gap", "gap", {"n": 2})], columns=("open", "close"))
    rows = np.array([[10.0, 11.0], [12.0, 12.0], [15.0, 15.0], [14.0, 14.0]])
    np.testing.assert_array_equal(plan.batch(rows)[:, 0], [np.nan, np.nan, 2.0, 1.0])
    assert plan.files == (str(own_file.resolve()),)


def test_own_feature_feeds_another_one_and_comes_back_with_its_plan(own_file: Path) -> None:
    load_feature_file(own_file)
    smooth = FeatureSpec("sma", "smooth", {"n": 2}, inputs={"close": "gap"})
    plan = FeaturePlan([FeatureSpec("mean_gap", "gap"), smooth])
    stored, travelling = plan.to_spec(), pickle.dumps(plan)
    del REGISTRY["mean_gap"]
    with pytest.raises(InputError, match="is no kind of feature: "):
        FeaturePlan([FeatureSpec("mean_gap", "gap")])
    # In another process nothing of the user's is loaded: the plan brings its file along.
    del sys.modules[plan.kernels[0].function.__module__]
    assert FeaturePlan.from_spec(stored).hash == plan.hash
    assert pickle.loads(travelling).hash == plan.hash


def test_changed_own_feature_is_refused_by_its_stored_plan(own_file: Path) -> None:
    load_feature_file(own_file)
    stored = FeaturePlan([FeatureSpec("mean_gap", "gap")]).to_spec()
    own_file.write_text(OWN.replace("opens - closes", "closes - opens"))
    with pytest.raises(InputError, match="code of feature kernel 'mean_gap' has changed since the plan was stored"):
        FeaturePlan.from_spec(stored)


def test_stored_plan_names_its_file_without_the_machine(
    own_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_feature_file(own_file)
    plan = FeaturePlan([FeatureSpec("mean_gap", "gap")])
    stored = plan.to_spec()
    assert stored["files"] == ("my_gaps.py",)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert plan.to_spec() == stored  # outside the working folder it is the bare name
    assert str(tmp_path) not in json.dumps(stored)
    module = plan.kernels[-1].function.__module__
    assert FeaturePlan.from_spec(stored).hash == plan.hash  # what is loaded already will do
    del REGISTRY["mean_gap"], sys.modules[module]
    with pytest.raises(
        InputError,
        match=r"my_gaps.py not found: put it .* or a folder of RL_INTRADAY_FEATURES",
    ):
        FeaturePlan.from_spec(stored)
    monkeypatch.setenv("RL_INTRADAY_FEATURES", f"{tmp_path / 'none'}{os.pathsep}{tmp_path}")
    assert FeaturePlan.from_spec(stored).hash == plan.hash


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1", "my_gaps.py must register at least one feature with @feature, had none"),
        ("import no_such_package", "my_gaps.py does not run: ModuleNotFoundError: No module named 'no_such_package'"),
        ("def (", "my_gaps.py does not run: SyntaxError"),
        (
            OWN.replace('    """Mean gap between the open and the close before."""\n', ""),
            "must have a docstring",
        ),
        (
            OWN.replace("mean_gap", "rsi"),
            "names must be unique; 'rsi' is taken by rl_strategies.features.families.technical",
        ),
    ],
)
def test_wrong_file_is_refused_in_one_line_and_leaves_nothing(own_file: Path, content: str, message: str) -> None:
    before = dict(REGISTRY)
    own_file.write_text(content)
    with pytest.raises(InputError, match=message) as refusal:
        load_feature_file(own_file)
    assert "\n" not in str(refusal.value)
    assert before == REGISTRY


def test_entry_points_load_and_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    good = EntryPoint("good", "rl_strategies.features.families.vix", plugins.ENTRY_POINT_GROUP)
    bad = EntryPoint("bad", "no_such_package.features", plugins.ENTRY_POINT_GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [good])
    assert load_entry_points() == ("good",)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [good, bad])
    said = "entry point 'bad' of features does not load: ModuleNotFoundError: No module named"
    with pytest.raises(InputError, match=said):
        load_entry_points()


def test_pruning_takes_out_still_and_repeated_outputs(rows: Floats) -> None:
    specs = [
        FeatureSpec("log_return", "return_1"),
        FeatureSpec("log_return", "again"),
        FeatureSpec("value", "constant", inputs={"x": "one"}),
        FeatureSpec("rsi", "rsi_14"),
        FeatureSpec("atr", "atr_14", observe=False),
    ]
    columns = ("high", "low", "close", "one")
    plan = FeaturePlan(specs, columns)
    table = np.column_stack([rows[:, 1:4], np.ones(len(rows))])
    pruned = pruned_plan(plan, plan.batch(table[:2000]), PruningConfig())
    assert pruned.outputs == ("return_1", "rsi_14", "again", "constant", "atr_14")
    assert pruned.observed == 2
    assert dict(pruned.pruned)["again"] == "repeats return_1: correlation 1.0000"
    assert dict(pruned.pruned)["constant"].startswith("hardly varies")
    assert pruned.hash != plan.hash
    again = FeaturePlan.from_spec(pruned.to_spec())
    assert (again.hash, again.pruned) == (pruned.hash, pruned.pruned)
    columns_of = [plan.index(name) for name in pruned.outputs]
    np.testing.assert_array_equal(pruned.batch(table[:100]), plan.batch(table[:100])[:, columns_of])


def test_pruning_sees_the_rows_it_is_given_and_no_other(rows: Floats) -> None:
    plan = FeaturePlan(
        [FeatureSpec("log_return", "return_1"), FeatureSpec("log_return", "r", inputs={"close": "open"})]
    )
    values = plan.batch(rows)
    values[1000:, 1] = values[1000:, 0]
    assert pruned_plan(plan, values[:1000], PruningConfig()).pruned == ()
    assert dict(pruned_plan(plan, values[1000:], PruningConfig()).pruned).keys() == {"r"}
    with pytest.raises(InputError, match="at least 3 rows with every feature finite, had 0"):
        pruned_plan(plan, np.full((9, 2), np.nan), PruningConfig())


@pytest.mark.parametrize(
    ("wrong", "message"), [({"min_variation": -1.0}, "min_variation"), ({"max_correlation": 0.0}, "max_correlation")]
)
def test_wrong_thresholds_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PruningConfig(**wrong)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RL_INTRADAY_CACHE", str(tmp_path))
    return tmp_path


def test_matrix_is_computed_once_for_a_plan_and_its_data(cache: Path) -> None:
    plan, asked = FeaturePlan([FeatureSpec("log_return", "return_1")]), []

    def compute() -> Floats:
        asked.append(1)
        return np.arange(6.0).reshape(3, 2)

    first, second = cached_matrix(plan, ["a", "b"], compute), cached_matrix(plan, ["a", "b"], compute)
    assert len(asked) == 1
    np.testing.assert_array_equal(second, np.arange(6.0).reshape(3, 2))
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    other = FeaturePlan([FeatureSpec("log_return", "return_1", {"n": 2})])
    cached_matrix(other, ["a", "b"], compute)
    cached_matrix(plan, ["a", "c"], compute)
    assert len(asked) == 3


def test_failed_computation_leaves_no_matrix(cache: Path) -> None:
    plan = FeaturePlan([FeatureSpec("log_return", "return_1")])

    def compute() -> Floats:
        raise InputError("no data")

    with pytest.raises(InputError, match="no data"):
        cached_matrix(plan, ["a"], compute)
    assert not matrix_path(plan, ["a"]).exists()


ASK = """
import sys
import numpy as np
from rl_strategies.features import FeaturePlan, FeatureSpec, cached_matrix
plan = FeaturePlan([FeatureSpec("log_return", "return_1")])
print("ready", flush=True)
sys.stdin.readline()
print(cached_matrix(plan, ["a"], lambda: np.arange(1_000_000.0).reshape(-1, 2)).sum())
"""


def test_two_processes_at_once_read_one_whole_matrix(cache: Path) -> None:
    command, root = [sys.executable, "-c", ASK], Path(__file__).resolve().parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": root}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in processes] == ["499999500000.0\n"] * 2
    assert len(list((cache / "matrices").iterdir())) == 1
