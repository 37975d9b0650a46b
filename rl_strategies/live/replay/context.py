"""Context rows that a session saw against those of a catalog, and against the decisions that did without them."""

from collections.abc import Iterator, Mapping

import numpy as np

from rl_strategies.features import FeaturePlan, JoinedPlan, StreamRows, StreamSpec, context_streams
from rl_strategies.features.plans.streams import NS_PER_SECOND
from rl_strategies.live.journal.rebuild import Divergence
from rl_strategies.live.replay.session import JournaledSession, JournaledStream


def compare_context(
    session: JournaledSession, plan: FeaturePlan | JoinedPlan, catalog: Mapping[str, StreamRows]
) -> list[Divergence]:
    """Divergences ``data``: rows that one side lacks, or that say something else where a feature reads them.

    Parameters
    ----------
    session : JournaledSession
    plan : FeaturePlan or JoinedPlan
        Of the session's bundle.
    catalog : mapping of str to StreamRows
        Rows of the catalog by stream, from the session's first to its last.
    """
    found: list[Divergence] = []
    for stream in context_streams(plan):
        seen, stored = session.context.get(stream.name), catalog.get(stream.name)
        if seen is not None and stored is not None:
            found += _compared(session, stream, seen, stored)
    return sorted(found, key=lambda each: each.seq)


def late_context(session: JournaledSession, plan: FeaturePlan | JoinedPlan) -> list[Divergence]:
    """Divergences ``data``: rows that were taken in only after a decision which a backtest would have shown them.

    Parameters
    ----------
    session : JournaledSession
    plan : FeaturePlan or JoinedPlan
        Of the session's bundle.
    """
    closes = np.array(sorted(session.decisions), np.int64)
    decided_seq = np.array([session.decisions[int(ts_ns)].seq for ts_ns in closes], np.int64)
    found: list[Divergence] = []
    for stream in context_streams(plan):
        seen = session.context.get(stream.name)
        if seen is None or not len(closes):
            continue
        # The first decision that may use a row; it is late where that was made before the row came.
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
        # Missed from the first bar on that may have used it.
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
