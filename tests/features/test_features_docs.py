"""The examples of docs/features.md run as they are printed."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rl_strategies.features import REGISTRY, SETS, FeaturePlan, FeatureSpec, load_feature_file

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "features.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Code of the page's blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def registry() -> Iterator[None]:
    """Forget afterwards what the page registers."""
    known = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(known)


def test_own_feature_of_the_page_loads_and_wires(tmp_path: Path, registry: None) -> None:
    path = tmp_path / "my_features.py"
    path.write_text(blocks("python")[0])
    assert load_feature_file(path) == ("upper_wick",)
    plan = FeaturePlan([FeatureSpec("upper_wick", "wick", {"n": 3})])
    assert plan.warmup == 3
    shown = yaml.safe_load(blocks("yaml")[1])
    assert shown["feature_files"] == [path.name]
    assert FeaturePlan([FeatureSpec(**entry) for entry in shown["features"]]).outputs == ("return_1", "wick", "atr_14")


def test_context_example_of_the_page_runs() -> None:
    exec(compile(blocks("python")[1], "docs/features.md", "exec"), {})


def test_yaml_of_the_page_is_a_plan() -> None:
    specs = [FeatureSpec(**entry) for entry in yaml.safe_load(blocks("yaml")[0])["features"]]
    assert FeaturePlan(specs).outputs == ("return_5", "atr_over_close", "vwap", "atr_14")


def test_every_set_is_on_the_page() -> None:
    assert {*re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)} == {*SETS}
