"""What happens in a live session beside bars, orders and fills: journaled, logged and published in one place."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from rl_strategies.live.journal.session_journal import SessionJournal
from rl_strategies.live.session_telemetry import SessionTelemetry
from rl_strategies.risk.monitor import Transition

log = logging.getLogger(__name__)


class Events(Protocol):
    """Where the parts of a session report what happens to them."""

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Report a change of state, from ``old`` to ``new``."""


class SessionEvents:
    """Events of one session.

    Parameters
    ----------
    journal : SessionJournal
    telemetry : SessionTelemetry
    wall_ns : callable
        This machine's clock, UTC nanoseconds.
    """

    def __init__(self, journal: SessionJournal, telemetry: SessionTelemetry, wall_ns: Callable[[], int]) -> None:
        self._journal, self._telemetry, self._wall_ns = journal, telemetry, wall_ns

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Report a change of state, from ``old`` to ``new``; it is on disk when this returns."""
        ts_ns = self._wall_ns()
        self._journal.state(ts_ns, what, old, new, reason, **more)
        self._journal.flush()
        log.info("%s: %s -> %s %s", what, old or "-", new or "-", reason)
        self._telemetry.state(ts_ns, what, new, reason)

    def report_risk(self, transitions: Iterable[Transition]) -> None:
        """Report changes of the risk level; each is an alert too."""
        for change in transitions:
            self.report("risk", change.from_level, change.to_level, change.reason)
            self._telemetry.risk(change)

    def warn(self, message: str) -> None:
        """Raise an alert that changes no state."""
        self._telemetry.warning(self._wall_ns(), message)


class StreamEvents:
    """Events of one context stream, which their reason names.

    Parameters
    ----------
    events : Events
    name : str
        Name of the stream.
    """

    def __init__(self, events: Events, name: str) -> None:
        self._events, self._name = events, name

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Report a change of state of the stream."""
        # Bars outside the stream's hours are expected: the traded instrument may trade at night, the stream not.
        if reason != "outside":
            self._events.report(what, old, new, f"{self._name}: {reason}", **more)
