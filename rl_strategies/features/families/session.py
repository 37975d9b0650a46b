"""Where in the day a bar is, and the price against what the session has paid so far.

Times come from the exchange's calendar as columns of the row; nothing here reads a clock.
"""

import math

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import State, safe_ratio

MINUTES_PER_DAY = 1440.0
DAYS_PER_WEEK = 7.0


@feature(state=2, anchored=True)
def vwap_distance(s: State, high: float, low: float, close: float, volume: float) -> float:
    """Distance of the price from the volume-weighted average price.

    ``close / VWAP - 1``, VWAP being the mean of ``(high + low + close) / 3`` weighted by volume since the reset:
    ``reset="session"`` for the session's. 0 until there was volume; unitless, known from the first row after a reset.
    """
    s[0] += (high + low + close) / 3.0 * volume
    s[1] += volume
    return safe_ratio(close, s[0] / s[1]) - 1.0 if s[1] > 0.0 else 0.0


@feature(outputs=("sin", "cos"))
def time_of_day(s: State, minute_of_day: float) -> tuple[float, float]:
    """Minute of the exchange's local day as a point on a circle.

    Sine and cosine of the minute's share of 1440, so that midnight has no edge; -1 to 1, warm-up 1 row.
    """
    angle = 2.0 * math.pi * minute_of_day / MINUTES_PER_DAY
    return math.sin(angle), math.cos(angle)


@feature(outputs=("sin", "cos"))
def day_of_week(s: State, weekday: float) -> tuple[float, float]:
    """Weekday of the session as a point on a circle.

    Sine and cosine of the weekday's share of 7 (Monday is 0); -1 to 1, warm-up 1 row.
    """
    angle = 2.0 * math.pi * weekday / DAYS_PER_WEEK
    return math.sin(angle), math.cos(angle)


@feature(outputs=("since_open", "to_close"))
def session_clock(s: State, minutes_since_open: float, minutes_to_close: float) -> tuple[float, float]:
    """Time since the session's open and to its close, as shares of a day.

    Minutes over 1440: bounded by 0 and 1 in every calendar, and a half day shows as an earlier close. Warm-up
    1 row.
    """
    return minutes_since_open / MINUTES_PER_DAY, minutes_to_close / MINUTES_PER_DAY


@feature()
def regular_hours(s: State, rth: float) -> float:
    """Whether the bar lies in regular trading hours.

    1 inside, 0 outside, warm-up 1 row; a constant, and refused, where the data has no extended hours.
    """
    return rth


@feature()
def shortened_day(s: State, half_day: float) -> float:
    """Whether the exchange keeps shortened hours on the session's day.

    1 on a half day and where Globex trades through a holiday of the NYSE, else 0; the calendar knows it ahead. Warm-up
    1 row.
    """
    return half_day


@feature(outputs=("before", "after"))
def holiday_adjacent(s: State, before_holiday: float, after_holiday: float) -> tuple[float, float]:
    """Whether a holiday lies between this session and the next, or the one before.

    1 where the exchange rests on a weekday in between, else 0; the calendar knows it ahead. Warm-up 1 row.
    """
    return before_holiday, after_holiday
