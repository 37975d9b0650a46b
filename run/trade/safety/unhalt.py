"""`rl-intraday unhalt`: clear a halt, with a reason."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import typer

from catalogs.errors import InputError
from rl_strategies.live.journal.journal import Journal
from rl_strategies.risk.monitor import Transition
from rl_strategies.risk.state_file import RiskState
from run.console import print_json, report
from run.trade.session.advice import flatten_command
from run.trade.session.folder import SessionHome, find_home
from run.trade.session.metadata import read_metadata

UNKNOWN_CONFIGURATION = "`rl-intraday flatten` with the configuration of this session"


def run_unhalt(*, session: Path, reason: str, from_here: bool, yes: bool, as_json: bool) -> None:
    """Clear a halt, so that the session trades again at its next start (reason required).

    The options are those of the verb; see `run.trade.commands.unhalt`.
    """
    if not reason.strip():
        raise InputError("--reason must not be empty")
    home = find_home(session)
    with home.locked():
        state = home.risk.read()
        if state.level in ("normal", "reduce_only"):
            report(f"session is not halted (level {state.level}): nothing to do")
        else:
            _show(state, home)
            if not yes:
                typer.confirm("Clear the halt?", abort=True, err=True)
            _unhalt(home, state, reason.strip(), from_here)
    if as_json:
        print_json(msgspec.to_builtins({"before": state, "after": home.risk.read()}))


def _show(state: RiskState, home: SessionHome) -> None:
    since = datetime.fromtimestamp(state.since_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    report(f"level:   {state.level}, since {since if state.since_ns else 'an unknown time'}")
    report(f"reason:  {state.reason}")
    for name in ("session_start_usd", "session_high_usd", "high_usd"):
        value = getattr(state, name)
        report(f"{name}: {'unknown' if value is None else f'{value:,.2f}'}")
    if command := _flatten_with(home):
        report(f"positions may be open, close them first: {command}")


def _flatten_with(home: SessionHome) -> str:
    try:
        folder = home.last_journal().parent
        session = read_metadata(folder)
    except InputError:
        return UNKNOWN_CONFIGURATION
    if session.clock == "bars":
        return ""  # its simulated gateway is gone
    if not session.configuration:
        return UNKNOWN_CONFIGURATION
    return f"`{flatten_command(session.configuration, session=folder)}`"


def _unhalt(home: SessionHome, state: RiskState, reason: str, from_here: bool) -> None:
    change = Transition(time.time_ns(), state.level, "normal", f"a person: {reason}")
    # Into the journal first: where that fails, the session stays halted.
    journal = Journal(home.last_journal())
    journal.append("state", change.ts_ns, text=change.to_json())
    journal.close()
    kept = RiskState() if from_here else state
    home.risk.write(msgspec.structs.replace(kept, level="normal", since_ns=change.ts_ns, reason=change.reason))
    report("halt cleared: the session trades again at its next start")
