"""Times of code to compare: all run in turn, several times over; medians are taken."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def interleaved(
    runs: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median time of every run, in seconds.

    Parameters
    ----------
    runs : mapping of str to callable
        Called in turn, ``repeats + 1`` times over; the first round is a warm-up and not counted.
    repeats : int
    clock : callable
        Seconds. Default: CPU time of this process, which other work on the machine does not disturb; all benchmarks run
        in one thread.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, call in runs.items():
            began = clock()
            call()
            seconds[name].append(clock() - began)
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}
