"""The report's tables, with cells as text."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.cost_sensitivity import cost_sensitivity
from rl_strategies.analysis.metrics import Metrics, compute_metrics
from rl_strategies.analysis.trades import Trade
from run.reports.formats import UNKNOWN, counted, number, percent, usd
from run.reports.metadata import ReportMetadata

WEEKS_SHOWN = 13  # longer windows are shown by month
EXTREMES_SHOWN = 5


@dataclass(frozen=True)
class Table:
    """Caption, column names and rows of text; the first `words` columns are words, the others figures."""

    caption: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int = 1


def baseline_table(metrics: Metrics, metadata: ReportMetadata) -> Table:
    """Net PnL of the run and of each baseline in the metadata."""
    compared: dict[str, tuple[float, str]] = {"This policy": (metrics.net_pnl_usd, "")}
    if metadata.buy_and_hold is not None:
        compared["Buy and hold (keeps its position overnight)"] = (metadata.buy_and_hold.pnl_usd, "")
    if metadata.random_policy_pnl is not None:
        low, middle, high = np.quantile(metadata.random_policy_pnl, [0.05, 0.5, 0.95])
        name = f"Median of {len(metadata.random_policy_pnl)} random policies with the same turnover"
        compared[name] = (float(middle), f"{number(low)} to {number(high)}")
    if metadata.oracle_pnl is not None:
        compared["Oracle, which knows the planted edge"] = (metadata.oracle_pnl, "")
    start = metrics.starting_balance_usd
    rows = [
        (name, number(pnl, signed=True), percent(100 * pnl / start, signed=True), span)
        for name, (pnl, span) in compared.items()
    ]
    return Table("Net PnL and baselines", ("", "USD", "Return", "5 % to 95 %, USD"), rows)


def result_table(record: RunRecord, metrics: Metrics, metadata: ReportMetadata) -> Table:
    """The run's figures beside those of buy and hold."""
    columns = {"This policy": _account_figures(metrics)}
    if metadata.buy_and_hold is not None:
        held = replace(record, equity_usd=metadata.buy_and_hold.equity_usd)
        columns["Buy and hold"] = _account_figures(compute_metrics(held, []))
    rows = [(name, *(column[name] for column in columns.values())) for name in columns["This policy"]]
    return Table("Account", ("", *columns), rows)


def activity_table(metrics: Metrics) -> Table:
    """Figures of trades and exposure."""
    rows = [
        ("Closed trades (long, short)", f"{metrics.trades} ({metrics.long_trades}, {metrics.short_trades})"),
        ("Open at the end", str(metrics.open_trades)),
        ("Trades per session", number(metrics.trades_per_session, 1)),
        ("Win rate", percent(metrics.win_rate_pct, 1)),
        ("Profit factor", number(metrics.profit_factor)),
        ("Average win, USD", number(metrics.average_win_usd)),
        ("Average loss, USD", number(metrics.average_loss_usd)),
        ("Expectancy per trade, USD", number(metrics.expectancy_usd)),
        ("PnL long, USD", number(metrics.long_pnl_usd, signed=True)),
        ("PnL short, USD", number(metrics.short_pnl_usd, signed=True)),
        ("Average duration, minutes", number(metrics.average_duration_minutes, 1)),
        ("Average duration, bars", number(metrics.average_duration_bars, 1)),
        ("In the market", percent(metrics.exposure_pct, 1)),
        ("Turnover, times average equity", number(metrics.turnover, 1)),
        ("Turnover per session", number(metrics.turnover_per_session, 1)),
    ]
    return Table("Trades and exposure", ("", "This policy"), rows)


def cost_table(metrics: Metrics) -> Table:
    """Costs by kind, and the PnL before and after them."""
    closed = metrics.trades + metrics.open_trades
    kinds = {
        "Commission": metrics.commission_usd,
        "Spread (first half tick)": metrics.spread_cost_usd,
        "Slippage (rest of the first tick)": metrics.slippage_cost_usd,
        "Impact (beyond one tick)": metrics.impact_cost_usd,
        "All costs": metrics.total_cost_usd,
        "PnL before costs": metrics.net_pnl_usd + metrics.total_cost_usd,
        "PnL after costs": metrics.net_pnl_usd,
    }
    rows = [(name, number(value), number(value / closed) if closed else UNKNOWN) for name, value in kinds.items()]
    return Table("Costs", ("", "USD", "USD per trade"), rows)


def higher_cost_table(record: RunRecord, metrics: Metrics) -> Table:
    """What more slippage on market orders and stops would have left."""
    found = cost_sensitivity(record, metrics.net_pnl_usd)
    kinds = {
        "As it was": (0.0, metrics.net_pnl_usd),
        "One tick more": (found.one_more_tick_usd, found.pnl_one_more_tick_usd),
        "One basis point more": (found.one_more_bps_usd, found.pnl_one_more_bps_usd),
        "The slippage paid, once more": (found.slippage_again_usd, found.pnl_slippage_again_usd),
    }
    rows = [(name, number(cost), number(pnl, signed=True)) for name, (cost, pnl) in kinds.items()]
    rows.append(("Nothing would be left after, ticks more", number(found.break_even_ticks), ""))
    return Table("Higher costs, the same trades", ("", "Cost, USD", "PnL, USD"), rows)


