"""The report's charts, each drawn on given axes; shared by the page and the overview picture."""

from collections.abc import Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.baselines import BuyAndHold
from rl_strategies.analysis.equity_path import session_ends
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports.formats import MINUS

# Blue and vermilion stay apart in every common colour vision (Okabe and Ito, 2008).
INK, MUTED, GRID, GAIN, LOSS = "#1f2933", "#6b7785", "#d9dee4", "#0072b2", "#d55e00"
LINE_POINTS = 1_200  # more are not visible at the width of a page
DATE_LABELS = 5
FEW_SESSIONS = 8  # with fewer, bars do not get wider
MANY_SESSIONS = 250
MANY_TRADES = 2_000  # above this, marks are drawn as pixels to keep the page small


def draw_equity(top: Axes, bottom: Axes, record: RunRecord, baseline: BuyAndHold | None, zone: ZoneInfo) -> None:
    """Change of the account and of buy and hold since the start, drawdown below; nights are left out."""
    start = record.starting_balance_usd
    change = record.equity_usd - start
    drawdown = record.equity_usd - np.maximum(np.maximum.accumulate(record.equity_usd), start)
    top.axhline(0, color=MUTED, linewidth=0.6)
    if baseline is not None:
        held = baseline.equity_usd - start
        bars = thinned(held)
        top.plot(bars, held[bars], color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="buy and hold")
    bars = thinned(change)
    top.plot(bars, change[bars], color=GAIN, linewidth=1.4, label="this policy")
    _legend_above(top)
    top.set_ylabel("change, USD")
    top.tick_params(labelbottom=False)
    bars = thinned(drawdown)
    bottom.fill_between(bars, drawdown[bars], 0, color=LOSS, alpha=0.3, linewidth=0)
    bottom.plot(bars, drawdown[bars], color=LOSS, linewidth=1)
    bottom.set_ylabel("drawdown, USD")
    bottom.set_ylim(top=0, bottom=1.1 * min(float(drawdown.min()), -0.01))  # a cent where nothing fell
    for axes in (top, bottom):
        _plain(axes)
        axes.set_xlim(0, max(len(change) - 1, 1))
    bottom.set_xticks(*_time_labels(record, zone))


def draw_daily(axes: Axes, daily: pd.DataFrame, metrics: Metrics) -> None:
    """PnL of every session, with the mean's interval as a band."""
    pnl = daily["pnl"].to_numpy()
    days = np.arange(len(pnl))
    colors = np.where(pnl < 0, LOSS, GAIN)
    axes.bar(days, pnl, width=0.8, color=colors, linewidth=0, rasterized=len(pnl) > MANY_SESSIONS)
    interval = metrics.mean_daily_pnl_interval
    if interval is not None:
        axes.axhspan(interval.low, interval.high, color=MUTED, alpha=0.25, linewidth=0)
    axes.axhline(metrics.mean_daily_pnl_usd, color=INK, linewidth=1)
    axes.set_xlim(-0.6, max(len(pnl), FEW_SESSIONS) - 0.4)
    axes.set_ylabel("USD")
    shown = _spread(len(pnl))
    dates = pd.to_datetime(daily["session_date"])
    axes.set_xticks(shown, [dates[day].strftime(_date_format(dates.iloc[0], dates.iloc[-1])) for day in shown])
    _plain(axes)


