"""Several machines' ledgers in one: their chains are taken over unchanged, and the own chain says how far they went."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from training.validation.ledger.entries import Entry
from training.validation.ledger.ledger import (
    ENTRIES,
    Head,
    Heads,
    Ledger,
    add_lines,
    append_locked,
    check,
    write_heads,
    writing,
)


def merge(folder: Path, sources: Sequence[Path]) -> dict[str, int]:
    """Take the entries of other ledgers into one; those that it has already are left out.

    Parameters
    ----------
    folder : Path
        Ledger that grows; created if missing.
    sources : sequence of Path
        Ledgers that are only read.

    Returns
    -------
    dict of str to int
        Number of new entries by chain; empty if there was nothing new, and then nothing is written.

    Raises
    ------
    InputError
        If a source has no entries, one of the ledgers is damaged or cannot be written, or a chain goes on differently
        in two of them; nothing is written then.
    """
    others = [_source(source, folder) for source in sources]
    with writing(folder) as ledger:
        known = _chains(ledger.entries)
        new: dict[str, list[Entry]] = {}
        lines: dict[str, str] = {}
        for source, other in zip(sources, others, strict=True):
            lines |= other.lines
            for chain, entries in _chains(other.entries).items():
                had = known[chain] + new.get(chain, [])
                new.setdefault(chain, []).extend(_continuation(had, entries, chain, source))
        new = {chain: entries for chain, entries in new.items() if entries}
        if new:
            _take(folder, ledger, new, lines)
    return {chain: len(entries) for chain, entries in new.items()}


def _source(source: Path, folder: Path) -> Ledger:
    if source.resolve() == folder.resolve():
        raise InputError(f"a ledger must be merged into another one, {source} is the same")
    if not (source / ENTRIES).is_file():
        raise InputError(f"{source} is not a ledger: {ENTRIES} is missing")
    return check(source)


def _chains(entries: list[Entry]) -> defaultdict[str, list[Entry]]:
    chains: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        chains[entry.chain].append(entry)
    return chains


def _continuation(had: list[Entry], entries: list[Entry], chain: str, source: Path) -> list[Entry]:
    for mine, theirs in zip(had, entries, strict=False):
        if mine.hash != theirs.hash:
            raise InputError(
                f"chain {chain} goes on differently in {source} from entry {theirs.number} on: a ledger was copied "
                "and both copies were written, or one was changed"
            )
    return entries[len(had) :]


def _take(folder: Path, ledger: Ledger, new: dict[str, list[Entry]], lines: dict[str, str]) -> None:
    begun = {chain: Head() for chain in new if chain not in ledger.heads.chains}
    if begun:  # first, so that no entry is ever without a head
        write_heads(folder, ledger, Heads(ledger.heads.chains | begun, ledger.heads.writers))
    cut_off = {"cut_off": ledger.cut_off} if ledger.cut_off else {}
    add_lines(folder, ledger, [lines[entry.name] for entries in new.values() for entry in entries])
    sealed = {chain: msgspec.to_builtins(ledger.ends[chain]) for chain in new}
    facts = {"chains": sealed, "entries": sum(map(len, new.values()))} | cut_off
    append_locked(folder, ledger, "merge", facts, phase="finished")
