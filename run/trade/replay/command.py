"""`rl-intraday replay`: replay a live session; list differing decisions by cause."""

from pathlib import Path
from typing import Any, get_args

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from catalogs.hygiene.report import iso_utc
from rl_strategies.live.journal.rebuild import Cause, Divergence
from run.console import print_json, report
from run.trade.replay.session import Replay, replay_session

CAUSES: tuple[Cause, ...] = get_args(Cause)
SHOWN = 100  # divergences of one cause in --json; the first ones say why, the rest is how many


def run_replay(*, session: Path, catalog: Path | None, bundle: Path | None, as_json: bool) -> None:
    """Replay a live session; list differing decisions by cause.

    The options are those of the verb; see `run.trade.commands.replay`.
    """
    replay = replay_session(session, catalog, bundle)
    if as_json:
        print_json(describe(replay))
    else:
        _show(replay)
    if not replay.is_equal:
        raise typer.Exit(1)


def describe(replay: Replay) -> dict[str, Any]:
    """Plain data for ``--json``."""
    found = {cause: [each for each in replay.divergences if each.cause == cause] for cause in CAUSES}
    torn = replay.torn
    return {
        "bundle_id": replay.metadata.bundle_id,
        "instrument_id": replay.metadata.instrument_id,
        "instrument_ids": [each.instrument_id for each in replay.metadata.traded],
        "bars": sum(len(session.bars) for session in replay.sessions),
        "decisions": len(replay.session.decisions),
        "fills": sum(len(session.fills) for session in replay.sessions),
        "other_actions": replay.other_actions,
        "equal_observations": replay.equal_observations,
        "torn": None if torn is None else {"segment": torn.segment, "bytes_lost": torn.bytes_lost},
        "is_equal": replay.is_equal,
        "bars_compared": replay.bars_compared,
        "causes": {
            cause: {
                "divergences": len(each),
                "decisions": replay.decisions.get(cause, 0),
                "first": [_plain(divergence) for divergence in each[:SHOWN]],
            }
            for cause, each in found.items()
        },
    }


def _plain(divergence: Divergence) -> dict[str, Any]:
    return {
        "row": divergence.seq,
        "time": iso_utc(divergence.ts_ns),
        "instrument_id": divergence.instrument_id,
        "what": divergence.what,
        "session": divergence.written,
        "replay": divergence.made,
    }


def _show(replay: Replay) -> None:
    if replay.torn is not None:
        report(
            f"in {replay.torn.segment}, {replay.torn.bytes_lost} bytes lost; replayed up to there",
            label="journal damaged",
            style="yellow",
        )
    table = Table(box=SIMPLE_HEAD)
    for heading in ("cause", "divergences", "decisions", "first"):
        table.add_column(heading, justify="right" if heading in ("divergences", "decisions") else "left")
    for cause in CAUSES:
        table.add_row(*_cells(replay, cause))
    report(table)
    report(verdict(replay), style="green" if replay.is_equal else "bold red")


def _cells(replay: Replay, cause: Cause) -> list[str]:
    if cause == "data" and not replay.bars_compared and not replay.decisions.get(cause):
        return [cause, "-", "-", "not compared: no --catalog"]
    found = [each for each in replay.divergences if each.cause == cause]
    counts = [cause, str(len(found)), str(replay.decisions.get(cause, 0))]
    if not found:
        return counts
    first = found[0]
    several = len(replay.sessions) > 1 and first.instrument_id not in first.what
    name = f"{first.instrument_id} " if several else ""
    return [*counts, f"{iso_utc(first.ts_ns)} {name}{first.what}: {first.written}, replay {first.made}"]


def verdict(replay: Replay) -> str:
    """One line: whether all decisions are equal, and if not, why."""
    total, fills = len(replay.session.decisions), sum(len(session.fills) for session in replay.sessions)
    if not replay.divergences:
        return f"equal: all {total} decisions and {fills} fills"
    counts = {cause: sum(each.cause == cause for each in replay.divergences) for cause in CAUSES}
    if replay.is_equal:
        said = ", ".join(f"{count} of {cause}" for cause, count in counts.items() if count)
        return f"equal decisions: all {total}; other divergences: {said}"
    changed = {cause: replay.decisions[cause] for cause in CAUSES if replay.decisions.get(cause)}
    said = ", ".join(f"{count} by {cause}" for cause, count in changed.items())
    return (
        f"different: {sum(changed.values())} of {total} decisions, {replay.other_actions} of them in action; "
        f"first cause: {said}"
    )
