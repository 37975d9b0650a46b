"""The tables of the CSV files: the account at every bar, every session, every trade."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.equity_path import daily_pnl, max_drawdown, session_ends
from rl_strategies.analysis.trades import Trade, fill_bar
from run.reports.metadata import ReportMetadata

DECIMALS = 8  # strips the noise of binary floats; half a tick of the smallest price needs fewer

TRADE_COLUMNS = (
    "ticker", "direction", "entry_time", "exit_time", "entry_price", "exit_price", "units", "duration_bars",
    "duration_minutes", "pnl", "mfe", "mae", "commission", "spread_cost", "slippage_cost", "impact_cost",
    "total_cost_est", "return_pct", "trade_id", "run_seed", "window_start", "window_end", "exit_reason",
)  # fmt: skip


def iso_utc(ts_ns: NDArray[np.int64]) -> NDArray[np.str_]:
    """UTC nanoseconds as ISO 8601 text with milliseconds.

    >>> iso_utc(np.array([1_709_303_460_000_000_000])).tolist()
    ['2024-03-01T14:31:00.000Z']
    """
    return np.datetime_as_string(ts_ns.astype("datetime64[ns]"), unit="ms", timezone="UTC")


def portfolio_history(record: RunRecord) -> pd.DataFrame:
    """Account at every bar.

    Returns
    -------
    DataFrame
        ts (bar close, ISO UTC), equity (USD), open_positions (instruments held), turnover (USD traded with that
        bar), for each instrument units_<TICKER> (signed, after the orders of that bar).
    """
    turnover = np.zeros(len(record.ts_ns))
    for leg in record.legs:
        tick_value = float(leg.instrument.tick_value_usd)
        for fill in leg.fills:
            row = np.searchsorted(record.ts_ns, leg.bars.ts_ns[fill_bar(leg, fill)])
            turnover[row] += abs(fill.units) * fill.price_ticks * tick_value
    return pd.DataFrame(
        {
            "ts": iso_utc(record.ts_ns),
            "equity": record.equity_usd.round(DECIMALS),
            "open_positions": record.open_positions,
            "turnover": turnover.round(DECIMALS),
            **{f"units_{leg.ticker}": record.at_times(leg, leg.position_units) for leg in record.legs},
        }
    )


def daily_report(record: RunRecord, trades: Sequence[Trade]) -> pd.DataFrame:
    """Account by session.

    Returns
    -------
    DataFrame
        session_date; pnl (USD); intraday_max_drawdown (USD, >= 0, from the equity before the session on);
        sharpe_proxy (mean over standard deviation of the bars' PnL times the root of their number,
        comparable only between sessions; empty without variation); trades
        (entered); costs (USD, of these trades); end_equity (USD).
    """
    ends = session_ends(record.session_date)
    before = np.concatenate(([record.starting_balance_usd], record.equity_usd[ends[:-1]]))
    starts = np.concatenate(([0], ends[:-1] + 1))
    days = [str(day) for day in record.session_date[ends]]
    entered: Counter[str] = Counter(trade.session_date.isoformat() for trade in trades)
    costs: defaultdict[str, float] = defaultdict(float)
    for trade in trades:
        costs[trade.session_date.isoformat()] += trade.total_cost_est
    sessions = [
        (record.equity_usd[start : end + 1], float(opening))
        for start, end, opening in zip(starts, ends, before, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "session_date": days,
            "pnl": daily_pnl(record.equity_usd, record.session_date, record.starting_balance_usd),
            "intraday_max_drawdown": [max_drawdown(equity, opening).usd for equity, opening in sessions],
            "sharpe_proxy": np.array([_sharpe_proxy(equity, opening) for equity, opening in sessions]),
            "trades": [entered[day] for day in days],
            "costs": [costs[day] for day in days],
            "end_equity": record.equity_usd[ends],
        }
    )
    return frame.round(DECIMALS)


def trade_table(trades: Sequence[Trade], metadata: ReportMetadata) -> pd.DataFrame:
    """Every trade with the columns of `TRADE_COLUMNS`, times in ISO UTC, money in USD."""
    rows = [{name: getattr(trade, name) for name in TRADE_COLUMNS if hasattr(trade, name)} for trade in trades]
    frame = pd.DataFrame(rows, columns=list(TRADE_COLUMNS))
    for name in ("entry", "exit"):
        ts_ns = np.array([getattr(trade, f"{name}_time_ns") for trade in trades], dtype=np.int64)
        frame[f"{name}_time"] = iso_utc(ts_ns)
    frame["run_seed"] = metadata.run_seed
    frame["window_start"] = metadata.window_start.isoformat()
    frame["window_end"] = metadata.window_end.isoformat()
    return frame.round(DECIMALS)


def _sharpe_proxy(equity_usd: NDArray[np.float64], opening_usd: float) -> float:
    pnl = np.diff(equity_usd, prepend=opening_usd)
    deviation = float(pnl.std(ddof=1)) if len(pnl) > 1 else 0.0
    return float(pnl.mean()) / deviation * math.sqrt(len(pnl)) if deviation > 0 else math.nan
