"""Compares the context rows that a session saw with a catalog's, and finds rows that came after their decision."""

from collections.abc import Iterator, Mapping

import numpy as np

from rl_strategies.features import FeaturePlan, JoinedPlan, StreamRows, StreamSpec, context_streams
from rl_strategies.features.plans.streams import NS_PER_SECOND
from rl_strategies.live.journal.rebuild import Divergence
from rl_strategies.live.replay.session import JournaledSession, JournaledStream


def compare_context(
    session: JournaledSession, plan: FeaturePlan | JoinedPlan, catalog: Mapping[str, StreamRows]
) -> list[Divergence]:
    """Divergences ``data``: rows that one side lacks, or that differ in a column that a feature reads.

    Parameters
    ----------
    session : JournaledSession
    plan : FeaturePlan or JoinedPlan
        Plan of the session's bundle.
    catalog : mapping of str to StreamRows
        The catalog's rows by stream, from the session's first to its last.
    """
    found: list[Divergence] = []
    for stream in context_streams(plan):
        seen, stored = session.context.get(stream.name), catalog.get(stream.name)
        if seen is not None and stored is not None:
            found += _compared(session, stream, seen, stored)
    return sorted(found, key=lambda each: each.seq)


def late_context(session: JournaledSession, plan: FeaturePlan | JoinedPlan) -> list[Divergence]:
    """Divergences ``data``: rows that came only after a decision for which a backtest would have had them.

    Parameters
    ----------
    session : JournaledSession
    plan : FeaturePlan or JoinedPlan
        Plan of the session's bundle.
    """
    closes = np.array(sorted(session.decisions), np.int64)
    decided_seq = np.array([session.decisions[int(ts_ns)].seq for ts_ns in closes], np.int64)
    found: list[Divergence] = []
    for stream in context_streams(plan):
        seen = session.context.get(stream.name)
        if seen is None or not len(closes):
            continue
        # The first decision that may use a row; the row is late if that decision came before it.
        first = np.searchsorted(closes, seen.rows.ts_ns + stream.lag_s * NS_PER_SECOND)
        for row in np.flatnonzero(first < len(closes)):
            seq, ts_ns = int(decided_seq[first[row]]), int(closes[first[row]])
            if seq < seen.seq[row]:
                what = f"context {stream.name}: known"
                found.append(Divergence(seq, ts_ns, "data", what, "after the decision", "before it"))
    return sorted(found, key=lambda each: each.seq)


def _compared(
    session: JournaledSession, stream: StreamSpec, seen: JournaledStream, stored: StreamRows
) -> Iterator[Divergence]:
    name, plan = f"context {stream.name}", stream.plan()
    written, kept = seen.rows.ts_ns, stored.ts_ns
    for row in np.flatnonzero(~np.isin(written, kept)).tolist():
        yield Divergence(int(seen.seq[row]), int(written[row]), "data", name, "seen", "not in the catalog")
    for ts_ns in np.setdiff1d(kept, written).tolist():
        # Missing from the first bar on that may use it.
        yield Divergence(
            session.seq_of(ts_ns + stream.lag_s * NS_PER_SECOND), ts_ns, "data", name, "not seen", "in the catalog"
        )
    _, mine, theirs = np.intersect1d(written, kept, return_indices=True)
    read = frozenset().union(*plan.needs.values())
    for k, column in enumerate(plan.columns):
        one, other = seen.rows.rows[mine, k], stored.rows[theirs, k]
        is_other = (one != other) & ~(np.isnan(one) & np.isnan(other))
        for place in np.flatnonzero(is_other).tolist() if column in read else ():
            row = int(mine[place])
            what = f"{name}: {column}"
            values = f"{one[place]:g}", f"{other[place]:g}"
            yield Divergence(int(seen.seq[row]), int(written[row]), "data", what, *values)
