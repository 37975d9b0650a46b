"""Figures of an equity path: daily PnL, ratios, drawdown, tail risk.

Ratios use daily (session) returns, scaled by the square root of 252, with a risk-free rate of zero. A figure for which
the window is too short is None, never zero or infinity.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

SESSIONS_PER_YEAR = 252
MIN_SESSIONS_RATIO = 5  # with fewer, a standard deviation means nothing
MIN_SESSIONS_TAIL = 20  # the 5 % tail of 20 sessions is one session; fewer cannot be compounded to a year either
TAIL = 0.05
HARDLY = 0.01
BASIS = "daily returns, 252 sessions a year, risk-free rate 0, ddof 1; downside divided by all days"


class Drawdown(msgspec.Struct, frozen=True):
    """Deepest fall below the highest equity so far, measured at every bar.

    Attributes
    ----------
    usd : float
        Largest fall in USD, >= 0.
    pct : float
        Largest fall in percent of its peak, >= 0; not necessarily the same fall as `usd`.
    trough : int
        Bar of the lowest point of the largest fall in USD.
    recovered : int or None
        First bar from `trough` on with equity back at the peak; None if it never recovers.
    """

    usd: float
    pct: float
    trough: int
    recovered: int | None


def session_ends(session_date: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Index of the last bar of every session.

    >>> session_ends(np.array(["2024-03-01", "2024-03-01", "2024-03-04"], "datetime64[D]"))
    array([1, 2])
    """
    return np.flatnonzero(np.append(session_date[1:] != session_date[:-1], True))


def daily_pnl(
    equity_usd: NDArray[np.float64], session_date: NDArray[np.datetime64], starting_balance_usd: float
) -> NDArray[np.float64]:
    """Change of equity over each session in USD; an overnight move counts with the session after it.

    >>> days = np.array(["2024-03-01", "2024-03-01", "2024-03-04"], "datetime64[D]")
    >>> daily_pnl(np.array([100.0, 110.0, 105.0]), days, 100.0)
    array([10., -5.])
    """
    return np.diff(equity_usd[session_ends(session_date)], prepend=starting_balance_usd)


def daily_returns(pnl_usd: NDArray[np.float64], starting_balance_usd: float) -> NDArray[np.float64] | None:
    """Daily PnL as a fraction of the equity before it; None if that equity is ever zero or below."""
    before = starting_balance_usd + np.concatenate(([0.0], np.cumsum(pnl_usd)[:-1]))
    return pnl_usd / before if np.all(before > 0) else None


def annualised_volatility(returns: NDArray[np.float64]) -> float | None:
    """Standard deviation (ddof 1) of daily returns times √252; None below five sessions."""
    if len(returns) < MIN_SESSIONS_RATIO:
        return None
    return float(np.std(returns, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR)


def sharpe_ratio(returns: NDArray[np.float64]) -> float | None:
    """Mean over standard deviation (ddof 1) of daily returns times √252; None if too short or hardly varying.

    Source: Sharpe, "The Sharpe Ratio", Journal of Portfolio Management, 1994, with a risk-free rate of zero.
    """
    volatility = annualised_volatility(returns)
    if volatility is None or not varies(returns):
        return None
    return float(np.mean(returns)) * SESSIONS_PER_YEAR / volatility


def varies(daily: NDArray[np.float64]) -> bool:
    """Whether daily results vary by more than a hundredth of their mean; a ratio over less is not a risk but rounding.

    >>> varies(np.array([-10.0, -10.0, -10.0]))
    False
    """
    return bool(np.std(daily) > HARDLY * abs(np.mean(daily)))


def sortino_ratio(returns: NDArray[np.float64]) -> float | None:
    """Mean over downside deviation (threshold 0, divided by all days) times √252; None without a losing day.

    Source: Rollinger and Hoffman, "Sortino: A Sharper Ratio", Red Rock Capital, 2013.
    """
    downside = np.minimum(returns, 0.0)
    if len(returns) < MIN_SESSIONS_RATIO or not downside.any():
        return None
    deviation = math.sqrt(float(np.mean(downside * downside)))
    return float(np.mean(returns)) / deviation * math.sqrt(SESSIONS_PER_YEAR)


def annualised_return(total_return: float, sessions: int) -> float | None:
    """Compound growth to 252 sessions, as a fraction; None below twenty sessions or after total loss."""
    if sessions < MIN_SESSIONS_TAIL or total_return <= -1:
        return None
    return float((1 + total_return) ** (SESSIONS_PER_YEAR / sessions) - 1)


def max_drawdown(equity_usd: NDArray[np.float64], starting_balance_usd: float) -> Drawdown:
    """Deepest drawdown of a path; the first peak is the starting balance.

    >>> max_drawdown(np.array([105.0, 95.0, 100.0, 105.0]), 100.0)
    Drawdown(usd=10.0, pct=9.523809523809524, trough=1, recovered=3)
    """
    peak = np.maximum(np.maximum.accumulate(equity_usd), starting_balance_usd)
    fall = peak - equity_usd
    trough = int(np.argmax(fall))
    back = np.flatnonzero(equity_usd[trough:] >= peak[trough])
    return Drawdown(
        usd=float(fall[trough]),
        pct=float(np.max(fall / peak)) * 100,
        trough=trough,
        recovered=trough + int(back[0]) if len(back) else None,
    )


def tail_risk(pnl_usd: NDArray[np.float64]) -> tuple[float, float] | None:
    """Historical 95 % value at risk and conditional value at risk of one session, USD; losses are positive.

    With k = ceil(5 % of the days), VaR is the k-th worst day and CVaR the mean of the k worst; None below
    twenty sessions, or if no session gained or lost.
    """
    if len(pnl_usd) < MIN_SESSIONS_TAIL or not pnl_usd.any():
        return None
    worst = np.sort(pnl_usd)[: math.ceil(len(pnl_usd) * TAIL)]
    return 0.0 - float(worst[-1]), 0.0 - float(worst.mean())
