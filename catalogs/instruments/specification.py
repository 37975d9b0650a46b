"""Instrument specifications: resolved from a name, turned into NautilusTrader instruments."""

import re
from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.enums import AssetClass
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Equity, FuturesContract
from nautilus_trader.model.objects import Price, Quantity

from catalogs.errors import InputError
from catalogs.instruments.contract_months import MONTH_CODES, close_out_ns, contract_year, expiration_ns
from catalogs.instruments.identifiers import symbol_of, venue_of
from catalogs.instruments.table import EquityTerms, FutureTerms, InstrumentTable, load_table
from catalogs.sessions import CalendarName, SessionCalendar, session_calendar

# A continuous series never expires; NautilusTrader wants a date all the same: 2200-01-01.
NO_EXPIRATION_NS = 7_258_118_400_000_000_000

_CONTRACT = re.compile(rf"[A-Z0-9]{{1,3}}[{MONTH_CODES}]\d")
_TICKER = re.compile(r"[A-Z]{1,5}(\.[A-Z])?")
_ASSET_CLASSES = {
    "CME Globex Equity": AssetClass.INDEX,
    "CME Globex Interest Rate Products": AssetClass.DEBT,
    "CMEGlobex_EnergyAndMetals": AssetClass.COMMODITY,
}


class InstrumentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contract terms that determine orders, fees and sessions.

    Attributes
    ----------
    instrument_id : str
        Symbol and venue, for example ``"ESU5.XCME"`` or ``"SPY.EQUS"``.
    kind : {"future", "equity"}
    tick_size : Decimal
        Smallest price step, USD.
    multiplier : int or Decimal
        USD per point of price per unit; 1 for shares.
    commission_per_unit : Decimal
        USD per contract or share and side.
    commission_minimum : Decimal
        USD per order; 0 for none.
    calendar : str
        One of `catalogs.exchange_hours.CALENDARS`.
    margin_initial, margin_maintenance : Decimal
        USD per unit for futures; 0 for shares.
    underlying : str
        Root of a future, for example ``"ES"``; empty for shares.
    expiration_ns : int
        Last moment of trading of a contract month, UTC nanoseconds; 0 if it never expires.
    close_out_ns : int
        Moment from which a broker lets nobody hold it, UTC nanoseconds; 0 if it may be held until it expires.
    """

    instrument_id: str
    kind: Literal["future", "equity"]
    tick_size: Decimal
    multiplier: int | Decimal
    commission_per_unit: Decimal
    commission_minimum: Decimal
    calendar: CalendarName
    margin_initial: Decimal = Decimal(0)
    margin_maintenance: Decimal = Decimal(0)
    underlying: str = ""
    expiration_ns: int = 0
    close_out_ns: int = 0

    @property
    def symbol(self) -> str:
        """Symbol without the venue: ``"ESU5"``, ``"BRK.B"``."""
        return symbol_of(self.instrument_id)

    @property
    def venue(self) -> str:
        """Venue, as the catalog names it: ``"XCME"``."""
        return venue_of(self.instrument_id)

    @property
    def tradable_until_ns(self) -> int:
        """End of a contract month for us: its expiry, or before it when brokers close it out; 0 if it never ends."""
        return self.close_out_ns or self.expiration_ns

    @property
    def contract_month(self) -> str:
        """Month that a contract is named by, as brokers write it: ``"202612"``; it may expire the month before."""
        if not self.expiration_ns:
            return ""
        expires = datetime.fromtimestamp(self.expiration_ns // 10**9, UTC)
        month, digit = MONTH_CODES.index(self.symbol[-2]) + 1, int(self.symbol[-1])
        year = expires.year if expires.year % 10 == digit else expires.year + 1
        return f"{year}{month:02d}"

    @property
    def sessions(self) -> SessionCalendar:
        """Sessions in which it is traded: those of its exchange, for a contract month up to `tradable_until_ns`."""
        return session_calendar(self.calendar, self.tradable_until_ns)

    @property
    def tick_raw(self) -> float:
        """Tick size in units of 1e-16, as `catalogs.bars.price_from_ticks` takes it."""
        return float(int(self.tick_size.scaleb(16)))

    @property
    def tick_value_usd(self) -> Decimal:
        """USD that one tick is worth for one unit."""
        return self.tick_size * self.multiplier

    @property
    def price_precision(self) -> int:
        """Decimals of a price: 2 for a tick of 0.25."""
        return -int(self.tick_size.as_tuple().exponent)


def to_nautilus(spec: InstrumentSpec) -> FuturesContract | Equity:
    """NautilusTrader instrument of a specification; sizes are whole units, the currency is USD.

    Margins stay out of it: NautilusTrader takes a share of the notional value, an exchange USD per contract,
    and the two cannot be equal at every price. Position limits are the risk overlay's.

    Parameters
    ----------
    spec : InstrumentSpec

    Returns
    -------
    FuturesContract or Equity
    """
    instrument_id = InstrumentId.from_str(spec.instrument_id)
    increment = Price(spec.tick_size, spec.price_precision)
    if spec.kind == "equity":
        return Equity(
            instrument_id=instrument_id,
            raw_symbol=instrument_id.symbol,
            currency=USD,
            price_precision=spec.price_precision,
            price_increment=increment,
            lot_size=Quantity.from_int(1),
            ts_event=0,
            ts_init=0,
        )
    return FuturesContract(
        instrument_id=instrument_id,
        raw_symbol=instrument_id.symbol,
        asset_class=_ASSET_CLASSES[spec.calendar],
        currency=USD,
        price_precision=spec.price_precision,
        price_increment=increment,
        multiplier=Quantity.from_str(str(spec.multiplier)),
        lot_size=Quantity.from_int(1),
        underlying=spec.underlying or instrument_id.symbol.value,
        activation_ns=0,
        expiration_ns=spec.expiration_ns or NO_EXPIRATION_NS,
        ts_event=0,
        ts_init=0,
    )


def resolve(instrument: str, table: InstrumentTable | Path, reference: date | None = None) -> InstrumentSpec:
    """Specification of an instrument named by a user.

    ============== =====================================================================================
    name           meaning
    ============== =====================================================================================
    ``ESU5``       contract month of a future; ``ESU5.XCME`` is the same
    ``ES.XCME``    continuous front month of a future: for research and charts, it has no expiry and cannot
                   be ordered
    ``SPY``        US share or fund on the consolidated tape; ``SPY.EQUS`` is the same
    ``ES.EQUS``    the share whose ticker is also the root of a future; ``ES`` alone is refused
    ============== =====================================================================================

    Parameters
    ----------
    instrument : str
        Upper or lower case, but not mixed: ``TpC`` is another security than ``TPC``.
    table : InstrumentTable or Path
        The table or its file.
    reference : date, optional
        Date near the data, which decides the decade of a contract month: ``ESU5`` expired in 2015 and 2025.
        Default: today.

    Returns
    -------
    InstrumentSpec

    Raises
    ------
    InputError
        If the name, the venue, the root of a future or its month is unknown, or the name means several things.

    Examples
    --------
    >>> from configs import instruments_path
    >>> resolve("mesz6", instruments_path()).instrument_id
    'MESZ6.XCME'
    >>> resolve("SPY", instruments_path()).commission_per_unit
    Decimal('0.005')
    """
    table = _loaded(table)
    symbol, venue = _split(capitals(instrument.strip()), table)
    if not venue:
        _refuse_bare_root(symbol, table)
    if venue != table.equities.venue and symbol in table.futures:
        return _future(symbol, symbol, table.futures[symbol], venue)
    if venue != table.equities.venue and _CONTRACT.fullmatch(symbol):
        return _contract(symbol, venue, table, reference or datetime.now(UTC).date())
    if _TICKER.fullmatch(symbol) and venue in ("", table.equities.venue):
        return _equity(symbol, table.equities)
    raise InputError(
        "instrument must be a US ticker (SPY), a contract month with one digit for the year (ESU5) "
        f"or the continuous series of a future (ES.XCME), was {instrument!r}"
    )


def resolve_share(ticker: str, table: InstrumentTable | Path) -> InstrumentSpec:
    """Share of a source that has shares only: ``ES`` is Eversource Energy there, not the future.

    Parameters
    ----------
    ticker : str
        As the source spells it, with or without the venue; nothing is folded.
    table : InstrumentTable or Path

    Raises
    ------
    InputError
        If it is no ticker of upper-case letters: lower-case ones mark another security, as a preferred share.

    Examples
    --------
    >>> from configs import instruments_path
    >>> resolve_share("ES", instruments_path()).instrument_id, resolve_share("NQ.EQUS", instruments_path()).symbol
    ('ES.EQUS', 'NQ')
    """
    table = _loaded(table)
    symbol = ticker.removesuffix(f".{table.equities.venue}")
    if not _TICKER.fullmatch(symbol):
        if symbol != symbol.upper():
            raise InputError(f"ticker must be in upper case (lower-case letters mark another security), was {symbol!r}")
        _split(symbol, table)  # names an unknown venue
        raise InputError(f"a US share must be named by its ticker (SPY, BRK.B), was {ticker!r}")
    return _equity(symbol, table.equities)


def resolve_symbol(symbol: str, table: InstrumentTable | Path, reference: date | None = None) -> InstrumentSpec:
    """Instrument of a symbol in a file: a contract month, or else the share, also where a future has the same root.

    Parameters
    ----------
    symbol : str
        As the file spells it.
    table : InstrumentTable or Path
    reference : date, optional
        As `resolve` takes it.

    Raises
    ------
    InputError
        As `resolve`.

    Examples
    --------
    >>> from configs import instruments_path
    >>> [resolve_symbol(name, instruments_path()).kind for name in ("ESZ6", "ES", "ZM")]
    ['future', 'equity', 'equity']
    """
    table = _loaded(table)
    return resolve_share(symbol, table) if is_root(symbol, table) else resolve(symbol, table, reference)


def is_root(name: str, table: InstrumentTable) -> bool:
    """Whether a name is the root of a future, in the table or not; it may be a share's ticker, too."""
    return name in table.futures or name in table.unlisted_futures


