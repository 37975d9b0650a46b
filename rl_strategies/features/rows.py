"""The row that features see: one closed bar and where it lies in its session."""

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries, price_from_ticks
from catalogs.sessions import SessionCalendar, session_columns

COLUMNS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "session",
    "minutes_since_open",
    "minutes_to_close",
    "minute_of_day",
    "weekday",
    "rth",
)


def input_rows(bars: BarSeries, calendar: SessionCalendar) -> NDArray[np.float64]:
    """Rows for `FeaturePlan.batch`, one for each bar.

    Parameters
    ----------
    bars : BarSeries
    calendar : SessionCalendar
        Of the instrument's exchange.

    Returns
    -------
    float64[n, 11]
        In the order of `COLUMNS`: prices in USD, volume in units (NaN where it is not known), session columns
        as `catalogs.sessions.session_columns` gives them.
    """
    rows = np.empty((len(bars), len(COLUMNS)))
    for j, ticks in enumerate((bars.open, bars.high, bars.low, bars.close)):
        rows[:, j] = price_from_ticks(ticks, bars.tick_raw)
    rows[:, 4] = bars.volume if bars.volume_known else np.nan
    rows[:, 5:] = session_columns(calendar, bars.ts_ns)
    return rows
