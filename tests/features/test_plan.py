"""Inputs and outputs, refusals and the stored form of a plan."""

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.features import FeaturePlan, FeatureSpec, Kernel
from rl_strategies.features.compiler.compile import Floats

RETURN = FeatureSpec("log_return", "return_1")
ATR = FeatureSpec("atr", "atr_14", observe=False)
ATR_OVER_CLOSE = FeatureSpec("ratio", "over", inputs={"numerator": "atr_14", "denominator": "close"})

DOUBLED = '''
@feature()
def mine(s, close, by=2.0):
    """The close times a number."""
    return close * by
'''


def test_observed_outputs_come_first() -> None:
    plan = FeaturePlan([ATR, FeatureSpec("macd", "macd", observe=False), RETURN, ATR_OVER_CLOSE])
    assert plan.outputs == ("return_1", "over", "atr_14", "macd_line", "macd_signal", "macd_histogram")
    assert plan.observed == 2
    assert plan.index("atr_14") == 2


def test_features_read_the_outputs_of_earlier_ones(rows: Floats) -> None:
    plan = FeaturePlan([ATR, ATR_OVER_CLOSE])
    outputs = plan.batch(rows[:100])
    np.testing.assert_array_equal(outputs[:, 0], outputs[:, 1] / rows[:100, 3])
    assert plan.needs["over"] == {"high", "low", "close"}