def capitals(name: str) -> str:
    """A name as a user typed it, all in upper or all in lower case, in upper case.

    Raises
    ------
    InputError
        If it mixes both: ``TpC`` is another security than ``TPC``.

    Examples
    --------
    >>> capitals("spy"), capitals("BRK.B")
    ('SPY', 'BRK.B')
    """
    if name not in (name.upper(), name.lower()):
        raise InputError(
            f"instrument {name!r} mixes upper and lower case: lower-case letters within a ticker mark another "
            "security, as a preferred share; those are not kept"
        )
    return name.upper()


def resolve_stored(
    instrument: str, table: InstrumentTable | Path, stored: Collection[str], reference: date | None = None
) -> InstrumentSpec:
    """As `resolve`; a name that is ticker and root alike means the one of them that a catalog holds.

    Parameters
    ----------
    instrument : str
    table : InstrumentTable or Path
    stored : collection of str
        Ids of the catalog's instruments, as `catalogs.instruments.stored.stored_instruments` gives them.
    reference : date, optional
    """
    table = _loaded(table)
    name = instrument.strip().upper()
    if is_root(name, table):
        venues = {table.futures[name].venue} if name in table.futures else set[str]()
        held = [f"{name}.{venue}" for venue in sorted({*venues, table.equities.venue}) if f"{name}.{venue}" in stored]
        if len(held) == 1:
            return resolve(held[0], table, reference)
    return resolve(instrument, table, reference)


