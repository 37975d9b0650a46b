"""A plan over several streams bar by bar: context rows wait until their lag has passed and are used until too old."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.live import LiveFeatures
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.plans.streams import NS_PER_SECOND, StreamRows, StreamSpec

Snapshot = dict[str, NDArray]
_NEVER_NS = np.iinfo(np.int64).max


class AsOfPlan(Protocol):
    """What `LiveJoined` runs; `rl_strategies.features.plans.joined.JoinedPlan` is one and documents it."""

    primary: FeaturePlan
    streams: tuple[StreamSpec, ...]
    cross: FeaturePlan
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    stream_plans: dict[str, FeaturePlan]

    def join(
        self, rows: Floats, own: Floats, ts_ns: NDArray[np.int64], streams: Mapping[str, StreamRows]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Rows of the cross plan, and whether each stream has a row that is not too old."""

    def arrange(self, own: Floats, crossed: Floats, fresh: NDArray[np.bool_]) -> Floats:
        """Outputs of both plans in their order."""


class LiveJoined:
    """Features of a traded instrument and its context, made by `JoinedPlan.live`.

    Push every closed context row with `push_context`, then the traded bar with `push`. If a stream has no lag, its row
    must come before the bar of the same time, or the bar must wait: `take` it, then `settle` it once its context has
    arrived. A row that is too late for a bar is used from the next bar on and counted in ``late``, because batch would
    have used it.

    Parameters
    ----------
    plan : AsOfPlan

    Attributes
    ----------
    late : dict of str to int
        Rows of each stream that arrived after a bar that should have used them.
    own : float64[p]
        Outputs of the primary plan for the last bar, independent of context; overwritten by the next.
    """

    def __init__(self, plan: AsOfPlan) -> None:
        self._plan = plan
        self._primary, self._cross = plan.primary.live(), plan.cross.live()
        self.own = self._primary.outputs
        self._contexts = {stream.name: _Context(stream, plan.stream_plans[stream.name]) for stream in plan.streams}
        self._row = np.full(len(plan.cross.columns), np.nan)
        self._outputs = np.full(len(plan.outputs), np.nan)
        self._fresh = np.empty((1, len(plan.streams)), bool)
        self._settled_ns = self._taken_ns = self._warm_rows = 0
        self.late = dict.fromkeys(self._contexts, 0)

    def push_context(self, name: str, ts_ns: int, row: Floats | Sequence[float]) -> None:
        """Take a stream's next row, closed at ``ts_ns``.

        Raises
        ------
        InputError
            If there is no such stream, or the time is not after that of its last row.
        """
        if name not in self._contexts:
            raise InputError(f"stream must be one of {', '.join(self._contexts)}, was {name!r}")
        context = self._contexts[name]
        if ts_ns <= context.last_ns:
            raise InputError(f"times of stream {name} must ascend, was {ts_ns} ns after {context.last_ns} ns")
        context.push(ts_ns, row)
        self.late[name] += ts_ns + context.lag_ns <= self._settled_ns

    def last_ns(self, name: str) -> int:
        """Close time of a stream's last row, 0 before the first."""
        return self._contexts[name].last_ns

    @property
    def is_warm(self) -> bool:
        """Whether all streams have been warm for as many settled bars as the cross features need."""
        return self._warm_rows >= self._plan.cross.warmup

    @property
    def missing(self) -> tuple[str, ...]:
        """Streams without a warm row that is recent enough for the last bar."""
        return tuple(name for name, context in self._contexts.items() if not context.has_row(self._taken_ns))

    def push(self, ts_ns: int, row: Floats | Sequence[float]) -> Floats:
        """`take` and `settle` at once: every output of the bar that closed at ``ts_ns``, float64[m]."""
        self.take(ts_ns, row)
        return self.settle()

    def forward(self, rows: Floats, ts_ns: NDArray[np.int64], streams: Mapping[str, StreamRows]) -> None:
        """Take many bars at once, and every context row known by the last, as repeated `push` from a fresh state would.

        Parameters
        ----------
        rows, ts_ns, streams
            As in `JoinedPlan.batch`.
        """
        self.reset()
        if len(rows) == 0:
            return
        plan, now_ns = self._plan, int(ts_ns[-1])
        own = _carried(plan.primary, self._primary, rows)
        joined, fresh = plan.join(rows, own, ts_ns, streams)
        crossed = _carried(plan.cross, self._cross, joined)
        self._row[:] = joined[-1]
        self._outputs = plan.arrange(own[-1:], crossed[-1:], fresh[-1:])[0]
        self._settled_ns = self._taken_ns = now_ns
        for name, context in self._contexts.items():
            context.forward(streams[name], now_ns)
        warm_ns = max(context.warm_ns(streams[name]) for name, context in self._contexts.items())
        self._warm_rows = len(rows) - int(np.searchsorted(ts_ns, warm_ns))

    def take(self, ts_ns: int, row: Floats | Sequence[float]) -> None:
        """Compute `own` for the traded instrument's next bar, closed at ``ts_ns``; settles the bar before it."""
        self.settle()
        own = self._primary.push(row)
        start = len(self._plan.columns)
        self._row[:start] = row
        self._row[start : start + len(own)] = own
        self._taken_ns = ts_ns

    def settle(self) -> Floats:
        """Compute every output of the last bar from the context pushed so far; later context does not change it.

        Returns
        -------
        float64[m]
        """
        if self._taken_ns == self._settled_ns:
            return self._outputs
        joined, now_ns, warm = self._row, self._taken_ns, True
        stop = len(self._plan.columns) + len(self._plan.primary.outputs)
        own = joined[len(self._plan.columns) : stop]
        for k, context in enumerate(self._contexts.values()):
            start, stop = stop, stop + context.width
            self._fresh[0, k] = context.stand_in(now_ns, joined[start:stop])
            warm = warm and context.is_warm
        self._settled_ns = now_ns
        self._warm_rows += warm
        crossed = self._cross.push(joined)
        self._outputs = self._plan.arrange(own[None], crossed[None], self._fresh)[0]
        return self._outputs

    def snapshot(self) -> Snapshot:
        """Copies of all state by name, as arrays for `numpy.savez`; continue with `restore`."""
        kept: Snapshot = {
            "primary": self._primary.snapshot(),
            "cross": self._cross.snapshot(),
            "row": self._row.copy(),
            "outputs": self._outputs.copy(),
            "counts": np.array([self._settled_ns, self._taken_ns, self._warm_rows]),
        }
        for name, context in self._contexts.items():
            kept |= {f"{name}.{key}": value for key, value in context.snapshot().items()}
        return kept

    def restore(self, kept: Snapshot) -> None:
        """Continue from a snapshot of the same plan.

        Raises
        ------
        InputError
            If it belongs to another plan.
        """
        if kept.keys() != self.snapshot().keys():
            raise InputError(f"snapshot of another plan: expected {', '.join(self.snapshot())}; had {', '.join(kept)}")
        self._primary.restore(kept["primary"])
        self._cross.restore(kept["cross"])
        self._row[:] = kept["row"]
        self._outputs = kept["outputs"].copy()
        self._settled_ns, self._taken_ns, self._warm_rows = (int(count) for count in kept["counts"])
        for name, context in self._contexts.items():
            context.restore({key: kept[f"{name}.{key}"] for key in context.snapshot()})

    def reset(self) -> None:
        """Forget every row."""
        self._primary.reset()
        self._cross.reset()
        for context in self._contexts.values():
            context.reset()
        self._row[:] = np.nan
        self._outputs = np.full(len(self._plan.outputs), np.nan)
        self._settled_ns = self._taken_ns = self._warm_rows = 0
        self.late = dict.fromkeys(self._contexts, 0)


