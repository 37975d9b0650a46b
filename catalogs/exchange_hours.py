"""When exchanges trade: hours since 1990 as arrays, from pandas_market_calendars and a table of overrides.

Computing the hours takes over a second, so they are kept in the cache, keyed by the library's version, the
overrides and the last day covered.
"""

import hashlib
import warnings
import zipfile
from datetime import UTC, date, datetime, time
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.cache import cache_dir, written_aside

FIRST_DAY = date(1990, 1, 1)
CALENDARS = ("NYSE", "CME Globex Equity", "CME Globex Interest Rate Products", "CMEGlobex_EnergyAndMetals")
ZONES = {name: "America/New_York" if name == "NYSE" else "America/Chicago" for name in CALENDARS}

# Good Fridays on which Globex does not open: equity indices and interest rates trade on that day only if it is the day
# of the employment report, the first Friday of April. The library opens both every year since 2023.
_CLOSED_GOOD_FRIDAYS: dict[date, time | None] = dict.fromkeys(
    (date(2024, 3, 29), date(2025, 4, 18), date(2027, 3, 26), date(2028, 4, 14), date(2029, 3, 30), date(2030, 4, 19))
)

# Days on which pandas_market_calendars is wrong: the true local closing time, None if closed. 2018-12-05 and 2025-01-09
# were the national days of mourning for Presidents Bush and Carter (CME Group's notice of 2024-12-30: interest rates
# until 12:15, energy and metals as always). Energy and metals: on Labor Day until 13:30, as in 2024 and 2026 and on the
# other Mondays since 2022, the library says 12:00; on the day before Christmas until 12:45, as in 2013 and 2026.
OVERRIDES: dict[str, dict[date, time | None]] = {
    "NYSE": {},
    "CME Globex Equity": {
        date(2018, 12, 5): time(8, 30), date(2025, 1, 9): time(8, 30), **_CLOSED_GOOD_FRIDAYS,
    },
    "CME Globex Interest Rate Products": {date(2025, 1, 9): time(12, 15), **_CLOSED_GOOD_FRIDAYS},
    "CMEGlobex_EnergyAndMetals": {
        **dict.fromkeys((date(2024, 9, 2), date(2025, 9, 1), date(2027, 9, 6)), time(13, 30)),
        **{date(year, 12, 24): time(12, 45) for year in (2013, 2014, 2015, 2018, 2019, 2020, 2024, 2025)},
    },
}  # fmt: skip

Hours = dict[str, NDArray[Any]]


def exchange_hours(name: str, last_day: date) -> Hours:
    """Opening hours of one exchange from 1990 to ``last_day``, from the cache or computed.

    Parameters
    ----------
    name : str
        One of `CALENDARS`.
    last_day : date
        Last session date to cover.

    Returns
    -------
    dict of str to array[sessions]
        ``session_date`` (datetime64[D]), ``open_ns``, ``close_ns`` (int64, UTC) and ``utc_offset_ns`` (int64,
        local minus UTC at the close; it holds for the whole session, as clocks change between sessions).

    Notes
    -----
    Globex hours are today's 17:00 to 16:00 Central for all years. Until September 2015 trading went on to
    16:15, and until June 2021 equity indices paused from 15:15 to 15:30; bars after 16:00 count as outside the session.
    """
    rules = f"{version('pandas_market_calendars')} {OVERRIDES[name]} {FIRST_DAY} {last_day}"
    key = hashlib.sha256(rules.encode()).hexdigest()[:16]
    target = cache_dir() / "exchange_hours" / f"{name.replace(' ', '_')}-{key}.npz"
    try:
        with target.open("rb") as file, np.load(file) as stored:
            return {column: stored[column] for column in stored.files}
    except (FileNotFoundError, zipfile.BadZipFile):
        pass  # not computed yet, or damaged: compute
    hours = _computed(name, last_day)
    with written_aside(target) as aside:
        np.savez(aside, allow_pickle=False, **hours)
    return hours


def horizon() -> date:
    """Last day that calendars cover: the end of next year, so that they change once a year."""
    return date(datetime.now(UTC).year + 1, 12, 31)


def _computed(name: str, last_day: date) -> Hours:
    schedule = _library_schedule(name, last_day)
    zone = ZoneInfo(ZONES[name])
    for day, closing in OVERRIDES[name].items():
        label = pd.Timestamp(day)
        if label not in schedule.index:
            continue
        if closing is None:
            schedule = schedule.drop(index=label)
        else:
            schedule.loc[label, "market_close"] = pd.Timestamp(datetime.combine(day, closing, zone))
    closes = schedule["market_close"]
    local = closes.dt.tz_convert(zone).dt.tz_localize(None)
    return {
        "session_date": schedule.index.to_numpy().astype("datetime64[D]"),
        "open_ns": _nanoseconds(schedule["market_open"]),
        "close_ns": _nanoseconds(closes),
        "utc_offset_ns": _nanoseconds(local) - _nanoseconds(closes),
    }


def _nanoseconds(stamps: "pd.Series[Any]") -> NDArray[np.int64]:
    return stamps.dt.as_unit("ns").astype("int64").to_numpy()


def _library_schedule(name: str, last_day: date) -> pd.DataFrame:
    # pandas 2 makes timedeltas in a way that NumPy 2.5 deprecates. Imported here because it is slow.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import pandas_market_calendars

        calendar = pandas_market_calendars.get_calendar(name)
        return calendar.schedule(FIRST_DAY, last_day)