def _loaded(table: InstrumentTable | Path) -> InstrumentTable:
    return load_table(table) if isinstance(table, Path) else table


def _refuse_bare_root(symbol: str, table: InstrumentTable) -> None:
    share = f"{symbol}.{table.equities.venue}"
    if symbol in table.futures:
        terms = table.futures[symbol]
        month = f"{symbol}{terms.months[-1]}{datetime.now(UTC).year % 10}"
        raise InputError(
            f"{symbol} is the root of a future ({terms.name}): name a contract month ({month}), {symbol}.{terms.venue} "
            f"for a continuous series, which cannot be traded, or {share} for the share"
        )
    if symbol in table.unlisted_futures:
        raise InputError(
            f"{symbol} is the root of a future that is not in the instrument table (see docs/instruments.md); "
            f"for the share write {share}"
        )


def _split(name: str, table: InstrumentTable) -> tuple[str, str]:
    symbol, dot, venue = name.rpartition(".")
    if not dot:
        return name, ""
    if venue in table.venues:
        return symbol, venue
    if len(venue) == 1:
        return name, ""  # a share class, as in BRK.B
    raise InputError(f"venue of instrument {name} must be one of {', '.join(table.venues)}, was {venue!r}")


def _contract(symbol: str, venue: str, table: InstrumentTable, reference: date) -> InstrumentSpec:
    root, code, digit = symbol[:-2], symbol[-2], int(symbol[-1])
    if root not in table.futures:
        raise InputError(f"root of future {symbol} must be one of {', '.join(table.futures)}, was {root!r}")
    terms = table.futures[root]
    if code not in terms.months:
        raise InputError(f"month of future {symbol} must be one of {terms.months}, was {code!r}")
    month = MONTH_CODES.index(code) + 1
    year = contract_year(terms.expiry, month, digit, reference)
    return msgspec.structs.replace(
        _future(symbol, root, terms, venue),
        expiration_ns=expiration_ns(terms.expiry, terms.expiry_time, year, month),
        close_out_ns=close_out_ns(terms.close_out, terms.expiry, year, month),
    )


def _future(symbol: str, root: str, terms: FutureTerms, venue: str) -> InstrumentSpec:
    if venue not in ("", terms.venue):
        raise InputError(f"venue of future {symbol} must be {terms.venue}, was {venue!r}")
    return InstrumentSpec(
        instrument_id=f"{symbol}.{terms.venue}",
        kind="future",
        tick_size=terms.tick_size,
        multiplier=terms.multiplier,
        commission_per_unit=terms.commission_per_unit,
        commission_minimum=Decimal(0),
        calendar=terms.calendar,
        margin_initial=terms.margin_initial,
        margin_maintenance=terms.margin_maintenance,
        underlying=root,
    )


def _equity(symbol: str, terms: EquityTerms) -> InstrumentSpec:
    return InstrumentSpec(
        instrument_id=f"{symbol}.{terms.venue}",
        kind="equity",
        tick_size=terms.tick_size,
        multiplier=1,
        commission_per_unit=terms.commission_per_unit,
        commission_minimum=terms.commission_minimum,
        calendar=terms.calendar,
    )
