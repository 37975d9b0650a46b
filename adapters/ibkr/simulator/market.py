"""Recorded bars as a market that moves: a deterministic clock, prices in the engine's order, bars in the making.

One bar takes five steps. Its beginning is *announced* first, so that a client learns that the bar before is complete
while its close is still the market's price: a decision on a close then trades at that close, as in a backtest. The
four prices follow at 0, 1/3, 2/3 and the whole of the bar's time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from adapters.ibkr.simulator.broker.contracts import ContractTerms
from adapters.ibkr.simulator.broker.matching import Quote, bar_path, offered_units

CLOSE, ANNOUNCE, OPEN, FIRST, SECOND = range(5)  # in the order in which steps of one moment happen
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class TapeBar:
    """One bar: its opening time in UTC nanoseconds, prices in ticks, units traded."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Step(NamedTuple):
    """One movement of the market: when, which of a bar's five phases, which bar of which contract."""

    ts_ns: int
    phase: int
    con_id: int
    bar: int


class TapeError(ValueError):
    """Bars that cannot be replayed; the message is one line."""


def tape_of(
    close_ns: NDArray[np.int64],
    open_ticks: NDArray[np.int64],
    high_ticks: NDArray[np.int64],
    low_ticks: NDArray[np.int64],
    close_ticks: NDArray[np.int64],
    volume: NDArray[np.int64],
    bar_ns: int,
) -> list[TapeBar]:
    """Bars of a catalog, whose time is their close, as a tape of the simulated gateway.

    Parameters
    ----------
    close_ns : int64[n]
        Close times, UTC nanoseconds.
    open_ticks, high_ticks, low_ticks, close_ticks : int64[n]
    volume : int64[n]
        Units.
    bar_ns : int
        Length of a bar.

    Raises
    ------
    TapeError
        If times do not rise by at least a bar, or a bar's high and low do not enclose its open and close.

    Examples
    --------
    >>> column = np.array([120], np.int64)
    >>> tape_of(column, column, column, column, column, column, 60)
    [TapeBar(open_ns=60, open=120, high=120, low=120, close=120, volume=120)]
    """
    steps = np.diff(close_ns)
    if (steps < bar_ns).any():
        row = int(np.argmax(steps < bar_ns)) + 1
        raise TapeError(f"bars must be {bar_ns // SECOND_NS} s apart or more, row {row} was {steps[row - 1]} ns after")
    outside = (np.maximum(open_ticks, close_ticks) > high_ticks) | (np.minimum(open_ticks, close_ticks) < low_ticks)
    if outside.any():
        raise TapeError(f"high and low must enclose open and close, row {int(np.argmax(outside))} did not")
    columns = (close_ns - bar_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume)
    return [TapeBar(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


class Market:
    """Prices of all contracts, moved one step at a time.

    Parameters
    ----------
    contracts : sequence of ContractTerms
    tapes : mapping of int to sequence of TapeBar
        Tapes by contract number, ascending.
    bar_ns : int
        Length of a bar.
    start_ns : int, optional
        The session starts here: what lies before is history. Default: the first bar.

    Attributes
    ----------
    now_ns : int
        Simulated time.
    steps_done : int
        Steps taken, which is what fault scripts count.
    """

    def __init__(
        self,
        contracts: Sequence[ContractTerms],
        tapes: Mapping[int, Sequence[TapeBar]],
        bar_ns: int = 60 * SECOND_NS,
        start_ns: int = 0,
    ) -> None:
        self.bar_ns = bar_ns
        self._terms = {terms.con_id: terms for terms in contracts}
        self._tapes = tapes
        self._opens = {con_id: [bar.open_ns for bar in tape] for con_id, tape in tapes.items()}
        steps = [step for con_id in tapes for step in self._steps(con_id)]
        self._schedule = sorted(step for step in steps if step.ts_ns >= start_ns and self._begins(step, start_ns))
        if not self._schedule:
            raise TapeError(f"no bars after the start of the session, {start_ns} ns")
        self.now_ns = self._schedule[0].ts_ns
        self.steps_done = 0
        self._at: dict[int, Step] = {}
        self.opening_ticks = {con_id: self._ticks_before(con_id, start_ns) for con_id in tapes}

    @property
    def steps(self) -> int:
        """Steps of the whole session."""
        return len(self._schedule)

    @property
    def is_over(self) -> bool:
        """Whether the last bar has closed."""
        return self.steps_done == len(self._schedule)

    @property
    def next_ns(self) -> int | None:
        """When the next step happens, None at the end."""
        return None if self.is_over else self._schedule[self.steps_done].ts_ns

    @property
    def phase(self) -> int:
        """Phase of the step taken last."""
        return self._schedule[self.steps_done - 1].phase if self.steps_done else CLOSE

    @property
    def is_announced(self) -> bool:
        """Whether every bar that begins now has been announced, and none has opened yet."""
        return self.phase == ANNOUNCE and (self.is_over or self._schedule[self.steps_done].phase != ANNOUNCE)

    def last_close_ns(self, con_id: int) -> int:
        """When the newest complete bar of a contract closed in this session; 0 while there is none."""
        at = self._at.get(con_id)
        if at is None or not (at.phase == CLOSE or at.bar):
            return 0
        return self._tapes[con_id][at.bar - (at.phase != CLOSE)].open_ns + self.bar_ns

    def bar_close_ns(self, con_id: int) -> int:
        """When the bar closes, or closed, in which a contract's newest price was traded; now before the first."""
        at = self._at.get(con_id)
        if at is None or at.phase == ANNOUNCE:
            return self.now_ns
        return self._tapes[con_id][at.bar].open_ns + self.bar_ns

    def step(self) -> tuple[Step, Quote | None]:
        """Move to the next step; the price, None where nothing is traded (announcements)."""
        step = self._schedule[self.steps_done]
        self.steps_done += 1
        self.now_ns = step.ts_ns
        self._at[step.con_id] = step
        return step, self.quote_at(step)

    def quote_at(self, step: Step) -> Quote | None:
        """Price of a step."""
        if step.phase == ANNOUNCE:
            return None
        bar = self._tapes[step.con_id][step.bar]
        quarter, rest = offered_units(bar.volume)
        path = bar_path(bar.open, bar.high, bar.low, bar.close)
        if step.phase == CLOSE:
            return Quote(path[3], rest, opens=False)
        return Quote(path[step.phase - OPEN], quarter, opens=step.phase == OPEN)

    def bar_in_the_making(self, con_id: int, size_ns: int) -> TapeBar | None:
        """The bar of a length that contains the present, as far as it got; None before the first announcement."""
        at = self._at.get(con_id)
        if at is None:
            return None
        newest = self._so_far(at)
        begin = newest.open_ns // size_ns * size_ns
        first = bisect_left(self._opens[con_id], begin)
        return _merge([*self._tapes[con_id][first : at.bar], newest], begin)

    def history(self, con_id: int, end_ns: int, duration_ns: int, size_ns: int, regular: bool) -> list[TapeBar]:
        """Complete bars of a length that closed by ``end_ns`` (or now), newest last.

        Parameters
        ----------
        con_id : int
        end_ns, duration_ns : int
            Window.
        size_ns : int
            Length, a multiple of `bar_ns`.
        regular : bool
            Keep regular trading hours only.
        """
        end_ns = min(end_ns, self.now_ns)
        opens, tape, terms = self._opens[con_id], self._tapes[con_id], self._terms[con_id]
        first = bisect_left(opens, end_ns - duration_ns)
        last = bisect_right(opens, end_ns - self.bar_ns)
        at = self._at.get(con_id)
        if at is not None and at.phase != CLOSE:
            last = min(last, at.bar)
        groups: dict[int, list[TapeBar]] = {}
        for bar in tape[first:last]:
            if not regular or _is_regular(bar.open_ns, terms):
                groups.setdefault(bar.open_ns // size_ns * size_ns, []).append(bar)
        return [_merge(bars, begin) for begin, bars in groups.items() if begin + size_ns <= end_ns]

    def _steps(self, con_id: int) -> list[Step]:
        third = self.bar_ns // 3
        times = ((0, ANNOUNCE), (0, OPEN), (third, FIRST), (2 * third, SECOND), (self.bar_ns, CLOSE))
        return [
            Step(bar.open_ns + offset, phase, con_id, index)
            for index, bar in enumerate(self._tapes[con_id])
            for offset, phase in times
        ]

    def _begins(self, step: Step, start_ns: int) -> bool:
        return self._tapes[step.con_id][step.bar].open_ns >= start_ns

    def _ticks_before(self, con_id: int, start_ns: int) -> int:
        index = bisect_left(self._opens[con_id], start_ns)
        tape = self._tapes[con_id]
        return tape[index - 1].close if index else tape[0].open

    def _so_far(self, at: Step) -> TapeBar:
        bar = self._tapes[at.con_id][at.bar]
        if at.phase == CLOSE:
            return bar
        if at.phase == ANNOUNCE:
            last = self._tapes[at.con_id][at.bar - 1].close if at.bar else bar.open
            return TapeBar(bar.open_ns, last, last, last, last, 0)
        done = at.phase - OPEN + 1
        seen = bar_path(bar.open, bar.high, bar.low, bar.close)[:done]
        return TapeBar(bar.open_ns, bar.open, max(seen), min(seen), seen[-1], bar.volume // 4 * done)


def _merge(bars: Sequence[TapeBar], begin_ns: int) -> TapeBar:
    return TapeBar(
        begin_ns,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
    )


def _is_regular(open_ns: int, terms: ContractTerms) -> bool:
    local = datetime.fromtimestamp(open_ns // SECOND_NS, ZoneInfo(terms.time_zone))
    return local.weekday() < 5 and terms.regular_open <= local.time() < terms.regular_close
