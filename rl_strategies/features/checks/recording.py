"""A recording of market data, for batch and bar by bar, cut off or with another future."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.sessions import SessionCalendar
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.plans.streams import StreamRows
from rl_strategies.features.rows import QUOTE_COLUMNS, LiveRows, Quotes, input_rows

Plan = FeaturePlan | JoinedPlan
RowBuilder = Callable[[BarSeries], Floats]


@dataclass(frozen=True)
class Recording:
    """Bars of the traded instrument and rows of its context.

    Attributes
    ----------
    bars : BarSeries
    calendar : SessionCalendar
    quotes : Quotes or None
    streams : mapping of str to StreamRows
    builder : callable, optional
        Makes a plan's rows from bars instead of `input_rows`, to check it together with the plan.
    """

    bars: BarSeries
    calendar: SessionCalendar
    quotes: Quotes | None = None
    streams: Mapping[str, StreamRows] = field(default_factory=dict)
    builder: RowBuilder | None = None

    def __len__(self) -> int:
        return len(self.bars)

    def rows(self, plan: Plan) -> Floats:
        """Rows of the traded instrument in the plan's columns; float64[n, k]."""
        if self.builder is not None:
            return self.builder(self.bars)
        return input_rows(self.bars, self.calendar, plan.columns, quotes=self.quotes)

    def batch(self, plan: Plan) -> Floats:
        """The plan's outputs in one call; float64[n, m]."""
        if isinstance(plan, JoinedPlan):
            return plan.batch(self.rows(plan), self.bars.ts_ns, self.streams)
        return plan.batch(self.rows(plan))

    def live_rows(self, plan: Plan) -> Iterator[Floats]:
        """The rows as built live, one bar at a time."""
        if self.builder is not None:
            yield from self.builder(self.bars)
            return
        bars = self.bars
        maker = LiveRows(self.calendar, plan.columns, tick_raw=bars.tick_raw)
        for i in range(len(bars)):
            open_, high, low, close = (int(column[i]) for column in (bars.open, bars.high, bars.low, bars.close))
            volume = float(bars.volume[i]) if bars.volume_known else np.nan
            quotes = None if self.quotes is None else [getattr(self.quotes, name)[i] for name in QUOTE_COLUMNS]
            yield maker.push(int(bars.ts_ns[i]), open_, high, low, close, volume, quotes)

    def live(self, plan: Plan, *, restart_at: int = -1) -> Floats:
        """The plan's outputs bar by bar, context first; at ``restart_at`` it is restored from a snapshot."""
        outputs = np.empty((len(self), len(plan.outputs)))
        if isinstance(plan, FeaturePlan):
            single = plan.live()
            for i, row in enumerate(self.live_rows(plan)):
                if i == restart_at:
                    state, single = single.snapshot(), plan.live()
                    single.restore(state)
                outputs[i] = single.push(row)
            return outputs
        joined, waiting = plan.live(), sorted(self._context_events(plan))
        next_event = 0
        for i, row in enumerate(self.live_rows(plan)):
            if i == restart_at:
                kept, joined = joined.snapshot(), plan.live()
                joined.restore(kept)
            now = int(self.bars.ts_ns[i])
            while next_event < len(waiting) and waiting[next_event][0] <= now:
                ts_ns, name, k = waiting[next_event]
                joined.push_context(name, ts_ns, self.streams[name].rows[k])
                next_event += 1
            outputs[i] = joined.push(now, row)
        return outputs

    def first(self, count: int) -> "Recording":
        """What was known when bar ``count - 1`` closed."""
        now = self.bars.ts_ns[count - 1]
        return replace(
            self,
            bars=self.bars.slice(0, count),
            quotes=_cut(self.quotes, slice(count)),
            streams={name: _until(stream, int(now)) for name, stream in self.streams.items()},
        )

    def since(self, start: int) -> "Recording":
        """The bars from ``start`` on, with all of the context."""
        return replace(self, bars=self.bars.slice(start, len(self)), quotes=_cut(self.quotes, slice(start, None)))

    def with_another_future(self, count: int, random: np.random.Generator) -> "Recording":
        """The same until bar ``count - 1`` closed, and other prices, volumes and context after it."""
        now = int(self.bars.ts_ns[count - 1])
        return replace(
            self,
            bars=_other_bars(self.bars, count, random),
            quotes=_other_quotes(self.quotes, count),
            streams={name: disturbed(stream, now) for name, stream in self.streams.items()},
        )

    def _context_events(self, plan: JoinedPlan) -> list[tuple[int, str, int]]:
        names = [stream.name for stream in plan.streams]
        return [(int(ts_ns), name, k) for name in names for k, ts_ns in enumerate(self.streams[name].ts_ns)]


def disturbed(stream: StreamRows, after_ns: int) -> StreamRows:
    """The stream with every row that closed after ``after_ns`` 1 % larger and in another order."""
    rows, later = stream.rows.copy(), stream.ts_ns > after_ns
    rows[later] = rows[later][::-1] * 1.01
    return StreamRows(stream.ts_ns, rows)


def _until(stream: StreamRows, now_ns: int) -> StreamRows:
    count = int(np.searchsorted(stream.ts_ns, now_ns, side="right"))
    return StreamRows(stream.ts_ns[:count], stream.rows[:count])


def _cut(quotes: Quotes | None, part: slice) -> Quotes | None:
    if quotes is None:
        return None
    return Quotes(*(getattr(quotes, name)[part] for name in QUOTE_COLUMNS))


def _other_quotes(quotes: Quotes | None, count: int) -> Quotes | None:
    if quotes is None:
        return None
    changed = [getattr(quotes, name).copy() for name in QUOTE_COLUMNS]
    for column in changed:
        column[count:] = column[count:][::-1] * 1.01
    return Quotes(*changed)


def _other_bars(bars: BarSeries, count: int, random: np.random.Generator) -> BarSeries:
    order = np.concatenate([np.arange(count), count + random.permutation(len(bars) - count)])
    shift: NDArray[np.int64] = np.where(np.arange(len(bars)) < count, 0, random.integers(5, 500))
    prices = {name: getattr(bars, name)[order] + shift for name in ("open", "high", "low", "close")}
    return replace(bars, **prices, volume=bars.volume[order] + shift)
