"""Front months joined into one series: for charts, never for features, orders or PnL.

Back-adjustment moves all earlier prices by the gap between two contracts, so past levels are not what traded.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.identifiers import venue_of
from catalogs.rolls import RollTable
from catalogs.storage.arrow import read_bars

_COLUMNS = ("ts_ns", "open", "high", "low", "close", "volume")


def continuous_bars(catalog: Path, table: RollTable, bar: str, *, back_adjusted: bool = False) -> BarSeries:
    """Bars of the contract that was the front month at each time.

    Parameters
    ----------
    catalog : Path
    table : RollTable
    bar : str
        ``"5-MINUTE"``, …
    back_adjusted : bool
        Shift all bars before a roll by the difference of the two closes at their last common bar before it.

    Returns
    -------
    BarSeries
        Its ``bar_type`` names the root, which is no instrument and cannot be traded.

    Raises
    ------
    InputError
        If bars of a month are missing, or two contracts have no bar in common before their roll.
    """
    parts: list[BarSeries] = []
    for number, month in enumerate(table.months):
        bars = read_bars(catalog, f"{month.instrument_id}-{bar}-LAST-EXTERNAL")
        _, first_ns, last_ns = table.episode_span(month)
        begin, stop = np.searchsorted(bars.ts_ns, (first_ns, last_ns), side="right")
        if number and back_adjusted:
            gap = _gap(parts[-1], bars, month.instrument_id)
            parts = [_shifted(part, gap) for part in parts]
        parts.append(bars.slice(int(begin), int(stop)))
    venue = venue_of(table.months[0].instrument_id)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    known = all(part.volume_known for part in parts)
    bar_type = f"{table.root}.{venue}-{bar}-LAST-EXTERNAL"
    return BarSeries(bar_type=bar_type, volume_known=known, tick_raw=parts[0].tick_raw, **columns)


def _gap(before: BarSeries, following: BarSeries, name: str) -> int:
    _, i, j = np.intersect1d(before.ts_ns, following.ts_ns, assume_unique=True, return_indices=True)
    if not len(i):
        raise InputError(f"{name} and {before.bar_type} must share a bar before their roll, but have none in common")
    return int(following.close[j[-1]] - before.close[i[-1]])


def _shifted(bars: BarSeries, ticks: int) -> BarSeries:
    prices = {name: getattr(bars, name) + ticks for name in ("open", "high", "low", "close")}
    return replace(bars, **prices)
