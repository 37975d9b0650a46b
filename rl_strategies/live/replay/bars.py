"""Compares the bars that a session saw with a catalog's bars of the same instrument and time."""

import numpy as np

from catalogs.bars import BarSeries
from rl_strategies.live.journal.rebuild import Divergence
from rl_strategies.live.replay.session import JournaledSession

_VALUES = ("open", "high", "low", "close", "volume")


def compare_bars(session: JournaledSession, catalog: BarSeries) -> list[Divergence]:
    """Divergences ``data``: bars that one side lacks, or that differ.

    Parameters
    ----------
    session : JournaledSession
    catalog : BarSeries
        The catalog's bars from the session's first to its last.
    """
    seen, stored = session.bars, catalog
    found = [_only(session, int(ts_ns), in_session=True) for ts_ns in np.setdiff1d(seen.ts_ns, stored.ts_ns)]
    found += [_only(session, int(ts_ns), in_session=False) for ts_ns in np.setdiff1d(stored.ts_ns, seen.ts_ns)]
    _, mine, theirs = np.intersect1d(seen.ts_ns, stored.ts_ns, return_indices=True)
    for name in _VALUES:
        written, kept = getattr(seen, name)[mine], getattr(stored, name)[theirs]
        for k in np.flatnonzero(written != kept):
            place = int(mine[k])
            seq, ts_ns = int(session.bar_seq[place]), int(seen.ts_ns[place])
            found.append(Divergence(seq, ts_ns, "data", f"bar: {name}", str(written[k]), str(kept[k])))
    return sorted(found, key=lambda each: each.seq)


def _only(session: JournaledSession, ts_ns: int, *, in_session: bool) -> Divergence:
    seq = session.seq_of(ts_ns) if in_session else session.seq_after(ts_ns)
    written, made = ("seen", "not in the catalog") if in_session else ("not seen", "in the catalog")
    return Divergence(seq, ts_ns, "data", "bar", written, made)
