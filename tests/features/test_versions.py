"""Differences of prices that are equal are equal in floats too; plans stored before that keep the numbers they had."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_strategies.features import FeaturePlan, FeatureSpec, plan_from_spec
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.kernel import REGISTRY, SUPERSEDED

# Written by the version of November 2026: two stored plans, and what the first gave for `made_up`.
STORED = json.loads((Path(__file__).parent / "plans_of_2026_11.json").read_text())
COLUMNS = ("open", "high", "low", "close", "volume")
MENDED = ("directional_movement", "trend_regime", "displacement", "equal_extremes")


@pytest.fixture(scope="module")
def made_up() -> Floats:
    """600 bars in whole cents, as USD."""
    random, n = np.random.default_rng(11), 600
    close = 60_000 + np.cumsum(random.integers(-6, 7, n))
    open_ = close + random.integers(-5, 6, n)
    high = np.maximum(open_, close) + random.integers(0, 4, n)
    low = np.minimum(open_, close) - random.integers(0, 4, n)
    return np.column_stack([*(np.array([open_, high, low, close]) / 100), random.integers(1, 900, n)])


def test_a_stored_plan_keeps_its_numbers_bit_for_bit(made_up: Floats) -> None:
    plan = plan_from_spec(STORED["plan"])
    outputs = plan.batch(made_up)
    assert list(plan.outputs) == STORED["outputs"]
    assert [value.hex() for value in outputs[-1].tolist()] == STORED["last"]
    assert [float(np.nansum(column)).hex() for column in outputs.T] == STORED["sums"]


@pytest.mark.parametrize("name", ["plan", "joined"])
def test_a_stored_plan_is_stored_again_as_it_was(name: str) -> None:
    again = json.loads(json.dumps(plan_from_spec(STORED[name]).to_spec()))
    for stream in again.get("streams", []):
        assert stream.pop("session_rows") == 1440  # new, and what it was without
    assert again == STORED[name]


def test_code_that_is_neither_new_nor_kept_is_refused() -> None:
    changed = json.loads(json.dumps(STORED["plan"]))
    changed["kernels"]["displacement"] = "0" * 64
    with pytest.raises(ValueError, match="code of feature kernel 'displacement' has changed since the plan was stored"):
        plan_from_spec(changed)


def test_new_plans_use_the_mended_code() -> None:
    assert {kernel.kind for kernel in SUPERSEDED.values()} == {*MENDED}
    for kernel in SUPERSEDED.values():
        assert REGISTRY[kernel.kind].hash != kernel.hash


def test_no_feature_depends_on_the_last_bit_of_a_price(shared_data: Path) -> None:
    import pandas as pd

    table = pd.read_parquet(shared_data / "spy_1min_202403_202504.parquet")[list(COLUMNS)].to_numpy(float)[:30_000]
    cents = np.column_stack([np.round(table[:, :4] * 100.0), table[:, 4]])  # whole numbers: differences are exact
    dollars = np.column_stack([cents[:, :4] / 100.0, cents[:, 4]])
    scale_free = [FeatureSpec(kind, kind) for kind in (*MENDED, "money_flow_index", "climax", "liquidity_sweep")]
    plan = FeaturePlan(scale_free, COLUMNS)
    exact, ours = plan.batch(cents), plan.batch(dollars)
    differs = np.abs(ours - exact) > 1e-9
    assert {name: int(count) for name, count in zip(plan.outputs, differs.sum(axis=0), strict=True) if count} == {}
