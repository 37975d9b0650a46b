"""Metadata of a live session, in a file beside its journal."""

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec, resolve
from configs import instruments_path

METADATA_FILE = "session.json"


class TradedInstrument(msgspec.Struct, frozen=True):
    """One instrument of a session.

    Attributes
    ----------
    instrument_id, bar_type : str
    tick_size : Decimal or None
        Smallest price step, USD; None for that of the instrument table.
    """

    instrument_id: str
    bar_type: str
    tick_size: Decimal | None = None

    def spec(self, day: date) -> InstrumentSpec:
        """Its specification.

        Raises
        ------
        InputError
            If the instrument table does not know it.
        """
        spec = resolve(self.instrument_id, instruments_path(), day)
        return spec if self.tick_size is None else msgspec.structs.replace(spec, tick_size=self.tick_size)


class SessionMetadata(msgspec.Struct, frozen=True):
    """What a session was made of.

    Attributes
    ----------
    bundle : str
        Bundle folder.
    bundle_id, instrument_id, bar_type : str
    capital_usd : Decimal or None
        None for the capital of the experiment.
    clock : {"wall", "bars"}
        This machine's clock, or that of replayed bars.
    configuration : str
        Preset or absolute path of the live configuration; empty in sessions of before December 2026.
    context : dict of str to str or None
        Bar type of each context stream that the policy read; None for daily values.
    tick_size : Decimal or None
        Smallest price step, USD; None, in sessions of before December 2026, for that of the instrument table.
    account_hash : str
        `hash_of` its account; empty in sessions of before December 2026.
    others : tuple of TradedInstrument
        The other instruments of a session of several, in the policy's order; ``instrument_id`` is the first.
    """

    bundle: str
    bundle_id: str
    instrument_id: str
    bar_type: str
    capital_usd: Decimal | None
    clock: Literal["wall", "bars"]
    configuration: str = ""
    context: dict[str, str | None] = {}
    tick_size: Decimal | None = None
    account_hash: str = ""
    others: tuple[TradedInstrument, ...] = ()

    def require_account(self, account: str) -> None:
        """Check that an account is the session's; one that is not set is taken for it.

        Raises
        ------
        InputError
            If it is another.
        """
        if account and self.account_hash and self.account_hash != hash_of(account):
            raise InputError("the session traded on another account than the configuration's")

    @property
    def traded(self) -> tuple[TradedInstrument, ...]:
        """Traded instruments, in the policy's order."""
        return (TradedInstrument(self.instrument_id, self.bar_type, self.tick_size), *self.others)

    def instruments(self, day: date) -> tuple[InstrumentSpec, ...]:
        """Specifications of the traded instruments.

        Raises
        ------
        InputError
            If the instrument table does not know one.
        """
        return tuple(each.spec(day) for each in self.traded)

    def write(self, folder: Path) -> None:
        """Write the file into a session's folder."""
        (folder / METADATA_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def hash_of(account: str) -> str:
    """What tells accounts apart in a file that does not name them."""
    return hashlib.sha256(f"rl-intraday account {account}".encode()).hexdigest()[:16]


def read_metadata(folder: Path) -> SessionMetadata:
    """Read the file of a session's folder.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        days = sorted(found.parent.name for found in folder.glob(f"*/{METADATA_FILE}"))
        hint = f", such as {folder / days[-1]}" if days else ""
        raise InputError(f"no session in {folder}: name the folder of one day{hint}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=SessionMetadata)
    except msgspec.MsgspecError as error:
        raise InputError(f"session {folder}: {METADATA_FILE} is damaged: {error}") from error
