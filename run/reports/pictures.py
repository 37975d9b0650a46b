"""Charts as files: SVG in the page's colours, and the overview picture as PNG."""

import io
import re
import textwrap
from collections.abc import Sequence
from html import escape
from zoneinfo import ZoneInfo

import matplotlib as mpl
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from catalogs.exchange_hours import ZONES
from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports import figures
from run.reports.metadata import ReportMetadata

STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "text.color": figures.INK,
    "axes.labelcolor": figures.MUTED,
    "xtick.labelcolor": figures.MUTED,
    "ytick.labelcolor": figures.MUTED,
    "axes.titlelocation": "left",
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
}
THEMED = {
    figures.INK: "--ink",
    figures.MUTED: "--muted",
    figures.GRID: "--grid",
    figures.GAIN: "--gain",
    figures.LOSS: "--loss",
}
CARD = (4.8, 2.8)
WIDE, NARROW = (9.6, 4.2), (4.8, 4.2)


def page_pictures(
    record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata, daily: pd.DataFrame
) -> dict[str, Markup]:
    """Inline SVG by name; empty charts are left out."""
    zone = exchange_zone(record)
    pictures = {}
    with mpl.rc_context(STYLE):
        for name, size in (("equity_wide", WIDE), ("equity_narrow", NARROW)):
            figure = Figure(figsize=size, layout="constrained")
            top, bottom = figure.subplots(2, 1, height_ratios=[3, 1])
            figures.draw_equity(top, bottom, record, metadata.buy_and_hold, zone)
            pictures[name] = _inline(figure, name, "Change of the account over time with its drawdown")
        figure, axes = _card()
        figures.draw_daily(axes, daily, metrics)
        pictures["daily"] = _inline(figure, "daily", "PnL of every session as bars")
        if metadata.random_policy_pnl is not None:
            figure, axes = _card()
            figures.draw_random(axes, metadata.random_policy_pnl, metrics.net_pnl_usd)
            pictures["random"] = _inline(figure, "random", "Histogram of the PnL of random policies")
        if trades:
            figure, axes = _card()
            figures.draw_hours(axes, trades, zone)
            pictures["hours"] = _inline(figure, "hours", "PnL by hour of entry as bars")
            figure, axes = _card()
            figures.draw_excursions(axes, trades)
            pictures["excursions"] = _inline(figure, "excursions", "Best against worst excursion of every trade")
    return pictures


def overview_png(
    record: RunRecord,
    trades: Sequence[Trade],
    metrics: Metrics,
    metadata: ReportMetadata,
    daily: pd.DataFrame,
    headline: str,
) -> bytes:
    """One picture of 1600 × 900 pixels under the verdict."""
    zone = exchange_zone(record)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.8, 7.2), dpi=125, layout="constrained", facecolor="white")
        title = f"{traded(record)}: {metadata.title}. {headline}"
        figure.suptitle("\n".join(textwrap.wrap(title, 125)), x=0.01, ha="left", fontsize=12)
        left, right = figure.subfigures(1, 2, width_ratios=[3, 2], squeeze=False)[0]
        top, bottom = left.subplots(2, 1, height_ratios=[3, 1])
        figures.draw_equity(top, bottom, record, metadata.buy_and_hold, zone)
        panels = right.subplots(3 if trades and metadata.random_policy_pnl is not None else 2, 1)
        figures.draw_daily(panels[0], daily, metrics)
        panels[0].set_title("PnL by session, mean and its 95 % interval")
        if metadata.random_policy_pnl is not None:
            figures.draw_random(panels[1], metadata.random_policy_pnl, metrics.net_pnl_usd)
            panels[1].set_title("Against random policies with the same turnover", pad=20)  # above the legend
        if trades:
            figures.draw_hours(panels[-1], trades, zone)
            panels[-1].set_title(f"PnL by hour of entry, {zone.key}")
        if not trades and metadata.random_policy_pnl is None:
            panels[-1].set_axis_off()
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def exchange_zone(record: RunRecord) -> ZoneInfo:
    """Time zone of the first instrument's exchange."""
    return ZoneInfo(ZONES[record.legs[0].instrument.calendar])


def traded(record: RunRecord) -> str:
    """Names of the instruments."""
    return ", ".join(leg.instrument.instrument_id for leg in record.legs)


def _card() -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=CARD, layout="constrained")
    return figure, figure.subplots()


def _inline(figure: Figure, name: str, label: str) -> Markup:
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # the same drawing gives the same bytes
        figure.savefig(out, format="svg", transparent=True, dpi=150, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg ([^>]*?)width="[^"]*" height="[^"]*"|<svg ([^>]*?)height="[^"]*" width="[^"]*"',
        r"<svg \1\2",
        svg,
    )
    svg = re.sub(r'id="|(?<=href="#)|(?<=url\(#)', lambda found: f"{found.group()}{name}-", svg)
    for color, variable in THEMED.items():
        svg = svg.replace(color, f"var({variable})")
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" class="{name}" ', 1))
