"""Price-action reference points as inner-circle traders name them, each confirmed by closed bars only.

A swing of wing 2 is known two bars after its extreme and a gap when its third bar has closed; published
implementations that mark them on the bar itself look into the future. Distances to levels are *proximities*,
``1 / (1 + distance / mean range)``: 1 at the level, falling with every mean bar range between, 0 where there is none.
"""

import math

from numba.extending import register_jitable

from rl_strategies.features.families.technical import bar_range
from rl_strategies.features.kernel import Params, Part, Window, feature
from rl_strategies.features.levels import (
    CAPACITY,
    LEVELS_SIZE,
    drop_above,
    drop_below,
    drop_reached_down,
    drop_reached_up,
    is_swing_high,
    is_swing_low,
    level_high,
    level_low,
    levels_add,
    levels_tick,
)
from rl_strategies.features.primitives import (
    SAME_PRICE,
    State,
    ring_back,
    ring_push,
    ring_size,
    safe_ratio,
    sign,
    total_push,
    total_size,
)


@register_jitable
def _proximity(distance: float, usual: float) -> float:
    far = max(0.0, distance)
    return usual / (usual + far) if usual + far > 0.0 else 1.0


@register_jitable
def _swing_slices(s: State, wing: int) -> tuple[State, State, State, State]:
    ring = 2 * (2 * wing + 1) + 2
    tops = 2 * ring + LEVELS_SIZE
    return s[:ring], s[ring : 2 * ring], s[2 * ring : tops], s[tops : tops + LEVELS_SIZE]


@register_jitable
def _track_swings(
    highs: State,
    lows: State,
    tops: State,
    bottoms: State,
    high: float,
    low: float,
    slack: float,
    wing: int,
    horizon: int,
) -> None:
    levels_tick(tops, horizon)
    levels_tick(bottoms, horizon)
    drop_below(tops, high - slack)
    drop_above(bottoms, low + slack)
    n = 2 * wing + 1
    ring_push(lows, n, low)
    if ring_push(highs, n, high):
        if is_swing_high(highs, wing):
            top = ring_back(highs, n, wing)
            levels_add(tops, top, top)
        if is_swing_low(lows, wing):
            bottom = ring_back(lows, n, wing)
            levels_add(bottoms, bottom, bottom)


@register_jitable
def _nearest_under(levels: State, close: float, usual: float) -> float:
    best = 0.0
    for i in range(int(levels[1])):
        best = max(best, _proximity(close - level_high(levels, i), usual))
    return best


@register_jitable
def _nearest_over(levels: State, close: float, usual: float) -> float:
    best = 0.0
    for i in range(int(levels[1])):
        best = max(best, _proximity(level_low(levels, i) - close, usual))
    return best


@feature(outputs=("high", "low", "middle", "premium"), state=6, warmup_sessions=2)
def prior_session(s: State, high: float, low: float, close: float, session: float) -> tuple[float, float, float, float]:
    """Distances to the prior session's high, low and middle, and premium or discount within its range.

    ``close / level - 1`` for the three levels; ``premium`` is ``(close - low) / (high - low) - 0.5``, above 0 in
    premium and below in discount, 0 being equilibrium (and where that session had no range). The prior session is the
    last one with bars, and known only if its first bar was seen too: warm-up two sessions.
    """
    if s[0] != session + 1.0:
        # s[5] counts the changes of session seen: the session that ends here was seen whole from the second on.
        s[5] += 1.0 if s[0] > 0.0 else 0.0
        s[3] = s[1] if s[5] >= 2.0 else math.nan
        s[4] = s[2] if s[5] >= 2.0 else math.nan
        s[0], s[1], s[2] = session + 1.0, high, low
    s[1], s[2] = max(s[1], high), min(s[2], low)
    top, bottom = s[3], s[4]
    if math.isnan(top) or s[5] < 2.0:
        return math.nan, math.nan, math.nan, math.nan
    premium = (close - bottom) / (top - bottom) - 0.5 if top > bottom else 0.0
    middle = safe_ratio(close, 0.5 * (top + bottom)) - 1.0
    return safe_ratio(close, top) - 1.0, safe_ratio(close, bottom) - 1.0, middle, premium


