"""Coverage of a feature matrix by family: share of finite values, warm-up, first complete session."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_strategies.features.kernel import find_kernel
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan


@dataclass(frozen=True)
class FamilyCoverage:
    """Coverage of one family of features.

    Attributes
    ----------
    family : str
    outputs : tuple of str
    finite_share : float
        Share of the family's values that are finite.
    warmup_rows : int
        Warm-up of its slowest output.
    first_valid_session : datetime64[D] or None
        First session with every output finite on every bar; None if there is none.
    """

    family: str
    outputs: tuple[str, ...]
    finite_share: float
    warmup_rows: int
    first_valid_session: np.datetime64 | None


def family_coverage(
    plan: FeaturePlan | JoinedPlan,
    values: NDArray[np.float64],
    session: NDArray[np.int64],
    session_date: NDArray[np.datetime64],
) -> tuple[FamilyCoverage, ...]:
    """Coverage of each family of a plan, in alphabetical order.

    Parameters
    ----------
    plan : FeaturePlan or JoinedPlan
    values : float64[n, len(plan.outputs)]
    session : int64[n]
        Index of each row's session, ascending.
    session_date : datetime64[D][s]
        Session dates of the calendar.

    Returns
    -------
    tuple of FamilyCoverage
    """
    families = _families(plan)
    first_rows = np.flatnonzero(np.diff(session, prepend=session[0] - 1))
    covered = []
    for family in sorted(set(families.values())):
        outputs = tuple(output for output in plan.outputs if families[output] == family)
        finite = np.isfinite(values[:, [plan.index(output) for output in outputs]])
        whole = np.flatnonzero(np.logical_and.reduceat(finite.all(axis=1), first_rows))
        covered.append(
            FamilyCoverage(
                family,
                outputs,
                float(finite.mean()),
                max(plan.warmups[output] for output in outputs),
                session_date[session[first_rows[whole[0]]]] if len(whole) else None,
            )
        )
    return tuple(covered)


def _families(plan: FeaturePlan | JoinedPlan) -> dict[str, str]:
    if isinstance(plan, JoinedPlan):
        return _families(plan.primary) | _families(plan.cross) | dict.fromkeys(plan.fresh, "context")
    kinds = {spec.name: spec.kind for spec in plan.specs}
    return {output: find_kernel(kinds[plan.feature_of(output)]).family for output in plan.outputs}
