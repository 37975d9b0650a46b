"""Volume and price together: how much traded against what is usual, and what that effort moved.

Volumes are whole units and their totals exact. A bar without range or a window without volume gives the neutral value
that each docstring names.
"""

import math

from rl_strategies.features.families.oscillators import close_place
from rl_strategies.features.families.session import MINUTES_PER_DAY
from rl_strategies.features.families.technical import bar_range
from rl_strategies.features.kernel import Part, Window, feature
from rl_strategies.features.primitives import State, ema_push, memory_rows, sign, total_push, total_size

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


@feature()
def log_volume(s: State, volume: float) -> float:
    """Logarithm of the volume and one.

    ``ln(1 + volume)``; warm-up 1 row.
    """
    return math.log1p(volume)


@feature(
    parts={
        "effort": Part(log_volume),
        "average": Window("mean", "effort", "n"),
        "deviation": Window("deviation", "effort", "n"),
    }
)
def volume_z(s: State, effort: float, average: float, deviation: float, n: int = 60) -> float:
    """Volume in standard deviations from what it was lately.

    Z-score of `log_volume` over ``n`` bars; 0 where all are equal. Warm-up n rows.
    """
    return (effort - average) / deviation if deviation > 1e-9 else 0.0


@feature(parts={"reach": Part(bar_range)})
def volume_times_range(s: State, reach: float, volume: float) -> float:
    """Volume times the bar's range, in units traded times price units.

    Warm-up 1 row.
    """
    return volume * reach


@feature(
    parts={
        "work": Part(volume_times_range),
        "most": Window("highest", "work", "n"),
        "most_before": Window("lag", "most", 1),
    },
    outputs=("now", "density"),
    state=lambda p: total_size(p["n"]),
    warmup=lambda p: p["n"],
)
def climax(s: State, open: float, close: float, work: float, most_before: float, n: int = 20) -> tuple[float, float]:
    """Climax bars: volume times range above everything of the ``n`` bars before, signed by the bar's direction.

    ``now`` is 1 for a bar that closed up on such effort, -1 for one that closed down, else 0; ``density`` is the sum of
    the last ``n`` of them over ``n``. Warm-up 2n rows.
    """
    now = sign(close - open) if work > most_before else 0.0
    density = total_push(s, n, now) / n
    return now, density if s[0] >= n else math.nan


@feature(parts={"effort": Part(log_volume), "reach": Part(bar_range), "usual": Window("mean", "reach", "n")})
def effort_per_range(s: State, effort: float, reach: float, usual: float, n: int = 20) -> float:
    """Effort against result: volume per range, both as logarithms.

    ``ln(1 + volume) - ln(1 + range / mean range)``, the mean over ``n`` bars. Warm-up n rows.
    """
    return effort - (math.log1p(reach / usual) if usual > 0.0 else 0.0)


@feature(
    parts={
        "effort": Part(effort_per_range, {"n": "n"}),
        "average": Window("mean", "effort", "n"),
        "deviation": Window("deviation", "effort", "n"),
    }
)
def churn(s: State, effort: float, average: float, deviation: float, n: int = 20) -> float:
    """Effort without result: volume per range, in standard deviations from what it was lately.

    Z-score over ``n`` bars of `effort_per_range`; 0 where all are equal. High: much traded, little moved. Warm-up
    2n - 1 rows.
    """
    return (effort - average) / deviation if deviation > 1e-9 else 0.0


@feature()
def bar_direction(s: State, open: float, close: float) -> float:
    """Direction of the bar: 1 where it closed above its open, -1 below, else 0.

    Warm-up 1 row.
    """
    return sign(close - open)


@feature(parts={"direction": Part(bar_direction)})
def directed_volume(s: State, direction: float, volume: float) -> float:
    """Volume with the sign of the `bar_direction`, in units traded.

    Warm-up 1 row.
    """
    return direction * volume


@feature(
    parts={
        "direction": Part(bar_direction),
        "directed": Part(directed_volume),
        "net": Window("total", "directed", "n"),
        "traded": Window("total", "volume", "n"),
        "steady": Window("mean", "direction", "n"),
    },
    outputs=("imbalance", "persistence"),
)
def volume_direction(s: State, net: float, traded: float, steady: float, n: int = 30) -> tuple[float, float]:
    """Volume of rising against falling bars, and how steadily one side had it, -1 to 1.

    ``imbalance`` is Σ `directed_volume` / Σ volume over ``n`` bars, ``persistence`` the mean `bar_direction`. 0 without
    volume. Warm-up n rows.
    """
    return net / traded if traded > 0.0 else 0.0, steady


@feature(parts={"place": Part(close_place)}, state=2, warmup=lambda p: p["n"] + memory_rows(2.0 / (p["n"] + 1)))
def direction_ema(s: State, place: float, n: int = 10) -> float:
    """Exponential average of where bars close in their range, -1 (at the low) to 1 (at the high).

    ``EMA(n)`` of the `close_place`. Finite after n rows, free of its seed after the warm-up.
    """
    return ema_push(s, n, place)


@feature()
def rogers_satchell(s: State, open: float, high: float, low: float, close: float) -> float:
    """Variance within the bar, free of its drift.

    ``ln(h/c) ln(h/o) + ln(l/c) ln(l/o)``; warm-up 1 row. NaN unless prices are positive. Rogers and Satchell (1991).
    """
    if low <= 0.0:
        return math.nan
    return math.log(high / close) * math.log(high / open) + math.log(low / close) * math.log(low / open)


@feature(parts={"variance": Part(rogers_satchell), "average": Window("mean", "variance", "n")})
def intrabar_volatility(s: State, average: float, n: int = 20) -> float:
    """Volatility within bars, per bar, free of their drift.

    Square root of the mean of `rogers_satchell` over ``n`` bars. Warm-up n rows; NaN unless prices are positive.
    """
    return math.sqrt(max(0.0, average))
