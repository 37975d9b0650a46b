"""The learning rate over a run: linear, times a factor that the run's own findings move."""

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import LinearSchedule


class RateSchedule:
    """Linear schedule times ``factor``, kept within bounds.

    Parameters
    ----------
    first, final : float
        At the beginning and the end of the run.

    Attributes
    ----------
    factor : float
        1 until something moves it: a plateau, the KL divergence, or a person.

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
        """Multiply the factor, which stays between a thousandth and a thousand."""
        self.factor = min(max(self.factor * by, 1e-3), 1e3)


def rate_of(model: BaseAlgorithm) -> RateSchedule:
    """The schedule that a model of `training.algorithms.build` learns by."""
    schedule: Any = model.learning_rate
    assert isinstance(schedule, RateSchedule)
    return schedule
