"""Contracts to trade or follow, as the broker names them: fixed, or the front month of a future."""

from typing import Literal

import msgspec

from catalogs.errors import InputError


class WantedContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract, as the broker names it.

    Attributes
    ----------
    symbol : str
        ``"MES"`` or ``"SPY"``.
    kind : {"FUT", "STK"}
    exchange : str
        ``"CME"``, ``"SMART"``.
    expiry : str
        Of a future: ``"YYYYMM"``, the month that the contract is named by, or ``"YYYYMMDD"``, the day of its last
        trade; empty for shares.
    """

    symbol: str
    kind: str
    exchange: str
    expiry: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("FUT", "STK"):
            raise InputError(f"contract.kind must be FUT or STK, was {self.kind!r}")
        if (self.kind == "FUT") != bool(self.expiry):
            raise InputError(
                f"contract.expiry is required for FUT and not allowed for STK, was {self.expiry!r} for {self.kind}"
            )
        if self.expiry and not (self.expiry.isdigit() and len(self.expiry) in (6, 8)):
            raise InputError(f"contract.expiry must be YYYYMM or YYYYMMDD, was {self.expiry!r}")


class FrontMonthContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A future's front month on the day of the session.

    Attributes
    ----------
    root : str
        Root of the future, for example ``"MES"``.
    exchange : str
        As Interactive Brokers names it: ``"CME"``, ``"CBOT"``, ``"NYMEX"``, ``"COMEX"``.
    roll : {"table", "calendar"}
        By the catalog's roll table, or by calendar: the next month from the Monday of the week on in which one ends.
    catalog : str
        Folder of the catalog that holds the roll table.
    table_root : str
        Root whose roll table decides, if another: ``"ES"`` for ``"MES"``, which rolls with it.
    """

    root: str
    exchange: str = "CME"
    roll: Literal["table", "calendar"] = "table"
    catalog: str = "catalogs/store"
    table_root: str = ""


class ContractChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contract of a context stream, or of one of several traded instruments; give one of the two.

    Attributes
    ----------
    contract : WantedContract or None
    front_month : FrontMonthContract or None
    """

    contract: WantedContract | None = None
    front_month: FrontMonthContract | None = None

    def __post_init__(self) -> None:
        if (self.contract is None) == (self.front_month is None):
            raise InputError(f"give either contract or front_month, was {'both' if self.contract else 'neither'}")


class ContextConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sources of a policy's context.

    Attributes
    ----------
    contracts : dict of str to ContractChoice
        Contract of every stream of bars, by the stream's name.
    catalog : str
        Folder of the catalog that holds daily values, such as VIX.
    """

    contracts: dict[str, ContractChoice] = {}
    catalog: str = "catalogs/store"