def draw_random(axes: Axes, pnl: NDArray[np.float64], this_pnl: float) -> None:
    """Histogram of random policies' net PnL, with this policy marked."""
    axes.hist(pnl, bins=min(30, max(5, len(pnl) // 6)), color=MUTED, alpha=0.6, linewidth=0)
    axes.axvline(this_pnl, color=LOSS if this_pnl < 0 else GAIN, linewidth=2, label="this policy")
    axes.axvline(float(np.median(pnl)), color=INK, linewidth=1, linestyle=":", label="median random policy")
    axes.set_xlabel("net PnL, USD")
    axes.set_ylabel("policies")
    _legend_above(axes)
    _plain(axes)
    axes.xaxis.set_major_formatter(FuncFormatter(_usd_label))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def draw_hours(axes: Axes, trades: Sequence[Trade], zone: ZoneInfo) -> None:
    """Net PnL by the hour of entry on the exchange's clock, with the number of trades."""
    entered = pd.to_datetime([trade.entry_time_ns for trade in trades], utc=True).tz_convert(zone)
    pnl = pd.Series([trade.pnl for trade in trades]).groupby(entered.hour).agg(["sum", "count"])
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.bar(pnl.index, pnl["sum"], width=0.75, color=np.where(pnl["sum"] < 0, LOSS, GAIN), linewidth=0)
    few = len(pnl) <= 8
    hours = pnl.index if few else [hour for hour in range(24) if hour % 3 == 0]
    axes.set_xticks(hours, [f"{hour:02d}" + (f"\nn={pnl['count'][hour]}" if few else "") for hour in hours])
    axes.set_ylabel("USD")
    _plain(axes)


def draw_excursions(axes: Axes, trades: Sequence[Trade]) -> None:
    """Worst (x) and best (y) excursion of every trade; winners and losers by mark."""
    for won, marker, color, label in ((True, "o", GAIN, "won"), (False, "x", LOSS, "lost or even")):
        chosen = [trade for trade in trades if (trade.pnl > 0) == won]
        axes.scatter(
            [-trade.mae for trade in chosen],
            [trade.mfe for trade in chosen],
            s=14,
            marker=marker,
            color=color,
            linewidth=0 if won else 0.9,
            alpha=0.7,
            label=label,
            rasterized=len(trades) > MANY_TRADES,
        )
    axes.set_xlabel("worst excursion, USD")
    axes.set_ylabel("best excursion, USD")
    _legend_above(axes)
    _plain(axes)
    axes.xaxis.set_major_formatter(FuncFormatter(_usd_label))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def thinned(values: NDArray[np.float64], points: int = LINE_POINTS) -> NDArray[np.int64]:
    """Indices that keep a line's shape: first, last, and every bucket's lowest and highest value.

    >>> thinned(np.array([0.0, 5.0, -5.0, 1.0, 1.0, 1.0, 9.0, 1.0]), points=4)
    array([0, 1, 2, 4, 6, 7])
    """
    if len(values) <= points:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), points // 2 + 1).astype(np.int64)
    buckets = [(start, values[start:stop]) for start, stop in pairwise(edges)]
    lows = [start + int(bucket.argmin()) for start, bucket in buckets]
    highs = [start + int(bucket.argmax()) for start, bucket in buckets]
    return np.unique([0, *lows, *highs, len(values) - 1])


def _legend_above(axes: Axes) -> None:
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.98), ncols=2, columnspacing=1, borderpad=0.2)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(FuncFormatter(_usd_label))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _usd_label(value: float, _position: int) -> str:
    return f"{value:,.6g}".replace("-", MINUS)


def _time_labels(record: RunRecord, zone: ZoneInfo) -> tuple[list[int], list[str]]:
    ends = session_ends(record.session_date)
    if len(ends) == 1:
        bars = _spread(len(record.ts_ns))
        times = pd.to_datetime(record.ts_ns[bars], utc=True).tz_convert(zone)
        return bars, list(times.strftime("%H:%M"))
    starts = np.concatenate(([0], ends[:-1] + 1))
    bars = [int(starts[session]) for session in _spread(len(starts))]
    dates = pd.to_datetime(record.session_date[bars])
    return bars, list(dates.strftime(_date_format(dates[0], dates[-1])))


def _spread(count: int) -> list[int]:
    step = max(1, -(-count // DATE_LABELS))
    return list(range(0, count, step))


def _date_format(first: pd.Timestamp, last: pd.Timestamp) -> str:
    return "%d %b" if (last - first).days < 300 else "%b %Y"
