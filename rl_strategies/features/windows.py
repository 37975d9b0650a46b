"""Measures over the last rows of a value (means, deviations, extremes, ranks), for a block of rows at once.

The order of additions and comparisons depends only on the age of the values: one row alone gives the same bits as many
together, nothing drifts, and a fresh start agrees as soon as the window is full. Inner loops run over rows, which the
compiler can vectorise.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

Values = NDArray[np.float64]

VECTOR = 32  # spare cells of every buffer


@register_jitable
def push_rows(state: Values, now: Values, past: Values, held: Values, kept: int) -> int:
    """Put a block's values behind the ``kept`` ones before it, skipping those that are not finite.

    Parameters
    ----------
    state : float64[1 + kept]
        Number of values seen, and the newest of them.
    now : float64[n]
    past : float64[kept + n]
        Gets the values in the order of their rows.
    held : float64[n]
        Gets for each new value how many were seen with it.
    kept : int

    Returns
    -------
    int
        Number of new values.
    """
    for i in range(kept):
        past[i] = state[1 + i]
    missing = 0
    for i in range(len(now)):
        past[kept + i] = now[i]
        held[i] = state[0] + (i + 1)
        missing += 0 if math.isfinite(now[i]) else 1
    if missing == 0:
        return len(now)
    known = 0
    for i in range(len(now)):
        past[kept + known] = now[i]
        known += 1 if math.isfinite(now[i]) else 0
    return known


@register_jitable
def push_rows_afresh(
    state: Values, now: Values, resets: Values, begun: Values, past: Values, held: Values, kept: int
) -> int:
    """`push_rows` that counts from 0 again where ``resets`` changes; ``state`` has its last value in a further cell.

    ``begun`` gets the values, NaN where ``resets`` is not finite: those are skipped too.
    """
    for i in range(kept):
        past[i] = state[1 + i]
    known, count, last = 0, state[0], state[1 + kept]
    for i in range(len(now)):
        begun[i] = now[i] if math.isfinite(resets[i]) else math.nan
        if math.isfinite(begun[i]):
            count = count + 1.0 if resets[i] == last else 1.0
            last = resets[i]
            past[kept + known] = now[i]
            held[known] = count
            known += 1
    state[0] = count - known  # `keep_rows` adds them
    state[1 + kept] = last
    return known


@register_jitable
def keep_rows(state: Values, past: Values, known: int, kept: int) -> None:
    """Carry the count and the newest values over to the next block."""
    state[0] += known
    for i in range(kept):
        state[1 + i] = past[known + i]


@register_jitable
def place_rows(now: Values, known: int, held: Values, rows: int, out: Values) -> None:
    """Move one result for each new value to the value's row: NaN where the value is missing or the window not full."""
    for i in range(known):
        out[i] = out[i] if held[i] >= rows else math.nan
    if known == len(now):
        return
    for back in range(len(now)):
        i = len(now) - 1 - back
        if math.isfinite(now[i]):
            known -= 1
            out[i] = out[known]
        else:
            out[i] = math.nan


