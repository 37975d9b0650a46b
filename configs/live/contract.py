"""What is traded or followed, as the broker names it: a contract, or a future's front month by a roll table."""

import msgspec

from catalogs.errors import InputError


class WantedContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is traded, as the broker names it.

    Attributes
    ----------
    symbol : str
        ``"MES"`` or ``"SPY"``.
    kind : {"FUT", "STK"}
    exchange : str
        ``"CME"``, ``"SMART"``.
    expiry : str
        ``"YYYYMM"`` or ``"YYYYMMDD"`` of a future, empty for shares.
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
    """The month of a future that the roll table has in front on the day of the session.

    Attributes
    ----------
    root : str
        What is traded, for example ``"MES"``.
    exchange : str
    catalog : str
        Folder of the catalog that holds the roll table.
    table_root : str
        Root of the table where it is another's: ``"ES"`` for ``"MES"``, which rolls with it. Empty for its own.
    """

    root: str
    exchange: str = "CME"
    catalog: str = "catalogs/store"
    table_root: str = ""


class FollowedContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a context stream follows; exactly one of both says it.

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
    """Where the context of a policy comes from.

    Attributes
    ----------
    contracts : dict of str to FollowedContract
        For every stream that is made of bars, by its name.
    catalog : str
        Folder of the catalog that holds daily values, such as VIX.
    """

    contracts: dict[str, FollowedContract] = {}
    catalog: str = "catalogs/store"
