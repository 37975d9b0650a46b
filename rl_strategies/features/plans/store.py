"""Feature matrices cached between runs: one memory-mapped file for a plan and its data.

A file's name is a hash of everything that shapes its numbers, so a changed plan or changed data uses another file and
nothing is ever stale. Several processes may write at once: each writes a temporary file and renames it.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogs.cache import cache_dir, written_aside
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan


def cached_matrix(
    plan: FeaturePlan | JoinedPlan, data_hashes: Iterable[str], compute: Callable[[], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The plan's outputs on some data: read from the cache, or computed and put there.

    Parameters
    ----------
    plan : FeaturePlan or JoinedPlan
    data_hashes : iterable of str
        Hashes of all inputs in a fixed order: ``BarSeries.hash`` of the bars and of each stream, the hash of the
        calendar's sessions.
    compute : callable
        Computes the matrix.

    Returns
    -------
    float64[n, len(plan.outputs)]
        Read-only and memory-mapped: processes share its pages.
    """
    path = matrix_path(plan, data_hashes)
    if not path.exists():
        matrix = np.ascontiguousarray(compute(), np.float64)
        with written_aside(path) as aside:
            np.save(aside, matrix, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def matrix_path(plan: FeaturePlan | JoinedPlan, data_hashes: Iterable[str]) -> Path:
    """File of the matrix of a plan and its data, whether it exists or not."""
    identity = "\0".join([plan.hash, *data_hashes])
    return cache_dir() / "matrices" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
