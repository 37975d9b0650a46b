"""Learning-rate schedule: linear, times a factor that callbacks or the user change during a run."""

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule


class RateSchedule:
    """Linear schedule times ``factor``, within bounds.

    Parameters
    ----------
    first, final : float
        Values at the start and the end of the run.

    Attributes
    ----------
    factor : float
        1 until a plateau, the KL divergence or the user changes it.

    Examples
    --------
    >>> rate = RateSchedule(3e-4, 1e-4)
    >>> f"{rate(0.5):.1e}"  # halfway
    '2.0e-04'
    >>> rate.scale(0.5)
    >>> f"{rate(0.5):.1e}"
    '1.0e-04'
    """

    LOWEST, HIGHEST = 1e-7, 1e-1

    def __init__(self, first: float, final: float) -> None:
        self.linear = LinearSchedule(first, final, 1.0)
        self.factor = 1.0

    def __call__(self, progress_remaining: float) -> float:
        linear = self.linear(progress_remaining)
        if self.factor == 1.0:
            return linear
        return min(max(linear * self.factor, self.LOWEST), self.HIGHEST)

    def scale(self, by: float) -> None:
        """Multiply the factor; it stays between 0.001 and 1000."""
        self.factor = min(max(self.factor * by, 1e-3), 1e3)


def rate_of(model: BaseAlgorithm) -> RateSchedule:
    """Learning-rate schedule of a model from `training.algorithms.build`."""
    schedule: Any = model.learning_rate
    assert isinstance(schedule, RateSchedule)
    return schedule
