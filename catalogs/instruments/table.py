"""The instrument table: terms of every future by root and one rule for US shares, read from YAML."""

from decimal import Decimal
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from catalogs.sessions import CalendarName


class FutureTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms that all contract months of one future share; amounts in USD per contract.

    ``months`` holds the codes of the listed contract months, for example ``"HMUZ"``.
    """

    name: str
    venue: str
    calendar: CalendarName
    months: str
    tick_size: Decimal
    multiplier: int
    commission_per_unit: Decimal
    margin_initial: Decimal
    margin_maintenance: Decimal


class EquityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms of every US share and fund; commission in USD per share and side, the minimum per order."""

    venue: str
    calendar: CalendarName
    tick_size: Decimal
    commission_per_unit: Decimal
    commission_minimum: Decimal


class InstrumentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be traded: futures by root, and US shares."""

    futures: dict[str, FutureTerms]
    equities: EquityTerms

    @property
    def venues(self) -> list[str]:
        """Names of all venues in the table, sorted."""
        return sorted({terms.venue for terms in self.futures.values()} | {self.equities.venue})


def load_table(path: Path) -> InstrumentTable:
    """Read an instrument table.

    Parameters
    ----------
    path : Path
        YAML file with the keys ``futures`` and ``equities``; the project's own is
        ``configs.instruments_path()``.

    Returns
    -------
    InstrumentTable

    Raises
    ------
    InputError
        If the file is missing, is not YAML, or holds an unknown, missing or ill-typed key.
    """
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=InstrumentTable)
    except FileNotFoundError:
        raise InputError(f"instrument table not found: {path}") from None
    except msgspec.DecodeError as error:
        raise InputError(f"invalid instrument table {path}: {' '.join(str(error).split())}") from error
