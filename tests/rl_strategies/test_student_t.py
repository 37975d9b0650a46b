"""Student's t against printed tables and against its density, summed up."""

import math

import numpy as np
import pytest

from catalogs.errors import InputError
from rl_strategies.analysis.student_t import central_probability, two_sided_quantile


@pytest.mark.parametrize(
    ("level", "df", "printed"),
    [
        (0.95, 1, 12.7062), (0.95, 2, 4.3027), (0.95, 3, 3.1824), (0.95, 9, 2.2622), (0.95, 19, 2.0930),
        (0.95, 30, 2.0423), (0.95, 120, 1.9799), (0.99, 1, 63.6567), (0.99, 10, 3.1693), (0.9, 5, 2.0150),
        (0.5, 4, 0.7407), (0.999, 8, 5.0413),
    ],
)  # fmt: skip
def test_printed_tables(level: float, df: int, printed: float) -> None:
    assert two_sided_quantile(level, df) == pytest.approx(printed, abs=6e-5)


@pytest.mark.parametrize("df", [1, 2, 3, 7, 20, 59, 249])
@pytest.mark.parametrize("t", [0.1, 1.0, 2.5])
def test_the_density_summed_up(t: float, df: int) -> None:
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    at, weight = np.polynomial.legendre.leggauss(80)
    points = t * (at + 1) / 2
    density = scale * (1 + points**2 / df) ** (-(df + 1) / 2)
    assert central_probability(t, df) == pytest.approx(t * float(weight @ density), rel=1e-10)


@pytest.mark.parametrize("df", [1, 4, 11, 5_000])
def test_quantile_and_probability_are_each_others_inverse(df: int) -> None:
    assert central_probability(two_sided_quantile(0.95, df), df) == pytest.approx(0.95, abs=1e-12)


def test_many_degrees_of_freedom_are_normal() -> None:
    assert two_sided_quantile(0.95, 1_000_000) == pytest.approx(1.959964, abs=1e-5)


def test_no_degree_of_freedom_is_refused() -> None:
    with pytest.raises(InputError, match="degrees of freedom must be at least 1, were 0"):
        two_sided_quantile(0.95, 0)
    with pytest.raises(InputError, match=r"t must be at least 0, was -1\.0"):
        central_probability(-1.0, 5)
