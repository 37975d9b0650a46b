"""Drawing less must not show less."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from run.reports.figures import thinned


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.sampled_from([4, 10, 64]))
def test_thinned_line_keeps_ends_and_extremes(values: list[float], points: int) -> None:
    line = np.array(values)
    kept = thinned(line, points)
    assert kept[0] == 0
    assert kept[-1] == len(line) - 1
    assert np.all(np.diff(kept) > 0)
    assert len(kept) <= points + 2
    assert (line[kept].min(), line[kept].max()) == (line.min(), line.max())
