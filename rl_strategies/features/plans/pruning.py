"""Pruning of the observation: outputs that hardly vary or repeat another one are no longer observed.

It is fitted on training rows only. What was pruned, and why, is part of the plan and so of the bundle.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan


class PruningConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `pruned_plan`.

    Attributes
    ----------
    min_variation : float
        Smallest standard deviation over mean absolute value that stays. 0 prunes constants only.
    max_correlation : float
        Largest absolute correlation with an earlier output that stays. 1 prunes exact repetitions only.
    """

    min_variation: float = 1e-4
    max_correlation: float = 0.98

    def __post_init__(self) -> None:
        if self.min_variation < 0.0:
            raise InputError(f"min_variation must not be negative, was {self.min_variation}")
        if not 0.0 < self.max_correlation <= 1.0:
            raise InputError(f"max_correlation must be above 0 and at most 1, was {self.max_correlation}")


def pruned_plan(
    plan: FeaturePlan | JoinedPlan, values: NDArray[np.float64], config: PruningConfig
) -> FeaturePlan | JoinedPlan:
    """The plan with outputs that add nothing still computed, but no longer observed.

    Parameters
    ----------
    plan : FeaturePlan or JoinedPlan
    values : float64[n, len(plan.outputs)]
        Outputs of the plan on training rows only; rows with a value that is not finite are ignored.
    config : PruningConfig

    Returns
    -------
    FeaturePlan or JoinedPlan
        ``pruned`` holds the pruned outputs with reasons.

    Raises
    ------
    InputError
        If fewer than three rows are finite.

    Notes
    -----
    Of two correlated outputs the earlier one stays: put the more important ones first.
    """
    rows = values[np.isfinite(values).all(axis=1), : plan.observed]
    if len(rows) < 3:
        raise InputError(f"pruning needs at least 3 rows with every feature finite, had {len(rows)}")
    deviation, size = rows.std(axis=0), np.abs(rows).mean(axis=0)
    still = deviation <= np.maximum(config.min_variation, 1e-12) * size
    pruned = [
        (plan.outputs[j], f"hardly varies: standard deviation {deviation[j]:.3g}, mean size {size[j]:.3g}")
        for j in np.flatnonzero(still)
    ]
    moving = np.flatnonzero(~still)
    correlation = np.abs(np.atleast_2d(np.corrcoef(rows[:, moving], rowvar=False)))
    kept: list[int] = []
    for i, j in enumerate(moving):
        twin = next((k for k in kept if correlation[i, k] >= config.max_correlation - 1e-12), None)
        if twin is None:
            kept.append(i)
        else:
            other = plan.outputs[moving[twin]]
            pruned.append((plan.outputs[j], f"repeats {other}: correlation {correlation[i, twin]:.4f}"))
    return plan.without(pruned)
