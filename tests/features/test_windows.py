"""Windows of a plan: each measure against NumPy, and what missing rows and resets do to them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from catalogs.errors import InputError
from rl_strategies.features import FeaturePlan, FeatureSpec, Kernel, State, Window, feature
from rl_strategies.features import kernel as kernels
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.windows import MEASURES, VECTOR

NAN = np.nan
REFERENCES = {
    "lag": lambda w: w[:, 0],
    "total": lambda w: [math.fsum(window) for window in w],
    "mean": lambda w: [math.fsum(window) / len(window) for window in w],
    "deviation": lambda w: w.std(axis=1),
    "mean_deviation": lambda w: np.abs(w - w.mean(axis=1)[:, None]).mean(axis=1),
    "ramp": lambda w: ((w - w.mean(axis=1)[:, None]) * np.arange(1, w.shape[1] + 1)).sum(axis=1),
    "highest": lambda w: w.max(axis=1),
    "lowest": lambda w: w.min(axis=1),
    "highest_age": lambda w: w[:, ::-1].argmax(axis=1),
    "lowest_age": lambda w: w[:, ::-1].argmin(axis=1),
    "rank": lambda w: ((w[:, :-1] < w[:, -1:]) + 0.5 * (w[:, :-1] == w[:, -1:])).mean(axis=1),
}


def measured(name: str, values: Floats, rows: int) -> Floats:
    """A measure over every whole window of the values."""
    count, room = len(values) - rows + 1, np.zeros(VECTOR)
    out, a, b = (np.zeros(len(values) + VECTOR) for _ in range(3))
    if MEASURES[name].around_mean:
        a[:count] = measured("mean", values, rows)
    MEASURES[name].function(np.concatenate([values, room]), rows, count, out, a, b)
    return out[:count]


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 15, 16, 17, 20, 63, 64, 65, 120])
@pytest.mark.parametrize("name", MEASURES)
def test_measure_equals_numpy_at_every_length(name: str, rows: int) -> None:
    values = np.round(np.random.default_rng(rows).normal(5000.0, 3.0, rows + 36) * 4) / 4
    expected = REFERENCES[name](sliding_window_view(values, rows))
    np.testing.assert_allclose(measured(name, values, rows), expected, rtol=1e-12, atol=1e-9)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=60).map(np.array),
    rows=st.integers(2, 25),
    start=st.integers(0, 4),
    name=st.sampled_from(sorted(MEASURES)),
)
def test_one_row_alone_gives_the_bits_of_many_together(values: Floats, rows: int, start: int, name: str) -> None:
    together = measured(name, values, rows)
    alone = [measured(name, values[i : i + rows], rows)[0] for i in range(start, len(together), 5)]
    assert np.array(alone).tobytes() == together[start::5].tobytes()


@pytest.fixture
def plan() -> FeaturePlan:
    """Mean of two values, as they come and by day."""
    specs = [
        FeatureSpec("sma", "mean", {"n": 2}, {"close": "x"}),
        FeatureSpec("sma", "by_day", {"n": 2}, {"close": "x"}, reset="day"),
    ]
    return FeaturePlan(specs, ("x", "day"))


def test_missing_values_are_skipped_and_a_reset_begins_afresh(plan: FeaturePlan) -> None:
    rows = [[1, 7], [3, 7], [NAN, 7], [7, 7], [9, 8], [11, NAN], [13, 8], [15, 9]]
    expected = [[NAN, NAN], [2, 2], [NAN, NAN], [5, 5], [8, NAN], [10, NAN], [12, 11], [14, NAN]]
    np.testing.assert_array_equal(plan.batch(np.array(rows, float)), expected)
    live = plan.live()
    np.testing.assert_array_equal([live.push(row).copy() for row in rows], expected)


def test_windows_reach_over_the_edges_of_blocks() -> None:
    values = np.random.default_rng(2).normal(size=(3000, 1))
    values[np.random.default_rng(3).random(3000) < 0.1] = NAN
    spread = FeaturePlan([FeatureSpec("standard_deviation", "x", {"n": 300})], ("close",)).batch(values)[:, 0]
    known = values[np.isfinite(values)]
    expected = np.full(3000, NAN)
    expected[np.flatnonzero(np.isfinite(values[:, 0]))[299:]] = sliding_window_view(known, 300).std(axis=1)
    np.testing.assert_allclose(spread, expected, rtol=1e-10)


def test_what_several_features_ask_for_is_computed_once() -> None:
    specs = [
        FeatureSpec("sma_distance", "a", {"n": 20}),
        FeatureSpec("bollinger", "b", {"n": 20}),
        FeatureSpec("z_score", "c", {"n": 20}),
        FeatureSpec("realised_volatility", "d"),
        FeatureSpec("amihud", "e"),
        FeatureSpec("log_return", "f"),
    ]
    plan = FeaturePlan(specs)
    assert plan.source.count("window_deviation(") == 2
    assert plan.source.count("window_mean(") == 3  # of 20 closes, 30 returns and 60 impacts
    assert plan.source.count("kernel_log_return(") == 1
    assert plan.outputs == ("a", "b_percent_b", "b_bandwidth", "c", "d", "e", "f")


def test_unknown_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "REGISTRY", dict(kernels.REGISTRY))
    with pytest.raises(InputError, match=r"feature kernel 'mine': a measure must be one of lag, .*, was 'median'"):

        @feature(parts={"middle": Window("median", "close", 3)})
        def mine(s: State, middle: float) -> float:
            """Middle of three."""
            return middle


def test_part_reads_what_the_feature_is_wired_to(write_kernel: object) -> None:
    code = '''
from rl_strategies.features import Part, Window


@feature()
def gap(s, open, before):
    """Open less another price."""
    return open - before


@feature(parts={"before": Window("lag", "close", 1), "step": Part(gap), "usual": Window("mean", "step", "n")})
def mine(s, step, usual, n=2):
    """Gap against its mean."""
    return step - usual
'''
    made: Kernel = write_kernel(code)  # type: ignore[operator]
    assert made.inputs == ("close", "open")
    plan = FeaturePlan([FeatureSpec("mine", "mine", inputs={"close": "high"})], ("open", "high"))
    assert plan.warmup == 3
    out = plan.batch(np.array([[1.0, 2.0], [5.0, 4.0], [3.0, 6.0], [9.0, 1.0]]))[:, 0]
    np.testing.assert_array_equal(out, [NAN, NAN, -2.0, 2.0])  # gaps 3, -1, 3
