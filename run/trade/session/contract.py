"""The contract traded on a day: the one that the configuration names, or a front month; and how long it lives."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from adapters.ibkr.exchanges import EXCHANGES
from adapters.symbols import own_symbol
from catalogs.errors import InputError
from catalogs.instruments.contract_months import MONTH_CODES
from catalogs.instruments.identifiers import symbol_of
from catalogs.instruments.specification import InstrumentSpec, resolve, resolve_share
from catalogs.instruments.table import load_table
from catalogs.rolls import RollTable, front_by_calendar, latest_roll, read_rolls
from catalogs.sessions import SessionCalendar, session_calendar
from configs import instruments_path
from configs.live.contract import FrontMonthContract, WantedContract
from configs.live.schema import LiveConfig


def contract_on(config: LiveConfig, day: date) -> WantedContract:
    """The only contract that a configuration trades on a day.

    Parameters
    ----------
    config : LiveConfig
    day : date
        Trading day.

    Raises
    ------
    InputError
        If it trades several, or it is the front month and the catalog's roll table is missing or too old.
    """
    if len(config.contracts) > 1:
        raise InputError(f"the configuration must trade one contract here, trades {', '.join(config.contracts)}")
    (contract,) = contracts_on(config, day).values()
    return contract


def contracts_on(config: LiveConfig, day: date) -> dict[str, WantedContract]:
    """Contracts that a configuration trades on a day, by the names of ``contracts``; a single one may have none.

    Raises
    ------
    InputError
        As `contract_on` does for a front month.
    """
    if not config.contracts:
        return {"": chosen_contract(config.contract, config.front_month, day)}
    return {name: chosen_contract(each.contract, each.front_month, day) for name, each in config.contracts.items()}


def chosen_contract(
    contract: WantedContract | None, front_month: FrontMonthContract | None, day: date
) -> WantedContract:
    """The given contract, or the front month on a day.

    Raises
    ------
    InputError
        As `contract_on` does.
    """
    if contract is not None:
        return contract
    assert front_month is not None
    return _front(front_month, day)


def contract_spec(contract: WantedContract, day: date) -> InstrumentSpec:
    """The catalog's instrument for a contract of the broker.

    Raises
    ------
    InputError
        If the instrument table does not know it.
    """
    if contract.kind != "FUT":
        return resolve_share(own_symbol("ibkr", contract.symbol), instruments_path())
    month = date(int(contract.expiry[:4]), int(contract.expiry[4:6]), 1)
    if len(contract.expiry) == 6:
        return _month_spec(contract.symbol, month)
    # A day is that of the last trade, which may lie in the month before the one that the contract is named by.
    named = [
        _month_spec(contract.symbol, each) for each in (month, _following(month)) if _listed(contract.symbol, each)
    ]
    for spec in named:
        if _last_day(spec) == contract.expiry:
            return spec
    days = ", ".join(f"{spec.symbol} {_last_day(spec)}" for spec in named) or "none"
    raise InputError(f"contract.expiry must be a day of the last trade ({days}), was {contract.expiry}")


def traded_calendars(config: LiveConfig) -> tuple[str, ...]:
    """Names of the session calendars of what a configuration trades, each once."""
    choices = config.contracts.values() or (config,)
    return tuple(dict.fromkeys(_calendar(each.contract, each.front_month) for each in choices))


def _calendar(contract: WantedContract | None, front_month: FrontMonthContract | None) -> str:
    table = load_table(instruments_path())
    if contract is not None and contract.kind != "FUT":
        return table.equities.calendar
    root = contract.symbol if contract is not None else front_month.root  # type: ignore[union-attr]
    # An unknown root is refused by name where its contract is resolved.
    return table.futures[root].calendar if root in table.futures else "CME Globex Equity"


def trading_day(calendar: SessionCalendar, now_ns: int) -> date:
    """Trading day of the session that runs at ``now_ns``, or of the next one."""
    day: date = calendar.session_date[int(np.searchsorted(calendar.close_ns, now_ns))].item()
    return day


def sessions_left(spec: InstrumentSpec, now_ns: int) -> int:
    """Sessions that a contract month has left at ``now_ns``, the running or next one included; 0 once expired."""
    return len(spec.sessions) - int(np.searchsorted(spec.sessions.close_ns, now_ns))


def why_expiring(spec: InstrumentSpec, now_ns: int, sessions_before_expiry: int) -> str:
    """Why a contract month is too near its end to be traded; empty if it is not, or never expires.

    Parameters
    ----------
    spec : InstrumentSpec
    now_ns : int
        UTC nanoseconds.
    sessions_before_expiry : int
        Sessions that must be left after the running or next one.
    """
    if not spec.expiration_ns:
        return ""
    last, left = last_trade(spec), sessions_left(spec, now_ns)
    if left == 0:
        return f"{spec.instrument_id} {'had its last session' if spec.close_out_ns else 'expired'} on {last}"
    if left > sessions_before_expiry:
        return ""
    return (
        f"{spec.instrument_id} {'has its last session' if spec.close_out_ns else 'expires'} on {last}: "
        f"{left - 1} sessions left after this one, sessions_before_expiry is {sessions_before_expiry}"
    )


def last_trade(spec: InstrumentSpec) -> str:
    """When a contract month ends for us, for people: ``"2026-12-18 14:30 UTC"``.

    With the reason, where that is not its last trade.
    """
    moment = f"{datetime.fromtimestamp(spec.tradable_until_ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
    why = " (brokers close out what is delivered, or may fall below zero, before it expires)"
    return moment + why if spec.close_out_ns else moment


def _front(wanted: FrontMonthContract, day: date) -> WantedContract:
    instruments = load_table(instruments_path())
    if wanted.roll == "calendar":
        return _wanted(wanted, front_by_calendar(wanted.root, instruments, day))
    table = read_rolls(Path(wanted.catalog), wanted.table_root or wanted.root)
    month = table.front(day)
    name = symbol_of(month.instrument_id)
    spec = resolve(f"{wanted.root}{name[-2:]}", instruments, day)
    # The last month of a table has no end yet: it is the front only as long as no rule could have rolled it.
    if month.last_session is None and _could_have_rolled(table, spec, day):
        raise InputError(
            f"roll table of {table.root} ends with {month.instrument_id}, too early for {day}: "
            f"import newer bars and run `data rolls {table.root}`"
        )
    return _wanted(wanted, spec)


def _wanted(wanted: FrontMonthContract, spec: InstrumentSpec) -> WantedContract:
    if wanted.exchange != EXCHANGES[spec.venue]:
        raise InputError(
            f"front_month.exchange of {wanted.root} must be {EXCHANGES[spec.venue]}, was {wanted.exchange}"
        )
    return WantedContract(wanted.root, "FUT", wanted.exchange, spec.contract_month)


def _could_have_rolled(table: RollTable, spec: InstrumentSpec, day: date) -> bool:
    calendar = session_calendar(table.calendar)
    session = int(np.searchsorted(calendar.session_date, np.datetime64(day)))
    return session >= latest_roll(calendar, spec, table.days_before_expiry)


def _month_spec(root: str, month: date) -> InstrumentSpec:
    return resolve(f"{root}{MONTH_CODES[month.month - 1]}{month.year % 10}", instruments_path(), month)


def _listed(root: str, month: date) -> bool:
    terms = load_table(instruments_path()).futures.get(root)
    return terms is None or MONTH_CODES[month.month - 1] in terms.months


def _following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _last_day(spec: InstrumentSpec) -> str:
    return f"{datetime.fromtimestamp(spec.expiration_ns // 10**9, UTC):%Y%m%d}"
