"""What would mislead a reader never reaches the page."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from catalogs.errors import InputError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_end": dt.date(2023, 12, 29)}, "must not end before 2024-01-02, its start, was 2023-12-29"),
        ({"oracle_pnl": 5.0}, "needs a synthetic_note, was 5.0"),
        ({"random_policy_pnl": np.array([])}, "must hold finite numbers"),
        ({"random_policy_pnl": np.array([1.0, np.nan])}, "must hold finite numbers"),
    ],
)
def test_contexts_that_would_mislead_are_refused(context, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(context, **change)
