"""What a guard tells: log, standard error, the session's telemetry, and a file that says how things stand."""

import logging
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from catalogs.cache import written_aside
from catalogs.errors import InputError
from run.trade.guard.decision import Decision
from run.trade.monitoring.heartbeat import Pulse
from run.trade.monitoring.telemetry_store import TelemetryStore

log = logging.getLogger(__name__)


class Alerts:
    """Says a thing once, until something else is to be said; a full disk or a store that is away stops nothing.

    Parameters
    ----------
    path : Path
        File with the present state, JSON.
    telemetry_url : str
    session_id : str
    """

    def __init__(self, path: Path, telemetry_url: str, session_id: str) -> None:
        self._path, self._url, self._session_id = path, telemetry_url, session_id
        self._said: dict[str, str] = {}
        self._state: dict[str, Any] = {}
        self._store: TelemetryStore | None = None

    def state(self, pulse: Pulse, decision: Decision) -> None:
        """How session and guard stand; written when it changes, told where it is not the usual."""
        state = {"session": pulse, "action": decision.action, "reason": decision.reason}
        if state == {name: self._state.get(name) for name in state}:
            return
        self._state = {**state, "since_ns": time.time_ns()}
        try:
            with written_aside(self._path) as aside:
                aside.write_bytes(msgspec.json.format(msgspec.json.encode(self._state), indent=2))
        except (OSError, InputError) as error:
            log.info("the state %s cannot be written: %s", self._path, error)
        if decision.action in ("watch", "end"):
            log.info("%s: %s", decision.action, decision.reason)
        else:
            self.say("state", decision.reason)

    def say(self, about: str, message: str, level: str = "warning") -> None:
        """Tell a message, unless it was the last about the same thing; an empty one ends the last."""
        if self._said.get(about, "") == message:
            return
        self._said[about] = message
        if not message:
            return
        log.warning("guard: %s", message)
        if self._store is None:
            try:
                self._store = TelemetryStore(self._url, self._session_id)
            except (InputError, SQLAlchemyError) as error:
                log.info("no telemetry: %s", error)
                return
        self._store.publish("alerts", time.time_ns(), level=level, message=message)

    def close(self) -> None:
        """Write what waits."""
        if self._store is not None:
            self._store.close()