@register_jitable
def lag(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Oldest value of each window."""
    for i in range(count):
        out[i] = x[i]


@register_jitable
def whole_vectors(size: int) -> int:
    """``size`` filled up to what the processor adds at once: a rest, one by one, would take longer."""
    return (size + VECTOR - 1) // VECTOR * VECTOR


@register_jitable
def add_runs(part: Values, first: int, width: int, runs: int, count: int, out: Values) -> None:
    """Add up to three runs of ``width`` values, whose sums begin at ``first``, to each result."""
    one = part[first:]
    if runs == 1:
        for i in range(count):
            out[i] += one[i]
        return
    two, three = part[first + width :], part[first + 2 * width :]
    if runs == 2:
        for i in range(count):
            out[i] += one[i] + two[i]
    elif runs == 3:
        for i in range(count):
            out[i] += (one[i] + two[i]) + three[i]


@register_jitable
def total(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Sum: of 1, 4, 16, … successive values, of which those that make up ``rows`` are added."""
    size, width, done, part = count + rows - 1, 1, 0, x
    for i in range(count):
        out[i] = 0.0
    while True:
        runs = rows // width % 4
        add_runs(part, done, width, runs, count, out)
        done += runs * width
        if 4 * width > rows:
            return
        size -= 3 * width
        one, two, three = part[width:], part[2 * width :], part[3 * width :]
        for i in range(whole_vectors(size)):
            a[i] = (part[i] + one[i]) + (two[i] + three[i])
        part, a, b = a, b, a
        width *= 4


@register_jitable
def mean(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Mean of each window."""
    total(x, rows, count, out, a, b)
    for i in range(count):
        out[i] /= rows


@register_jitable
def deviation(x: Values, rows: int, count: int, out: Values, average: Values, b: Values) -> None:
    """Population standard deviation, around the mean: no digits are lost to the level of the values."""
    for i in range(count):
        out[i] = 0.0
    for age in range(0, rows - 3, 4):
        one, two, three, four = x[age:], x[age + 1 :], x[age + 2 :], x[age + 3 :]
        for i in range(count):
            e, f, g, h = one[i] - average[i], two[i] - average[i], three[i] - average[i], four[i] - average[i]
            out[i] += (e * e + f * f) + (g * g + h * h)
    for age in range(rows - rows % 4, rows):
        one = x[age:]
        for i in range(count):
            e = one[i] - average[i]
            out[i] += e * e
    for i in range(count):
        out[i] = math.sqrt(out[i] / rows)


@register_jitable
def mean_deviation(x: Values, rows: int, count: int, out: Values, average: Values, b: Values) -> None:
    """Mean absolute deviation from the mean."""
    for i in range(count):
        out[i] = 0.0
    for age in range(rows):
        value = x[age:]
        for i in range(count):
            out[i] += abs(value[i] - average[i])
    for i in range(count):
        out[i] /= rows


@register_jitable
def ramp(x: Values, rows: int, count: int, out: Values, average: Values, b: Values) -> None:
    """Sum of the differences from the mean, weighted 1 for the oldest to ``rows`` for the newest."""
    for i in range(count):
        out[i] = 0.0
    for age in range(rows):
        value, weight = x[age:], age + 1.0
        for i in range(count):
            out[i] += weight * (value[i] - average[i])


@register_jitable
def highest(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Largest value: of 1, 4, 16, … successive values, of which four cover the window."""
    size, width, part = count + rows - 1, 1, x
    while 4 * width <= rows:
        size -= 3 * width
        one, two, three = part[width:], part[2 * width :], part[3 * width :]
        for i in range(whole_vectors(size)):
            e, f = part[i] if part[i] > one[i] else one[i], two[i] if two[i] > three[i] else three[i]
            a[i] = e if e > f else f
        part, a, b = a, b, a
        width *= 4
    last = rows - width
    one, two, three = part[min(width, last) :], part[min(2 * width, last) :], part[last:]
    for i in range(count):
        e, f = part[i] if part[i] > one[i] else one[i], two[i] if two[i] > three[i] else three[i]
        out[i] = e if e > f else f


@register_jitable
def lowest(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Smallest value, found as the largest is."""
    size, width, part = count + rows - 1, 1, x
    while 4 * width <= rows:
        size -= 3 * width
        one, two, three = part[width:], part[2 * width :], part[3 * width :]
        for i in range(whole_vectors(size)):
            e, f = part[i] if part[i] < one[i] else one[i], two[i] if two[i] < three[i] else three[i]
            a[i] = e if e < f else f
        part, a, b = a, b, a
        width *= 4
    last = rows - width
    one, two, three = part[min(width, last) :], part[min(2 * width, last) :], part[last:]
    for i in range(count):
        e, f = part[i] if part[i] < one[i] else one[i], two[i] if two[i] < three[i] else three[i]
        out[i] = e if e < f else f


@register_jitable
def highest_age(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Rows since the largest value, the latest one where several are equal."""
    for i in range(count):
        a[i] = x[i]
        out[i] = rows - 1.0
    for place in range(1, rows):
        value, age = x[place:], rows - 1.0 - place
        for i in range(count):
            out[i] = age if value[i] >= a[i] else out[i]
            a[i] = value[i] if value[i] >= a[i] else a[i]


@register_jitable
def lowest_age(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Rows since the smallest value, the latest one where several are equal."""
    for i in range(count):
        a[i] = x[i]
        out[i] = rows - 1.0
    for place in range(1, rows):
        value, age = x[place:], rows - 1.0 - place
        for i in range(count):
            out[i] = age if value[i] <= a[i] else out[i]
            a[i] = value[i] if value[i] <= a[i] else a[i]


@register_jitable
def rank(x: Values, rows: int, count: int, out: Values, a: Values, b: Values) -> None:
    """Share of the values before the newest that lie below it, equal ones counting half."""
    newest = x[rows - 1 :]
    for i in range(count):
        out[i] = 0.0
    for age in range(rows - 1):
        value = x[age:]
        for i in range(count):
            out[i] += 1.0 if value[i] < newest[i] else (0.5 if value[i] == newest[i] else 0.0)
    for i in range(count):
        out[i] /= rows - 1


class Measure(NamedTuple):
    """A function over windows, ``(x, rows, count, out, a, b)``.

    The window of result ``i`` is ``x[i : i + rows]``; results go to ``out[:count]``; ``a`` and ``b`` are working
    memory. Every buffer has `VECTOR` spare cells.

    Attributes
    ----------
    function : callable
    beyond : int
        Rows that the window has beyond the length that a kernel names.
    around_mean : bool
        ``a`` holds the windows' means.
    """

    function: Callable[..., Any]
    beyond: int = 0
    around_mean: bool = False


MEASURES: dict[str, Measure] = {
    "lag": Measure(lag, beyond=1),
    "total": Measure(total),
    "mean": Measure(mean),
    "deviation": Measure(deviation, around_mean=True),
    "mean_deviation": Measure(mean_deviation, around_mean=True),
    "ramp": Measure(ramp, around_mean=True),
    "highest": Measure(highest),
    "lowest": Measure(lowest),
    "highest_age": Measure(highest_age, beyond=1),
    "lowest_age": Measure(lowest_age, beyond=1),
    "rank": Measure(rank, beyond=1),
}
ROW_FUNCTIONS = (push_rows, push_rows_afresh, keep_rows, place_rows)