@feature(outputs=("high", "low"), state=6, warmup_sessions=1)
def opening_range(
    s: State,
    high: float,
    low: float,
    close: float,
    session: float,
    minutes_since_open: float,
    rth: float,
    minutes: int = 15,
) -> tuple[float, float]:
    """Distances to the high and low of the first minutes after the open.

    ``close / level - 1``, unitless. The range starts with the session and once more with regular hours, takes in the
    bars of the first ``minutes``, and is the range so far while they last. Warm-up: until an open was seen, one
    session.
    """
    starts = s[0] != session + 1.0 or (rth > 0.0 and s[1] == 0.0)
    if starts:
        s[5] = 1.0 if s[0] > 0.0 or s[5] > 0.0 else 0.0
        s[2], s[3], s[4] = minutes_since_open, high, low
    s[0], s[1] = session + 1.0, rth
    if minutes_since_open - s[2] < minutes:
        s[3], s[4] = max(s[3], high), min(s[4], low)
    if s[5] == 0.0:
        return math.nan, math.nan
    return safe_ratio(close, s[3]) - 1.0, safe_ratio(close, s[4]) - 1.0


@feature(
    parts={
        "reach": Part(bar_range),
        "average": Window("mean", "reach", "n"),
        "usual": Window("lag", "average", 1),
    },
    outputs=("now", "density"),
    state=lambda p: total_size(p["n"]),
    warmup=lambda p: p["n"],
)
def displacement(
    s: State,
    open: float,
    close: float,
    reach: float,
    usual: float,
    n: int = 20,
    strength: float = 2.0,
    body: float = 0.6,
) -> tuple[float, float]:
    """Displacement bars: a wide bar that is mostly body.

    ``now`` is the bar's direction where its range is at least ``strength`` times the mean range of the ``n`` bars
    before and its body at least the share ``body`` of its range, else 0; ``density`` is the sum of the last ``n`` of
    them over ``n``. Warm-up 2n rows.
    """
    same = SAME_PRICE * close
    is_wide = reach > 0.0 and reach >= strength * usual - same
    moved = is_wide and abs(close - open) >= body * reach - same
    now = sign(close - open) if moved else 0.0
    density = total_push(s, n, now) / n
    return now, density if s[0] >= n else math.nan


def _gap_state(p: Params) -> int:
    return ring_size(3) * 2 + 2 * LEVELS_SIZE + total_size(p["horizon"])


@feature(
    parts={"reach": Part(bar_range), "usual": Window("mean", "reach", "n")},
    outputs=("below", "above", "open", "filled", "density"),
    state=_gap_state,
    warmup=lambda p: p["horizon"] + 5,
)
def fair_value_gap(
    s: State, high: float, low: float, close: float, usual: float, n: int = 20, horizon: int = 120
) -> tuple[float, float, float, float, float]:
    """Fair-value gaps: three bars of which the third does not reach back to the first.

    A bullish gap lies from the first bar's high to the third's low, a bearish one from the third's high to the first's
    low; a gap is filled once a later bar reaches its far edge and expires ``horizon`` bars after it formed (8 a side
    are kept). ``below`` and ``above`` are proximities to the nearest open bullish and bearish gap; ``open`` is bullish
    less bearish open gaps over 8; ``filled`` is 1 where this bar filled a bearish gap, -1 a bullish one, 0 neither or
    both; ``density`` is the gaps of the last ``horizon`` bars over ``horizon``. Range means over ``n`` bars.
    """
    highs, lows, rest = s[0:8], s[8:16], s[16:]
    bullish, bearish, formed = rest[:LEVELS_SIZE], rest[LEVELS_SIZE : 2 * LEVELS_SIZE], rest[2 * LEVELS_SIZE :]
    levels_tick(bullish, horizon)
    levels_tick(bearish, horizon)
    filled = min(1.0, drop_reached_up(bearish, high)) - min(1.0, drop_reached_down(bullish, low))
    ring_push(lows, 3, low)
    gaps = 0.0
    if ring_push(highs, 3, high):
        first_high, first_low = ring_back(highs, 3, 2), ring_back(lows, 3, 2)
        if low > first_high:
            levels_add(bullish, first_high, low)
            gaps = 1.0
        elif high < first_low:
            levels_add(bearish, high, first_low)
            gaps = 1.0
    density = total_push(formed, horizon, gaps) / horizon
    if formed[0] < horizon:
        return math.nan, math.nan, math.nan, math.nan, math.nan
    below, above = _nearest_under(bullish, close, usual), _nearest_over(bearish, close, usual)
    return below, above, (bullish[1] - bearish[1]) / CAPACITY, filled, density


