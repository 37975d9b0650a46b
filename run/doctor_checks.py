"""What the doctor looks at on this machine: bundle, disk, stores, calendar."""

import shutil
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from adapters.ibkr.preflight import Finding
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from rl_strategies.bundle import load_bundle
from run.telemetry_store import hidden_password, open_store

GIGABYTE = 1e9
DISK_WARN_GB, DISK_FAIL_GB = 5.0, 1.0
REDIS_PORT = 6379
NS = 1_000_000_000


def check_bundle(path: Path) -> Finding:
    """Whether the bundle would be loaded for trading."""
    try:
        bundle = load_bundle(path)
    except InputError as error:
        return Finding("bundle", "fail", str(error), "train again, or name the bundle's own directory")
    if bundle.warnings:
        return Finding("bundle", "warn", f"{bundle.id}: {'; '.join(bundle.warnings)}", "compare a backtest first")
    return Finding("bundle", "ok", bundle.id)


def check_disk(folder: Path) -> Finding:
    """Whether the journal has room."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    found = f"{free:.1f} GB free at {folder}"
    fix = "free disk space: a session that cannot journal stops"
    if free < DISK_FAIL_GB:
        return Finding("disk", "fail", found, fix)
    return Finding("disk", "warn", found, fix) if free < DISK_WARN_GB else Finding("disk", "ok", found)


def check_telemetry(url: str) -> Finding:
    """Whether the telemetry store can be written."""
    shown = hidden_password(url)
    try:
        open_store(url).dispose()
    except (SQLAlchemyError, OSError, InputError) as error:
        reason = str(error).splitlines()[0]
        fix = "start the database or correct its address; trading goes on without telemetry"
        return Finding("telemetry", "warn", f"{shown}: {reason}", fix)
    return Finding("telemetry", "ok", shown)


def check_redis(url: str) -> Finding:
    """Whether Redis answers a PING."""
    if not url:
        return Finding("redis", "ok", "not configured; node state is rebuilt from broker and journal")
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "localhost", parts.port or REDIS_PORT), timeout=3) as link:
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
    except OSError as error:
        return Finding("redis", "fail", f"{parts.hostname}: {error}", "start Redis or unset its variable")
    if answer.startswith((b"+PONG", b"-NOAUTH")):
        return Finding("redis", "ok", f"{parts.hostname} answers")
    return Finding("redis", "fail", f"{parts.hostname} answers {answer[:20]!r}", "check that the address is Redis'")


def check_calendar(name: str, now_ns: int | None = None) -> Finding:
    """Whether a session is open or near, and how long it lasts."""
    calendar = session_calendar(name)
    now_ns = time.time_ns() if now_ns is None else now_ns
    index = int(np.searchsorted(calendar.close_ns, now_ns, side="right"))
    if index == len(calendar):
        return Finding(
            "calendar", "fail", f"{name} ends {calendar.session_date[-1]}", "upgrade pandas_market_calendars"
        )
    day = calendar.session_date[index]
    opens_in_h = (int(calendar.open_ns[index]) - now_ns) / NS / 3600
    closes_in_h = (int(calendar.close_ns[index]) - now_ns) / NS / 3600
    if opens_in_h > 0:
        found = f"{name} is closed; the session of {day} opens in {opens_in_h:.1f} h"
        return Finding("calendar", "warn", found, "nothing: the session starts by itself when the market opens")
    return Finding("calendar", "ok", f"{name}: session of {day}, {closes_in_h:.1f} h to its close")
