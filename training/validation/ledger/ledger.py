"""A ledger on disk: the entries, a file with the end of every chain, and a lock.

It shows what was deleted, edited or put in another order, by accident or to look better. It cannot stop someone who
writes all of it anew: for that, keep the hashes of `Ledger.ends` elsewhere.
"""

import hashlib
import os
import platform
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from catalogs.cache import told_if_unwritable, written_aside
from catalogs.errors import InputError
from training.validation.ledger.entries import NOTHING_BEFORE, Entry, Kind, Phase, read_line, sealed_line

ENTRIES, HEADS, LOCK_FILE = "ledger.jsonl", "heads.json", ".lock"
WAIT_S = 60.0


class Head(msgspec.Struct, frozen=True):
    """End of a chain: how many entries it has had, and the hash of the last."""

    count: int = 0
    hash: str = NOTHING_BEFORE


class Heads(msgspec.Struct, frozen=True):
    """Ends of all chains, and which chain each machine writes; machines by the hash of their name."""

    chains: dict[str, Head] = {}
    writers: dict[str, str] = {}


@dataclass
class Ledger:
    """What a ledger holds.

    Attributes
    ----------
    entries : list of Entry
        In the order of the file.
    lines : dict of str to str
        Lines of the entries by name, without end of line.
    heads : Heads
    problems : list of str
        What is wrong with it, one line each; empty if it is whole.
    cut_off : str
        Beginning of an entry whose writing was interrupted; not a problem, the next entry takes it up.
    """

    entries: list[Entry] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    heads: Heads = field(default_factory=Heads)
    problems: list[str] = field(default_factory=list)
    cut_off: str = ""

    @property
    def ends(self) -> dict[str, Head]:
        """Ends of the chains, as the entries have them."""
        return {entry.chain: Head(entry.number, entry.hash) for entry in self.entries}


def ledger_beside(runs: Path) -> Path:
    """Folder of the ledger of a folder of training runs; beside it, so that it outlives the runs.

    >>> ledger_beside(Path("/data/runs")).as_posix()
    '/data/runs-ledger'
    """
    runs = runs.absolute()
    return runs.with_name(f"{runs.name}-ledger") if runs.name else runs / "runs-ledger"


def read_ledger(folder: Path) -> Ledger:
    """Read and check a ledger; a missing one is empty.

    Raises
    ------
    InputError
        If the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"ledger must be a folder; {folder} is a file")
    ledger, before = Ledger(), _read_heads(folder)  # others may write meanwhile: entries are never behind these heads
    ends: dict[str, Head] = {}
    whole, _, ledger.cut_off = _text(folder / ENTRIES).rpartition("\n")
    for number, line in enumerate(whole.split("\n") if whole else [], start=1):
        found = read_line(line)
        if isinstance(found, str):
            ledger.problems.append(f"line {number}: {found}")
        else:
            ledger.problems += _out_of_order(found, ends.get(found.chain, Head()), number)
            ledger.entries.append(found)
            ledger.lines[found.name] = line
            ends[found.chain] = Head(found.number, found.hash)
    after = _read_heads(folder)
    if before is None or after is None:
        ledger.problems.append(f"{HEADS} is no list of heads")
    else:
        ledger.heads = after  # and these heads have the chain of every entry
        ledger.problems += [
            f"chain {chain} is not in {HEADS}: that file was deleted or changed" for chain in ends.keys() - after.chains
        ]
        ledger.problems += _missing_ends(ledger, ends, before)
    return ledger


def check(folder: Path) -> Ledger:
    """A ledger that is whole.

    Raises
    ------
    InputError
        If it is damaged; the line names the first of its problems.
    """
    ledger = read_ledger(folder)
    if ledger.problems:
        more = f" (and {len(ledger.problems) - 1} more)" if len(ledger.problems) > 1 else ""
        raise InputError(
            f"ledger {folder} is damaged: {ledger.problems[0]}{more}; see `rl-intraday ledger verify`, and move the "
            "folder aside to begin another"
        )
    return ledger


def append(
    folder: Path, kind: Kind, facts: Mapping[str, Any], *, phase: Phase = "begun", of: str = "", wait_s: float = WAIT_S
) -> Entry:
    """Write one entry at the end, and return when it is on the disk.

    Parameters
    ----------
    folder : Path
        Created if missing.
    kind, facts, phase, of
        See `Entry`.
    wait_s : float
        Seconds to wait for another writer.

    Raises
    ------
    InputError
        If the ledger is damaged, locked for longer, or cannot be written.
    """
    with writing(folder, wait_s) as ledger:
        return append_locked(folder, ledger, kind, facts, phase=phase, of=of)


@contextmanager
def writing(folder: Path, wait_s: float = WAIT_S) -> Iterator[Ledger]:
    """Hold a ledger's lock; yields what it holds, checked.

    Raises
    ------
    InputError
        As `append`.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"ledger must be a folder; {folder} is a file")
    with told_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE)
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            raise InputError(f"ledger {folder} is locked by another process, waited {wait_s:g} s") from None
        try:
            yield check(folder)
        finally:
            lock.release()