def _swing_state(p: Params) -> int:
    return 2 * ring_size(2 * p["wing"] + 1) + 2 * LEVELS_SIZE


@feature(
    parts={"reach": Part(bar_range), "usual": Window("mean", "reach", "n")},
    outputs=("highs", "lows"),
    state=_swing_state,
    warmup=lambda p: p["horizon"] + 2 * p["wing"] + 1,
)
def equal_extremes(
    s: State,
    high: float,
    low: float,
    close: float,
    usual: float,
    n: int = 20,
    wing: int = 2,
    horizon: int = 240,
    tolerance: float = 0.25,
) -> tuple[float, float]:
    """Proximity to equal highs above and to equal lows below: resting liquidity.

    Two confirmed swing highs of the last ``horizon`` bars, neither passed since by more than the tolerance, are equal
    where they differ by at most ``tolerance`` mean ranges (of ``n`` bars); the level is the higher one. Lows mirror
    it. 0 where there is no pair. Swings: the extreme of ``wing`` bars on either side.
    """
    highs, lows, tops, bottoms = _swing_slices(s, wing)
    near = tolerance * usual + SAME_PRICE * close
    _track_swings(highs, lows, tops, bottoms, high, low, near, wing, horizon)
    above, below = 0.0, 0.0
    for i in range(int(tops[1])):
        for j in range(i):
            one, other = level_high(tops, i), level_high(tops, j)
            if abs(one - other) <= near:
                above = max(above, _proximity(max(one, other) - close, usual))
    for i in range(int(bottoms[1])):
        for j in range(i):
            one, other = level_low(bottoms, i), level_low(bottoms, j)
            if abs(one - other) <= near:
                below = max(below, _proximity(close - min(one, other), usual))
    return above, below


@feature(
    outputs=("now", "density"),
    state=lambda p: _swing_state(p) + total_size(p["n"]),
    warmup=lambda p: max(p["n"], p["horizon"] + 2 * p["wing"] + 1) + p["n"],
)
def liquidity_sweep(
    s: State, high: float, low: float, close: float, n: int = 30, wing: int = 2, horizon: int = 240
) -> tuple[float, float]:
    """Sweeps: a bar that trades through a swing and closes back inside.

    ``now`` is -1 where the bar's high exceeded a standing swing high of the last ``horizon`` bars and it closed below
    that level, 1 where its low undercut a swing low and it closed above, 0 for neither or both; ``density`` is the sum
    of the last ``n`` of them over ``n``. A level that was traded through stands no more. Swings as in
    `equal_extremes`.
    """
    highs, lows, tops, bottoms = _swing_slices(s, wing)
    seen = s[-(n + 3) :]
    bearish, bullish = 0.0, 0.0
    for i in range(int(tops[1])):
        level = level_high(tops, i)
        bearish = 1.0 if high > level and close < level else bearish
    for i in range(int(bottoms[1])):
        level = level_low(bottoms, i)
        bullish = 1.0 if low < level and close > level else bullish
    _track_swings(highs, lows, tops, bottoms, high, low, 0.0, wing, horizon)
    now = bullish - bearish
    density = total_push(seen, n, now) / n
    if seen[0] < n:
        return math.nan, math.nan
    return now, density