def test_warmup_adds_up_along_a_chain() -> None:
    smooth = FeatureSpec("sma", "smooth", {"n": 10}, inputs={"close": "return_5"})
    plan = FeaturePlan([FeatureSpec("log_return", "return_5", {"n": 5}), smooth])
    assert plan.warmup == 15
    values = np.linspace(100.0, 120.0, 40)[:, None] ** 1.5
    outputs = FeaturePlan(plan.specs, columns=("close",)).batch(values)[:, 1]
    assert np.flatnonzero(np.isfinite(outputs))[0] == 14


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([], "at least one feature"),
        (
            [FeatureSpec("rsj", "x")],
            "'rsj' is no kind of feature: nearest are rsi.*; `rl-intraday features list` has all",
        ),
        ([FeatureSpec("rsi", "x", {"m": 3})], "feature 'x': parameters of rsi are n, was 'm'"),
        ([FeatureSpec("rsi", "x", {"n": 0})], "feature 'x': n must be a whole number from 1, was 0"),
        ([FeatureSpec("rsi", "x", {"n": 14.5})], "feature 'x': n must be a whole number from 1, was 14.5"),
        ([FeatureSpec("bollinger", "x", {"width": np.inf})], "feature 'x': width must be a finite number, was inf"),
        ([FeatureSpec("rsi", "x", inputs={"price": "close"})], "feature 'x': inputs of rsi are .*close, was 'price'"),
        ([FeatureSpec("rsi", "x", inputs={"close": "vix"})], "feature 'x': inputs must be columns .*, was 'vix'"),
        ([ATR_OVER_CLOSE, ATR], "feature 'over': inputs must be .* earlier features, was 'atr_14'"),
        ([FeatureSpec("ratio", "x")], "feature 'x': inputs must be columns .*, was 'numerator'"),
        ([RETURN, FeatureSpec("rsi", "return_1")], "must be unique; 'return_1' is used twice"),
        ([FeatureSpec("rsi", "close")], "must be unique; 'close' is used twice"),
        ([FeatureSpec("rsi", "x", reset="day")], "feature 'x': reset must be one of open, .*, was 'day'"),
        ([FeatureSpec("vwap_distance", "x")], "feature 'x': vwap_distance must have a reset"),
    ],
)
def test_wrong_wiring_is_refused_in_one_line(specs: list[FeatureSpec], message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        FeaturePlan(specs)
    assert "\n" not in str(refusal.value)


def test_unknown_output_is_refused() -> None:
    with pytest.raises(InputError, match="must be one of return_1, was 'return_2'"):
        FeaturePlan([RETURN]).index("return_2")


def test_wrong_shapes_are_refused(rows: Floats) -> None:
    plan = FeaturePlan([RETURN])
    with pytest.raises(InputError, match=r"11 columns, had shape \(4000, 3\)"):
        plan.batch(rows[:, :3])
    with pytest.raises(InputError, match=r"float64\[2\], was float64 \(3,\)"):
        plan.batch(rows, np.zeros(3))
    with pytest.raises(InputError, match=r"2 cells, had 3"):
        plan.live().restore(np.zeros(3))


def test_stored_plan_comes_back_through_json(rows: Floats) -> None:
    plan = FeaturePlan([ATR, ATR_OVER_CLOSE], left_out=[("vwap", "no volume")])
    again = FeaturePlan.from_spec(json.loads(json.dumps(plan.to_spec())))
    assert (again.hash, again.outputs, again.left_out) == (plan.hash, plan.outputs, plan.left_out)
    np.testing.assert_array_equal(again.batch(rows[:50]), plan.batch(rows[:50]))


def test_plan_travels_to_worker_processes(rows: Floats) -> None:
    plan = FeaturePlan([ATR, ATR_OVER_CLOSE], left_out=[("vwap", "no volume")])
    expected = plan.batch(rows[:50])
    arrived = pickle.loads(pickle.dumps(plan))
    assert (arrived.hash, arrived.left_out) == (plan.hash, plan.left_out)
    np.testing.assert_array_equal(arrived.batch(rows[:50]), expected)


@pytest.mark.parametrize(
    "change",
    [
        {"specs": [FeatureSpec("log_return", "return_1", {"n": 2})]},
        {"specs": [FeatureSpec("log_return", "return_1", inputs={"close": "open"})]},
        {"specs": [FeatureSpec("log_return", "return_1", reset="session")]},
        {"specs": [FeatureSpec("log_return", "other")]},
        {"specs": [FeatureSpec("log_return", "return_1", observe=False)]},
        {"specs": [FeatureSpec("sma", "return_1")]},
        {"specs": [RETURN], "columns": ("open", "close")},
    ],
)
def test_hash_covers_all_that_shapes_the_numbers(change: dict[str, Any]) -> None:
    assert FeaturePlan(**change).hash != FeaturePlan([RETURN]).hash


def test_hash_does_not_depend_on_spelled_out_defaults() -> None:
    spelled_out = FeatureSpec("log_return", "return_1", {"n": 1}, {"close": "close"})
    assert FeaturePlan([spelled_out]).hash == FeaturePlan([RETURN]).hash


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda stored: stored.pop("columns"), "missing required field `columns`"),
        (lambda stored: stored.update(extra=1), "unknown field `extra`"),
        (lambda stored: stored.update(hash="0" * 64), "must have the stored hash 000000000000, was"),
        (lambda stored: stored["features"][0].update(params={"n": 3}), "must have the stored hash"),
        (
            lambda stored: stored["kernels"].update(atr="f" * 64),
            "kernel 'atr' has changed .* must be f{12}, was",
        ),
    ],
)
def test_spoilt_stored_plan_is_refused(spoil: Callable[[dict[str, Any]], object], message: str) -> None:
    stored = FeaturePlan([ATR]).to_spec()
    spoil(stored)
    with pytest.raises(InputError, match=message) as refusal:
        FeaturePlan.from_spec(stored)
    assert "\n" not in str(refusal.value)


def test_changed_kernel_is_refused_by_name(write_kernel: Callable[[str], Kernel]) -> None:
    write_kernel(DOUBLED)
    stored = FeaturePlan([FeatureSpec("mine", "mine")]).to_spec()
    write_kernel(DOUBLED.replace("close * by", "close * by + 0.0"))
    with pytest.raises(InputError, match="code of feature kernel 'mine' has changed since the plan was stored"):
        FeaturePlan.from_spec(stored)


def test_changed_kernel_runs_its_new_code(write_kernel: Callable[[str], Kernel]) -> None:
    columns, rows = ("close",), np.array([[10.0]])
    write_kernel(DOUBLED)
    assert FeaturePlan([FeatureSpec("mine", "mine")], columns).batch(rows).item() == 20.0
    write_kernel(DOUBLED.replace("close * by", "close * by + 1.0"))
    assert FeaturePlan([FeatureSpec("mine", "mine")], columns).batch(rows).item() == 21.0


def test_whole_number_for_a_fractional_parameter_is_taken(write_kernel: Callable[[str], Kernel]) -> None:
    write_kernel(DOUBLED)
    assert FeaturePlan([FeatureSpec("mine", "mine", {"by": 3})], ("close",)).batch(np.array([[10.0]])).item() == 30.0
