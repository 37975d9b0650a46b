"""The doctor's checks of this machine: bundle, disk, stores, calendar."""

import shutil
import socket
import time
from datetime import date
from pathlib import Path

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from adapters.ibkr.preflight import Finding
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from configs.live.contract import WantedContract
from configs.live.schema import LiveConfig
from configs.live.supervision import RedisConfig
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.trade.monitoring.telemetry_store import hidden_password, open_store
from run.trade.session.contract import contract_spec, last_trade, sessions_left, why_expiring
from run.trade.session.plan import traded_specs

GIGABYTE = 1e9
DISK_WARN_GB, DISK_FAIL_GB = 5.0, 1.0
NS = 1_000_000_000


def check_bundle(path: Path) -> Finding:
    """Whether the bundle can be loaded for trading."""
    try:
        bundle = load_bundle(path)
    except InputError as error:
        return Finding("bundle", "fail", str(error), "train again, or name the bundle's own folder")
    if bundle.abstention:
        return Finding("bundle", "warn", f"{bundle.id}: {bundle.abstention}", "train a policy that finds an edge first")
    if bundle.warnings:
        return Finding("bundle", "warn", f"{bundle.id}: {'; '.join(bundle.warnings)}", "compare a backtest first")
    return Finding("bundle", "ok", bundle.id)


def check_match(bundle: Bundle, config: LiveConfig, day: date) -> Finding:
    """Whether the configuration trades what the policy was trained on."""
    try:
        specs = traded_specs(bundle, config, day)
    except InputError as error:
        return Finding(
            "match", "fail", str(error), f"rl-intraday init live {bundle.path} writes a configuration for it"
        )
    return Finding("match", "ok", f"{', '.join(each.instrument_id for each in specs)}, as {bundle.id} was trained on")


def check_disk(folder: Path) -> Finding:
    """Whether the journal has room."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    found = f"{free:.1f} GB free at {folder}"
    fix = "free disk space: a session that cannot write its journal stops"
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
        fix = "start the database or correct its address; trading works without telemetry"
        return Finding("telemetry", "warn", f"{shown}: {reason}", fix)
    return Finding("telemetry", "ok", shown)


def check_redis(redis: RedisConfig | None) -> Finding:
    """Whether Redis answers a PING, and takes the password where one is set."""
    if redis is None:
        return Finding("redis", "ok", "not configured; state is rebuilt from broker and journal")
    password, where = redis.password(), f"{redis.host}:{redis.port}"
    login = _redis_command("AUTH", *filter(None, [redis.username()]), password) if password else b""
    try:
        with socket.create_connection((redis.host, redis.port), timeout=3) as link:
            link.sendall(login + _redis_command("PING"))
            answer = link.recv(256)
    except OSError as error:
        return Finding("redis", "fail", f"{where}: {error}", "start Redis, or leave `redis` out of the configuration")
    if answer.startswith(b"-"):
        said = answer.split(b"\r\n")[0].decode(errors="replace")
        return Finding("redis", "fail", f"{where}: {said}", "check the user and password variables of `redis`")
    if answer.startswith((b"+PONG", b"+OK")):
        return Finding("redis", "ok", f"{where} answers")
    return Finding("redis", "fail", f"{where} answers {answer[:20]!r}", "check the address: this is not Redis")


def _redis_command(*words: str) -> bytes:
    parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def check_expiry(contract: WantedContract, day: date, now_ns: int, sessions_before_expiry: int) -> list[Finding]:
    """Whether a contract month has enough sessions left; nothing for a contract that never expires."""
    try:
        spec = contract_spec(contract, day)
    except InputError as error:
        return [Finding("expiry", "fail", str(error), "correct `contract` in the live configuration")]
    if not spec.expiration_ns:
        return []
    if problem := why_expiring(spec, now_ns, sessions_before_expiry):
        return [Finding("expiry", "fail", problem, "name the next contract month, or use front_month")]
    left = sessions_left(spec, now_ns) - 1
    return [Finding("expiry", "ok", f"{spec.symbol}: last trade {last_trade(spec)}, {left} sessions after this one")]


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
        return Finding("calendar", "warn", found, "nothing to do: the session waits for the market to open")
    return Finding("calendar", "ok", f"{name}: session of {day}, {closes_in_h:.1f} h to its close")
