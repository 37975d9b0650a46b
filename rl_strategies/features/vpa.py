"""Volume and price together: how much traded against what is usual, and what that effort moved.

Volumes are whole units and their totals exact. A bar without range or a window without volume gives the neutral value
that each docstring names.
"""

import math

from rl_strategies.features.kernel import feature
from rl_strategies.features.primitives import (
    State,
    ema_push,
    memory_rows,
    ring_max,
    ring_mean,
    ring_push,
    ring_size,
    ring_std,
    sign,
    total_push,
    total_size,
)
from rl_strategies.features.session import MINUTES_PER_DAY

MINUTES = int(MINUTES_PER_DAY)


@feature(state=lambda p: MINUTES * (1 + 2 * p["sessions"]), warmup_sessions=lambda p: p["sessions"] + 1)
def relative_volume(s: State, volume: float, session: float, minute_of_day: float, sessions: int = 20) -> float:
    """Volume against the same minute of the last sessions, as a log ratio.

    ``ln((volume + 1) / (mean + 1))``, the mean over those of the last ``sessions`` sessions that have a bar closing in
    this minute of the exchange's day (0 where none has): 0 is usual, 0.7 is twice as much. Warm-up: that many sessions.
    """
    width = 1 + 2 * sessions
    start = int(minute_of_day) * width
    slot = s[start : start + width]
    total, count = 0.0, 0
    for i in range(sessions):
        known = slot[1 + 2 * i]
        if known > 0.0 and known - 1.0 >= session - sessions and known - 1.0 < session:
            total += slot[2 + 2 * i]
            count += 1
    place = int(slot[0])
    slot[1 + 2 * place] = session + 1.0  # 0 means empty
    slot[2 + 2 * place] = volume
    slot[0] = place + 1 if place + 1 < sessions else 0
    mean = total / count if count > 0 else 0.0
    return math.log((volume + 1.0) / (mean + 1.0))


@feature(state=lambda p: ring_size(p["n"]), warmup=lambda p: p["n"])
def volume_z(s: State, volume: float, n: int = 60) -> float:
    """Volume in standard deviations from what it was lately.

    Z-score of ``ln(1 + volume)`` over ``n`` bars; 0 where all are equal. Warm-up n rows.
    """
    effort = math.log1p(volume)
    if not ring_push(s, n, effort):
        return math.nan
    mean = ring_mean(s, n)
    deviation = ring_std(s, n, mean)
    return (effort - mean) / deviation if deviation > 1e-9 else 0.0


@feature(
    outputs=("now", "density"),
    state=lambda p: ring_size(p["n"]) + total_size(p["n"]),
    warmup=lambda p: 2 * p["n"],
)
def climax(
    s: State, open: float, high: float, low: float, close: float, volume: float, n: int = 20
) -> tuple[float, float]:
    """Climax bars: volume times range above everything of the ``n`` bars before, signed by the bar's direction.

    ``now`` is 1 for a bar that closed up on such effort, -1 for one that closed down, else 0; ``density`` is the sum of
    the last ``n`` of them over ``n``. Warm-up 2n rows.
    """
    effort, seen = s[: 2 * n + 2], s[2 * n + 2 :]
    work = volume * (high - low)
    is_climax = effort[0] >= n and work > ring_max(effort, n)
    is_full = effort[0] >= n
    ring_push(effort, n, work)
    if not is_full:
        return math.nan, math.nan
    now = sign(close - open) if is_climax else 0.0
    density = total_push(seen, n, now) / n
    return now, density if seen[0] >= n else math.nan


@feature(state=lambda p: 2 * ring_size(p["n"]), warmup=lambda p: 2 * p["n"] - 1)
def churn(s: State, high: float, low: float, volume: float, n: int = 20) -> float:
    """Effort without result: volume per range, in standard deviations from what it was lately.

    Z-score over ``n`` bars of ``ln(1 + volume) - ln(1 + range / mean range)``, the mean over ``n`` bars; 0 where all
    are equal. High: much traded, little moved. Warm-up 2n - 1 rows.
    """
    ranges, efforts = s[: 2 * n + 2], s[2 * n + 2 :]
    if not ring_push(ranges, n, high - low):
        return math.nan
    usual = ring_mean(ranges, n)
    effort = math.log1p(volume) - (math.log1p((high - low) / usual) if usual > 0.0 else 0.0)
    if not ring_push(efforts, n, effort):
        return math.nan
    mean = ring_mean(efforts, n)
    deviation = ring_std(efforts, n, mean)
    return (effort - mean) / deviation if deviation > 1e-9 else 0.0


@feature(
    outputs=("imbalance", "persistence"),
    state=lambda p: 2 * total_size(p["n"]) + total_size(p["n"]),
    warmup=lambda p: p["n"],
)
def volume_direction(s: State, open: float, close: float, volume: float, n: int = 30) -> tuple[float, float]:
    """Volume of rising against falling bars, and how steadily one side had it, -1 to 1.

    ``imbalance`` is Σ direction * volume / Σ volume over ``n`` bars, ``persistence`` the mean direction, direction
    being the sign of close - open. 0 without volume. Warm-up n rows.
    """
    direction = sign(close - open)
    signed = total_push(s[: n + 3], n, direction * volume)
    total = total_push(s[n + 3 : 2 * n + 6], n, volume)
    steady = total_push(s[2 * n + 6 :], n, direction)
    if s[0] < n:
        return math.nan, math.nan
    return signed / total if total > 0.0 else 0.0, steady / n


@feature(state=2, warmup=lambda p: p["n"] + memory_rows(2.0 / (p["n"] + 1)))
def direction_ema(s: State, high: float, low: float, close: float, n: int = 10) -> float:
    """Exponential average of where bars close in their range, -1 (at the low) to 1 (at the high).

    ``EMA(n)`` of ``((close - low) - (high - close)) / (high - low)``, 0 for a bar without range. Finite after n rows,
    free of its seed after the warm-up.
    """
    return ema_push(s, n, ((close - low) - (high - close)) / (high - low) if high > low else 0.0)


@feature(state=lambda p: ring_size(p["n"]), warmup=lambda p: p["n"])
def intrabar_volatility(s: State, open: float, high: float, low: float, close: float, n: int = 20) -> float:
    """Volatility within bars, per bar, free of their drift.

    Square root of the mean over ``n`` bars of ``ln(h/c) ln(h/o) + ln(l/c) ln(l/o)``. Warm-up n rows; NaN unless prices
    are positive. Rogers and Satchell (1991).
    """
    if low <= 0.0:
        return math.nan
    up, down = math.log(high / close), math.log(low / close)
    full = ring_push(s, n, up * math.log(high / open) + down * math.log(low / open))
    return math.sqrt(max(0.0, ring_mean(s, n))) if full else math.nan
