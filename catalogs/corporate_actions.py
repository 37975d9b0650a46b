"""Splits and dividends of shares: stored as the vendor states them, applied only on request."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.bars import BarSeries
from catalogs.cache import written_aside
from catalogs.sessions import SessionCalendar

SPLIT, DIVIDEND = "split", "dividend"


def actions_path(catalog: Path, symbol: str) -> Path:
    """File of the corporate actions of a share: ``corporate_actions/AAPL.parquet``."""
    return catalog / "corporate_actions" / f"{symbol}.parquet"


def write_actions(catalog: Path, symbol: str, actions: pa.Table) -> None:
    """Store the corporate actions of a share, replacing those stored before.

    Parameters
    ----------
    catalog : Path
    symbol : str
    actions : pyarrow.Table
        ``date`` (first session of effect), ``kind`` (split or dividend), ``ratio`` (new shares per old share), ``cash``
        (USD per share).
    """
    with written_aside(actions_path(catalog, symbol)) as aside:
        pq.write_table(actions, aside)


def read_splits(catalog: Path, symbol: str) -> list[tuple[date, float]]:
    """Splits of a share: first session of effect, and new shares per old share; empty if none are known."""
    path = actions_path(catalog, symbol)
    if not path.is_file():
        return []
    rows = pq.read_table(path, partitioning=None).to_pylist()
    return [(row["date"], row["ratio"]) for row in rows if row["kind"] == SPLIT]


def split_adjusted(bars: BarSeries, splits: list[tuple[date, float]], calendar: SessionCalendar) -> BarSeries:
    """Split-adjusted bars: prices before a split divided by its ratio, volumes multiplied by it.

    Parameters
    ----------
    bars : BarSeries
        As traded.
    splits : list of (date, float)
    calendar : SessionCalendar

    Returns
    -------
    BarSeries
        Prices rounded to the tick, volumes to whole units.
    """
    day = calendar.session_date[calendar.locate(bars.ts_ns)]
    factor = np.ones(len(bars))
    for effective, ratio in splits:
        factor[day < np.datetime64(effective)] *= ratio
    prices = {name: np.rint(getattr(bars, name) / factor).astype(np.int64) for name in ("open", "high", "low", "close")}
    return replace(bars, **prices, volume=np.rint(bars.volume * factor).astype(np.int64))
