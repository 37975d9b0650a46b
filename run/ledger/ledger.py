"""``rl-intraday ledger show``, ``verify`` and ``merge``."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from catalogs.errors import InputError
from run.console import print_json, print_result, report
from training.validation.ledger.entries import KINDS, Entry
from training.validation.ledger.ledger import ENTRIES, Ledger, check, ledger_beside, read_ledger
from training.validation.ledger.merge import merge

DAMAGED = 1
UNFINISHED = "not finished"
_SHOWN = ("experiment", "bundle", "run", "start", "end", "seed", "resumes", "changed")


def run_show(kind: str | None, last: int | None, runs: Path, as_json: bool) -> None:
    """List what was tried, and count it.

    The options are those of the verb; see `run.ledger.commands.show`.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind must be one of {', '.join(KINDS)}, was {kind!r}")
    ledger = check(_existing(runs))
    tried = [entry for entry in ledger.entries if entry.phase == "begun" and kind in (None, entry.kind)]
    ends = {entry.of: entry for entry in ledger.entries if entry.phase == "finished"}
    counts = Counter(entry.kind for entry in tried if entry.facts.get("resumes") not in ledger.lines)
    shown = tried[-last:] if last else tried
    if as_json:
        rows = [_plain(entry, ends.get(entry.name)) for entry in shown]
        print_json({"ledger": str(ledger_beside(runs)), "counts": dict(counts), "tried": rows})
        return
    print_result(_table(shown, ends))
    print_result(", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing was tried")


def run_verify(runs: Path, as_json: bool) -> int:
    """Check a ledger; 1 if it is damaged.

    The options are those of the verb; see `run.ledger.commands.verify`.
    """
    ledger = read_ledger(_existing(runs))
    if as_json:
        chains = msgspec.to_builtins(ledger.ends)
        print_json({"entries": len(ledger.entries), "problems": ledger.problems, "chains": chains})
    else:
        _print_verified(ledger)
    return DAMAGED if ledger.problems else 0


def run_merge(ledgers: list[Path], runs: Path, as_json: bool) -> None:
    """Take over what was tried on other machines.

    The options are those of the verb; see `run.ledger.commands.merge`.
    """
    taken = merge(ledger_beside(runs), ledgers)
    if as_json:
        print_json({"ledger": str(ledger_beside(runs)), "new": taken})
    else:
        count = sum(taken.values())
        print_result(f"{count} new {'entry' if count == 1 else 'entries'}" if taken else "nothing new")


def _existing(runs: Path) -> Path:
    folder = ledger_beside(runs)
    if not folder.exists():
        raise InputError(f"no ledger of {runs}: {folder} does not exist")
    if folder.is_dir() and not any((folder / name).exists() for name in (ENTRIES, "heads.json")):
        raise InputError(f"{folder} is not a ledger: {ENTRIES} is missing")
    return folder


def _plain(entry: Entry, end: Entry | None) -> dict[str, Any]:
    return {
        "entry": entry.name,
        "time": entry.time,
        "kind": entry.kind,
        "facts": entry.facts,
        "outcome": UNFINISHED if end is None else end.facts.get("outcome", ""),
        "results": None if end is None else end.facts,
    }


def _table(tried: list[Entry], ends: dict[str, Entry]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for heading in ("entry", "time", "kind", "outcome", "what"):
        table.add_column(heading, no_wrap=heading != "what")
    for entry in tried:
        end = ends.get(entry.name)
        outcome = UNFINISHED if end is None else str(end.facts.get("outcome", ""))
        table.add_row(entry.name, entry.time[:16], entry.kind, outcome, _what(entry.facts))
    return table


def _what(facts: dict[str, Any]) -> str:
    told = {name: facts[name] for name in _SHOWN if facts.get(name) not in (None, "", [])}
    return ", ".join(f"{name} {'+'.join(value) if isinstance(value, list) else value}" for name, value in told.items())


def _print_verified(ledger: Ledger) -> None:
    for problem in ledger.problems:
        report(problem, label="damaged:", style="bold red")
    if ledger.cut_off:
        report("the last entry was not written to its end; the next one takes it up", label="note:")
    if not ledger.problems:
        print_result(f"{len(ledger.entries)} entries, none deleted, edited or moved")
    for chain, head in ledger.ends.items():
        print_result(f"{chain}  {head.count} entries  {head.hash}")
