"""Entries of the ledger: one line each, holding the hash of the line before it."""

import hashlib
import json
import math
from typing import Any, Literal, get_args

import msgspec

from catalogs.errors import InputError

Kind = Literal[
    "training", "trial", "fold", "seed", "screen", "evaluation", "backtest", "change", "merge"
]  # what is recorded
Phase = Literal["begun", "finished"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NOTHING_BEFORE = "0" * 64
_SEAL = ',"hash":"'


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a ledger.

    Attributes
    ----------
    chain : str
        Entries of one chain follow each other; every machine that writes has a chain of its own.
    number : int
        Place in its chain, from 1.
    time : str
        UTC, ISO 8601.
    kind : {"training", "trial", "fold", "seed", "screen", "evaluation", "backtest", "change", "merge"}
    phase : {"begun", "finished"}
        What takes long has two entries, so that what was stopped or killed counts, too.
    of : str
        Of a ``finished`` entry the `name` of the one that it finishes.
    facts : dict
        What was tried, or what came of it.
    previous : str
        Hash of the entry before it in its chain, zeros for the first.
    hash : str
        SHA-256 of the line up to here.
    """

    chain: str
    number: int
    time: str
    kind: Kind
    phase: Phase
    of: str
    facts: dict[str, Any]
    previous: str
    hash: str

    @property
    def name(self) -> str:
        """Chain and number, for example ``"3f9a01c25b7e-12"``."""
        return f"{self.chain}-{self.number}"


def sealed_line(
    chain: str, number: int, time: str, kind: Kind, phase: Phase, of: str, facts: dict[str, Any], previous: str
) -> str:
    """Line of an entry, without its end of line; numbers that are not finite become null.

    Raises
    ------
    InputError
        If a fact is neither text, number, truth value, list nor mapping.
    """
    content = {
        "chain": chain, "number": number, "time": time, "kind": kind, "phase": phase, "of": of,
        "facts": _plain(facts), "previous": previous,
    }  # fmt: skip
    try:
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise InputError(f"facts of a ledger entry must be plain data: {error}") from error
    return _sealed(body[:-1])


def read_line(line: str) -> Entry | str:
    """Entry of a line, or what is wrong with it.

    Examples
    --------
    >>> line = sealed_line("c", 1, "2026-01-02T00:00:00+00:00", "training", "begun", "", {"seed": 1}, NOTHING_BEFORE)
    >>> read_line(line).facts
    {'seed': 1}
    >>> read_line(line.replace('"seed":1', '"seed":2'))
    'its content was changed'
    """
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "it is no entry"
    body = line.rpartition(_SEAL)[0]
    return entry if line == _sealed(body) else "its content was changed"


def _sealed(body: str) -> str:
    digest = hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
    return f'{body}{_SEAL}{digest}"}}'


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):  # bytes that are no text, of a file's name or half a letter, have no place in JSON
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
