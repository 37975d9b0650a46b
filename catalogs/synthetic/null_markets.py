"""Markets without an edge, made of real bars: what a policy earns there is luck, and what it pays is its costs.

All work on the moves of a bar, its open, high, low and close less the close before, in ticks. Times, volumes and the
first price stay; so does, by the time of day, how much the price moves.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.sessions import SessionCalendar

KINDS: Final = ("sign_flipped", "shuffled_blocks", "random_walk")
BLOCK_BARS = 30


def null_market(kind: str, bars: BarSeries, calendar: SessionCalendar, seed: int) -> BarSeries:
    """Bars of the market ``kind``, one of `KINDS`.

    Raises
    ------
    InputError
        If there is no such kind, or a price would not be positive.
    """
    if kind == "sign_flipped":
        return sign_flipped(bars, seed)
    if kind == "shuffled_blocks":
        return shuffled_blocks(bars, calendar, seed)
    if kind == "random_walk":
        return random_walk(bars, calendar, seed)
    raise InputError(f"null market must be one of {', '.join(KINDS)}, was {kind!r}")


def mirrored(bars: BarSeries) -> BarSeries:
    """The bars with every rise a fall and every fall a rise.

    Raises
    ------
    InputError
        If a price would not be positive.
    """
    return _of_moves(bars, _flipped(_moves(bars), np.full(len(bars), -1)))


def sign_flipped(bars: BarSeries, seed: int) -> BarSeries:
    """The bars with the direction of each drawn anew: volatility stays, direction cannot be predicted."""
    return _of_moves(bars, _flipped(_moves(bars), _signs(seed, len(bars))))


def shuffled_blocks(bars: BarSeries, calendar: SessionCalendar, seed: int) -> BarSeries:
    """Blocks of half an hour exchanged between days, at their time of day, in a direction drawn anew.

    What happens within a block stays as it was; nothing leads from one to the next. Only blocks of equal length are
    exchanged.
    """
    rng = np.random.default_rng(seed)
    session, place = _places(bars, calendar)
    block = place // BLOCK_BARS
    begins = np.flatnonzero(np.r_[True, (session[1:] != session[:-1]) | (block[1:] != block[:-1])])
    lengths = np.diff(begins, append=len(bars))
    rows = np.empty(len(bars), np.int64)
    signs = np.empty(len(bars), np.int64)
    alike = np.stack([block[begins], lengths], axis=1)
    for key in np.unique(alike, axis=0):
        members = np.flatnonzero((alike == key).all(axis=1))
        for to, source in zip(members, rng.permutation(members), strict=True):
            span = np.arange(lengths[to])
            rows[begins[to] + span] = begins[source] + span
            signs[begins[to] + span] = rng.choice((-1, 1))
    return _of_moves(replace(bars, volume=bars.volume[rows]), _flipped(_moves(bars)[rows], signs))


def random_walk(bars: BarSeries, calendar: SessionCalendar, seed: int) -> BarSeries:
    """A random walk: normal moves with the bars' deviation by time of day; every bar opens at the close before."""
    rng = np.random.default_rng(seed)
    _, place = _places(bars, calendar)
    moves = _moves(bars)
    count = np.bincount(place)
    deviation = np.sqrt(np.bincount(place, moves[:, 3].astype(float) ** 2) / count)
    beyond = (moves[:, 1] - moves[:, 2] - abs(moves[:, 3] - moves[:, 0])) / 2.0
    wick = np.bincount(place, beyond) / count
    close = np.rint(rng.normal(size=len(bars)) * deviation[place]).astype(np.int64)
    up, down = (np.rint(rng.exponential(size=len(bars)) * wick[place]).astype(np.int64) for _ in range(2))
    drawn = np.stack([np.zeros_like(close), np.maximum(close, 0) + up, np.minimum(close, 0) - down, close], axis=1)
    return _of_moves(bars, drawn)


def _signs(seed: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).choice(np.array([-1, 1]), count)


def _moves(bars: BarSeries) -> NDArray[np.int64]:
    # Open, high, low, close less the close before (of the first bar: less its open), int64[n, 4].
    before = np.concatenate([bars.open[:1], bars.close[:-1]])
    return np.stack([bars.open, bars.high, bars.low, bars.close], axis=1) - before[:, np.newaxis]


def _flipped(moves: NDArray[np.int64], signs: NDArray[np.int64]) -> NDArray[np.int64]:
    # A low that is turned over is a high.
    turned = -moves[:, [0, 2, 1, 3]]
    return np.where(signs[:, np.newaxis] > 0, moves, turned)


def _of_moves(bars: BarSeries, moves: NDArray[np.int64]) -> BarSeries:
    close = bars.open[0] + np.cumsum(moves[:, 3])
    before = np.concatenate([bars.open[:1], close[:-1]])
    open_, high, low = (before + moves[:, column] for column in range(3))
    if low.min() < 1:
        raise InputError(f"{bars.bar_type}: a market made of its moves would have a price of {low.min()} ticks")
    return replace(bars, open=open_, high=high, low=low, close=close)


def _places(bars: BarSeries, calendar: SessionCalendar) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Session of each bar, and its minute within the session.
    session = calendar.locate(bars.ts_ns)
    return session, (bars.ts_ns - calendar.open_ns[session]) // 60_000_000_000 - 1
