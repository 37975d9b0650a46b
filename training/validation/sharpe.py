"""How much a Sharpe ratio says: probabilistic and deflated Sharpe ratio, minimum track record length.

All Sharpe ratios here are of one observation (a session), not annualised; √252 times as much is annual.
"""

import math
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.analysis.equity_path import MIN_SESSIONS_RATIO, varies

EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


class ReturnMoments(msgspec.Struct, frozen=True):
    """What the statistics need of a row of returns.

    Attributes
    ----------
    sharpe : float
        Mean over standard deviation of one observation, not annualised.
    skewness : float
        Third standardised moment, 0 for a normal distribution.
    kurtosis : float
        Fourth standardised moment, 3 for a normal distribution: not the excess over it.
    observations : int
        At least two.

    Raises
    ------
    InputError
        If there are fewer than two observations, or no distribution has this skewness and kurtosis.
    """

    sharpe: float
    skewness: float
    kurtosis: float
    observations: int

    def __post_init__(self) -> None:
        if self.observations < 2:
            raise InputError(f"a Sharpe ratio needs at least 2 observations, had {self.observations}")
        if self.kurtosis < self.skewness**2 + 1 - 1e-9:
            least = self.skewness**2 + 1
            raise InputError(
                f"kurtosis must be at least {least:g} with skewness {self.skewness:g}, was {self.kurtosis:g} "
                "(a normal distribution has 3)"
            )


def return_moments(returns: NDArray[np.float64]) -> ReturnMoments | None:
    """Moments of returns; None for fewer than five or hardly varying ones, as in `rl_strategies.analysis`.

    Parameters
    ----------
    returns : float64[n]
        One per session.

    Notes
    -----
    The Sharpe ratio has the standard deviation with n - 1. Skewness and kurtosis are the moments m3 / m2^(3/2) and
    m4 / m2^2 with n, as scipy's ``skew`` and ``kurtosis(fisher=False)`` give them.
    """
    if len(returns) < MIN_SESSIONS_RATIO or not varies(returns):
        return None
    distance = returns - np.mean(returns)
    second = float(np.mean(distance**2))
    return ReturnMoments(
        sharpe=float(np.mean(returns) / np.std(returns, ddof=1)),
        skewness=float(np.mean(distance**3)) / second**1.5,
        kurtosis=float(np.mean(distance**4)) / second**2,
        observations=len(returns),
    )


def sharpe_standard_error(moments: ReturnMoments) -> float:
    """Standard error of a Sharpe ratio of returns that need not be normal.

    Notes
    -----
    √((1 - γ3·SR + (γ4 - 1)/4·SR²) / (n - 1)). Source: Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier",
    Journal of Risk 15(2), 2012; the variance is from Mertens, "Comments on Variance of the IID Estimator in Lo (2002)",
    2002. Others divide by n, or put in the Sharpe ratio that it is compared with: their figures differ.
    """
    return math.sqrt(_spread(moments) / (moments.observations - 1))


def probabilistic_sharpe(moments: ReturnMoments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above a benchmark's.

    Parameters
    ----------
    moments : ReturnMoments
    benchmark : float
        Sharpe ratio of one observation.

    Notes
    -----
    Φ((SR - SR*) / standard error). Source: Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of
    Risk 15(2), 2012.

    Their fund: 24 months, mean 3.6 %, deviation 7.9 %, skewness -2.448, kurtosis 10.164.

    >>> round(probabilistic_sharpe(ReturnMoments(0.458, -2.448, 10.164, 24)), 3)
    0.913
    """
    return _NORMAL.cdf((moments.sharpe - benchmark) / sharpe_standard_error(moments))


def minimum_track_record(moments: ReturnMoments, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Observations from which on a Sharpe ratio like this one would be above the benchmark's with confidence.

    Parameters
    ----------
    moments : ReturnMoments
    benchmark : float
        Sharpe ratio of one observation.
    confidence : float
        In (0.5, 1).

    Returns
    -------
    float
        Infinite if the Sharpe ratio is not above the benchmark's.

    Raises
    ------
    InputError
        If the confidence lies outside.

    Notes
    -----
    1 + (1 - γ3·SR + (γ4 - 1)/4·SR²)·(z / (SR - SR*))², with z the normal quantile of the confidence. Source: Bailey and
    López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012.
    """
    if not 0.5 < confidence < 1.0:
        raise InputError(f"confidence must be in (0.5, 1), was {confidence}")
    if moments.sharpe <= benchmark:
        return math.inf
    return 1 + _spread(moments) * (_NORMAL.inv_cdf(confidence) / (moments.sharpe - benchmark)) ** 2


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio to be expected of the best of so many trials without any edge.

    Parameters
    ----------
    trials : int
        Number of independent trials, at least one. Of one trial it is zero.
    variance : float
        Variance of the trials' Sharpe ratios of one observation.

    Raises
    ------
    InputError
        If there is no trial or the variance is negative.

    Notes
    -----
    √V·((1 - γ)·Φ⁻¹(1 - 1/N) + γ·Φ⁻¹(1 - 1/(N·e))), γ the Euler-Mascheroni constant. Source: Bailey and López de Prado,
    "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014. It is an approximation for many trials.
    """
    if trials < 1:
        raise InputError(f"trials must be at least 1, were {trials}")
    if not variance >= 0.0:
        raise InputError(f"variance of the trials' Sharpe ratios must be at least 0, was {variance}")
    if trials == 1:
        return 0.0
    ordinary = _NORMAL.inv_cdf(1 - 1 / trials)
    extreme = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER_MASCHERONI) * ordinary + EULER_MASCHERONI * extreme)


def deflated_sharpe(moments: ReturnMoments, trials: int, variance: float) -> float:
    """Probability that the Sharpe ratio of the best of several trials is more than the luck of the choice.

    Parameters
    ----------
    moments : ReturnMoments
        Of the trial that was chosen.
    trials : int
        Everything that was tried, not only what was kept.
    variance : float
        Variance of the trials' Sharpe ratios of one observation.

    Notes
    -----
    The probabilistic Sharpe ratio against `expected_maximum_sharpe`. Source: Bailey and López de Prado, "The Deflated
    Sharpe Ratio", Journal of Portfolio Management 40(5), 2014.

    Their example: 2.5 a year in 1,250 days of which a year has 250, skewness -3, kurtosis 10, the best of 100 trials
    whose annual Sharpe ratios have variance 1/2.

    >>> best = ReturnMoments(2.5 / math.sqrt(250), -3.0, 10.0, 1_250)
    >>> round(deflated_sharpe(best, 100, 0.5 / 250), 4)
    0.9004
    """
    return probabilistic_sharpe(moments, expected_maximum_sharpe(trials, variance))


def _spread(moments: ReturnMoments) -> float:
    sharpe = moments.sharpe
    return 1 - moments.skewness * sharpe + (moments.kurtosis - 1) / 4 * sharpe**2
