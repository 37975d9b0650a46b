"""Taking a session up again: live through its journal, hold the outcome against the checkpoint, believe both or
neither.
"""

from pathlib import Path

import pyarrow as pa

from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import SCHEMA, read_journal
from rl_strategies.live.journal.rebuild import SEQ, JournalReplay, ReplayedJournal, journal_rows
from rl_strategies.policy.policies import OnnxPolicy


class ResumeError(RuntimeError):
    """A session cannot be taken up again; one line that says what differs."""


def relive(journal: Path, checkpoint: Checkpoint, core: DecisionCore, policy: OnnxPolicy) -> ReplayedJournal | None:
    """Bring core and policy to where a session stopped.

    Parameters
    ----------
    journal : Path
        Folder.
    checkpoint : Checkpoint
    core, policy : DecisionCore, OnnxPolicy
        Fresh; afterwards in the session's last state.

    Returns
    -------
    ReplayedJournal or None
        None where there is nothing to take up.

    Raises
    ------
    ResumeError
        If a decision does not come out as it was written, or the checkpoint holds another state.
    InputError
        If journal or checkpoint cannot be read.
    """
    rows: pa.Table = read_journal(journal).rows if journal.is_dir() else SCHEMA.empty_table()
    kept = checkpoint.read()
    reliving = JournalReplay(core, policy)
    kept_at = int(kept[SEQ]) if kept is not None else 0
    if kept_at > rows.num_rows:
        raise ResumeError(f"the journal must reach the checkpoint's row {kept_at}, had {rows.num_rows} rows")
    if rows.num_rows == 0:
        return None
    reliving.feed(journal_rows(rows, 0, kept_at))
    if kept is not None:
        different = reliving.differences_from(kept)
        if different:
            raise ResumeError(f"the checkpoint must equal what the journal leads to, differed in {different[:5]}")
    reliving.feed(journal_rows(rows, kept_at))
    if reliving.relived.divergences:
        first = reliving.relived.divergences[0]
        raise ResumeError(
            f"every decision must come out as it was written, {first.what} at {first.ts_ns} was {first.made} instead "
            f"of {first.written}"
        )
    return reliving.relived
