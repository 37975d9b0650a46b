"""The instrument table: terms of every future by root and one rule for US shares, read from YAML."""

from datetime import time
from decimal import Decimal
from pathlib import Path

import msgspec

from catalogs.errors import InputError
from catalogs.instruments.contract_months import CloseOut, ExpiryRule
from catalogs.sessions import CalendarName


class FutureTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms that all contract months of one future share; amounts in USD per contract.

    Attributes
    ----------
    name, venue, calendar : str
    months : str
        Codes of the contract months that are traded actively, for example ``"HMUZ"``.
    tick_size : Decimal
    multiplier : int or Decimal
        USD per point of price.
    commission_per_unit : Decimal
        Broker, exchange and regulator, per side.
    expiry : ExpiryRule
        Day of the last trade.
    expiry_time : datetime.time
        Its moment on that day, Central time.
    close_out : CloseOut or None
        From when a broker lets nobody hold it; None for what is settled in cash.
    margin_initial, margin_maintenance : Decimal
        0 where not known; the simulated gateway then asks for none.
    sources : list of str
        Pages that these terms are from.
    """

    name: str
    venue: str
    calendar: CalendarName
    months: str
    tick_size: Decimal
    multiplier: int | Decimal
    commission_per_unit: Decimal
    expiry: ExpiryRule
    expiry_time: time
    sources: list[str]
    close_out: CloseOut | None = None
    margin_initial: Decimal = Decimal(0)
    margin_maintenance: Decimal = Decimal(0)


class EquityTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms of every US share and fund; commission in USD per share and side, the minimum per order."""

    venue: str
    calendar: CalendarName
    tick_size: Decimal
    commission_per_unit: Decimal
    commission_minimum: Decimal


class InstrumentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be traded: futures by root, and US shares.

    ``unlisted_futures`` are roots of futures that the table does not hold, which must not be taken for shares.
    """

    futures: dict[str, FutureTerms]
    equities: EquityTerms
    unlisted_futures: tuple[str, ...] = ()

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
