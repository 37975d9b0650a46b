"""Why a figure of a run is None."""

from collections.abc import Mapping
from typing import Any

from rl_strategies.analysis.equity_path import MIN_SESSIONS_RATIO, MIN_SESSIONS_TAIL
from rl_strategies.analysis.mean_interval import MIN_SESSIONS_INTERVAL

_LEAST_SESSIONS = {
    "volatility_pct": MIN_SESSIONS_RATIO,
    "sharpe": MIN_SESSIONS_RATIO,
    "sortino": MIN_SESSIONS_RATIO,
    "annualised_return_pct": MIN_SESSIONS_TAIL,
    "calmar": MIN_SESSIONS_TAIL,
    "mean_daily_pnl_interval": MIN_SESSIONS_INTERVAL,
    "var_95_usd": MIN_SESSIONS_TAIL,
    "cvar_95_usd": MIN_SESSIONS_TAIL,
}
_REASONS = {
    "sharpe": "the results of the sessions hardly vary",
    "sortino": "no session lost",
    "annualised_return_pct": "everything was lost",
    "calmar": "there was no drawdown",
    "recovery_bars": "the drawdown was not recovered",
    "recovery_minutes": "the drawdown was not recovered",
    "recovery_sessions": "the drawdown was not recovered",
    "var_95_usd": "no session gained or lost",
    "cvar_95_usd": "no session gained or lost",
    "profit_factor": "no trade lost",
    "average_loss_usd": "no trade lost",
    "average_win_usd": "no trade won",
    "turnover": "the average equity is not above zero",
    "turnover_per_session": "the average equity is not above zero",
}
_OF_RETURNS = ("volatility_pct", "sharpe", "sortino")
_OF_TRADES = (
    "win_rate_pct", "profit_factor", "average_win_usd", "average_loss_usd", "expectancy_usd",
    "average_duration_minutes", "average_duration_bars",
)  # fmt: skip


def why_undefined(figures: Mapping[str, Any]) -> dict[str, str]:
    """Reason of each figure that is None.

    Parameters
    ----------
    figures : mapping of str to Any
        Fields of `rl_strategies.analysis.metrics.Metrics`.

    Examples
    --------
    >>> why_undefined({"sessions": 3, "sharpe": None, "trades": 0, "win_rate_pct": None, "turnover": 2.0})
    {'sharpe': 'fewer than 5 sessions', 'win_rate_pct': 'no closed trade'}
    """
    return {name: _reason(name, figures) for name, value in figures.items() if value is None}


def _reason(name: str, figures: Mapping[str, Any]) -> str:
    least = _LEAST_SESSIONS.get(name, 0)
    if figures["sessions"] < least:
        return f"fewer than {least} sessions"
    if name in _OF_RETURNS and figures["volatility_pct"] is None:
        return "the equity was not above zero at every session's start"
    if name == "calmar" and figures["annualised_return_pct"] is None:
        return _reason("annualised_return_pct", figures)
    return "no closed trade" if figures["trades"] == 0 and name in _OF_TRADES else _REASONS[name]
