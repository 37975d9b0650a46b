"""Feature matrices kept between runs: one file for a plan and its data, memory-mapped.

A file's name is the hash of everything that shapes its numbers, so a changed plan or changed data is another file and
nothing is ever stale. Several processes may ask at once: each writes aside and renames, the content being the same.
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
        Of everything that goes in, in a fixed order: ``BarSeries.hash`` of the bars and of each stream, the hash of the
        calendar's sessions.
    compute : callable
        Gives the matrix.

    Returns
    -------
    float64[n, len(plan.outputs)]
        Read-only and memory-mapped: pages are shared between processes and read when touched.
    """
    path = matrix_path(plan, data_hashes)
    if not path.exists():
        matrix = np.ascontiguousarray(compute(), np.float64)
        with written_aside(path) as aside:
            np.save(aside, matrix, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def matrix_path(plan: FeaturePlan | JoinedPlan, data_hashes: Iterable[str]) -> Path:
    """Where the matrix of a plan and its data lies, or would lie."""
    identity = "\0".join([plan.hash, *data_hashes])
    return cache_dir() / "matrices" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
