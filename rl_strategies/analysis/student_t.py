"""Student's t distribution: what a mean of few values is measured with."""

import math
from functools import lru_cache

import numpy as np

from catalogs.errors import InputError

_HALVINGS = 60  # of a quarter turn: as fine as a float


def central_probability(t: float, degrees_of_freedom: int) -> float:
    """Probability that a t variable lies between -t and t.

    Parameters
    ----------
    t : float
        At least zero.
    degrees_of_freedom : int
        At least one.

    Raises
    ------
    InputError
        If there is less than one degree of freedom, or t is negative.

    Notes
    -----
    The finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, which are
    exact for whole degrees of freedom.

    >>> round(central_probability(2.2622, 9), 4)
    0.95
    """
    if degrees_of_freedom < 1:
        raise InputError(f"degrees of freedom must be at least 1, were {degrees_of_freedom}")
    if t < 0:
        raise InputError(f"t must be at least 0, was {t}")
    return _within(math.atan(t / math.sqrt(degrees_of_freedom)), degrees_of_freedom)


@lru_cache(maxsize=1_024)  # intervals of windows of one length ask for the same over and over
def two_sided_quantile(level: float, degrees_of_freedom: int) -> float:
    """The t for which the probability between -t and t is ``level``.

    Parameters
    ----------
    level : float
        In (0, 1).
    degrees_of_freedom : int
        At least one.

    Raises
    ------
    InputError
        If the level or the degrees of freedom lie outside.

    >>> round(two_sided_quantile(0.95, 59), 3)
    2.001
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level must be in (0, 1), was {level}")
    if degrees_of_freedom < 1:
        raise InputError(f"degrees of freedom must be at least 1, were {degrees_of_freedom}")
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees_of_freedom) < level else (low, middle)
    return math.tan(low) * math.sqrt(degrees_of_freedom)


def _within(angle: float, degrees_of_freedom: int) -> float:
    # t is √df times the tangent of the angle; the terms are those of the book, each from the one before.
    cosine, sine = math.cos(angle), math.sin(angle)
    is_odd = degrees_of_freedom % 2
    if degrees_of_freedom == 1:
        return 2 * angle / math.pi
    later = np.arange(2 if is_odd else 1, degrees_of_freedom - 2, 2, dtype=np.float64)
    ratios = later / (later + 1) * cosine * cosine
    terms = math.fsum(np.cumprod(np.concatenate(([1.0], ratios))))
    return 2 / math.pi * (angle + sine * cosine * terms) if is_odd else sine * terms
