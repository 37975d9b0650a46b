"""The session that a guard watches: its folder, account, address, and when its time is over."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from configs.live.schema import LiveConfig, load_live
from configs.live.supervision import GuardConfig
from run.trade.monitoring.heartbeat import read_beat
from run.trade.session.folder import SessionHome
from run.trade.session.metadata import METADATA_FILE, read_metadata

HEARTBEAT_FILE, STATE_FILE, LOG_FILE, LOCK_FILE = "heartbeat", "guard.json", "guard.log", "guard.lock"
NS = 1_000_000_000


@dataclass(frozen=True)
class WatchedSession:
    """A session's day as its guard knows it.

    Attributes
    ----------
    folder : Path
    home : SessionHome
    config : LiveConfig
    settings : GuardConfig
    traded : tuple of InstrumentSpec
        Traded instruments.
    is_replayed : bool
        Whether its market is a simulated gateway that replays the past.
    """

    folder: Path
    home: SessionHome
    config: LiveConfig
    settings: GuardConfig
    traded: tuple[InstrumentSpec, ...]
    is_replayed: bool

    def closes_at_ns(self, lived_ns: int) -> int:
        """Moment at which the own position is closed in any case, UTC nanoseconds.

        Parameters
        ----------
        lived_ns : int
            Last moment at which the session lived, by the market's clock.
        """
        ends = []
        for spec in self.traded:
            close_ns = spec.sessions.close_ns
            ends.append(int(close_ns[min(int(np.searchsorted(close_ns, lived_ns)), len(close_ns) - 1)]))
        return min(ends) - round(self.settings.close_before_end_s * NS)


def watched_session(given: Path, configuration: str = "") -> WatchedSession:
    """Session of a folder, or of the newest day in it.

    Parameters
    ----------
    given : Path
    configuration : str
        Preset or path; empty for that of the session.

    Raises
    ------
    InputError
        If there is no session with a heartbeat, or its configuration or instrument is unknown.
    """
    folder = _day(given)
    metadata = read_metadata(folder)
    if read_beat(folder / HEARTBEAT_FILE) is None:
        raise InputError(f"session {folder} has no heartbeat: it has not begun, or began before there was a guard")
    config = load_live(configuration or metadata.configuration)
    metadata.require_account(config.account())
    try:
        day = date.fromisoformat(folder.resolve().name)
    except ValueError as error:
        raise InputError(f"session folder must be named by its day, was {folder.resolve().name!r}") from error
    return WatchedSession(
        folder,
        SessionHome(folder.resolve().parent),
        config,
        config.guard or GuardConfig(),
        metadata.instruments(day),
        metadata.clock == "bars",
    )


def _day(given: Path) -> Path:
    if (given / METADATA_FILE).is_file():
        return given
    beats = [(beat.time_ns, path.parent) for path in given.glob(f"*/{HEARTBEAT_FILE}") if (beat := read_beat(path))]
    if not beats:
        raise InputError(f"no session with a heartbeat in {given}")
    return max(beats)[1]
