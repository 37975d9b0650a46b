"""`rl-intraday guard`: watch one session from outside, and close its own position where it no longer can."""

import os
from pathlib import Path

import typer
from filelock import FileLock, Timeout

from catalogs.errors import InputError
from run.console import report
from run.trade.guard.alerts import Alerts
from run.trade.guard.loop import ENDED, Guard
from run.trade.guard.watched import LOCK_FILE, LOG_FILE, STATE_FILE, watched_session
from run.trade.monitoring.log import logging_to

TELEMETRY_FILE = "telemetry.db"


def run_guard(session: Path, configuration: str, wait_s: float) -> None:
    """Watch a session.

    The options are those of the verb; see `run.trade.commands.guard`.
    """
    os.umask(0o077)
    watched = watched_session(session, configuration)
    lock = FileLock(watched.folder / LOCK_FILE)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise InputError(f"session {watched.folder} already has a guard") from error
    config = watched.config
    url = config.telemetry_url() or f"sqlite:///{watched.folder / TELEMETRY_FILE}"
    try:
        with logging_to(watched.folder / LOG_FILE, config.secrets()):
            report(f"watching session {watched.folder}", label="guard:")
            code = Guard(watched, Alerts(watched.folder / STATE_FILE, url, watched.folder.resolve().name)).run()
    finally:
        lock.release()
    if code == ENDED:
        report("the session is over, nothing of it is left at the broker", label="guard:")
    if code:
        raise typer.Exit(code)
