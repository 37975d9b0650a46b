"""The figures of a run from its record and trades, the same for reports, evaluation and live."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from catalogs.errors import InputError
from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.equity_path import (
    BASIS,
    Drawdown,
    annualised_return,
    annualised_volatility,
    daily_pnl,
    daily_returns,
    max_drawdown,
    session_ends,
    sharpe_ratio,
    sortino_ratio,
    tail_risk,
    varies,
)
from rl_strategies.analysis.mean_interval import Interval, mean_interval
from rl_strategies.analysis.trades import NS_PER_MINUTE, Trade
from rl_strategies.analysis.undefined import why_undefined


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one run; None if the window is too short or the figure is undefined, as `undefined` says.

    Attributes
    ----------
    sessions, bars : int
        Number of sessions and bars in the window.
    starting_balance_usd, final_equity_usd, net_pnl_usd : float
        PnL is after all costs, with an open position marked at the last close.
    unreconciled_usd : float
        Final equity less starting balance less the trades' PnL; zero if the trades explain the account to the cent.
    total_return_pct : float
        PnL in percent of the starting balance.
    annualised_return_pct : float or None
        Compounded to 252 sessions; None below 20 sessions.
    volatility_pct, sharpe, sortino : float or None
        Annualised from daily returns (`basis`); None below 5 sessions. No Sharpe ratio where results hardly vary.
    calmar : float or None
        Annualised return over maximum drawdown in percent.
    basis : str
        Interval, scaling and conventions of the ratios.
    max_drawdown_usd, max_drawdown_pct : float
        From every bar's equity, >= 0.
    recovery_bars, recovery_minutes, recovery_sessions : number or None
        From the trough back to the peak; None if not recovered within the window, 0 without a drawdown.
    mean_daily_pnl_usd : float
    mean_daily_pnl_interval : Interval or None
        95 % interval by Student's t, with allowance for memory; None below 10 sessions.
    var_95_usd, cvar_95_usd : float or None
        Historical, of one session, losses positive; None below 20 sessions, or if no session gained or lost.
    trades, open_trades : int
        Closed and open round trips, at most one open per instrument. The trade figures below count closed trades only.
    win_rate_pct, profit_factor, average_win_usd, average_loss_usd, expectancy_usd : float or None
        A win has PnL above zero. The profit factor is None without a loss.
    trades_per_session : float
    average_duration_minutes, average_duration_bars : float or None
    long_trades, short_trades : int
    long_pnl_usd, short_pnl_usd : float
    traded_notional_usd : float
        Units × price × multiplier over all fills.
    turnover, turnover_per_session : float or None
        Traded notional over average equity; None if that is not positive.
    exposure_pct : float
        Share of bars after whose close any instrument was held.
    commission_usd, spread_cost_usd, slippage_cost_usd, impact_cost_usd, total_cost_usd : float
        Costs of all trades, open ones included; definitions in `rl_strategies.analysis.trades.fill_cost`.
    undefined : dict of str to str
        Reason of each figure that is None.
    """

    sessions: int
    bars: int
    starting_balance_usd: float
    final_equity_usd: float
    net_pnl_usd: float
    unreconciled_usd: float
    total_return_pct: float
    annualised_return_pct: float | None
    volatility_pct: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    basis: str
    max_drawdown_usd: float
    max_drawdown_pct: float
    recovery_bars: int | None
    recovery_minutes: float | None
    recovery_sessions: int | None
    mean_daily_pnl_usd: float
    mean_daily_pnl_interval: Interval | None
    var_95_usd: float | None
    cvar_95_usd: float | None
    trades: int
    open_trades: int
    win_rate_pct: float | None
    profit_factor: float | None
    average_win_usd: float | None
    average_loss_usd: float | None
    expectancy_usd: float | None
    trades_per_session: float
    average_duration_minutes: float | None
    average_duration_bars: float | None
    long_trades: int
    short_trades: int
    long_pnl_usd: float
    short_pnl_usd: float
    traded_notional_usd: float
    turnover: float | None
    turnover_per_session: float | None
    exposure_pct: float
    commission_usd: float
    spread_cost_usd: float
    slippage_cost_usd: float
    impact_cost_usd: float
    total_cost_usd: float
    undefined: dict[str, str] = {}


def compute_metrics(record: RunRecord, trades: Sequence[Trade]) -> Metrics:
    """All figures of a run.

    Parameters
    ----------
    record : RunRecord
    trades : sequence of Trade
        From `rl_strategies.analysis.trades.build_trades` of the same record.

    Raises
    ------
    InputError
        If the record has no bars, or columns of unequal length.
    """
    _check(record)
    sessions = len(session_ends(record.session_date))
    closed = [trade for trade in trades if not trade.is_open]
    figures: dict[str, object] = {
        "sessions": sessions,
        "bars": len(record.ts_ns),
        "trades": len(closed),
        "open_trades": len(trades) - len(closed),
        "trades_per_session": len(closed) / sessions,
        "exposure_pct": 100 * float(np.mean(record.open_positions > 0)),
    }
    figures |= _account(record, trades, sessions)
    figures |= _outcomes(closed)
    figures |= _activity(record, sessions)
    figures |= _costs(trades)
    return msgspec.convert(figures | {"undefined": why_undefined(figures)}, Metrics)