def append_locked(
    folder: Path, ledger: Ledger, kind: Kind, facts: Mapping[str, Any], *, phase: Phase = "begun", of: str = ""
) -> Entry:
    """`append` for who holds the lock; ``ledger`` is what `writing` gave, and has the entry afterwards."""
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:12]
    chain = ledger.heads.writers.get(machine) or uuid.uuid4().hex[:12]
    end = ledger.ends.get(chain, Head())
    if chain not in ledger.heads.chains:  # first, so that no entry is ever without a head
        writers = ledger.heads.writers | {machine: chain}
        write_heads(folder, ledger, Heads(ledger.heads.chains | {chain: end}, writers))
    told = dict(facts) | ({"cut_off": ledger.cut_off} if ledger.cut_off else {})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = sealed_line(chain, end.count + 1, now, kind, phase, of, told, end.hash)
    add_lines(folder, ledger, [line])
    return ledger.entries[-1]


def add_lines(folder: Path, ledger: Ledger, lines: list[str]) -> None:
    """Write checked lines at the end, flushed to the disk, and then the heads; a failed write leaves nothing."""
    path = folder / ENTRIES
    kept = path.stat().st_size - len(ledger.cut_off.encode("utf-8", "surrogateescape")) if path.exists() else 0
    with path.open("ab") as file:
        try:
            file.truncate(kept)
            file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, kept)
            raise
    ledger.cut_off = ""
    for line in lines:
        if isinstance(entry := read_line(line), Entry):
            ledger.entries.append(entry)
            ledger.lines[entry.name] = line
    write_heads(folder, ledger, Heads(ledger.heads.chains | ledger.ends, ledger.heads.writers))


def write_heads(folder: Path, ledger: Ledger, heads: Heads) -> None:
    """Replace the file of the heads."""
    with written_aside(folder / HEADS) as aside, aside.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(heads)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    ledger.heads = heads


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.is_file() else ""


def _out_of_order(entry: Entry, end: Head, line: int) -> list[str]:
    if entry.number != end.count + 1:
        expected = f"entry {end.count + 1} of chain {entry.chain} belongs here"
        return [f"line {line}: {expected}, was entry {entry.number}: entries are missing or in another order"]
    if entry.previous != end.hash:
        return [f"line {line}: entry {entry.name} does not follow the one before it: that one was changed"]
    return []


def _read_heads(folder: Path) -> Heads | None:
    path = folder / HEADS
    try:
        return msgspec.json.decode(path.read_bytes(), type=Heads) if path.is_file() else Heads()
    except msgspec.DecodeError:
        return None


def _missing_ends(ledger: Ledger, ends: Mapping[str, Head], heads: Heads) -> Iterator[str]:
    hashes = {(entry.chain, entry.number): entry.hash for entry in ledger.entries}
    for chain, head in [*heads.chains.items(), *_merged(ledger.entries)]:
        found = ends.get(chain, Head())
        if found.count < head.count:
            yield f"the end of chain {chain} is missing: it had {head.count} entries, has {found.count}"
        elif head.count and hashes.get((chain, head.count)) != head.hash:
            yield f"entry {chain}-{head.count} is not the one that was written"


def _merged(entries: list[Entry]) -> list[tuple[str, Head]]:
    # A merge says how far the chains of the others went: their ends are part of the own chain since.
    told = [entry.facts.get("chains", {}) for entry in entries if entry.kind == "merge"]
    return [(chain, msgspec.convert(head, Head)) for chains in told for chain, head in chains.items()]
