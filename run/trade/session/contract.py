"""The contract traded on a day: the one that the configuration names, or the front month of the roll table."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from catalogs.errors import InputError
from catalogs.instruments.contract_months import expiration_ns
from catalogs.rolls import RollTable, read_rolls
from catalogs.sessions import session_calendar
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


def _front(wanted: FrontMonthContract, day: date) -> WantedContract:
    table = read_rolls(Path(wanted.catalog), wanted.table_root or wanted.root)
    month = table.front(day)
    name = month.instrument_id.partition(".")[0]
    expires_ns = expiration_ns(name[-2], int(name[-1]), day)
    # The last month of a table has no end yet: it is the front only as long as no rule could have rolled it.
    if month.last_session is None and _sessions_left(table, day, expires_ns) <= table.days_before_expiry:
        raise InputError(
            f"roll table of {table.root} ends with {month.instrument_id}, too early for {day}: "
            f"import newer bars and run `data rolls {table.root}`"
        )
    expiry = datetime.fromtimestamp(expires_ns // 10**9, UTC).strftime("%Y%m")
    return WantedContract(wanted.root, "FUT", wanted.exchange, expiry)


def _sessions_left(table: RollTable, day: date, expires_ns: int) -> int:
    calendar = session_calendar(table.calendar)
    last = int(np.searchsorted(calendar.close_ns, expires_ns, side="left"))
    return last - int(np.searchsorted(calendar.session_date, np.datetime64(day)))
