"""A plan over several streams: each is computed on its own rows, then an as-of join, then features across streams.

There is one row of outputs for each bar of the traded instrument.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from catalogs.errors import InputError
from rl_strategies.features.compiler.compile import Floats
from rl_strategies.features.plans.joined_live import LiveJoined
from rl_strategies.features.plans.plan import FeaturePlan, output_index
from rl_strategies.features.plans.streams import AGE_OUTPUT, NS_PER_SECOND, StreamRows, StreamSpec
from rl_strategies.features.plugins import rebuild
from rl_strategies.features.spec import FeatureSpec, plain_kind

NS_PER_MINUTE = 60 * NS_PER_SECOND


class JoinedPlan:
    """Features of a traded instrument and of its context streams, brought together by an as-of join.

    Parameters
    ----------
    primary : FeaturePlan
        Features of the traded instrument.
    streams : sequence of StreamSpec
    cross : sequence of FeatureSpec
        Features over the columns and outputs of ``primary`` and the outputs of the streams (``SPY.momentum``).
    left_out : iterable of (name, reason)
        Features of ``cross`` that were left out, in addition to those of ``primary``.
    pruned : sequence of (output, reason)
        Outputs that are computed but not observed.

    Attributes
    ----------
    outputs : tuple of str
        Observed outputs first: those of ``primary``, of ``cross``, and ``NAME_fresh`` of streams with ``fill``; then
        the unobserved ones.
    observed : int
    warmup : int
        Rows of the traded instrument; for the streams see `warm_from`.
    warmups : dict of str to int
        The same for each output.
    columns : tuple of str
        Columns of ``primary``.
    stream_plans : dict of str to FeaturePlan
    hash : str

    Raises
    ------
    InputError
        If an input is wrong or a name is used twice.
    """

    def __init__(
        self,
        primary: FeaturePlan,
        streams: Sequence[StreamSpec],
        cross: Sequence[FeatureSpec],
        left_out: Iterable[tuple[str, str]] = (),
        pruned: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.primary, self.streams, self.columns = primary, tuple(streams), primary.columns
        self.stream_plans = {stream.name: stream.plan() for stream in self.streams}
        if len(self.stream_plans) < len(self.streams):
            raise InputError(f"names of streams must be unique, were {', '.join(s.name for s in self.streams)}")
        inputs = [f"{name}.{o}" for name, plan in self.stream_plans.items() for o in (*plan.outputs, AGE_OUTPUT)]
        self.cross = FeaturePlan(cross, (*primary.columns, *primary.outputs, *inputs))
        self.cross_left_out, self.pruned = tuple(left_out), tuple(pruned)
        self.left_out = (*primary.left_out, *self.cross_left_out)
        self.fresh = tuple(f"{stream.name}_fresh" for stream in self.streams if stream.fill)
        self.warmup = primary.warmup + self.cross.warmup - 1
        self.warmups = {**primary.warmups, **dict.fromkeys((*self.cross.outputs, *self.fresh), self.warmup)}
        self.outputs, self.observed, self._order = self._layout()
        self._filled_by = self._fills()
        hashes = [plan.hash for plan in (primary, *self.stream_plans.values(), self.cross)]
        identity = [hashes, self._identity_of_streams(), self.outputs, self.observed]
        self.hash = hashlib.sha256(msgspec.json.encode(identity, order="sorted")).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.primary, self.streams, self.cross.specs, self.cross_left_out, self.pruned)
        return rebuild, (self.files, type(self), arguments)

    @property
    def files(self) -> tuple[str, ...]:
        """Users' files that kernels of the plan came from."""
        plans = (self.primary, *self.stream_plans.values(), self.cross)
        return tuple(sorted({file for plan in plans for file in plan.files}))

    def without(self, pruned: Sequence[tuple[str, str]]) -> Self:
        """The same plan with more outputs, each with a reason, taken out of the observation."""
        whole = (*self.pruned, *pruned)
        return type(self)(self.primary, self.streams, self.cross.specs, self.cross_left_out, whole)

    @cached_property
    def needs(self) -> dict[str, frozenset[str]]:
        """For each cross feature what it reads: columns and outputs of the primary plan, ``NAME.output`` of streams."""
        return self.cross.needs

    def index(self, name: str) -> int:
        """Column of an output in the output matrix.

        Raises
        ------
        InputError
            If the plan has no such output.
        """
        return output_index(self.outputs, name)

    def batch(self, rows: Floats, ts_ns: NDArray[np.int64], streams: Mapping[str, StreamRows]) -> Floats:
        """Compute every output for many bars.

        Parameters
        ----------
        rows : float64[n, len(columns)]
            Rows of the traded instrument.
        ts_ns : int64[n]
            Close times of the rows, ascending.
        streams : mapping of str to StreamRows
            Rows of every stream; they may end later than the bars, since only known rows are used.

        Returns
        -------
        float64[n, len(outputs)]

        Raises
        ------
        InputError
            If a stream is missing or a shape is wrong.
        """
        own = self.primary.batch(rows)
        joined, fresh = self.join(rows, own, ts_ns, streams)
        return self.arrange(own, self.cross.batch(joined), fresh)

    def join(
        self, rows: Floats, own: Floats, ts_ns: NDArray[np.int64], streams: Mapping[str, StreamRows]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """As-of join: rows of the cross plan, and whether each stream has a warm row that is not too old.

        Parameters
        ----------
        rows, ts_ns, streams
            As in `batch`.
        own : float64[n, p]
            Outputs of the primary plan.

        Returns
        -------
        float64[n, len(cross.columns)], bool[n, len(streams)]
        """
        if len(rows) != len(ts_ns):
            raise InputError(f"feature rows must have one time each, had {len(ts_ns)} times for {len(rows)} rows")
        joined, fresh = [rows, own], np.empty((len(rows), len(self.streams)), bool)
        for k, stream in enumerate(self.streams):
            values, fresh[:, k] = self._join(stream, ts_ns, self._rows_of(stream, streams))
            joined.append(values)
        return np.column_stack(joined), fresh

    def warm_from(self, ts_ns: NDArray[np.int64], streams: Mapping[str, StreamRows]) -> int:
        """First row from which the plan and all of its streams are warm, ``len(ts_ns)`` if none.

        Parameters
        ----------
        ts_ns : int64[n]
        streams : mapping of str to StreamRows
        """
        start = self.warmup - 1
        for stream in self.streams:
            known, warmup = self._rows_of(stream, streams).ts_ns, self.stream_plans[stream.name].warmup
            if len(known) < warmup:
                return len(ts_ns)
            usable = known[warmup - 1] + stream.lag_s * NS_PER_SECOND
            start = max(start, int(np.searchsorted(ts_ns, usable)) + self.cross.warmup - 1)
        return min(start, len(ts_ns))

    def live(self) -> LiveJoined:
        """The plan running bar by bar, from a fresh state."""
        return LiveJoined(self)

    def arrange(self, own: Floats, crossed: Floats, fresh: NDArray[np.bool_]) -> Floats:
        """Arrange the outputs of both plans in order, with 0 where a stream with ``fill`` has no row.

        Parameters
        ----------
        own : float64[n, p]
            Outputs of the primary plan.
        crossed : float64[n, c]
            Outputs of the cross plan; changed in place.
        fresh : bool[n, s]
            Whether each stream has a warm row that is not too old.
        """
        for column, filled in enumerate(self._filled_by):
            if filled:
                crossed[~fresh[:, filled].all(axis=1), column] = 0.0
        flags = fresh[:, [k for k, stream in enumerate(self.streams) if stream.fill]]
        return np.concatenate([own, crossed, flags], axis=1)[:, self._order]

    def to_spec(self) -> dict[str, Any]:
        """Plain data (JSON) from which `from_spec` rebuilds the plan."""
        return {
            "primary": self.primary.to_spec(),
            "streams": [msgspec.to_builtins(stream) for stream in self._plain_streams()],
            "stream_plans": {name: plan.to_spec() for name, plan in self.stream_plans.items()},
            "cross": self.cross.to_spec(),
            "left_out": msgspec.to_builtins(self.cross_left_out),
            "pruned": msgspec.to_builtins(self.pruned),
            "hash": self.hash,
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Rebuild a stored plan.

        Raises
        ------
        InputError
            If it is not a stored plan, or a kernel or the plan as a whole would compute other numbers.
        """
        try:
            stored = msgspec.convert(spec, _JoinedSpec)
        except msgspec.ValidationError as error:
            raise InputError(f"not a stored as-of plan: {error}") from error
        streams = [
            replace(stream, features=FeaturePlan.from_spec(stored.stream_plans[stream.name]).specs)
            for stream in stored.streams
        ]
        cross = FeaturePlan.from_spec(stored.cross)
        plan = cls(FeaturePlan.from_spec(stored.primary), streams, cross.specs, stored.left_out, stored.pruned)
        if plan.hash != stored.hash:
            raise InputError(f"as-of plan must have the stored hash {stored.hash[:12]}, was {plan.hash[:12]}")
        return plan

    def _plain_streams(self) -> list[StreamSpec]:
        return [replace(stream, features=tuple(map(plain_kind, stream.features))) for stream in self.streams]

    def _identity_of_streams(self) -> list[dict[str, Any]]:
        streams = [msgspec.to_builtins(stream) for stream in self._plain_streams()]
        for stream in streams:
            del stream["session_rows"]  # shapes no number, only when the first one is there
        return streams

    def _layout(self) -> tuple[tuple[str, ...], int, NDArray[np.int64]]:
        names = (*self.primary.outputs, *self.cross.outputs, *self.fresh)
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"names of outputs must be unique; {name!r} is used twice")
        unobserved = {
            *self.primary.outputs[self.primary.observed :],
            *self.cross.outputs[self.cross.observed :],
            *(name for name, _ in self.pruned),
        }
        seen = [j for j, name in enumerate(names) if name not in unobserved]
        order = np.array(seen + [j for j, name in enumerate(names) if name in unobserved])
        return tuple(names[j] for j in order), len(seen), order

    def _fills(self) -> list[list[int]]:
        filled = {s.name: k for k, s in enumerate(self.streams) if s.fill}
        by_feature = {
            name: sorted({filled[c.partition(".")[0]] for c in columns if c.partition(".")[0] in filled and "." in c})
            for name, columns in self.cross.needs.items()
        }
        return [by_feature[self.cross.feature_of(output)] for output in self.cross.outputs]

    def _rows_of(self, stream: StreamSpec, streams: Mapping[str, StreamRows]) -> StreamRows:
        if stream.name not in streams:
            raise InputError(f"no rows of stream {stream.name}; given: {', '.join(streams) or 'none'}")
        return streams[stream.name]

    def _join(
        self, stream: StreamSpec, ts_ns: NDArray[np.int64], given: StreamRows
    ) -> tuple[Floats, NDArray[np.bool_]]:
        plan = self.stream_plans[stream.name]
        row = stream.as_of(ts_ns, given.ts_ns)
        values = np.full((len(ts_ns), len(plan.outputs) + 1), np.nan)
        known = row >= 0
        values[known, :-1] = plan.batch(given.rows)[row[known]]
        values[known, -1] = (ts_ns[known] - given.ts_ns[row[known]]) / NS_PER_MINUTE
        return values, row >= plan.warmup - 1


class _JoinedSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    primary: dict[str, Any]
    streams: tuple[StreamSpec, ...]
    stream_plans: dict[str, dict[str, Any]]
    cross: dict[str, Any]
    left_out: tuple[tuple[str, str], ...]
    pruned: tuple[tuple[str, str], ...]
    hash: str


def plan_from_spec(spec: dict[str, Any]) -> FeaturePlan | JoinedPlan:
    """Rebuild a stored plan, of one stream or of several.

    Raises
    ------
    InputError
        As in `FeaturePlan.from_spec` and `JoinedPlan.from_spec`.
    """
    return JoinedPlan.from_spec(spec) if "primary" in spec else FeaturePlan.from_spec(spec)


def context_streams(plan: FeaturePlan | JoinedPlan) -> tuple[StreamSpec, ...]:
    """Streams that a plan reads beside the instrument's own bars; none for a plan of one stream."""
    return plan.streams if isinstance(plan, JoinedPlan) else ()
