"""What a command has stored so far: listed where an error or Ctrl-C stops it between two instruments."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adapters.errors import SourceError
from catalogs.errors import InputError
from run.console import report

GOES_ON = "the same command goes on from there"


class Stored:
    """Names and numbers of what was stored, in order."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, record: dict[str, Any]) -> dict[str, Any]:
        """Note an import record, which is returned."""
        name = record.get("bar_type") or f"{record['kind']} of {record['instrument_id']}"
        if new := record.get("new_rows", record["rows"]):
            self.note(name, new)
        return record

    def note(self, name: str, count: int = 0) -> None:
        """Note something stored under a name, with its number of new rows where it has some."""
        self._counts[name] = self._counts.get(name, 0) + count

    @property
    def listed(self) -> str:
        """Everything in one line; empty for nothing."""
        return ", ".join(f"{name} ({count:,} new)" if count else name for name, count in self._counts.items())


@contextmanager
def listing_stored() -> Iterator[Stored]:
    """Collect what a command stores; if it stops before its end, list that and say how to go on.

    Raises
    ------
    InputError, SourceError
        As raised inside, with the list at the end of the line.
    """
    stored = Stored()
    try:
        yield stored
    except (InputError, SourceError) as error:
        if not stored.listed:
            raise
        raise type(error)(f"{error}; stored before: {stored.listed}: {GOES_ON}") from error
    except KeyboardInterrupt:
        report(f"stored before: {stored.listed}: {GOES_ON}" if stored.listed else f"nothing was stored: {GOES_ON}")
        raise