def _check(record: RunRecord) -> None:
    n = len(record.ts_ns)
    if n == 0 or any(len(leg.bars) == 0 for leg in record.legs):
        raise InputError("a record must have at least one bar of every instrument, had none")
    for name in ("session_date", "equity_usd"):
        if (length := len(getattr(record, name))) != n:
            raise InputError(f"record column {name} must have one value per time, had {length} for {n} times")
    for leg in record.legs:
        if (length := len(leg.position_units)) != len(leg.bars):
            raise InputError(f"position_units must have one value per bar, had {length} for {len(leg.bars)} bars")


def _account(record: RunRecord, trades: Sequence[Trade], sessions: int) -> dict[str, object]:
    start, final = record.starting_balance_usd, float(record.equity_usd[-1])
    daily = daily_pnl(record.equity_usd, record.session_date, start)
    drawdown = max_drawdown(record.equity_usd, start)
    yearly = annualised_return((final - start) / start, sessions)
    returns = daily_returns(daily, start)
    volatility = None if returns is None else annualised_volatility(returns)
    tail = tail_risk(daily) or (None, None)
    explained = math.fsum(trade.pnl for trade in trades)
    return {
        "starting_balance_usd": start,
        "final_equity_usd": final,
        "net_pnl_usd": round(final - start, 2) + 0.0,  # 0.0 makes of -0.0 a zero
        "unreconciled_usd": round(final - start - explained, 2) + 0.0,
        "total_return_pct": 100 * (final - start) / start,
        "annualised_return_pct": None if yearly is None else 100 * yearly,
        "volatility_pct": None if volatility is None else 100 * volatility,
        "sharpe": None if returns is None or not varies(daily) else sharpe_ratio(returns),
        "sortino": None if returns is None else sortino_ratio(returns),
        "calmar": None if yearly is None or drawdown.pct == 0 else 100 * yearly / drawdown.pct,
        "basis": BASIS,
        "max_drawdown_usd": drawdown.usd,
        "max_drawdown_pct": drawdown.pct,
        **_recovery(record, drawdown),
        "mean_daily_pnl_usd": float(daily.mean()),
        "mean_daily_pnl_interval": mean_interval(daily),
        "var_95_usd": tail[0],
        "cvar_95_usd": tail[1],
    }


def _recovery(record: RunRecord, drawdown: Drawdown) -> dict[str, object]:
    if drawdown.recovered is None:
        return {"recovery_bars": None, "recovery_minutes": None, "recovery_sessions": None}
    under = slice(drawdown.trough, drawdown.recovered + 1)
    elapsed_ns = int(record.ts_ns[drawdown.recovered] - record.ts_ns[drawdown.trough])
    return {
        "recovery_bars": drawdown.recovered - drawdown.trough,
        "recovery_minutes": elapsed_ns / NS_PER_MINUTE,
        "recovery_sessions": len(session_ends(record.session_date[under])) - 1,
    }


def _outcomes(closed: Sequence[Trade]) -> dict[str, object]:
    wins = [trade.pnl for trade in closed if trade.pnl > 0]
    losses = [trade.pnl for trade in closed if trade.pnl < 0]
    longs = [trade.pnl for trade in closed if trade.direction == "long"]
    shorts = [trade.pnl for trade in closed if trade.direction == "short"]
    return {
        "win_rate_pct": 100 * len(wins) / len(closed) if closed else None,
        "profit_factor": math.fsum(wins) / -math.fsum(losses) if losses else None,
        "average_win_usd": _mean(wins),
        "average_loss_usd": _mean(losses),
        "expectancy_usd": _mean([trade.pnl for trade in closed]),
        "average_duration_minutes": _mean([trade.duration_minutes for trade in closed]),
        "average_duration_bars": _mean([trade.duration_bars for trade in closed]),
        "long_trades": len(longs),
        "short_trades": len(shorts),
        "long_pnl_usd": math.fsum(longs),
        "short_pnl_usd": math.fsum(shorts),
    }


def _activity(record: RunRecord, sessions: int) -> dict[str, object]:
    notional = 0.0
    for leg in record.legs:
        traded_ticks = sum(abs(fill.units) * fill.price_ticks for fill in leg.fills)
        notional += traded_ticks * float(leg.instrument.tick_value_usd)
    average_equity = float(record.equity_usd.mean())
    turnover = notional / average_equity if average_equity > 0 else None
    return {
        "traded_notional_usd": notional,
        "turnover": turnover,
        "turnover_per_session": None if turnover is None else turnover / sessions,
    }


def _costs(trades: Sequence[Trade]) -> dict[str, object]:
    return {
        "commission_usd": math.fsum(trade.commission for trade in trades),
        "spread_cost_usd": math.fsum(trade.spread_cost for trade in trades),
        "slippage_cost_usd": math.fsum(trade.slippage_cost for trade in trades),
        "impact_cost_usd": math.fsum(trade.impact_cost for trade in trades),
        "total_cost_usd": math.fsum(trade.total_cost_est for trade in trades),
    }


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