def _carried(plan: FeaturePlan, live: LiveFeatures, rows: Floats) -> Floats:
    state = np.zeros(plan.state_size)
    outputs = plan.batch(rows, state)
    live.restore(state)
    return outputs


class _Context:
    def __init__(self, spec: StreamSpec, plan: FeaturePlan) -> None:
        self.lag_ns, self._max_age_ns = spec.lag_s * NS_PER_SECOND, spec.max_age_s * NS_PER_SECOND
        self.width = len(plan.outputs) + 1
        self._plan, self._warmup, self._live = plan, plan.warmup, plan.live()
        self.reset()

    def reset(self) -> None:
        self._live.reset()
        self.last_ns = 0
        self._seen = 0
        self.is_warm = False
        # Time, number of the row and outputs; the first is in use, the others wait for their lag to pass.
        self._kept: deque[tuple[int, int, Floats]] = deque()

    def push(self, ts_ns: int, row: Floats | Sequence[float]) -> None:
        self._seen += 1
        self.last_ns = ts_ns
        self._kept.append((ts_ns, self._seen, self._live.push(row).copy()))

    def forward(self, given: StreamRows, now_ns: int) -> None:
        stop, in_use = np.searchsorted(given.ts_ns, (now_ns, now_ns - self.lag_ns), side="right")
        if stop == 0:
            return
        outputs = _carried(self._plan, self._live, given.rows[:stop])
        self.last_ns, self._seen = int(given.ts_ns[stop - 1]), int(stop)
        self._kept = deque(
            (int(given.ts_ns[row]), row + 1, outputs[row].copy()) for row in range(max(int(in_use) - 1, 0), int(stop))
        )

    def warm_ns(self, given: StreamRows) -> int:
        warm = len(given.ts_ns) >= self._warmup
        return int(given.ts_ns[self._warmup - 1]) + self.lag_ns if warm else _NEVER_NS

    def has_row(self, now_ns: int) -> bool:
        usable = [(ts_ns, number) for ts_ns, number, _ in self._kept if ts_ns <= now_ns - self.lag_ns]
        return bool(usable) and usable[-1][1] >= self._warmup and now_ns - usable[-1][0] <= self._max_age_ns

    def stand_in(self, now_ns: int, into: Floats) -> bool:
        kept, usable_ns = self._kept, now_ns - self.lag_ns
        while len(kept) > 1 and kept[1][0] <= usable_ns:
            kept.popleft()
        self.is_warm = bool(kept) and kept[0][0] <= usable_ns and kept[0][1] >= self._warmup
        if not kept or kept[0][0] > usable_ns or now_ns - kept[0][0] > self._max_age_ns:
            into[:] = np.nan
            return False
        ts_ns, _, outputs = kept[0]
        into[:-1] = outputs
        into[-1] = (now_ns - ts_ns) / (60 * NS_PER_SECOND)
        return self.is_warm

    def snapshot(self) -> Snapshot:
        return {
            "state": self._live.snapshot(),
            "counts": np.array([self.last_ns, self._seen]),
            "kept_ns": np.array([[ts_ns, number] for ts_ns, number, _ in self._kept], np.int64).reshape(-1, 2),
            "kept": np.array([outputs for _, _, outputs in self._kept]).reshape(-1, self.width - 1),
        }

    def restore(self, kept: Snapshot) -> None:
        self._live.restore(kept["state"])
        self.last_ns, self._seen = (int(count) for count in kept["counts"])
        self._kept = deque(
            (int(ts_ns), int(number), outputs.copy())
            for (ts_ns, number), outputs in zip(kept["kept_ns"], kept["kept"], strict=True)
        )
