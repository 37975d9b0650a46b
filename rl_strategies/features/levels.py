"""Price levels that stay in force until price has met them: open gaps, unbroken swing highs and lows.

A list holds the newest few levels, oldest first, in a slice of a kernel's state: row counter, count, and for each level
two prices and the row that it was found on. Levels expire after a fixed number of rows and the oldest gives way to a
new one, so a list depends on that many rows alone.
"""

from numba.extending import register_jitable

from rl_strategies.features.primitives import State, ring_back

CAPACITY = 8
LEVELS_SIZE = 2 + 3 * CAPACITY


@register_jitable
def levels_tick(s: State, horizon: int) -> int:
    """Begin a row: forget levels found more than ``horizon`` rows ago; number of levels left."""
    s[0] += 1.0
    while s[1] > 0.0 and s[0] - s[4] > horizon:
        levels_drop(s, 0)
    return int(s[1])


@register_jitable
def levels_add(s: State, low: float, high: float) -> None:
    """Append a level from ``low`` to ``high``."""
    if s[1] >= CAPACITY:
        levels_drop(s, 0)
    place = 2 + 3 * int(s[1])
    s[place] = low
    s[place + 1] = high
    s[place + 2] = s[0]
    s[1] += 1.0


@register_jitable
def levels_drop(s: State, index: int) -> None:
    """Take a level out; the others keep their order."""
    s[1] -= 1.0
    for i in range(2 + 3 * index, 2 + 3 * int(s[1])):
        s[i] = s[i + 3]


@register_jitable
def level_low(s: State, index: int) -> float:
    """Lower price of a level."""
    return s[2 + 3 * index]


@register_jitable
def level_high(s: State, index: int) -> float:
    """Upper price of a level."""
    return s[3 + 3 * index]


@register_jitable
def drop_reached_up(s: State, high: float) -> int:
    """Take out every level whose upper price a bar's ``high`` reached; how many."""
    dropped, i = 0, 0
    while i < s[1]:
        if level_high(s, i) <= high:
            levels_drop(s, i)
            dropped += 1
        else:
            i += 1
    return dropped


@register_jitable
def drop_reached_down(s: State, low: float) -> int:
    """Take out every level whose lower price a bar's ``low`` reached; how many."""
    dropped, i = 0, 0
    while i < s[1]:
        if level_low(s, i) >= low:
            levels_drop(s, i)
            dropped += 1
        else:
            i += 1
    return dropped


@register_jitable
def drop_below(s: State, price: float) -> None:
    """Take out every level whose upper price lies below ``price``."""
    i = 0
    while i < s[1]:
        if level_high(s, i) < price:
            levels_drop(s, i)
        else:
            i += 1


@register_jitable
def drop_above(s: State, price: float) -> None:
    """Take out every level whose lower price lies above ``price``."""
    i = 0
    while i < s[1]:
        if level_low(s, i) > price:
            levels_drop(s, i)
        else:
            i += 1


@register_jitable
def is_swing_high(ring: State, wing: int) -> bool:
    """Whether the middle of the last ``2 * wing + 1`` highs tops every other one."""
    n = 2 * wing + 1
    middle = ring_back(ring, n, wing)
    rivals = 0
    for age in range(n):
        rivals += ring_back(ring, n, age) >= middle
    return rivals == 1  # the middle itself


@register_jitable
def is_swing_low(ring: State, wing: int) -> bool:
    """Whether the middle of the last ``2 * wing + 1`` lows lies under every other one."""
    n = 2 * wing + 1
    middle = ring_back(ring, n, wing)
    rivals = 0
    for age in range(n):
        rivals += ring_back(ring, n, age) <= middle
    return rivals == 1  # the middle itself