def period_table(daily: pd.DataFrame) -> Table:
    """PnL by week, or by month in windows longer than a quarter."""
    dates = pd.to_datetime(daily["session_date"])
    by_week = (dates.iloc[-1] - dates.iloc[0]).days <= 7 * WEEKS_SHOWN
    labels = dates.dt.strftime("%G week %V" if by_week else "%Y-%m")
    rows = [
        (
            str(label),
            str(len(period)),
            str(int((period["pnl"] > 0).sum())),
            number(period["pnl"].sum(), signed=True),
            str(period["trades"].sum()),
            number(period["costs"].sum()),
            number(period["end_equity"].iloc[-1]),
        )
        for label, period in daily.groupby(labels)
    ]
    header = ("Week" if by_week else "Month", "Sessions", "Won", "PnL, USD", "Trades", "Costs, USD", "Equity, USD")
    return Table(f"PnL by {header[0].lower()}", header, rows)


def instrument_table(record: RunRecord, trades: Sequence[Trade]) -> Table:
    """Trades, PnL and costs of each instrument."""
    rows = []
    for leg in record.legs:
        own = [trade for trade in trades if trade.ticker == leg.ticker]
        won = percent(100 * sum(trade.pnl > 0 for trade in own) / len(own), 0) if own else UNKNOWN
        pnl, costs = sum(trade.pnl for trade in own), sum(trade.total_cost_est for trade in own)
        rows.append((leg.ticker, str(len(own)), won, number(pnl, signed=True), number(costs)))
    return Table("By instrument", ("Instrument", "Trades", "Won", "PnL, USD", "Costs, USD"), rows)


def exit_table(trades: Sequence[Trade]) -> Table:
    """Trades and PnL by the reason that closed them, most frequent first."""
    by_reason: defaultdict[str, list[float]] = defaultdict(list)
    for trade in trades:
        by_reason[trade.exit_reason].append(trade.pnl)
    rows = [
        (
            reason.replace("_", " "),
            str(len(pnl)),
            percent(100 * len(pnl) / len(trades), 0),
            percent(100 * sum(value > 0 for value in pnl) / len(pnl), 0),
            number(sum(pnl), signed=True),
            number(sum(pnl) / len(pnl), signed=True),
        )
        for reason, pnl in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return Table("Exits", ("Reason", "Trades", "Share", "Won", "PnL, USD", "PnL per trade"), rows)


def extreme_tables(trades: Sequence[Trade], zone: ZoneInfo, price_decimals: int) -> list[Table]:
    """The worst and the best trades; none is in both."""
    ranked = sorted(trades, key=lambda trade: trade.pnl)
    shown = min(EXTREMES_SHOWN, len(ranked) // 2 + len(ranked) % 2)
    worst, best = ranked[:shown], ranked[shown:][-EXTREMES_SHOWN:][::-1]
    return [
        _trade_rows(caption, chosen, zone, price_decimals)
        for caption, chosen in (("Worst trades", worst), ("Best trades", best))
        if chosen
    ]


def refusal_table(refusals: Mapping[str, int]) -> Table:
    """Refused targets by reason."""
    rows = [(reason.replace("_", " "), number(count, 0)) for reason, count in refusals.items()]
    return Table("Targets refused by the risk limits", ("Reason", "Count"), rows)


def _account_figures(metrics: Metrics) -> dict[str, str]:
    interval = metrics.mean_daily_pnl_interval
    return {
        "Net PnL, USD": number(metrics.net_pnl_usd, signed=True),
        "Return": percent(metrics.total_return_pct, signed=True),
        "Mean daily PnL, USD": number(metrics.mean_daily_pnl_usd),
        "Its 95 % interval": UNKNOWN if interval is None else f"{number(interval.low)} to {number(interval.high)}",
        "Sharpe": number(metrics.sharpe),
        "Sortino": number(metrics.sortino),
        "Calmar": number(metrics.calmar),
        "Annualised return": percent(metrics.annualised_return_pct),
        "Annualised volatility": percent(metrics.volatility_pct),
        "Maximum drawdown, USD": number(metrics.max_drawdown_usd),
        "Maximum drawdown": percent(metrics.max_drawdown_pct),
        "Recovery from the trough": _recovery(metrics),
        "Daily VaR 95 %, USD": number(metrics.var_95_usd),
        "Daily CVaR 95 %, USD": number(metrics.cvar_95_usd),
    }


def _recovery(metrics: Metrics) -> str:
    if metrics.max_drawdown_usd == 0:
        return "no drawdown"
    if metrics.recovery_bars is None or metrics.recovery_sessions is None:
        return "not recovered"
    return f"{counted(metrics.recovery_bars, 'bar')}, {counted(metrics.recovery_sessions, 'session')}"


def _trade_rows(caption: str, trades: Sequence[Trade], zone: ZoneInfo, price_decimals: int) -> Table:
    header = (
        "Trade", "Entered", "Side", "Exit", "PnL, USD", "Units", "Entry", "Exit price", "Minutes", "MFE", "MAE",
    )  # fmt: skip
    rows = [
        (
            trade.trade_id,
            pd.Timestamp(trade.entry_time_ns, unit="ns", tz="UTC").tz_convert(zone).strftime("%Y-%m-%d %H:%M"),
            trade.direction,
            trade.exit_reason.replace("_", " "),
            number(trade.pnl, signed=True),
            str(trade.units),
            number(trade.entry_price, price_decimals),
            number(trade.exit_price, price_decimals),
            number(trade.duration_minutes, 0),
            number(trade.mfe),
            number(trade.mae),
        )
        for trade in trades
    ]
    return Table(f"{caption} (times of {zone.key})", header, rows, words=4)


def reconciliation(metrics: Metrics) -> str:
    """One sentence: whether the trades add up to the account."""
    if metrics.unreconciled_usd == 0:
        return "Starting balance and trades add up to the final equity to the cent."
    return f"The trades leave {usd(metrics.unreconciled_usd, signed=True)} of the final equity unexplained."
