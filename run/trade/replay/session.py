"""Replay of a live session: from its journal alone, and in the backtest engine."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.storage.arrow import read_bars
from rl_strategies.bundle.bundle import Bundle, load_bundle
from rl_strategies.live.journal.journal import TornTail, read_journal
from rl_strategies.live.journal.rebuild import Cause, Divergence, JournalReplay, journal_rows
from rl_strategies.live.replay.bars import compare_bars
from rl_strategies.live.replay.causes import Attribution, undecided
from rl_strategies.live.replay.context import compare_context, late_context
from rl_strategies.live.replay.fills import compare_fills
from rl_strategies.live.replay.session import JournaledSession, read_session
from run.trade.replay.backtest_clock import run_clock
from run.trade.session.context import catalog_rows
from run.trade.session.folder import JOURNAL_FOLDER
from run.trade.session.metadata import SessionMetadata, read_metadata


@dataclass(frozen=True)
class Replay:
    """Result of a replay.

    Attributes
    ----------
    metadata : SessionMetadata
    session : JournaledSession
    torn : TornTail or None
        Where the journal is cut off; None for a whole one.
    divergences : tuple of Divergence
        Divergences in the order of the journal.
    decisions : mapping of Cause to int
        Number of differing decisions by their first cause.
    other_actions : int
        Differing decisions with another target or another answer of the risk overlay, or made on one side only. The
        others differ in what was observed or computed.
    equal_observations : int
        Decisions whose observation in the backtest engine equals the session's byte for byte.
    bars_compared : bool
        Whether there was a catalog to compare the bars with.
    """

    metadata: SessionMetadata
    session: JournaledSession
    torn: TornTail | None
    divergences: tuple[Divergence, ...]
    decisions: Mapping[Cause, int]
    other_actions: int
    equal_observations: int
    bars_compared: bool

    @property
    def is_equal(self) -> bool:
        """Whether every decision is equal."""
        return not any(self.decisions.values())


def replay_session(folder: Path, catalog: Path | None = None, bundle: Path | None = None) -> Replay:
    """Replay a session.

    Parameters
    ----------
    folder : Path
        Folder of one day.
    catalog : Path, optional
        Catalog to compare the journal's bars with.
    bundle : Path, optional
        The session's bundle, if it was moved.

    Raises
    ------
    InputError
        If the folder holds no session, the bundle is another one, or journal or catalog cannot be read.
    """
    metadata = read_metadata(folder)
    loaded = _bundle(metadata, bundle)
    spec = _traded(metadata, loaded, folder)
    content = read_journal(_journal(folder))
    session = read_session(content.rows, metadata.bar_type, spec.tick_raw)
    data = [] if catalog is None else _held_against(catalog, session, loaded, metadata)
    core, policy = loaded.core(spec, metadata.capital_usd), loaded.policy()
    replay = JournalReplay(core, policy)
    replay.feed(journal_rows(content.rows))
    replayed = replay.result.divergences
    clock = run_clock(session, core, policy)
    undone = undecided(session, clock.taken, clock.left_out)
    others = [*undone, *compare_fills(session, clock.fills), *late_context(session, loaded.plan)]
    attribution = Attribution(session, clock.taken, replayed, data, others)
    changed = dict(attribution.causes())
    changed.update({each.ts_ns: each.cause for each in undone})
    other_actions = {each.ts_ns for each in undone} | set(attribution.other_actions())
    same = sum(
        clock.taken[ts_ns].observation.tobytes() == written.observation.tobytes()
        for ts_ns, written in session.decisions.items()
        if ts_ns in clock.taken
    )
    return Replay(
        metadata,
        session,
        content.torn,
        divergences=tuple(sorted([*data, *replayed, *others], key=lambda each: each.seq)),
        decisions=Counter(changed.values()),
        other_actions=len(other_actions),
        equal_observations=same,
        bars_compared=catalog is not None,
    )


def _bundle(metadata: SessionMetadata, moved_to: Path | None) -> Bundle:
    path = moved_to or Path(metadata.bundle)
    if not path.exists():
        raise InputError(f"bundle {metadata.bundle_id} is not at {path}: name its folder with --bundle")
    loaded = load_bundle(path)
    if loaded.id != metadata.bundle_id:
        raise InputError(f"the session traded bundle {metadata.bundle_id}, this is {loaded.id}")
    return loaded


def _traded(metadata: SessionMetadata, bundle: Bundle, folder: Path) -> InstrumentSpec:
    if metadata.instrument_id == bundle.instrument.instrument_id:
        return bundle.instrument
    try:
        day = date.fromisoformat(folder.resolve().name)
    except ValueError as error:
        raise InputError(
            f"session folder must be named by its day (YYYY-MM-DD), was {folder.resolve().name!r}"
        ) from error
    return metadata.instrument(day)


def _journal(folder: Path) -> Path:
    journal = folder / JOURNAL_FOLDER
    if not journal.is_dir():
        raise InputError(f"no journal in session {folder}: {journal} is missing")
    return journal


def _held_against(
    catalog: Path, session: JournaledSession, bundle: Bundle, metadata: SessionMetadata
) -> list[Divergence]:
    streams = {
        name: catalog_rows(catalog, bundle, name, metadata.context[name], told.rows.ts_ns)
        for name, told in session.context.items()
        if name in metadata.context
    }
    compared = [*compare_bars(session, _stored(catalog, session)), *compare_context(session, bundle.plan, streams)]
    return sorted(compared, key=lambda each: each.seq)


def _stored(catalog: Path, session: JournaledSession) -> BarSeries:
    seen = session.bars
    return read_bars(catalog, seen.bar_type, int(seen.ts_ns[0]), int(seen.ts_ns[-1]))
