"""Checks that features see only the past and agree in batch and live, tried on a recording.

Each check changes one thing that must not matter, such as the future, and compares every output bit for bit. Outputs
that differ are reported with their first differing row.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rl_strategies.features.checks.recording import Plan, Recording, disturbed
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.joined import JoinedPlan
from rl_strategies.features.plans.streams import NS_PER_SECOND

CHECKS = (
    "future perturbation",
    "prefix truncation",
    "live equals batch",
    "chunking",
    "snapshot and restore",
    "restart after warm-up",
    "declared lag",
    "finite after warm-up",
    "input untouched",
)
CUTS = 8
LIVE_ROWS = 3000


@dataclass(frozen=True)
class Failure:
    """An output that failed a check.

    Attributes
    ----------
    name : str
        The output.
    check : str
        One of `CHECKS`.
    row : int
        First row of the recording that differs.
    ts_ns : int
        Close time of that row's bar.
    """

    name: str
    check: str
    row: int
    ts_ns: int


def check_features(plan: Plan, recording: Recording, *, seed: int = 0) -> tuple[Failure, ...]:
    """Run every check on every output.

    Parameters
    ----------
    plan : FeaturePlan or JoinedPlan
    recording : Recording
        Longer than the plan's warm-up, or ``finite after warm-up`` and ``restart after warm-up`` check nothing.
    seed : int
        Seed of the rows at which the future is changed.

    Returns
    -------
    tuple of Failure
        In the order of the plan's outputs, each output at most once per check.
    """
    trial = _Trial(plan, recording, seed)
    trial.change_the_future()
    trial.walk_bar_by_bar()
    trial.cut_into_chunks()
    trial.start_later()
    trial.delay_the_context()
    trial.look_for_gaps()
    trial.compute_again()
    return trial.failures()


class _Trial:
    def __init__(self, plan: Plan, recording: Recording, seed: int) -> None:
        self.plan, self.recording = plan, recording
        self.random = np.random.default_rng(seed)
        self.whole = recording.batch(plan)
        self.found: dict[tuple[int, str], int] = {}

    def change_the_future(self) -> None:
        for count in self._rows_within(CUTS):
            self._compare("prefix truncation", self.recording.first(count).batch(self.plan))
            changed = self.recording.with_another_future(count, self.random).batch(self.plan)
            self._compare("future perturbation", changed[:count])

    def walk_bar_by_bar(self) -> None:
        beginning = self.recording.first(min(LIVE_ROWS, len(self.recording)))
        self._compare("live equals batch", beginning.live(self.plan))
        halfway = int(self.random.integers(1, len(beginning)))
        self._compare("snapshot and restore", beginning.live(self.plan, restart_at=halfway))

    def cut_into_chunks(self) -> None:
        # Streams are joined by time, so only the plan of the traded bars runs in chunks.
        plan = self.plan.primary if isinstance(self.plan, JoinedPlan) else self.plan
        rows, state = self.recording.rows(plan), np.zeros(plan.state_size)
        edges = [0, *self._rows_within(CUTS), len(rows)]
        chunks = [plan.batch(rows[start:stop], state) for start, stop in pairwise(edges)]
        expected = self.whole.copy()
        expected[:, [self.plan.index(name) for name in plan.outputs]] = np.concatenate(chunks)
        self._compare("chunking", expected)

    def start_later(self) -> None:
        for start in self._rows_within(CUTS // 2):
            later = self.recording.since(start).batch(self.plan)
            expected = self.whole.copy()
            for column, name in enumerate(self.plan.outputs):
                warm = self.plan.warmups[name] - 1
                expected[start + warm :, column] = later[warm:, column]
            self._compare("restart after warm-up", expected)

    def delay_the_context(self) -> None:
        if not isinstance(self.plan, JoinedPlan):
            return
        for stream in self.plan.streams:
            for count in self._rows_within(CUTS):
                known_ns = int(self.recording.bars.ts_ns[count - 1]) - stream.lag_s * NS_PER_SECOND
                given = self.recording.streams[stream.name]
                streams = {**self.recording.streams, stream.name: disturbed(given, known_ns)}
                changed = replace(self.recording, streams=streams).batch(self.plan)
                self._compare("declared lag", changed[:count])

    def look_for_gaps(self) -> None:
        known = np.ones(len(self.recording), bool)
        start = 0
        if isinstance(self.plan, JoinedPlan):
            start = self.plan.warm_from(self.recording.bars.ts_ns, self.recording.streams)
            for stream in self.plan.streams:
                rows = stream.as_of(self.recording.bars.ts_ns, self.recording.streams[stream.name].ts_ns)
                known &= (rows >= 0) | stream.fill
        for column, name in enumerate(self.plan.outputs):
            warm = max(self.plan.warmups[name] - 1, start)
            gaps = np.flatnonzero(known[warm:] & ~np.isfinite(self.whole[warm:, column]))
            if len(gaps):
                self._note(column, "finite after warm-up", warm + int(gaps[0]))

    def compute_again(self) -> None:
        rows = self.recording.rows(self.plan)
        before = rows.copy()
        replace(self.recording, builder=lambda bars: rows).batch(self.plan)
        changed = np.flatnonzero((rows != before).any(axis=1) & ~np.isnan(before).any(axis=1))
        for column in range(len(self.plan.outputs) if len(changed) else 0):
            self._note(column, "input untouched", int(changed[0]))
        self._compare("input untouched", self.recording.batch(self.plan))

    def failures(self) -> tuple[Failure, ...]:
        ordered = sorted(self.found.items(), key=lambda item: (item[0][0], CHECKS.index(item[0][1])))
        times = self.recording.bars.ts_ns
        return tuple(Failure(self.plan.outputs[c], check, row, int(times[row])) for (c, check), row in ordered)

    def _rows_within(self, count: int) -> list[int]:
        return sorted(int(row) for row in self.random.integers(2, len(self.recording), count))

    def _compare(self, check: str, outputs: Floats) -> None:
        expected = np.ascontiguousarray(self.whole[: len(outputs)])
        outputs = np.ascontiguousarray(outputs)
        differs = outputs.view(np.int64) != expected.view(np.int64)
        differs &= ~(np.isnan(outputs) & np.isnan(expected))
        for column in np.flatnonzero(differs.any(axis=0)):
            self._note(int(column), check, int(np.argmax(differs[:, column])))

    def _note(self, column: int, check: str, row: int) -> None:
        self.found[column, check] = min(self.found.get((column, check), row), row)
