"""The one point at which commands write to the selection ledger: before their work, and after it what came of it."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from catalogs.errors import InputError
from rl_strategies.bundle.bundle import Bundle
from run.console import report
from run.options import DEFAULT_RUNS
from training.validation.ledger.entries import Entry, Kind
from training.validation.ledger.ledger import append, check, ledger_beside, read_ledger


@dataclass(frozen=True)
class Recording:
    """Something being tried.

    Attributes
    ----------
    entry : str
        Name of its entry in the ledger.
    results : dict
        What came of it.
    """

    entry: str
    results: dict[str, Any] = field(default_factory=dict)


def check_recordable(ledger: Path) -> None:
    """Refuse a ledger that could not take an entry, before long work and without writing anything.

    Raises
    ------
    InputError
        If it is damaged, or its folder cannot be written.
    """
    check(ledger)
    there = next(folder for folder in (ledger, *ledger.parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"cannot write the ledger {ledger}: {there} is not a folder that can be written")


@contextmanager
def recorded(ledger: Path, kind: Kind, facts: Mapping[str, Any]) -> Iterator[Recording]:
    """Record something that is tried: that it begins, and how it ended.

    Parameters
    ----------
    ledger : Path
        Folder of the ledger: `ledger_beside` or `ledger_of_bundle`.
    kind : str
    facts : mapping
        What is tried; plain data.

    Yields
    ------
    Recording
        Its ``results`` are to be filled with what came of it. The entry at the end has them, and the outcome:
        ``completed``, ``failed`` or ``interrupted``. An entry that never ends was killed.

    Raises
    ------
    InputError
        If the ledger is damaged or cannot be written when the work is to begin. At the end this is a warning: a result
        is not lost for it.
    """
    begun = append(ledger, kind, facts)
    recording, outcome = Recording(begun.name), "failed"
    try:
        yield recording
        outcome = "completed"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except InputError as error:
        recording.results["reason"] = str(error)
        raise
    finally:
        _finish(ledger, kind, begun, recording.results | {"outcome": outcome})


def ledger_of_bundle(bundle: Path) -> Path:
    """Ledger of a bundle: beside the runs that its run is among, else beside ``runs`` in the current folder.

    Examples
    --------
    >>> ledger_of_bundle(Path("/data/runs/mine/bundle/spy-0a")).as_posix()
    '/data/runs-ledger'
    """
    bundle = bundle.resolve()
    is_in_run = bundle.parent.name == "bundle" and len(bundle.parents) > 2
    return ledger_beside(bundle.parents[2] if is_in_run else DEFAULT_RUNS)


def tested_facts(bundle: Bundle, start: date, end: date, seed: int) -> dict[str, Any]:
    """Facts that evaluations and backtests have in common."""
    return {
        "bundle": bundle.id,
        "experiment": str(bundle.experiment.get("name", "")),
        "start": start.isoformat(),
        "end": end.isoformat(),
        "seed": seed,
    }


def fingerprint(content: Any) -> str:
    """Short hash of settings, by which changed ones are told from equal ones."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


def changed_since(ledger: Path, kind: Kind, name: str, prints: Mapping[str, str]) -> list[str]:
    """Which fingerprints differ from those of the last entry of this kind and experiment; empty for the first one.

    Parameters
    ----------
    ledger : Path
    kind : str
    name : str
        Of the experiment.
    prints : mapping of str to str
        Fingerprints by what they are of, as the entries have them in ``prints``.
    """
    earlier = [entry for entry in read_ledger(ledger).entries if _is_of(entry, kind, name)]
    before = earlier[-1].facts.get("prints", {}) if earlier else prints
    return [part for part, value in prints.items() if before.get(part) != value]


def _is_of(entry: Entry, kind: Kind, name: str) -> bool:
    return entry.kind == kind and entry.phase == "begun" and entry.facts.get("experiment") == name


def _finish(ledger: Path, kind: Kind, begun: Entry, results: dict[str, Any]) -> None:
    try:
        append(ledger, kind, results, phase="finished", of=begun.name)
    except (InputError, OSError) as error:  # a result is not lost for it
        report(f"the end of {begun.name} is not in the ledger: {error}", label="warning:", style="yellow")
