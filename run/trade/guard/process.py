"""A session's side of its guard: the heartbeat, and the guard's process, started beside it and again if it ends."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from run.console import report
from run.trade.guard.watched import HEARTBEAT_FILE
from run.trade.monitoring.heartbeat import BeatState, Heartbeat
from run.trade.session.plan import SessionPlan

TAKES_OVER_S = 30.0  # so long a guard waits for that of the session before a restart
FINISHES_S = 10.0
STARTS, AGAIN_S = 5, 5.0
REFUSED = 2  # bad input, or another guard watches


class GuardProcess:
    """The guard of one session.

    Parameters
    ----------
    plan : SessionPlan
        Its guard settings are there.
    """

    def __init__(self, plan: SessionPlan) -> None:
        self._plan = plan
        self._starts = 0
        self._next_s = float("-inf")
        self._process: subprocess.Popen[bytes] | None = None
        self.keep()

    def keep(self) -> None:
        """Start it, and again if it has ended by itself, a few times."""
        if self._process is not None:
            code = self._process.poll()
            if code is None or code == REFUSED or self._starts >= STARTS:
                return
        if time.monotonic() < self._next_s:
            return
        if self._process is not None:
            report("the guard has ended; starting it again", label="guard:", style="bold yellow")
        self._starts += 1
        self._next_s = time.monotonic() + AGAIN_S
        self._start()

    def _start(self) -> None:
        plan = self._plan
        command = [sys.executable, "-m", "run.cli", "guard", str(plan.folder), "--config", plan.configuration]
        environment = dict(os.environ)
        if plan.config.account() != plan.account:
            environment[plan.config.account_variable] = plan.account  # never on the command line, where all see it
        try:
            # A session of its own: Ctrl-C and the end of the terminal do not reach it.
            self._process = subprocess.Popen(
                [*command, "--wait", str(TAKES_OVER_S)], env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            report(f"not started: {error}", label="guard:", style="bold red")

    def dismiss(self) -> None:
        """End it: the session has not begun, and nothing of it is at the broker."""
        self._starts = STARTS
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def finish(self, is_replayed: bool) -> None:
        """Wait for its last look at the broker; one that then stays has something to watch."""
        if self._process is None:
            return
        try:
            self._process.wait(FINISHES_S)
        except subprocess.TimeoutExpired:
            if is_replayed:  # its gateway ends with this process
                self._process.terminate()
                self._process.wait()


class Guarded:
    """Heartbeat and guard of a session that runs.

    Parameters
    ----------
    plan : SessionPlan
        Without guard settings there is a heartbeat alone, for a guard that a person starts.

    Attributes
    ----------
    units : int
        Own position, the sum of absolute units.
    """

    def __init__(self, plan: SessionPlan) -> None:
        self._plan = plan
        config = plan.config
        path = plan.folder / HEARTBEAT_FILE
        self._heart = Heartbeat(path, config.host, config.port, config.trading_client_id)
        self.units = 0
        self._guard = GuardProcess(plan) if config.guard is not None else None

    def tick(self, state: BeatState, units: int, clock_drift_s: float | None = None) -> None:
        """Called once a second by the session's loop."""
        self.units = units
        self._heart.beat(state, units, clock_drift_s)
        if self._guard is not None:
            self._guard.keep()

    def dismiss(self) -> None:
        """The session cannot begin: what it was given is wrong."""
        if self._guard is not None:
            self._guard.dismiss()

    def end(self) -> None:
        """The session has ended, however."""
        self._heart.close(self.units)
        if self._guard is not None and not self.units:
            self._guard.finish(self._plan.config.timeouts.clock == "bars")


@contextmanager
def guarded(plan: SessionPlan) -> Iterator[Guarded]:
    """Heartbeat and guard of a session for the length of a ``with`` block."""
    session = Guarded(plan)
    try:
        yield session
    finally:
        session.end()
