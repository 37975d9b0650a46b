"""Resuming a session: its journal is replayed, and must lead to the state of the checkpoint."""

import logging
from pathlib import Path

import pyarrow as pa

from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.journal.checkpoint import Checkpoint
from rl_strategies.live.journal.journal import SCHEMA, read_journal
from rl_strategies.live.journal.rebuild import SEQ, JournalReplay, ReplayedJournal, journal_rows, session_state
from rl_strategies.policy.policies import OnnxPolicy

log = logging.getLogger(__name__)


class ResumeError(RuntimeError):
    """A session cannot be resumed; one line that says what differs."""


def replay_journal(
    journal: Path, checkpoint: Checkpoint, core: DecisionCore, policy: OnnxPolicy
) -> ReplayedJournal | None:
    """Bring core and policy to where a session stopped, and return what happened until then.

    A checkpoint of another version of this program counts as far as both keep the same: the journal must repeat every
    decision in any case.

    Parameters
    ----------
    journal : Path
        Folder.
    checkpoint : Checkpoint
    core, policy : DecisionCore, OnnxPolicy
        New; afterwards in the session's last state.

    Returns
    -------
    ReplayedJournal or None
        None if there is nothing to resume.

    Raises
    ------
    ResumeError
        If a decision is not repeated as it was written, or the checkpoint holds another state.
    InputError
        If journal or checkpoint cannot be read.
    """
    rows: pa.Table = read_journal(journal).rows if journal.is_dir() else SCHEMA.empty_table()
    kept = checkpoint.read()
    replay = JournalReplay(core, policy)
    kept_at = int(kept[SEQ]) if kept is not None else 0
    if kept_at > rows.num_rows:
        raise ResumeError(f"the journal must reach the checkpoint's row {kept_at}, has {rows.num_rows} rows")
    if rows.num_rows == 0:
        return None
    replay.feed(journal_rows(rows, 0, kept_at))
    if kept is not None:
        different = replay.differences_from(kept)
        if different:
            raise ResumeError(f"the checkpoint must equal the journal's state, differs in {', '.join(different[:5])}")
        if other := replay.other_make(kept):
            log.warning(
                "the checkpoint is of another version of this program (%s): the journal decides", ", ".join(other[:5])
            )
    replay.feed(journal_rows(rows, kept_at))
    if replay.result.divergences:
        first = replay.result.divergences[0]
        raise ResumeError(
            f"the journal must repeat every decision: {first.what} at {first.ts_ns} was written as {first.written}, "
            f"is {first.made} now"
        )
    replay.result.state = session_state(core, policy)
    return replay.result
