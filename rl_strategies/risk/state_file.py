"""State of the risk monitor that outlives a restart, and its file."""

import os
from datetime import date
from pathlib import Path

import msgspec

from catalogs.cache import told_if_unwritable, written_aside
from rl_strategies.risk.monitor_config import RiskLevel


class RiskState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Level of a session and the equities that its losses count from.

    Attributes
    ----------
    level : {"normal", "reduce_only", "flatten", "halted"}
    since_ns : int
        Last change of level, UTC nanoseconds; 0 before the first.
    reason : str
        Reason of the last change of level.
    session : date or None
        Trading day of ``session_start_usd`` and ``session_high_usd``.
    session_start_usd, session_high_usd, high_usd : float or None
        First and highest equity of the session, highest equity of all time; None until an equity is known.
    """

    level: RiskLevel = "normal"
    since_ns: int = 0
    reason: str = ""
    session: date | None = None
    session_start_usd: float | None = None
    session_high_usd: float | None = None
    high_usd: float | None = None


class RiskStateFile:
    """A `RiskState` as JSON; a reader sees the old state or the new one, never half of one.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> file = RiskStateFile(Path(mkdtemp()) / "risk.json")
    >>> file.read().level
    'normal'
    >>> file.write(RiskState("halted", reason="daily_loss"))
    >>> file.read().reason
    'daily_loss'
    >>> _ = file.path.write_text("{}}")
    >>> file.read().level
    'halted'
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> RiskState:
        """State that was written last; a new one where there is no file.

        A file that cannot be read counts as halted.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=RiskState)
        except FileNotFoundError:
            return RiskState()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return RiskState("halted", reason=f"risk state {self.path} cannot be read: {error}")

    def write(self, state: RiskState) -> None:
        """Write the state and wait until the disk has it.

        Raises
        ------
        InputError
            If the disk is full or the folder may not be written.
        """
        with told_if_unwritable(self.path.parent):
            with written_aside(self.path) as aside, aside.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(state), indent=2))
                file.flush()
                os.fsync(file.fileno())
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the rename itself
            finally:
                os.close(folder)
