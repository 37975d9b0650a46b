"""Earlier code of kernels, for bundles that were trained with it.

These compared differences of prices without a margin, so that rounding in the last bit decided where two of them were
equal. A stored plan finds its kernel here by the hash of the code; nothing else does.
"""

import math

from rl_strategies.features.families.ict import _proximity, _swing_slices, _swing_state, _track_swings
from rl_strategies.features.families.regime import absolute_change
from rl_strategies.features.families.technical import bar_range, true_range
from rl_strategies.features.kernel import Part, Window, superseded
from rl_strategies.features.levels import level_high, level_low
from rl_strategies.features.primitives import State, memory_rows, sign, total_push, total_size, wilder_push


@superseded(
    parts={
        "high_before": Window("lag", "high", 1),
        "low_before": Window("lag", "low", 1),
        "reach": Part(true_range),
    },
    outputs=("plus_di", "minus_di", "adx"),
    state=6,
    warmup=lambda p: 2 * (p["n"] + memory_rows(1.0 / p["n"])),
)
def directional_movement(
    s: State, high: float, low: float, high_before: float, low_before: float, reach: float, n: int = 14
) -> tuple[float, float, float]:
    """Directional indicators and their average index, 0 to 1.

    Wilder sums of the upward and downward movement of the extremes over that of the true range; the index averages
    ``|+DI - -DI| / (+DI + -DI)``. TA-Lib ``PLUS_DI``, ``MINUS_DI`` and ``ADX`` / 100, with its seeds: sums of n - 1
    bars, mean of the first n. Finite after n + 1 and 2n rows, free of the seeds after the warm-up. Wilder (1978).
    """
    s[0] += 1.0
    up, down = high - high_before, low_before - low
    keep = 1.0 if s[0] < n else (n - 1.0) / n
    s[1] = s[1] * keep + (up if up > 0.0 and up > down else 0.0)
    s[2] = s[2] * keep + (down if down > 0.0 and down > up else 0.0)
    s[3] = s[3] * keep + reach
    if s[0] < n:
        return math.nan, math.nan, math.nan
    plus, minus = (s[1] / s[3], s[2] / s[3]) if s[3] > 0.0 else (0.0, 0.0)
    index = abs(plus - minus) / (plus + minus) if plus + minus > 0.0 else 0.0
    return plus, minus, wilder_push(s[4:6], n, index)


@superseded(
    parts={
        "change": Part(absolute_change),
        "path": Window("total", "change", "n"),
        "before": Window("lag", "close", "n"),
    },
    outputs=("efficiency", "state"),
)
def trend_regime(
    s: State, close: float, path: float, before: float, n: int = 60, threshold: float = 0.3
) -> tuple[float, float]:
    """Efficiency of the path, -1 (straight down) to 1 (straight up), and the trend state that it means.

    ``(close - close n bars ago) / Σ |change|``; 0 without movement. The state is 1 or -1 where its size is at least
    ``threshold``, else 0. Warm-up n + 1 rows. Kaufman, Smarter Trading (1995).
    """
    efficiency = (close - before) / path if path > 0.0 else 0.0
    if abs(efficiency) < threshold:
        return efficiency, 0.0
    return efficiency, 1.0 if efficiency > 0.0 else -1.0


@superseded(
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
    moved = reach > 0.0 and reach >= strength * usual and abs(close - open) >= body * reach
    now = sign(close - open) if moved else 0.0
    density = total_push(s, n, now) / n
    return now, density if s[0] >= n else math.nan


@superseded(
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
    _track_swings(highs, lows, tops, bottoms, high, low, tolerance * usual, wing, horizon)
    above, below = 0.0, 0.0
    for i in range(int(tops[1])):
        for j in range(i):
            one, other = level_high(tops, i), level_high(tops, j)
            if abs(one - other) <= tolerance * usual:
                above = max(above, _proximity(max(one, other) - close, usual))
    for i in range(int(bottoms[1])):
        for j in range(i):
            one, other = level_low(bottoms, i), level_low(bottoms, j)
            if abs(one - other) <= tolerance * usual:
                below = max(below, _proximity(close - min(one, other), usual))
    return above, below
