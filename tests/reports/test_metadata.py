"""Metadata that would mislead a reader is refused."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from catalogs.errors import InputError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"window_end": dt.date(2023, 12, 29)},
            "must not be before window_start 2024-01-02, was 2023-12-29",
        ),
        ({"oracle_pnl": 5.0}, r"needs a synthetic_note \(synthetic data only\), was 5.0"),
        ({"random_policy_pnl": np.array([])}, "must be one or more finite numbers"),
        ({"random_policy_pnl": np.array([1.0, np.nan])}, "must be one or more finite numbers"),
    ],
)
def test_misleading_metadata_is_refused(metadata, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(metadata, **change)
