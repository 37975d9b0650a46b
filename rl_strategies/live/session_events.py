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
    has_several : bool
        Whether the session trades several instruments: what is about one then names it.
    """

    def __init__(
        self,
        journal: SessionJournal,
        telemetry: SessionTelemetry,
        wall_ns: Callable[[], int],
        has_several: bool = False,
    ) -> None:
        self._journal, self._telemetry, self._wall_ns, self._has_several = journal, telemetry, wall_ns, has_several

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Report a change of state, from ``old`` to ``new``; it is on disk when this returns."""
        self.report_of("", what, old, new, reason, **more)

    def report_of(self, instrument_id: str, what: str, old: str, new: str, reason: str, **more: int) -> None:
        """As `report`, of one instrument."""
        ts_ns = self._wall_ns()
        self._journal.state(ts_ns, what, old, new, reason, instrument_id, **more)
        self._journal.flush()
        said = f"{instrument_id}: {reason}" if instrument_id and self._has_several else reason
        log.info("%s: %s -> %s %s", what, old or "-", new or "-", said)
        self._telemetry.state(ts_ns, what, new, said)

    def report_risk(self, transitions: Iterable[Transition]) -> None:
        """Report changes of the risk level; each is an alert too."""
        for change in transitions:
            self.report("risk", change.from_level, change.to_level, change.reason)
            self._telemetry.risk(change)

    def warn(self, message: str) -> None:
        """Raise an alert that changes no state."""
        self._telemetry.warning(self._wall_ns(), message)


class InstrumentEvents:
    """Events of one traded instrument.

    Parameters
    ----------
    events : SessionEvents
    instrument_id : str
    is_first : bool
        Whether it reports the connection, which all instruments share.
    """

    def __init__(self, events: SessionEvents, instrument_id: str, is_first: bool) -> None:
        self._events, self._instrument_id, self._is_first = events, instrument_id, is_first

    def report(self, what: str, old: str = "", new: str = "", reason: str = "", **more: int) -> None:
        """Report a change of state of the instrument."""
        if what != "connection":
            self._events.report_of(self._instrument_id, what, old, new, reason, **more)
        elif self._is_first:
            self._events.report(what, old, new, reason, **more)


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
