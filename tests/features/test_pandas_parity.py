"""Every column that pandas and TA-Lib can compute too, against them: the benchmark compares like with like."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.features import made_up_bars, shared_plan
from benchmarks.peers.pandas_features import pandas_features
from rl_strategies.features import FeaturePlan
from rl_strategies.features.compiler.compile import Floats

NAMES = sorted(pandas_features(made_up_bars(500, 0)))


@pytest.fixture(scope="module")
def answers() -> tuple[FeaturePlan, Floats, dict[str, Floats]]:
    bars: pd.DataFrame = made_up_bars(12_000, seed=5)
    plan = shared_plan(set(NAMES))
    return plan, plan.batch(bars[list(plan.columns)].to_numpy()), pandas_features(bars)


@pytest.mark.parametrize("name", NAMES)
def test_column_equals_that_of_pandas(answers: tuple[FeaturePlan, Floats, dict[str, Floats]], name: str) -> None:
    plan, ours, theirs = answers
    start = min(max(200, plan.warmups[name]), 21 * 390)  # sessions have 390 bars here, not 1440
    both = ours[start:, plan.index(name)], theirs[name][start:]
    assert np.isfinite(both).all()
    # pandas sums windows by adding and taking away and TA-Lib likewise: digits of the price level are lost to them.
    np.testing.assert_allclose(*both, rtol=1e-8, atol=1e-9)
