"""The contract traded on a day: the one that the configuration names, or a front month; and how long it lives."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from adapters.symbols import own_symbol
from catalogs.errors import InputError
from catalogs.instruments.contract_months import MONTH_CODES, expiration_ns
from catalogs.instruments.identifiers import symbol_of
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.instruments.table import load_table
from catalogs.rolls import RollTable, front_by_calendar, read_rolls
from catalogs.sessions import SessionCalendar, session_calendar
from configs import instruments_path
from configs.live.contract import FrontMonthContract, WantedContract
from configs.live.schema import LiveConfig


def contract_on(config: LiveConfig, day: date) -> WantedContract:
    """Contract that a configuration trades on a day.

    Parameters
    ----------
    config : LiveConfig
    day : date
        Trading day.

    Raises
    ------
    InputError
        If it is the front month and the catalog's roll table is missing or too old.
    """
    return chosen_contract(config.contract, config.front_month, day)


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
        return resolve(own_symbol("ibkr", contract.symbol), instruments_path(), day)
    year, month = int(contract.expiry[:4]), int(contract.expiry[4:6])
    name = f"{contract.symbol}{MONTH_CODES[month - 1]}{year % 10}"
    return resolve(name, instruments_path(), date(year, month, 1))


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
        return f"{spec.instrument_id} expired on {last}"
    if left > sessions_before_expiry:
        return ""
    return (
        f"{spec.instrument_id} expires on {last}: {left - 1} sessions left after this one, "
        f"sessions_before_expiry is {sessions_before_expiry}"
    )


def last_trade(spec: InstrumentSpec) -> str:
    """Last moment of trading of a contract month, for people: ``"2026-12-18 14:30 UTC"``."""
    return f"{datetime.fromtimestamp(spec.expiration_ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"


def _front(wanted: FrontMonthContract, day: date) -> WantedContract:
    if wanted.roll == "calendar":
        return _month(wanted, front_by_calendar(wanted.root, load_table(instruments_path()), day).expiration_ns)
    table = read_rolls(Path(wanted.catalog), wanted.table_root or wanted.root)
    month = table.front(day)
    name = symbol_of(month.instrument_id)
    expires_ns = expiration_ns(name[-2], int(name[-1]), day)
    # The last month of a table has no end yet: it is the front only as long as no rule could have rolled it.
    if month.last_session is None and _sessions_left(table, day, expires_ns) <= table.days_before_expiry:
        raise InputError(
            f"roll table of {table.root} ends with {month.instrument_id}, too early for {day}: "
            f"import newer bars and run `data rolls {table.root}`"
        )
    return _month(wanted, expires_ns)


def _month(wanted: FrontMonthContract, expires_ns: int) -> WantedContract:
    expiry = datetime.fromtimestamp(expires_ns // 10**9, UTC).strftime("%Y%m")
    return WantedContract(wanted.root, "FUT", wanted.exchange, expiry)


def _sessions_left(table: RollTable, day: date, expires_ns: int) -> int:
    calendar = session_calendar(table.calendar)
    last = int(np.searchsorted(calendar.close_ns, expires_ns, side="left"))
    return last - int(np.searchsorted(calendar.session_date, np.datetime64(day)))
