"""Replay of a live session: from its journal alone, and in the backtest engine."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from rl_strategies.live.replay.causes import Attribution, late_bars, undecided
from rl_strategies.live.replay.context import compare_context, late_context
from rl_strategies.live.replay.fills import compare_fills
from rl_strategies.live.replay.session import JournaledSession, ReadInstrument, read_sessions
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
    sessions : tuple of JournaledSession
        Every instrument of the session, in the policy's order.
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
    sessions: tuple[JournaledSession, ...]
    torn: TornTail | None
    divergences: tuple[Divergence, ...]
    decisions: Mapping[Cause, int]
    other_actions: int
    equal_observations: int
    bars_compared: bool

    @property
    def session(self) -> JournaledSession:
        """The first instrument of the session, with what all share."""
        return self.sessions[0]

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
    specs = _traded(metadata, loaded, folder)
    content = read_journal(_journal(folder))
    named = zip(metadata.traded, specs, strict=True)
    sessions = read_sessions(
        content.rows, [ReadInstrument(each.instrument_id, each.bar_type, spec.tick_raw) for each, spec in named]
    )
    data = [] if catalog is None else _held_against(catalog, sessions, loaded, metadata)
    core, policy = loaded.core(specs, metadata.capital_usd), loaded.policy()
    replay = JournalReplay(core, policy)
    replay.feed(journal_rows(content.rows))
    replayed = replay.result.divergences
    clock = run_clock(sessions, core, policy)
    undone = undecided(sessions, clock.taken[0], clock.left_out)
    others = [*undone, *late_bars(sessions), *late_context(sessions[0], loaded.plan)]
    for spec, session, fills in zip(specs, sessions, clock.fills, strict=True):
        found = compare_fills(session, fills)
        others += found if len(specs) == 1 else [replace(each, instrument_id=spec.instrument_id) for each in found]
    changed: dict[int, Cause] = {}
    other_actions = {each.ts_ns for each in undone}
    for session, taken in zip(sessions, clock.taken, strict=True):
        attribution = Attribution(session, taken, replayed, data, others)
        changed = {**dict(attribution.causes()), **changed}
        other_actions.update(attribution.other_actions())
    changed.update({each.ts_ns: each.cause for each in undone})
    same = sum(
        clock.taken[0][ts_ns].observation.tobytes() == written.observation.tobytes()
        for ts_ns, written in sessions[0].decisions.items()
        if ts_ns in clock.taken[0]
    )
    return Replay(
        metadata,
        sessions,
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


def _traded(metadata: SessionMetadata, bundle: Bundle, folder: Path) -> tuple[InstrumentSpec, ...]:
    if [each.instrument_id for each in metadata.traded] == [spec.instrument_id for spec in bundle.instruments]:
        return bundle.instruments
    try:
        day = date.fromisoformat(folder.resolve().name)
    except ValueError as error:
        raise InputError(
            f"session folder must be named by its day (YYYY-MM-DD), was {folder.resolve().name!r}"
        ) from error
    return metadata.instruments(day)


def _journal(folder: Path) -> Path:
    journal = folder / JOURNAL_FOLDER
    if not journal.is_dir():
        raise InputError(f"no journal in session {folder}: {journal} is missing")
    return journal


def _held_against(
    catalog: Path, sessions: Sequence[JournaledSession], bundle: Bundle, metadata: SessionMetadata
) -> list[Divergence]:
    streams = {
        name: catalog_rows(catalog, bundle, name, metadata.context[name], told.rows.ts_ns)
        for name, told in sessions[0].context.items()
        if name in metadata.context
    }
    compared = compare_context(sessions[0], bundle.plan, streams)
    for each, session in zip(metadata.traded, sessions, strict=True):
        found = compare_bars(session, _stored(catalog, session))
        name = each.instrument_id if len(sessions) > 1 else ""
        compared += [replace(divergence, instrument_id=name) for divergence in found]
    return sorted(compared, key=lambda each: each.seq)


def _stored(catalog: Path, session: JournaledSession) -> BarSeries:
    seen = session.bars
    return read_bars(catalog, seen.bar_type, int(seen.ts_ns[0]), int(seen.ts_ns[-1]))
